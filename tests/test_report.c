/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "report_write.h"
#include "rows_file.h"

#include <screening/error.h>

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char run[] =
    "{\"start\":\"2026-01-02T03:04:05Z\",\"finish\":\"2026-01-02T03:06:05Z\",\"note\":"
    "\"Interrupted "
    "after 2 of 9 "
    "configurations.\",\"version\":\"1.2.3\",\"commit\":\"abc123\",\"compiler\":\"gcc\","
    "\"options\":{\"command\":[\"harness\",\"--sweep\",\"-a\",\"workload=trace:a b\"],\"seed\":7},"
    "\"machine\":{\"summary\":\"Some CPU, 2 cores\",\"os\":\"Linux\"},"
    "\"devices\":[{\"id\":\"cuda:0\",\"name\":\"GPU <1>\",\"driver\":\"550.1\"}],"
    "\"peaks\":{\"cuda:0\":{\"f32_flop_per_s\":4e13,\"f16_flop_per_s\":null,"
    "\"bandwidth_bytes_per_s\":2.5e11,\"floor_ns\":4200}}}";

static const char rows[] =
    "{\"status\":\"ok\",\"device\":\"cuda:0\",\"kernel\":\"masked-dense\",\"workload\":\"iid\","
    "\"seq_q\":64,\"seq_k\":64,\"cache\":\"cold\",\"timer\":\"event\",\"t_median_ns\":2e6,"
    "\"n_samples\":20,\"t_ci_lo_ns\":1.8e6,\"t_ci_hi_ns\":2.2e6,\"stop\":\"time\",\"rel_err\":1e-6,"
    "\"rows_checked\":64,\"rows\":64}\n"
    "{\"status\":\"crashed\",\"reason\":\"signal 11 <here>\",\"repro\":\"harness --sweep -a x\"}\n";

/* As gnuplot writes them, with an id that all have. */
static const char svg[] = "<?xml version=\"1.0\"?>\n<!DOCTYPE svg>\n<svg viewBox=\"0 0 8 8\"><defs>"
                          "<circle id='dot' r='1'/></defs><use xlink:href='#dot'/></svg>\n";

struct fixture {
    char dir[64];
    struct scr_rows_file rows;
    struct scr_plot_summary plots;
    char why[300];
};

static void write_file(const struct fixture *t, const char *name, const char *text)
{
    char path[128];
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", t->dir, name);
    f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static char *read_file(const struct fixture *t, const char *name)
{
    char path[128];
    char *text = NULL;
    size_t size = 0;
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", t->dir, name);
    f = fopen(path, "r");
    assert_non_null(f);
    assert_true(getdelim(&text, &size, '\0', f) > 0);
    fclose(f);
    return text;
}

static int set_up(void **state)
{
    struct fixture *t = calloc(1, sizeof *t);
    char path[128];

    *state = t;
    strcpy(t->dir, "/tmp/scr-report-XXXXXX");
    assert_non_null(mkdtemp(t->dir));
    snprintf(path, sizeof path, "%s/plots", t->dir);
    assert_int_equal(mkdir(path, 0777), 0);
    write_file(t, "run.json", run);
    write_file(t, "rows.jsonl", rows);
    write_file(t, "plots/a-cuda_0.svg", svg);
    write_file(t, "plots/b.svg", svg);
    t->plots.n_drawn = 3;
    strcpy(t->plots.drawn[0], "a-cuda_0");
    strcpy(t->plots.title[0], "What is a?");
    strcpy(t->plots.drawn[1], "b");
    strcpy(t->plots.drawn[2], "not-there");
    assert_int_equal(scr_rows_file_read(t->dir, &t->rows, t->why, sizeof t->why), SCR_OK);
    return 0;
}

static int tear_down(void **state)
{
    static const char *const names[] = {"run.json",          "rows.jsonl", "report.md",
                                        "report.html",       "rows.csv",   "plots/b.svg",
                                        "plots/a-cuda_0.svg"};
    struct fixture *t = *state;
    char path[128];

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", t->dir, names[i]);
        unlink(path);
    }
    snprintf(path, sizeof path, "%s/plots", t->dir);
    rmdir(path);
    rmdir(t->dir);
    scr_rows_file_clear(&t->rows);
    free(t);
    return 0;
}

