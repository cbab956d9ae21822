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
#include "verdict.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

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
    assert_non_null(
        strstr(line, "ok,,ref,ref:0,\"a, \"\"b\"\"\",0,,screening,tile-skip,portable,"));
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
                               "-a out=f32 -a norm=0 -a q_pos0=auto -a kv_len=none "
                               "-a kernel=tile-skip -a skip=tile -a variant=portable "
                               "-a tile=32x64 -a param=WG=8 --seed 7");
    c.program = "./my build/harness";
    scr_case_repro(&c, "--check", repro, sizeof repro);
    assert_ptr_equal(strstr(repro, "'./my build/harness' --check --device "), repro);
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
        many[i] = 1 + 37 * i % 100; /* neighbours are not alike */
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
    const struct timespec run = {.tv_nsec = 1000000};
    struct constant *c = user;

    nanosleep(&run, NULL);
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
    assert_in_range(t.stats.n, SCR_MIN_SAMPLES, 100);
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
    row.speedup_vs_masked_lo = speedup * 0.98;
    row.speedup_vs_masked_hi = speedup * 1.02;
    row.r = 16;
    snprintf(row.data_hash, sizeof row.data_hash, "%g", density);
    row.t_median_ns = 1000 / speedup;
    row.t_ci_lo_ns = row.t_median_ns * 0.99;
    row.t_ci_hi_ns = row.t_median_ns * 1.01;
    row.n_samples = 20;
    return row;
}

static struct scr_row masked(double density)
{
    struct scr_row row = measured("none", density, 1);

    strcpy(row.kernel, "masked-dense");
    row.speedup_vs_masked = row.speedup_vs_masked_lo = row.speedup_vs_masked_hi = NAN;
    return row;
}

static void few_samples(struct scr_row *row)
{
    row->n_samples = 5;
    row->t_ci_lo_ns = row->t_ci_hi_ns = NAN;
    row->speedup_vs_masked_lo = row->speedup_vs_masked_hi = NAN;
}

static void outcomes_of_a_row(void **state)
{
    const struct {
        double speedup;
        enum scr_outcome outcome;
    } table[] = {{1.5, SCR_OUTCOME_WINS},        {1.03, SCR_OUTCOME_WINS},
                 {1.01, SCR_OUTCOME_UNDECIDED},  {1, SCR_OUTCOME_UNDECIDED},
                 {0.985, SCR_OUTCOME_UNDECIDED}, {0.97, SCR_OUTCOME_LOSES},
                 {0.5, SCR_OUTCOME_LOSES}};
    struct scr_row row;

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        row = measured("tile", 0.5, table[i].speedup);
        assert_int_equal(scr_row_outcome(&row), table[i].outcome);
    }
    /* Far from 1 in the median, but the interval holds it. */
    row = measured("tile", 0.5, 1.4);
    row.speedup_vs_masked_lo = 0.99;
    assert_int_equal(scr_row_outcome(&row), SCR_OUTCOME_UNDECIDED);
    /* Without an interval nothing is won or lost. */
    row = measured("tile", 0.5, 9);
    few_samples(&row);
    assert_int_equal(scr_row_outcome(&row), SCR_OUTCOME_NO_INTERVAL);
}

