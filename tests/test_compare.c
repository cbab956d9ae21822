/* SPDX-License-Identifier: Apache-2.0 */
/* Comparing runs: rows read back, rows matched, regressions found, none found where there is none.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "compare.h"
#include "philox.h"
#include "rows_file.h"

#include <screening/error.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_ROWS = 64 };

/* A row that is ok, its numbers far from any limit; `i` tells rows apart. */
static struct scr_row row_of(int i)
{
    struct scr_row r;
    json_t *object = json_pack("{s:s}", "status", "ok");

    assert_true(scr_row_from_json(object, &r));
    json_decref(object);
    strcpy(r.backend, "ref");
    strcpy(r.device, "ref:0");
    strcpy(r.device_name, "A processor");
    strcpy(r.op, "screening");
    strcpy(r.kernel, i % 2 == 0 ? "tile-skip" : "masked-dense");
    strcpy(r.skip, i % 2 == 0 ? "tile" : "none");
    strcpy(r.variant, "portable");
    strcpy(r.params, "TILE_Q=64 TILE_K=64");
    strcpy(r.dtype, "f32");
    strcpy(r.workload, "planted:0.1x64");
    strcpy(r.window, "inf");
    strcpy(r.data_hash, "00000000000000aa");
    strcpy(r.timer, "wall");
    strcpy(r.cache, "cold");
    r.heads = r.kv_heads = 2;
    r.batch = 1;
    r.tile_q = r.tile_k = 64;
    r.seq_q = r.seq_k = 128 * (i / 2 + 1);
    r.seed = 1;
    r.n_samples = 50;
    r.t_median_ns = 1e6 * (i + 1);
    r.t_ci_lo_ns = 0.99 * r.t_median_ns;
    r.t_ci_hi_ns = 1.01 * r.t_median_ns;
    r.t_min_ns = 0.97 * r.t_median_ns;
    snprintf(r.repro, sizeof r.repro, "harness --sweep %d", i);
    return r;
}

static void scale(struct scr_row *r, double median, double min)
{
    r->t_median_ns *= median;
    r->t_ci_lo_ns *= median;
    r->t_ci_hi_ns *= median;
    r->t_min_ns *= min;
}

struct run {
    struct scr_row rows[MAX_ROWS];
    size_t n;
};

static struct run *run_of(size_t n)
{
    struct run *r = calloc(1, sizeof *r);

    assert_non_null(r);
    r->n = n;
    for (size_t i = 0; i < n; i++)
        r->rows[i] = row_of((int)i);
    return r;
}

static struct scr_comparison compare(const struct run *base, const struct run *now)
{
    struct scr_comparison c;

    assert_int_equal(scr_compare_rows(base->rows, base->n, now->rows, now->n, 0.05, &c), SCR_OK);
    return c;
}

/* The status alone. */
static int status_of(const struct run *base, const struct run *now)
{
    struct scr_comparison c = compare(base, now);
    int status = scr_comparison_status(&c);

    scr_comparison_clear(&c);
    return status;
}