static void expect(const char *text, const char *wanted)
{
    if (strstr(text, wanted) == NULL)
        fail_msg("no '%s' in:\n%s", wanted, text);
}

static void write_report(struct fixture *t)
{
    int status =
        scr_report_write(t->dir, t->rows.rows, t->rows.n, &t->plots, t->why, sizeof t->why);

    if (status != SCR_OK)
        fail_msg("%d: %s", status, t->why);
}

static void markdown_has_it_all(void **state)
{
    struct fixture *t = *state;
    char *text;

    write_report(t);
    text = read_file(t, "report.md");
    expect(text, "\nInterrupted after 2 of 9 configurations.\n");
    expect(text, "| Run | 2026-01-02T03:04:05Z to 2026-01-02T03:06:05Z |");
    expect(text, "| Machine | Some CPU, 2 cores; Linux |");
    expect(text, "| Device cuda:0 | GPU <1>, driver 550.1 |");
    expect(text, "| f32 40 TFLOP/s, memory 250 GB/s, an empty kernel 4.2 us |");
    expect(text, "| Timing | cold caches; by the device's events; medians");
    expect(text, "| Checking | every result that has a time was compared with float64 |");
    expect(text, "| Program | 1.2.3, commit abc123, gcc |");
    expect(text, "| Seed | 7 |");
    expect(text, "| 10.0 | time |");
    expect(text, "| wide-interval |");
    /* The table of a glance comes first, with letters for flags; all columns are folded away. */
    expect(text, "| W |");
    expect(text, "W wide-interval\n\n<details><summary>All columns</summary>\n\n");
    assert_true(strstr(text, "| W |") < strstr(text, "<details>"));
    assert_true(strstr(text, "| 10.0 | time |") > strstr(text, "<details>"));
    expect(text, "\n</details>\n");
    expect(text, "![What is a?](plots/a-cuda_0.svg)");
    assert_null(strstr(text, "not-there"));
    expect(text, "\n- 1 row crashed: signal 11 <here>\n  `harness --sweep -a x`\n");
    expect(text, "\n    harness --sweep -a 'workload=trace:a b'\n");
    free(text);
}

static void csv_has_a_line_a_row(void **state)
{
    struct fixture *t = *state;
    char *text;

    write_report(t);
    text = read_file(t, "rows.csv");
    assert_ptr_equal(strstr(text, "status,reason,"), text);
    expect(text, "\nok,,,cuda:0,");
    expect(text, "\ncrashed,signal 11 <here>,");
    free(text);
}

/* Counts `what` in text. */
static int count(const char *text, const char *what)
{
    int n = 0;

    for (const char *s = text; (s = strstr(s, what)) != NULL; s++)
        n++;
    return n;
}

static void html_stands_alone(void **state)
{
    struct fixture *t = *state;
    char *text;

    write_report(t);
    text = read_file(t, "report.html");
    expect(text, "<!DOCTYPE html>");
    expect(text, "<td>GPU &lt;1&gt;, driver 550.1</td>");
    expect(text, "signal 11 &lt;here&gt;");
    expect(text, "workload=trace:a b");
    expect(text, "<figure role=\"img\" aria-label=\"What is a?\">\n<svg viewBox");
    assert_int_equal(count(text, "<svg"), 2);
    /* Two pictures on a page do not share their ids. */
    expect(text, "id='p1-dot'");
    expect(text, "href='#p1-dot'");
    expect(text, "href='#p2-dot'");
    assert_int_equal(count(text, "<?xml"), 0);
    assert_int_equal(count(text, "<script"), 0);
    assert_int_equal(count(text, "<link"), 0);
    assert_int_equal(count(text, " src="), 0);
    assert_int_equal(count(text, "@import"), 0);
    assert_int_equal(count(text, "<div"), count(text, "</div>"));
    assert_int_equal(count(text, "<table"), count(text, "</table>"));
    assert_int_equal(count(text, "<ul"), count(text, "</ul>"));
    free(text);
}

