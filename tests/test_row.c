/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "case.h"
#include "row.h"
#include "table.h"
#include "timer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct scr_case make_case(const scr_device_info *info, char *words)
{
    struct scr_case c = {
        .spec =
            {
                .problem = {.batch = 1,
                            .heads_q = 2,
                            .heads_kv = 2,
                            .len_q = 64,
                            .len_k = 64,
                            .dk = 16,
                            .dv = 64,
                            .q_pos0 = SCR_Q_POS0_DEFAULT,
                            .causal = true},
                .workload = {.kind = SCR_WORKLOAD_IID},
                .window = {.kind = SCR_WINDOW_INF},
                .seed = 7,
            },
        .device = info,
        .tile_q = 32,
        .tile_k = 64,
        .data_words = words,
    };

    strcpy(c.config.kernel, "tile-skip");
    strcpy(c.config.variant, "portable");
    c.config.skip = SCR_SKIP_TILE;
    scr_config_set(&c.config, "TILE_Q", 32);
    scr_config_set(&c.config, "TILE_K", 64);
    scr_config_set(&c.config, "WG", 8);
    return c;
}

static void text_of(bool (*write)(const struct scr_row *, FILE *), const struct scr_row *row,
                    char **out)
{
    size_t size;
    FILE *f = open_memstream(out, &size);

    assert_non_null(f);
    assert_true(write(row, f));
    fclose(f);
}

static void json_has_no_nan_and_survives_bad_text(void **state)
{
    scr_device_info info = {.id = "ref:0", .backend = "ref", .name = "bad \xff name"};
    char words[] = "-a workload=iid";
    struct scr_case c = make_case(&info, words);
    struct scr_row row;
    json_t *j;
    char *line;

    (void)state;
    scr_row_init(&row, &c);
    scr_row_status(&row, "failed", "first line\nsecond line");
    row.t_median_ns = INFINITY;
    row.tile_density = 0.25;
    text_of(scr_row_write_jsonl, &row, &line);
    assert_int_equal(strlen(line), strcspn(line, "\n") + 1);
    j = json_loads(line, 0, NULL);
    assert_non_null(j);
    assert_true(json_is_null(json_object_get(j, "t_median_ns")));
    assert_true(json_is_null(json_object_get(j, "rel_err")));
    assert_true(json_real_value(json_object_get(j, "tile_density")) == 0.25);
    assert_int_equal(json_integer_value(json_object_get(j, "tile_q")), 32);
    assert_int_equal(json_integer_value(json_object_get(j, "seed")), 7);
    assert_string_equal(json_string_value(json_object_get(j, "reason")), "first line");
    assert_string_equal(json_string_value(json_object_get(j, "device_name")), "bad ? name");
    json_decref(j);
    free(line);
}

static void csv_quotes(void **state)
{
    scr_device_info info = {.id = "ref:0", .backend = "ref", .name = "a, \"b\""};
    char words[] = "-a workload=iid";
    struct scr_case c = make_case(&info, words);
    struct scr_row row;
    char *line;

    (void)state;
    scr_row_init(&row, &c);
    scr_row_status(&row, "ok", "%s", "");
    text_of(scr_row_write_csv, &row, &line);
    assert_non_null(strstr(line, "ok,,ref,ref:0,\"a, \"\"b\"\"\",tile-skip,portable,"));
    assert_null(strstr(line, "nan"));
    free(line);
}

static void repro_names_everything(void **state)
{
    scr_device_info info = {.id = "opencl:0.0", .backend = "opencl"};
    char words[] = "-a 'workload=trace:a b'";
    struct scr_case c = make_case(&info, words);
    char repro[SCR_ROW_TEXT];

    (void)state;
    scr_case_repro(&c, "--check", repro, sizeof repro);
    assert_string_equal(repro, "harness --check --device opencl:0.0 -a 'workload=trace:a b' "
                               "-a kernel=tile-skip -a skip=tile -a variant=portable "
                               "-a tile=32x64 -a param=WG=8 --seed 7");
}

static void shell_words(void **state)
{
    char out[64];

    (void)state;
    scr_shell_quote("seq=1:2:+3", out, sizeof out);
    assert_string_equal(out, "seq=1:2:+3");
    scr_shell_quote("it's $HOME", out, sizeof out);
    assert_string_equal(out, "'it'\\''s $HOME'");
    scr_shell_quote("", out, sizeof out);
    assert_string_equal(out, "''");
    assert_true(scr_shell_quote("a b", out, 3) > 3);
    assert_string_equal(out, "'a");
}

static void interval_of_the_median(void **state)
{
    double few[] = {3, 1, 2, 5, 4};
    double six[] = {6, 1, 5, 2, 4, 3};
    double many[100];
    struct scr_time_stats s;

    (void)state;
    scr_time_describe(few, 5, &s);
    assert_true(s.median == 3 && s.min == 1 && isnan(s.ci_lo) && isnan(s.ci_hi));
    scr_time_describe(six, 6, &s);
    assert_true(s.median == 3.5 && s.ci_lo == 1 && s.ci_hi == 6);
    for (int i = 0; i < 100; i++)
        many[i] = 100 - i;
    scr_time_describe(many, 100, &s);
    /* The 40th and the 61st of a hundred: a table value of the sign test. */
    assert_true(s.median == 50.5 && s.ci_lo == 40 && s.ci_hi == 61);
    scr_time_describe(many, 0, &s);
    assert_true(s.n == 0 && isnan(s.median));
}