static void write_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void rows_are_read_back(void **state)
{
    static const char whole[] = "{\"status\":\"ok\",\"repro\":\"a\",\"t_median_ns\":2.5}\n"
                                "\n"
                                "{\"status\":\"failed\",\"repro\":\"b\"}\r\n"
                                "{\"status\":\"ok\",\"repro\":\"a\"}\n";
    static const struct {
        const char *text, *said;
    } bad[] = {
        {"{\"status\":\"ok\"}\n{\"status\":\n", ":2: "},
        {"[1]\n", ":1: not a row"},
        {"{\"repro\":\"a\"}\n", ":1: not a row"},
        {"{\"status\":\"ok\",\"heads\":\"2\"}\n{}\n", ":1: not a row"},
    };
    char path[] = "/tmp/scr-rows-XXXXXX", text[400], why[300];
    struct scr_rows_file f;

    (void)state;
    assert_int_not_equal(close(mkstemp(path)), -1);
    snprintf(text, sizeof text, "%s{\"status\":\"ok\",\"re", whole);
    write_text(path, text);
    assert_int_equal(scr_rows_file_read(path, &f, why, sizeof why), SCR_OK);
    assert_int_equal(f.n, 3);
    assert_int_equal(f.valid_bytes, strlen(whole));
    assert_int_equal(f.cut_bytes, strlen(text) - strlen(whole));
    assert_int_equal(f.n_repeated, 1);
    assert_int_equal(f.repeated, 2);
    assert_true(f.rows[0].t_median_ns == 2.5 && isnan(f.rows[0].heads));
    assert_string_equal(f.rows[1].status, "failed");
    scr_rows_file_clear(&f);

    /* A whole object without its newline may be a number cut short. */
    write_text(path, "{\"status\":\"ok\"}");
    assert_int_equal(scr_rows_file_read(path, &f, why, sizeof why), SCR_OK);
    assert_int_equal(f.n, 0);
    assert_int_equal(f.valid_bytes, 0);
    scr_rows_file_clear(&f);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        write_text(path, bad[i].text);
        assert_int_equal(scr_rows_file_read(path, &f, why, sizeof why), SCR_ERR_INVALID);
        if (strstr(why, bad[i].said) == NULL || strchr(why, '\n') != NULL)
            fail_msg("\"%s\" does not say \"%s\"", why, bad[i].said);
        scr_rows_file_clear(&f);
    }
    /* What a machine that lost power leaves. */
    {
        FILE *zeros = fopen(path, "w");

        assert_non_null(zeros);
        assert_int_equal(fwrite("\0\0\0\n", 1, 4, zeros), 4);
        fclose(zeros);
    }
    assert_int_equal(scr_rows_file_read(path, &f, why, sizeof why), SCR_ERR_INVALID);
    scr_rows_file_clear(&f);
    unlink(path);
    assert_int_equal(scr_rows_file_read(path, &f, why, sizeof why), SCR_ERR_NOT_FOUND);
    scr_rows_file_clear(&f);
}

static void rows_match_by_what_they_are(void **state)
{
    struct run *base = run_of(4), *now = run_of(4);
    struct scr_comparison c;

    (void)state;
    /* Where the program and the trace lie, and the order, say nothing. */
    strcpy(base->rows[0].workload, "trace:/a/b/layer.safetensors");
    strcpy(now->rows[0].workload, "trace:layer.safetensors");
    strcpy(now->rows[0].repro, "/elsewhere/harness --sweep");
    base->rows[3] = now->rows[1];
    base->rows[1] = now->rows[3];
    c = compare(base, now);
    assert_int_equal(c.n_timed, 4);
    for (size_t i = 0; i < c.n_pairs; i++)
        assert_true(c.pairs[i].shift.ratio == 1 && c.pairs[i].change == SCR_CHANGE_NONE);
    scr_comparison_clear(&c);

    /* Of a trace that crashed before it was read, its own window is not known. */
    strcpy(base->rows[0].window, "81.5");
    base->rows[0].r = 1.25;
    strcpy(base->rows[0].repro, "harness --sweep -a window=auto -a r=auto");
    strcpy(now->rows[0].window, "auto");
    strcpy(now->rows[0].repro, "/elsewhere/harness --sweep -a window=auto -a r=auto");
    strcpy(now->rows[0].status, "crashed");
    c = compare(base, now);
    assert_int_equal(c.n_pairs, 4);
    assert_int_equal(scr_comparison_count(&c, SCR_CHANGE_BROKEN), 1);
    scr_comparison_clear(&c);
    strcpy(now->rows[0].repro, "harness --sweep -a window=auto -a r=2");
    c = compare(base, now);
    assert_int_equal(c.n_pairs, 3);
    scr_comparison_clear(&c);

    /* What the rows are does. */
    now->rows[0].trace_head = 3;
    strcpy(now->rows[1].dtype, "f16");
    now->rows[2].seed = 2;
    strcpy(now->rows[3].peer, "torch");
    c = compare(base, now);
    assert_int_equal(c.n_pairs, 0);
    assert_int_equal(c.matches.n_only_base, 4);
    assert_int_equal(c.matches.n_only_now, 4);
    assert_int_equal(scr_comparison_status(&c), 2);
    scr_comparison_clear(&c);
    free(base);
    free(now);
}

static void use_tile(struct scr_row *r, int tile)
{
    r->tile_q = r->tile_k = tile;
    snprintf(r->params, sizeof r->params, "TILE_Q=%d TILE_K=%d", tile, tile);
}