/* Fails unless the verdict on the rows contains `said`. */
static void expect_verdict(const struct scr_row *rows, size_t n, const char *said)
{
    char lines[4096];

    assert_int_equal(scr_verdict(rows, n, lines, sizeof lines), 0);
    if (strstr(lines, said) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", lines, said);
}

/* With tiles by the table each density has its own, and all are told together. */
static void verdict_takes_chosen_tiles_together(void **state)
{
    struct scr_row rows[] = {measured("tile", 1, 0.93), measured("tile", 0.1, 11.5),
                             measured("tile", 0.05, 14.0)};

    (void)state;
    for (int i = 0; i < 3; i++)
        strcpy(rows[i].choice, i == 0 ? "default" : "device built-in");
    expect_verdict(rows, 3, "from tile density 0.1 down; at 0.05 it is 14.00x");
    expect_verdict(rows, 3, "tile 32x64, seq");
    rows[1].tile_q = rows[2].tile_q = 128;
    expect_verdict(rows, 3, "from tile density 0.1 down; at 0.05 it is 14.00x");
    expect_verdict(rows, 3, "tiles by the table, seq");
    /* Tiles that were asked for are compared each by itself. */
    for (int i = 0; i < 3; i++)
        strcpy(rows[i].choice, "given");
    expect_verdict(rows, 3, "tile 128x64, seq");
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
    enum { N = sizeof rows / sizeof rows[0] };

    (void)state;
    expect_verdict(rows, 0, "no row was measured");
    expect_verdict(rows, N, "beats masked-dense from tile density 0.4 down; at 0.1 it is 4.00x");
    expect_verdict(rows, N,
                   "4.00x (3.92-4.08, skip=tile); skipping breaks even between 0.4 and 0.6 (ref:0");
    expect_verdict(rows, N, "(ref:0 C, f32, dk 16, dv 64, tile 32x64, seq 64)");
    /* The better way to skip is what counts. */
    rows[1] = measured("slice", 0.6, 1.2);
    expect_verdict(rows, N, "from tile density 0.6 down");
    rows[1] = measured("slice", 0.6, 0.9);
    /* A gain within the noise is none, and one density is no range. */
    rows[2] = measured("tile", 0.4, 1.01);
    expect_verdict(rows, N, "at tile density 0.1: 4.00x (3.92-4.08, skip=tile), at no higher one");
    few_samples(&rows[2]);
    expect_verdict(rows, N, "at tile density 0.1: 4.00x (3.92-4.08, skip=tile), at no higher one");
    /* A loss below a win: nothing holds "down" from anywhere. */
    rows[2] = measured("tile", 0.4, 1.5);
    rows[3] = measured("tile", 0.1, 0.5);
    expect_verdict(rows, N,
                   "at tile density 0.4: 1.50x (1.47-1.53, skip=tile), but not at every other one");
    rows[2] = measured("tile", 0.4, 0.7);
    expect_verdict(rows, N,
                   "loses to masked-dense at every tile density measured; its best is "
                   "0.90x (0.88-0.92, skip=slice) at 0.6");
    rows[3] = measured("tile", 0.1, 1.0);
    expect_verdict(rows, N, "it loses on 2 of 3 data sets");
    rows[0] = measured("tile", 0.6, 1.0);
    rows[2] = measured("tile", 0.4, 1.0);
    expect_verdict(rows, N, "no difference can be told: the intervals hold 1");
    scr_row_status(&rows[1], "wrong", "differs from skip = none");
    expect_verdict(rows, N, "1 row WRONG, the first: differs from skip = none\n  harness --sweep");
}

static void verdict_without_evidence(void **state)
{
    struct scr_row rows[] = {measured("tile", 0.6, 0.8), measured("tile", 0.1, 4.0), masked(0.6),
                             masked(0.1)};

    (void)state;
    expect_verdict(rows + 1, 3,
                   "tile density 0.1: 4.00x (3.92-4.08, skip=tile), the only density measured at "
                   "this tile and length");
    for (int i = 0; i < 4; i++)
        few_samples(&rows[i]);
    expect_verdict(rows, 4, "no verdict: no ratio has an interval");
    /* Where every tile is alive nothing was won by skipping. */
    rows[0] = measured("tile", 1, 2);
    rows[1] = masked(1);
    expect_verdict(rows, 2, "no verdict: every tile measured is alive");
    expect_verdict(rows + 1, 1, "no verdict: no row compares");
    /* A window is a gain of its own; a trace's own windows are part of it. */
    rows[0] = measured("tile", 0.1, 2);
    rows[1] = masked(0.1);
    strcpy(rows[0].window, "256");
    strcpy(rows[1].window, "256");
    expect_verdict(rows, 2, "no verdict on skipping alone");
    expect_verdict(rows, 2, "\nwindow 256, planted:0.1x64, seq 64: tile-skip is 2.00x (1.96-2.04)");
    for (int i = 0; i < 2; i++) {
        strcpy(rows[i].window, "own");
        strcpy(rows[i].workload, "trace:/a/b.safetensors");
    }
    expect_verdict(rows, 2, "its own windows: tile-skip is 2.00x");
    /* One head is not the layer. */
    rows[0].trace_head = 3;
    expect_verdict(rows, 2, "no verdict: no row compares");
}

static void verdict_tells_the_window_from_the_skipping(void **state)
{
    struct scr_row rows[] = {measured("tile", 0.1, 3.5), measured("none", 0.1, 2),
                             measured("slice", 0.1, 3.2), measured("tile", 0.1, 9)};
    char lines[4096];

    (void)state;
    for (int i = 0; i < 4; i++)
        strcpy(rows[i].window, "128");
    /* A shorter sequence is not what speaks. */
    rows[3].seq_q = rows[3].seq_k = 32;
    assert_int_equal(scr_verdict(rows, 4, lines, sizeof lines), 0);
    assert_ptr_equal(strstr(lines, "no verdict on skipping alone: "), lines);
    assert_non_null(strstr(lines, "\nwindow 128, planted:0.1x64, seq 64: tile-skip is 3.50x "
                                  "(3.43-3.57) as fast as masked-dense; without skipping 2.00x: "
                                  "that part is the window (ref:0 C, f32, skip=tile, tile 32x64)"));
    assert_null(strstr(lines, "9.00x"));
    /* From the row alone, where the one without skipping is not there. */
    scr_row_status(&rows[1], "skipped", "no time");
    rows[0].vs_no_skip = 1.4;
    expect_verdict(rows, 4, "; without skipping 2.50x: that part is the window");
    for (int i = 0; i < 4; i++) {
        strcpy(rows[i].workload, "trace:/a/b.safetensors");
        strcpy(rows[i].window, "own");
    }
    expect_verdict(rows, 4, "b.safetensors, seq 64, its own windows: tile-skip is 3.50x");
    expect_verdict(rows, 4, "; without skipping 2.50x: that part is the window");
    /* With a row that has the window off, that is what the device is judged by. */
    for (int i = 0; i < 4; i++)
        strcpy(rows[i].workload, "iid");
    strcpy(rows[2].window, "inf");
    assert_int_equal(scr_verdict(rows, 4, lines, sizeof lines), 0);
    assert_ptr_equal(strstr(lines, "tile-skip beats masked-dense at tile density 0.1: 3.20x"),
                     lines);
    assert_null(strstr(lines, "window"));
}

static void verdict_prefers_the_longest(void **state)
{
    struct scr_row rows[] = {measured("tile", 0.1, 2), measured("slice", 0.1, 3),
                             measured("slice", 0.1, 5)};

    (void)state;
    rows[1].seq_q = rows[1].seq_k = 4096;
    rows[2].seq_q = rows[2].seq_k = 512;
    expect_verdict(rows, 3,
                   "at tile density 0.1: 3.00x (2.94-3.06, skip=slice), the only density "
                   "measured at this tile and length");
    expect_verdict(rows, 3, "seq 4096)");
}

static void verdict_names_a_weak_baseline(void **state)
{
    struct scr_row rows[] = {measured("tile", 0.1, 2), measured("none", 0.1, 1.01),
                             measured("none", 0.2, 0.9)};
    char lines[4096];

    (void)state;
    assert_int_equal(scr_verdict(rows, 3, lines, sizeof lines), 0);
    assert_null(strstr(lines, "weak"));
    rows[1] = measured("none", 0.1, 1.35);
    expect_verdict(rows, 3, "beats the best masked-dense in 1 of 2 rows, by up to 1.35x");
}

static void verdict_counts_wide_intervals(void **state)
{
    struct scr_row rows[] = {measured("tile", 0.2, 3), measured("tile", 0.1, 4), masked(0.2),
                             masked(0.1)};

    (void)state;
    rows[0].t_ci_lo_ns = 0.94 * rows[0].t_median_ns;
    rows[0].t_ci_hi_ns = 1.05 * rows[0].t_median_ns;
    rows[1].t_ci_lo_ns = 0.96 * rows[1].t_median_ns;
    rows[1].t_ci_hi_ns = 1.03 * rows[1].t_median_ns;
    few_samples(&rows[2]);
    expect_verdict(rows, 4,
                   "care, of 4 timed rows: 2 with an interval wider than +-5 % or fewer than 6 "
                   "samples.");
}

static void verdict_says_how_it_was_timed(void **state)
{
    struct scr_row rows[] = {measured("tile", 0.2, 3), measured("tile", 0.1, 4), masked(0.2),
                             masked(0.1)};
    char lines[4096];

    (void)state;
    assert_int_equal(scr_verdict(rows, 4, lines, sizeof lines), 0);
    assert_null(strstr(lines, "care"));
    assert_null(strstr(lines, "warm"));
    scr_row_flag(&rows[0], "events-missing");
    scr_row_flag(&rows[0], "throttled");
    scr_row_flag(&rows[1], "near-floor");
    scr_row_flag(&rows[2], "throttled");
    expect_verdict(
        rows, 4,
        "\nTo be taken with care, of 4 timed rows: 2 with the clock held down, 1 shorter "
        "than three empty kernels.");
    strcpy(rows[0].cache, "warm");
    expect_verdict(rows, 4, "\n1 of 4 rows were timed with warm caches.");
    for (int i = 1; i < 4; i++)
        strcpy(rows[i].cache, "warm");
    expect_verdict(rows, 4, "\nAll times are of warm caches.");
}

static void verdict_keeps_other_programs_out(void **state)
{
    struct scr_row rows[] = {measured("tile", 0.2, 3), measured("tile", 0.1, 9), masked(0.2),
                             masked(0.1)};

    (void)state;
    strcpy(rows[1].peer, "torch");
    expect_verdict(rows, 4,
                   "at tile density 0.2: 3.00x (2.94-3.06, skip=tile), the only density measured");
    strcpy(rows[1].op, "softmax");
    strcpy(rows[1].kernel, "sdpa-flash");
    expect_verdict(rows, 4,
                   "\nAnother operator, softmax attention: sdpa-flash; no verdict rests on it.");
}

static void verdict_of_comparable_rows_only(void **state)
{
    struct scr_row rows[] = {measured("tile", 0.2, 3),
                             measured("tile", 0.1, 4),
                             measured("tile", 0.05, 0.5),
                             measured("tile", 0.4, 2),
                             masked(0.2),
                             masked(0.1),
                             masked(0.05),
                             masked(0.4)};
    char lines[4096];

    (void)state;
    /* Another length, and a set with fewer densities: its loss is another matter. */
    rows[2].seq_q = rows[2].seq_k = 4096;
    expect_verdict(rows, 8, "from tile density 0.4 down");
    expect_verdict(rows, 8, "seq 64)");
    /* Another device gets its own line, the better device first. */
    for (int i = 3; i < 8; i += 4) {
        strcpy(rows[i].device, "cuda:0");
        strcpy(rows[i].backend, "cuda");
    }
    assert_int_equal(scr_verdict(rows, 8, lines, sizeof lines), 0);
    assert_ptr_equal(strstr(lines, "tile-skip beats masked-dense at tile density 0.4: 2.00x"),
                     lines);
    assert_non_null(strstr(lines, "\ntile-skip beats masked-dense from tile density 0.2 down"));
    strcpy(rows[3].backend, "opencl");
    strcpy(rows[0].backend, "opencl");
    rows[0].on_cpu = true;
    assert_int_equal(scr_verdict(rows, 8, lines, sizeof lines), 0);
    assert_non_null(strstr(strchr(lines, '\n'), "ref:0"));
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

static char *table_text(const struct scr_row *rows, size_t n)
{
    char *text;
    size_t size;
    FILE *f = open_memstream(&text, &size);

    assert_int_equal(scr_table_print(rows, n, SCR_TABLE_TEXT, f), 0);
    fclose(f);
    return text;
}

static void rows_without_a_result_are_counted(void **state)
{
    struct scr_row rows[] = {measured("tile", 0.6, 0.8), measured("tile", 0.4, 1),
                             measured("tile", 0.3, 1), measured("tile", 0.2, 1)};
    char *text;

    (void)state;
    scr_row_status(&rows[1], "skipped", "the time budget of 1 s is spent");
    scr_row_status(&rows[2], "skipped", "the time budget of 1 s is spent");
    scr_row_status(&rows[3], "failed", "no");
    text = table_text(rows, 4);
    assert_non_null(strstr(text, "\n2 rows skipped: the time budget of 1 s is spent\n"
                                 "1 row failed: no\n"));
    assert_null(strstr(text, "planted:0.4x64"));
    free(text);
    text = table_text(rows + 1, 2);
    assert_string_equal(text, "2 rows skipped: the time budget of 1 s is spent\n");
    free(text);
}

static void a_time_of_few_samples_is_marked(void **state)
{
    struct scr_row rows[] = {measured("tile", 0.6, 0.5), measured("tile", 0.4, 1)};
    char *text;

    (void)state;
    rows[0].t_median_ns = 2e6;
    rows[1].t_median_ns = 3e6;
    few_samples(&rows[0]);
    text = table_text(rows, 2);
    assert_non_null(strstr(text, " ~2.000"));
    assert_non_null(strstr(text, " 3.000"));
    free(text);
}

static void a_table_tells_what_was_measured(void **state)
{
    struct scr_row rows[] = {measured("tile", 0.6, 1.01), measured("tile", 0.4, 2.5),
                             measured("slice", 0.4, 2)};
    char *text;
    size_t size;
    FILE *f;

    (void)state;
    rows[0].qk_executed = 1;
    rows[0].pv_executed = 0.625;
    rows[1].pct_ideal = 99.6;
    rows[1].pct_roofline = 41.25;
    scr_row_flag(&rows[1], "near-floor");
    few_samples(&rows[2]);
    text = table_text(rows, 3);
    assert_non_null(strstr(text, "no difference"));
    assert_non_null(strstr(text, "2.50 2.45-2.55"));
    assert_non_null(strstr(text, "~2.00"));
    assert_non_null(strstr(text, "100/62.5"));
    assert_non_null(strstr(text, "\nFlags: F near-floor, W wide-interval\n"));
    assert_non_null(strstr(text, "\nvs masked: against the fastest masked-dense of its tiles and"));
    assert_non_null(strstr(text, "\nroof%: blank for skip=slice"));
    free(text);
    strcpy(rows[2].op, "softmax");
    text = table_text(rows, 3);
    assert_non_null(strstr(text, "tile-skip slice (softmax)"));
    free(text);
    f = open_memstream(&text, &size);
    snprintf(rows[0].masked_params, sizeof rows[0].masked_params, "A=1 <&>");
    assert_int_equal(scr_table_print_results(rows, 3, SCR_TABLE_HTML, f), 0);
    fclose(f);
    assert_non_null(strstr(text, "<td>near-floor</td>"));
    assert_non_null(strstr(text, "<td>A=1 &lt;&amp;&gt;</td>"));
    assert_null(strstr(text, "Flags:"));
    free(text);
}

static void text_is_wrapped_at_blanks(void **state)
{
    char text[600] = "first", *out;
    size_t size;
    FILE *f = open_memstream(&out, &size);

    (void)state;
    for (int i = 0; i < 40; i++)
        strcat(text, " word-word");
    strcat(text, "\n  a command that is not broken, whatever its length is: it would not run if it "
                 "were, for a shell ends it with the line");
    scr_print_wrapped(text, f);
    fclose(f);
    assert_non_null(strstr(out, "\n  a command"));
    for (char *s = out; *s != '\0'; s += strcspn(s, "\n") + 1)
        assert_true(strcspn(s, "\n") <= 120 || *s == ' ');
    for (char *s = out; *s != '\0'; s++) {
        if (*s == '\n' && s[1] != ' ' && s[1] != '\0')
            *s = ' ';
    }
    out[strlen(out) - 1] = '\0';
    assert_string_equal(out, text);
    free(out);
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
        cmocka_unit_test(outcomes_of_a_row),
        cmocka_unit_test(verdict_takes_chosen_tiles_together),
        cmocka_unit_test(verdict_is_what_the_rows_say),
        cmocka_unit_test(verdict_without_evidence),
        cmocka_unit_test(verdict_tells_the_window_from_the_skipping),
        cmocka_unit_test(verdict_prefers_the_longest),
        cmocka_unit_test(verdict_names_a_weak_baseline),
        cmocka_unit_test(verdict_counts_wide_intervals),
        cmocka_unit_test(verdict_says_how_it_was_timed),
        cmocka_unit_test(verdict_keeps_other_programs_out),
        cmocka_unit_test(verdict_of_comparable_rows_only),
        cmocka_unit_test(tables_fit),
        cmocka_unit_test(rows_without_a_result_are_counted),
        cmocka_unit_test(a_time_of_few_samples_is_marked),
        cmocka_unit_test(a_table_tells_what_was_measured),
        cmocka_unit_test(text_is_wrapped_at_blanks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