struct constant {
    int left;
};

static int steady(void *user, double *ns)
{
    struct constant *c = user;

    *ns = 1000;
    return c->left-- > 0 ? SCR_OK : SCR_ERR_DEVICE;
}

static void sampling_stops(void **state)
{
    struct constant c = {.left = 1000};
    struct scr_time_result t;

    (void)state;
    assert_int_equal(scr_time_sample(steady, &c, 10, &t), SCR_OK);
    assert_string_equal(t.stop, "interval");
    assert_in_range(t.stats.n, 10, 20);
    c.left = 3;
    assert_int_equal(scr_time_sample(steady, &c, 10, &t), SCR_ERR_DEVICE);
}

static struct scr_row measured(const char *skip, double density, double speedup)
{
    scr_device_info info = {.id = "ref:0", .backend = "ref", .name = "C"};
    char words[] = "-a workload=iid";
    struct scr_case c = make_case(&info, words);
    struct scr_row row;

    scr_row_init(&row, &c);
    scr_row_status(&row, "ok", "%s", "");
    snprintf(row.skip, sizeof row.skip, "%s", skip);
    snprintf(row.workload, sizeof row.workload, "planted:%gx64", density);
    row.tile_density = density;
    row.speedup_vs_masked = speedup;
    row.r = 16;
    snprintf(row.data_hash, sizeof row.data_hash, "%g", density);
    row.t_median_ns = 1000 / speedup;
    row.t_ci_lo_ns = row.t_median_ns * 0.95;
    row.t_ci_hi_ns = row.t_median_ns * 1.05;
    return row;
}

static struct scr_row masked(double density)
{
    struct scr_row row = measured("none", density, 1);

    strcpy(row.kernel, "masked-dense");
    row.speedup_vs_masked = NAN;
    return row;
}

static void verdict_is_what_the_rows_say(void **state)
{
    struct scr_row rows[] = {measured("tile", 0.6, 0.8),
                             measured("slice", 0.6, 0.9),
                             measured("tile", 0.4, 1.5),
                             measured("tile", 0.1, 4.0),
                             masked(0.6),
                             masked(0.4),
                             masked(0.1)};
    const size_t n = sizeof rows / sizeof rows[0];
    char line[SCR_ROW_TEXT + 400];

    (void)state;
    scr_verdict_line(rows, n, line, sizeof line);
    assert_non_null(
        strstr(line, "beats masked-dense from tile density 0.4 down; at 0.1 it is 4.0x"));
    scr_verdict_line(rows, 2, line, sizeof line);
    assert_non_null(strstr(line, "does not beat masked-dense"));
    scr_verdict_line(rows, 0, line, sizeof line);
    assert_string_equal(line, "no row was measured");
    /* A gain within the noise is none. */
    rows[2] = measured("tile", 0.4, 1.04);
    scr_verdict_line(rows, n, line, sizeof line);
    assert_non_null(strstr(line, "from tile density 0.1 down"));
    /* A loss below a win moves the break-even below the loss. */
    rows[2] = measured("tile", 0.4, 1.5);
    rows[3] = measured("tile", 0.1, 0.5);
    scr_verdict_line(rows, n, line, sizeof line);
    assert_non_null(strstr(line, "does not beat masked-dense"));
    scr_row_status(&rows[1], "wrong", "differs from skip = none");
    scr_verdict_line(rows, n, line, sizeof line);
    assert_non_null(strstr(line, "1 row WRONG"));
}

static void tables_fit(void **state)
{
    struct scr_row rows[2] = {measured("tile", 0.6, 0.8), measured("slice", 0.1, 4)};
    char *text;
    size_t size;
    FILE *f = open_memstream(&text, &size);

    (void)state;
    memset(rows[1].workload, 'w', 200);
    rows[1].workload[200] = '\0';
    assert_int_equal(scr_table_print(rows, 2, SCR_TABLE_TEXT, f), 0);
    fclose(f);
    for (const char *s = strstr(text, "\n\n") + 2; *s != '\0'; s += strcspn(s, "\n") + 1)
        assert_true(strcspn(s, "\n") <= 120);
    assert_non_null(strstr(text, "vs masked"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_has_no_nan_and_survives_bad_text),
        cmocka_unit_test(csv_quotes),
        cmocka_unit_test(repro_names_everything),
        cmocka_unit_test(shell_words),
        cmocka_unit_test(interval_of_the_median),
        cmocka_unit_test(sampling_stops),
        cmocka_unit_test(verdict_is_what_the_rows_say),
        cmocka_unit_test(tables_fit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