static void another_default_tile_is_matched(void **state)
{
    struct run *base = run_of(2), *now = run_of(2);
    struct scr_comparison c;

    (void)state;
    base->rows[1] = base->rows[0];
    now->rows[1] = now->rows[0];
    use_tile(&base->rows[1], 16);
    use_tile(&now->rows[1], 16);
    use_tile(&now->rows[0], 128);
    c = compare(base, now);
    assert_int_equal(c.n_pairs, 2);
    for (int i = 0; i < 2; i++)
        assert_int_equal(c.pairs[i].rows.other_config, c.pairs[i].rows.now->tile_q == 128);
    scr_comparison_clear(&c);

    /* Which of two is which cannot be said. */
    use_tile(&now->rows[1], 32);
    c = compare(base, now);
    assert_int_equal(c.n_pairs, 0);
    scr_comparison_clear(&c);

    /* Of repetitions the last counts. */
    now->rows[1] = now->rows[0];
    scale(&now->rows[1], 3, 3);
    base->n = 1;
    c = compare(base, now);
    assert_int_equal(c.n_pairs, 1);
    assert_int_equal(c.matches.n_repeated, 1);
    assert_true(fabs(c.pairs[0].shift.ratio - 3) < 1e-9);
    scr_comparison_clear(&c);
    free(base);
    free(now);
}

static void what_says_nothing_is_not_compared(void **state)
{
    struct run *base = run_of(6), *now = run_of(6);
    static const char *const why[] = {"the data differ",
                                      "warm in NEW",
                                      "not timed",
                                      "timed by wall in BASE, by event in NEW",
                                      "clock was held down in NEW",
                                      "unsupported in both"};
    struct scr_comparison c;

    (void)state;
    strcpy(now->rows[0].data_hash, "00000000000000bb");
    strcpy(now->rows[1].cache, "warm");
    now->rows[2].t_median_ns = NAN;
    strcpy(now->rows[3].timer, "event");
    scr_row_flag(&now->rows[4], "throttled");
    strcpy(base->rows[5].status, "unsupported");
    strcpy(now->rows[5].status, "unsupported");
    c = compare(base, now);
    assert_int_equal(c.n_pairs, 6);
    assert_int_equal(c.n_timed, 0);
    for (int i = 0; i < 6; i++) {
        assert_int_equal(c.pairs[i].change, SCR_CHANGE_UNKNOWN);
        if (strstr(c.pairs[i].why, why[i]) == NULL)
            fail_msg("\"%s\" does not say \"%s\"", c.pairs[i].why, why[i]);
    }
    assert_int_equal(scr_comparison_status(&c), 2);
    scr_comparison_clear(&c);

    /* Both held down, and a state not known because nothing ran, are no obstacle. */
    scr_row_flag(&base->rows[4], "throttled");
    strcpy(now->rows[1].cache, "");
    strcpy(now->rows[1].status, "crashed");
    c = compare(base, now);
    assert_int_equal(c.n_timed, 1);
    assert_int_equal(scr_comparison_count(&c, SCR_CHANGE_BROKEN), 1);
    scr_comparison_clear(&c);
    free(base);
    free(now);
}

static void states_decide_the_exit_status(void **state)
{
    static const struct {
        const char *base, *now;
        int status;
    } cases[] = {
        {"ok", "ok", 0},          {"ok", "failed", 4},    {"ok", "timeout", 4},
        {"ok", "crashed", 4},     {"ok", "compile", 4},   {"ok", "oom", 4},
        {"ok", "skipped", 0},     {"ok", "wrong", 1},     {"ok", "unsupported", 0},
        {"wrong", "wrong", 0},    {"wrong", "ok", 0},     {"failed", "ok", 0},
        {"failed", "crashed", 0}, {"failed", "wrong", 1},
    };
    struct run *base = run_of(3), *now = run_of(3);

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        strcpy(base->rows[1].status, cases[i].base);
        strcpy(now->rows[1].status, cases[i].now);
        if (status_of(base, now) != cases[i].status)
            fail_msg("%s to %s", cases[i].base, cases[i].now);
    }
    /* Wrong outweighs slower; a row that is only in NEW may not be wrong either. */
    strcpy(base->rows[1].status, "ok");
    strcpy(now->rows[1].status, "ok");
    scale(&now->rows[0], 2, 2);
    assert_int_equal(status_of(base, now), 4);
    strcpy(now->rows[2].status, "wrong");
    base->n = 2;
    assert_int_equal(status_of(base, now), 1);
    free(base);
    free(now);
}