static void a_report_of_little(void **state)
{
    struct fixture *t = *state;
    char *text;

    write_file(t, "run.json", "{}");
    t->plots.n_drawn = 0;
    t->rows.rows[0].rel_err = NAN;
    write_report(t);
    text = read_file(t, "report.md");
    expect(text, "but for 1 rows without an error");
    assert_null(strstr(text, "Pictures"));
    assert_null(strstr(text, "| Seed |"));
    assert_null(strstr(text, "| Run |"));
    free(text);
    assert_int_equal(scr_report_write(t->dir, NULL, 0, NULL, t->why, sizeof t->why), SCR_OK);
    text = read_file(t, "report.md");
    expect(text, "no row was measured");
    free(text);
}

static void a_type_that_is_multiplied_as_f32(void **state)
{
    struct fixture *t = *state;
    char *text;

    write_file(t, "run.json",
               "{\"devices\":[{\"id\":\"cuda:0\"}],\"peaks\":{\"cuda:0\":{\"f32_flop_per_s\":4e13,"
               "\"f16_flop_per_s\":8e13,\"bf16_flop_per_s\":4e13}}}");
    write_report(t);
    text = read_file(t, "report.md");
    expect(text, "| f32 40 TFLOP/s, f16 80 TFLOP/s, bf16 as f32 |");
    free(text);
}

/* What a new column means must be said. */
static void readme_names_every_column(void **state)
{
    struct fixture *t = *state;
    const char *folder = getenv("SCR_TEST_DATA");
    char path[4096], name[80];
    char *readme = NULL, *csv;
    size_t size = 0;
    FILE *f;
    int n = 0;

    assert_non_null(folder);
    snprintf(path, sizeof path, "%s/../../results/README.md", folder);
    f = fopen(path, "r");
    assert_non_null(f);
    assert_true(getdelim(&readme, &size, '\0', f) > 0);
    fclose(f);
    write_report(t);
    csv = read_file(t, "rows.csv");
    csv[strcspn(csv, "\n")] = '\0';
    for (char *c = strtok(csv, ","); c != NULL; c = strtok(NULL, ",")) {
        size_t len = strlen(c);
        bool ends = len > 3 && (strcmp(c + len - 3, "_lo") == 0 || strcmp(c + len - 3, "_hi") == 0);

        /* The ends of intervals are named together. */
        snprintf(name, sizeof name, "`%.*s`", (int)(ends ? len - 3 : len), c);
        if (ends && strcmp(name, "`t_ci`") != 0)
            expect(readme, "`..._lo`, `..._hi`");
        else if (ends)
            snprintf(name, sizeof name, "`%s`", c);
        if (strstr(readme, name) == NULL)
            fail_msg("results/README.md does not say what %s is", name);
        n++;
    }
    assert_true(n > 90);
    free(csv);
    free(readme);
}

static void without_a_header(void **state)
{
    struct fixture *t = *state;

    write_file(t, "run.json", "{");
    assert_int_equal(scr_report_write(t->dir, NULL, 0, NULL, t->why, sizeof t->why),
                     SCR_ERR_INVALID);
    assert_non_null(strstr(t->why, "run.json"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(markdown_has_it_all, set_up, tear_down),
        cmocka_unit_test_setup_teardown(csv_has_a_line_a_row, set_up, tear_down),
        cmocka_unit_test_setup_teardown(html_stands_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_report_of_little, set_up, tear_down),
        cmocka_unit_test_setup_teardown(readme_names_every_column, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_type_that_is_multiplied_as_f32, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_a_header, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