/* Normal and uniform numbers, the same on every machine up to rounding. */
struct dice {
    uint64_t seed, index;
};

static double uniform(struct dice *d)
{
    return scr_philox_uniform(d->seed, 0, d->index++);
}

static double normal(struct dice *d)
{
    double radius = sqrt(-2 * log(uniform(d)));

    return radius * cos(6.283185307179586 * uniform(d));
}

/* How far apart two runs of the same program are. */
struct noise {
    double within;  /* half width of the intervals of the median */
    double scatter; /* of a row's ratio, standard deviation */
    double drift;   /* of all rows, standard deviation */
    double below;   /* of the minimum, under the median */
    double outlier; /* chance that a neighbour slows a row, its median, by 20 % on average */
    /* As on a GPU, where launch and clock weigh on short rows: rows of 12 us to 6 ms. */
    bool short_rows;
    double jitter_ns; /* scatter of the time itself, standard deviation */
};

/* The duration of row i of n. */
static double gpu_ns(size_t i, size_t n)
{
    return 12e3 * pow(500, (double)i / (double)(n - 1));
}

/* What differs from run to run slows all samples, the minimum too; a neighbour not all of them. */
static void disturb(struct run *r, const struct noise *noise, struct dice *dice)
{
    double drift = noise->drift / sqrt(2) * normal(dice);

    for (size_t i = 0; i < r->n; i++) {
        double ns = noise->short_rows ? gpu_ns(i, r->n) : row_of((int)i).t_median_ns;
        double scatter = hypot(noise->scatter, noise->jitter_ns / ns);
        double shift = drift + scatter / sqrt(2) * normal(dice);
        double error = noise->within / 1.96 * normal(dice);
        double slowed = uniform(dice) < noise->outlier ? -0.2 * log(uniform(dice)) : 0;

        r->rows[i] = row_of((int)i);
        scale(&r->rows[i], ns / r->rows[i].t_median_ns, ns / r->rows[i].t_median_ns);
        r->rows[i].t_ci_lo_ns = r->rows[i].t_median_ns * (1 - noise->within);
        r->rows[i].t_ci_hi_ns = r->rows[i].t_median_ns * (1 + noise->within);
        scale(&r->rows[i], exp(shift + error) * (1 + slowed),
              exp(shift) * (1 - noise->below) / 0.97 * (1 + 0.03 * slowed) *
                  (1 + 0.2 * noise->below * normal(dice)));
    }
}

/* Of so many comparisons, in which `slower` is done to NEW, those with a regression. */
static int count_regressions(size_t rows, const struct noise *noise, int trials, uint64_t seed,
                             void (*slower)(struct run *))
{
    struct run *base = run_of(rows), *now = run_of(rows);
    struct dice dice = {.seed = seed};
    int found = 0;

    for (int i = 0; i < trials; i++) {
        disturb(base, noise, &dice);
        disturb(now, noise, &dice);
        if (slower != NULL)
            slower(now);
        found += status_of(base, now) == SCR_EXIT_SLOWER;
    }
    free(base);
    free(now);
    return found;
}

static const struct noise quiet = {0.005, 0.005, 0.005, 0.01, 0, false, 0};
static const struct noise shared = {0.01, 0.03, 0.01, 0.03, 0.02, false, 0};
/* Rows of 12 us scatter by 10 %, those over 200 us by 1 % and less. */
static const struct noise gpu = {0.005, 0.007, 0.005, 0.01, 0.01, true, 1200};
/* All rows scatter by 10 %. */
static const struct noise rough = {0.01, 0.1, 0.01, 0.03, 0, true, 0};

/* Twenty in a row must pass in 9 of 10 series: at most one comparison in 200 may fail. */
static void a_program_is_not_slower_than_itself(void **state)
{
    static const size_t sizes[] = {1, 4, 5, 8, 20, 40};
    enum { TRIALS = 1000 };

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        int found_quiet = count_regressions(sizes[i], &quiet, TRIALS, 10 + i, NULL);
        int found_shared = count_regressions(sizes[i], &shared, TRIALS, 20 + i, NULL);

        if (found_quiet > 1 || found_shared > TRIALS / 200)
            fail_msg("%zu rows: %d and %d of %d", sizes[i], found_quiet, found_shared, TRIALS);
    }
}

static void slow_one_10(struct run *r)
{
    scale(&r->rows[20], 1.10, 1.10);
}

static void slow_one_15(struct run *r)
{
    scale(&r->rows[20], 1.15, 1.15);
}

static void slow_one_20(struct run *r)
{
    scale(&r->rows[20], 1.20, 1.20);
}

/* Of the shortest rows, which may scatter more than the rest. */
static void slow_short_20(struct run *r)
{
    scale(&r->rows[7], 1.20, 1.20);
}

static void slow_all_10(struct run *r)
{
    for (size_t i = 0; i < r->n; i++)
        scale(&r->rows[i], 1.10, 1.10);
}

static void slow_kernel_10(struct run *r)
{
    for (size_t i = 0; i < r->n; i += 2)
        scale(&r->rows[i], 1.10, 1.10);
}

/* A neighbour: most samples suffer, the fastest does not. */
static void disturb_one(struct run *r)
{
    scale(&r->rows[7], 1.5, 1.0);
}

static void slow_one_4(struct run *r)
{
    scale(&r->rows[7], 1.04, 1.04);
}

/* A run of 20 rows of which `n` are that many times slower in NEW. */
static int status_of_slower(size_t n, double median, double min, const char *flags_base,
                            const char *flags_now)
{
    struct run *base = run_of(20), *now = run_of(20);
    int status;

    for (size_t i = 0; i < n; i++) {
        scale(&now->rows[i], median, min);
        strcpy(base->rows[i].flags, flags_base);
        strcpy(now->rows[i].flags, flags_now);
    }
    status = status_of(base, now);
    free(base);
    free(now);
    return status;
}

/* Other programs may slow down a visit, or a run; a kernel that is slower is so at all times. */
static void what_others_slow_down_is_no_regression(void **state)
{
    (void)state;
    assert_int_equal(status_of_slower(1, 1.9, 1.9, "", ""), SCR_EXIT_SLOWER);
    assert_int_equal(status_of_slower(1, 1.9, 1.9, "busy", "not-cold,busy"), 0);
    assert_int_equal(status_of_slower(1, 30, 30, "busy", "not-cold,busy"), SCR_EXIT_SLOWER);
    assert_int_equal(status_of_slower(1, 1.9, 1.9, "unsteady", "unsteady"), SCR_EXIT_SLOWER);
    assert_int_equal(status_of_slower(1, 1.9, 1.0, "", "unsteady"), 0);
    assert_int_equal(status_of_slower(1, 1.9, 1.9, "", "busy"), 0);
    assert_int_equal(status_of_slower(1, 1.9, 1.9, "busy", ""), 0);
    /* Together as well, but not so much slower. */
    assert_int_equal(status_of_slower(20, 1.9, 1.9, "", ""), SCR_EXIT_SLOWER);
    assert_int_equal(status_of_slower(20, 1.9, 1.9, "", "busy"), 0);
    assert_int_equal(status_of_slower(20, 30, 30, "", "busy"), SCR_EXIT_SLOWER);
}

/* Shares of 300 comparisons of 40 rows, in percent. */
static void slow_rows_are_found(void **state)
{
    static const struct {
        void (*slower)(struct run *);
        int least_quiet, least_shared, most;
    } cases[] = {
        {slow_one_10, 85, 0, 100},  {slow_one_15, 99, 30, 100},    {slow_one_20, 99, 70, 100},
        {slow_all_10, 99, 90, 100}, {slow_kernel_10, 99, 85, 100}, {disturb_one, 0, 0, 1},
        {slow_one_4, 0, 0, 2},      {slow_short_20, 99, 50, 100},
    };
    enum { TRIALS = 300 };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int a = count_regressions(40, &quiet, TRIALS, 100 + i, cases[i].slower) * 100 / TRIALS;
        int b = count_regressions(40, &shared, TRIALS, 200 + i, cases[i].slower) * 100 / TRIALS;

        if (a < cases[i].least_quiet || b < cases[i].least_shared || a > cases[i].most ||
            b > cases[i].most)
            fail_msg("case %zu: %d %% and %d %%", i, a, b);
    }
}

/* Of the 60 rows of a GPU, which lie 11 % apart, that of 1 ms and the shortest. */
enum { GPU_ROWS = 60, GPU_1_MS = 42 };

static void slow_1_ms_10(struct run *r)
{
    scale(&r->rows[GPU_1_MS], 1.10, 1.10);
}

static void slow_shortest_10(struct run *r)
{
    scale(&r->rows[0], 1.10, 1.10);
}

static void slow_shortest_twice(struct run *r)
{
    scale(&r->rows[0], 2.0, 2.0);
}

/* Short rows that scatter by 10 % neither fail a comparison nor hide what long ones show. */
static void long_rows_are_judged_finer(void **state)
{
    enum { SEEDS = 20, TRIALS = 600, SHARE = 200 };
    int same, found;

    (void)state;
    assert_true(fabs(gpu_ns(GPU_1_MS, GPU_ROWS) - 1e6) < 0.05e6);
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        if (count_regressions(GPU_ROWS, &gpu, 1, seed, NULL) != 0)
            fail_msg("seed %d: slower than itself", (int)seed);
    }
    same = count_regressions(GPU_ROWS, &gpu, TRIALS, 300, NULL);
    if (same > TRIALS / 200)
        fail_msg("%d of %d are slower than themselves", same, TRIALS);
    same = count_regressions(GPU_ROWS, &rough, TRIALS, 301, NULL);
    if (same > TRIALS / 100)
        fail_msg("rough: %d of %d are slower than themselves", same, TRIALS);
    found = count_regressions(GPU_ROWS, &gpu, SHARE, 302, slow_1_ms_10);
    if (found * 100 < 75 * SHARE)
        fail_msg("10 %% of a row of 1 ms: %d of %d", found, SHARE);
    found = count_regressions(GPU_ROWS, &gpu, SHARE, 303, slow_shortest_10);
    if (found * 100 > 2 * SHARE)
        fail_msg("10 %% of a row of 12 us: %d of %d", found, SHARE);
    found = count_regressions(GPU_ROWS, &gpu, SHARE, 304, slow_shortest_twice);
    if (found * 100 < 75 * SHARE)
        fail_msg("a row of 12 us twice as slow: %d of %d", found, SHARE);
}

static void scatter_falls_with_duration(void **state)
{
    struct run *base = run_of(GPU_ROWS), *now = run_of(GPU_ROWS);
    struct dice dice = {.seed = 400};

    (void)state;
    for (int trial = 0; trial < 20; trial++) {
        struct scr_comparison c;
        const struct scr_compared_device *d;
        const struct scr_scatter *s;
        size_t n = 0, agree = 0;
        double least = 0;

        disturb(base, &gpu, &dice);
        disturb(now, &gpu, &dice);
        c = compare(base, now);
        d = &c.devices[0];
        s = &d->scatter;
        assert_int_equal(c.n_devices, 1);
        assert_in_range(s->n_classes, 2, 6);
        for (size_t i = s->n_classes; i-- > 0;) {
            const struct scr_scatter_class *class = &s->classes[i];

            assert_true(class->scatter >= least && d->found[i] > 1);
            assert_true(class->log_from <= class->log_middle && class->log_middle <= class->log_to);
            assert_in_range(class->n, i == 0 ? 5 : 10, GPU_ROWS);
            assert_in_range(d->n_agree[i], 0, class->n);
            assert_int_equal(scr_scatter_class_of(s, class->log_from), i);
            assert_int_equal(scr_scatter_class_of(s, class->log_to), i);
            assert_true(fabs(scr_scatter_at(s, class->log_middle) / class->scatter - 1) < 1e-9);
            least = class->scatter;
            n += class->n;
            agree += d->n_agree[i];
        }
        /* Between and beyond the classes, too. */
        least = scr_scatter_at(s, log(1e12));
        for (double ns = 1e9; ns > 1; ns *= 0.9) {
            assert_true(scr_scatter_at(s, log(ns)) > 0.999999 * least);
            least = scr_scatter_at(s, log(ns));
        }
        assert_int_equal(n, GPU_ROWS);
        assert_int_equal(agree, scr_comparison_count(&c, SCR_CHANGE_NONE));
        assert_in_range(agree, GPU_ROWS - 2, GPU_ROWS);
        if (d->found[0] < d->found[s->n_classes - 1] + 0.04 || d->found[s->n_classes - 1] > 1.12)
            fail_msg("found from %.2f to %.2f", d->found[0], d->found[s->n_classes - 1]);
        scr_comparison_clear(&c);
    }
    free(base);
    free(now);
}

/* Few rows are not torn apart, and are no proof. */
static void scatter_of_few_rows(void **state)
{
    struct scr_scatter_row rows[12];
    double scratch[12];
    struct scr_scatter s;

    (void)state;
    for (size_t n = 0; n <= 12; n++) {
        for (size_t i = 0; i < n; i++)
            rows[i] =
                (struct scr_scatter_row){.log_ns = log(1e4) + (double)(n - i), .distance = 0.1};
        scr_scatter_estimate(rows, n, 0.04, scratch, &s);
        assert_int_equal(s.n, n < SCR_SCATTER_MIN_ROWS ? 0 : n);
        assert_int_equal(s.n_classes, n > 0);
        if (n == 0)
            continue;
        assert_int_equal(s.classes[0].n, n);
        assert_true(s.classes[0].log_from <= s.classes[0].log_to);
        if (n < SCR_SCATTER_MIN_ROWS)
            assert_true(s.classes[0].scatter == 0.04);
        else
            assert_true(s.classes[0].scatter > 0.06 && s.classes[0].scatter < 0.2);
    }
}

static void write_rows(const char *path, const struct run *run)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    for (size_t i = 0; i < run->n; i++)
        assert_true(scr_row_write_jsonl(&run->rows[i], f));
    fclose(f);
}

static char *printed(const struct run *base, const struct run *now, enum scr_compare_format format)
{
    struct scr_compare_options o = {.max_regress = 0.05, .format = format};
    char dir[2][40] = {"/tmp/scr-compare-XXXXXX", "/tmp/scr-compare-XXXXXX"}, path[160], why[300];
    const struct run *const runs[] = {base, now};
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    int expected = status_of(base, now);

    assert_non_null(out);
    for (int i = 0; i < 2; i++) {
        assert_non_null(mkdtemp(dir[i]));
        snprintf(path, sizeof path, "%s/rows.jsonl", dir[i]);
        write_rows(path, runs[i]);
    }
    /* The directory and the file in it are the same to it. */
    o.base = dir[0];
    o.now = path;
    assert_int_equal(scr_compare_run(&o, out, why, sizeof why), expected);
    fclose(out);
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/rows.jsonl", dir[i]);
        unlink(path);
        rmdir(dir[i]);
    }
    return text;
}

/* A run that was stopped must not pass for one without regressions; one asked for less may. */
static void missing_rows_are_told(void **state)
{
    static const struct {
        const char *header;
        const char *said;
        int status;
    } cases[] = {
        {"{\"end\": \"complete\"}", "2 of 4 rows of BASE are not in NEW.", 0},
        {"{\"end\": \"interrupted\"}", "2 of 4 rows of BASE are not in NEW, which was not", 5},
        {"{}", "2 of 4 rows of BASE are not in NEW, which was not run to its end.", 5},
        {NULL, "2 of 4 rows of BASE are not in NEW.", 0},
    };
    struct run *base = run_of(4), *now = run_of(2);
    char dir[] = "/tmp/scr-missing-XXXXXX", path[3][80], why[300];

    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(path[0], sizeof path[0], "%s/base", dir);
    snprintf(path[1], sizeof path[1], "%s/rows.jsonl", dir);
    snprintf(path[2], sizeof path[2], "%s/run.json", dir);
    write_rows(path[0], base);
    write_rows(path[1], now);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct scr_compare_options o = {.base = path[0], .now = dir, .max_regress = 0.05};
        char *text = NULL;
        size_t size;
        FILE *out = open_memstream(&text, &size);

        assert_non_null(out);
        unlink(path[2]);
        if (cases[i].header != NULL)
            write_text(path[2], cases[i].header);
        assert_int_equal(scr_compare_run(&o, out, why, sizeof why), cases[i].status);
        fclose(out);
        for (char *s = text; *s != '\0'; s++) { /* as if it were one line */
            if (s[0] == '\n' && s[1] == ' ' && s[2] == ' ')
                memmove(s, s + 2, strlen(s + 2) + 1);
        }
        if (strstr(text, cases[i].said) == NULL)
            fail_msg("\"%s\" does not say \"%s\"", text, cases[i].said);
        free(text);
    }
    for (int i = 0; i < 3; i++)
        unlink(path[i]);
    rmdir(dir);
    free(base);
    free(now);
}

static void assert_says(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("\"%s\" is not in:\n%s", part, text);
}

static void the_text_tells_it(void **state)
{
    struct run *base = run_of(42), *now = run_of(43);
    char *text;

    (void)state;
    strcpy(now->rows[3].device_name, "Another processor");
    now->rows[0] = now->rows[42];
    now->n = 42;
    for (int i = 0; i < 42; i++)
        strcpy(now->rows[i].device_name, "Another processor");
    scale(&now->rows[9], 1.5, 1.5);
    scale(&now->rows[20], 0.5, 0.5);
    strcpy(now->rows[30].status, "crashed");
    strcpy(now->rows[31].data_hash, "00000000000000bb");
    text = printed(base, now, SCR_COMPARE_TABLE);
    assert_true(strncmp(text, "REGRESSION: 1 of 39 rows slower by more than 5 %. 1 row that ran in",
                        66) == 0);
    assert_says(text, "another device: A processor in BASE, Another processor in NEW");
    assert_says(text, "all 39 rows together: 1.000x [");
    assert_says(text, "ref:0: rows of 2.0 ms to 42 ms scatter by ");
    assert_says(text, " to be found; 37 of 39 agree");
    assert_says(text,
                "37 of 39 rows agree: the interval of the ratio, scatter allowed for, holds 1");
    assert_says(text, "Slowest: 1.500x masked-dense seq=640");
    assert_says(text, "Fastest: 0.500x tile-skip skip=tile seq=1408");
    assert_says(text, "BROKEN: ok in BASE, crashed in NEW: tile-skip skip=tile seq=2048");
    assert_says(text, "Not compared, 1 row: the data differ; the first: masked-dense seq=2048");
    assert_says(text, "Only in BASE: 1 row\n");
    assert_says(text, "Only in NEW: 1 row\n");
    assert_says(text, "REGRESSION    masked-dense");
    assert_says(text, "faster        tile-skip");
    assert_says(text, "no difference ");
    for (const char *s = text; *s != '\0'; s += strcspn(s, "\n") + 1) {
        if (strcspn(s, "\n") > 100)
            fail_msg("too wide: %.*s", (int)strcspn(s, "\n"), s);
    }
    free(text);

    text = printed(base, now, SCR_COMPARE_MARKDOWN);
    assert_true(strncmp(text, "**REGRESSION: 1 of 39", 21) == 0);
    assert_says(text, "|---:|---|---:|---:|---:|---|---|\n| 1.500x | [");
    assert_says(text, "| REGRESSION | masked-dense");
    free(text);

    for (int i = 0; i < 42; i++)
        now->rows[i] = row_of(i);
    slow_all_10(now);
    text = printed(base, now, SCR_COMPARE_TABLE);
    assert_says(text, "all 42 rows together: 1.100x [");
    assert_says(text, "] slower (REGRESSION)\n");
    free(text);

    base->n = now->n = 2;
    now->rows[0] = row_of(0);
    now->rows[1] = row_of(1);
    text = printed(base, now, SCR_COMPARE_TABLE);
    assert_true(
        strncmp(text, "No regression found in 2 rows: one would have had to be slower by about 1.",
                72) == 0);
    assert_says(text, "x on ref:0.\n");
    assert_says(text, "98 % interval");
    assert_says(text, "simultaneous");
    assert_says(text, "too few rows to see how far runs scatter; 4 % is assumed");
    free(text);

    /* Disturbed so much that nothing can be seen: it does not sound like a clean bill. */
    for (int i = 0; i < 2; i++) {
        base->rows[i].t_min_ns /= 2;
        now->rows[i].t_min_ns /= 2;
    }
    text = printed(base, now, SCR_COMPARE_TABLE);
    assert_says(text, "slower by about 25");
    free(text);
    free(base);
    free(now);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_read_back),
        cmocka_unit_test(rows_match_by_what_they_are),
        cmocka_unit_test(another_default_tile_is_matched),
        cmocka_unit_test(what_says_nothing_is_not_compared),
        cmocka_unit_test(states_decide_the_exit_status),
        cmocka_unit_test(a_program_is_not_slower_than_itself),
        cmocka_unit_test(what_others_slow_down_is_no_regression),
        cmocka_unit_test(slow_rows_are_found),
        cmocka_unit_test(long_rows_are_judged_finer),
        cmocka_unit_test(scatter_falls_with_duration),
        cmocka_unit_test(scatter_of_few_rows),
        cmocka_unit_test(missing_rows_are_told),
        cmocka_unit_test(the_text_tells_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
