/* SPDX-License-Identifier: Apache-2.0 */
/* What a row is made of: counts, ceilings, copies of the data, clocks, baselines. On ref:0. */
#include "config.h"
#include "engine_state.h"
#include "roofline.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct lab {
    struct scr_devices devices;
    struct scr_machine machine;
    struct scr_case_list list;
};

static void open_lab(struct lab *lab, const char *axes_text)
{
    struct scr_axes axes = {0};
    char why[300];

    *lab = (struct lab){.list = {.program = "harness"}};
    lab->machine = (struct scr_machine){.threads = 2, .memory = (size_t)4 << 30};
    assert_int_equal(scr_devices_load(&lab->devices, "ref", NULL), SCR_OK);
    assert_int_equal(scr_devices_choose(&lab->devices, "ref", false, why, sizeof why), SCR_OK);
    assert_int_equal(scr_axes_set_line(&axes, axes_text, why, sizeof why), SCR_OK);
    assert_int_equal(scr_case_list_add(&lab->list, &axes, lab->devices.info, 1, 7, why, sizeof why),
                     SCR_OK);
    scr_case_list_sort(&lab->list);
    scr_axes_clear(&axes);
}

static void close_lab(struct lab *lab)
{
    scr_case_list_clear(&lab->list);
    scr_devices_clear(&lab->devices);
}

/* A row of tile-skip with 3 of 3 tiles visited and one product, causal, 128 tokens, f32. */
static struct scr_row example(void)
{
    struct scr_row row = {
        .kernel = "tile-skip",
        .skip = "tile",
        .dtype = "f32",
        .kv_len = "none",
        .timer = "event",
        .cache = "cold",
        .batch = 1,
        .heads = 1,
        .kv_heads = 1,
        .seq_q = 128,
        .seq_k = 128,
        .dk = 64,
        .dv = 32,
        .causal = true,
        .q_pos0 = 0,
        .tile_q = 64,
        .tile_k = 64,
        .tiles_live = 1,
        .qk_tiles = 3,
        .pv_tiles = 1,
        .t_median_ns = 1000,
        .t_masked_ns = 1500,
        .bytes = 5000,
        .pct_roofline = NAN,
        .pct_ideal = NAN,
    };

    return row;
}

static const struct scr_peak peaks = {.floor_ns = 100,
                                      .floor_wall_ns = 500,
                                      .f32 = 1e13,
                                      .f16 = 1e14,
                                      .bf16 = NAN,
                                      .bandwidth = 1e10};

static void roofline_counts_what_ran(void **state)
{
    struct scr_row row = example();

    (void)state;
    scr_roofline_fill(&peaks, &row);
    assert_true(row.flop == 64.0 * 64 * 2 * (3 * 64 + 1 * 32));
    assert_true(row.t_floor_ns == 100);
    /* 5000 bytes at 10 GB/s take 500 ns, the FLOP 183 ns, of 1000. */
    assert_string_equal(row.bound, "memory");
    assert_true(fabs(row.pct_roofline - 50) < 1e-9);
    /* One of the three tiles that masked-dense computes in 1500 ns: 500 ns, of 1000. */
    assert_true(fabs(row.pct_ideal - 50) < 1e-9);
    assert_string_equal(row.flags, "");

    row = example();
    strcpy(row.cache, "warm");
    strcpy(row.timer, "wall");
    scr_roofline_fill(&peaks, &row);
    assert_string_equal(row.bound, "compute");
    assert_true(row.t_floor_ns == 500);
    assert_true(scr_row_has_flag(&row, "near-floor"));

    row = example();
    row.t_median_ns = 400;
    scr_roofline_fill(&peaks, &row);
    assert_true(scr_row_has_flag(&row, "over-roofline"));
    assert_true(scr_row_has_flag(&row, "over-ideal"));

    /* How large a slice is, only its kernel knows; of bf16 no ceiling is known. */
    row = example();
    strcpy(row.skip, "slice");
    scr_roofline_fill(&peaks, &row);
    assert_true(isnan(row.flop) && isnan(row.pct_roofline));
    row = example();
    strcpy(row.dtype, "bf16");
    scr_roofline_fill(&peaks, &row);
    assert_true(isfinite(row.flop) && isnan(row.pct_roofline));
}

static void roofline_of_the_other_kernels(void **state)
{
    struct scr_row row = example();

    (void)state;
    strcpy(row.kernel, "masked-dense");
    scr_roofline_fill(&peaks, &row);
    assert_true(row.flop == 3 * 64.0 * 64 * 2 * (64 + 32));
    assert_true(isnan(row.pct_ideal));
    row = example();
    strcpy(row.kernel, "dense");
    scr_roofline_fill(&peaks, &row);
    assert_true(row.flop == 128.0 * 128 * 2 * (64 + 32));
    /* One query, last of all: two tiles of one row each. */
    row = example();
    strcpy(row.kernel, "masked-dense");
    row.seq_q = 1;
    row.q_pos0 = 127;
    scr_roofline_fill(&peaks, &row);
    assert_true(row.flop == 128.0 * 2 * (64 + 32));
}

static void counts_are_held_to_densities(void **state)
{
    static const struct {
        scr_skip skip;
        scr_counts n;
        bool good;
        int unasked; /* tiles that the kernel may take untested after one that it needed */
    } cases[] = {
        {SCR_SKIP_TILE, {.qk = 10, .pv = 4}, true},
        {SCR_SKIP_TILE, {.qk = 10, .pv = 5}, true},
        {SCR_SKIP_TILE, {.qk = 10, .pv = 3}, false},
        {SCR_SKIP_TILE, {.qk = 10, .pv = 6}, false},
        {SCR_SKIP_TILE, {.qk = 11, .pv = 4}, false},
        {SCR_SKIP_TILE, {.qk = 3, .pv = 4}, false},
        {SCR_SKIP_NONE, {.qk = 10, .pv = 10}, true},
        {SCR_SKIP_NONE, {.qk = 10, .pv = 4}, false},
        {SCR_SKIP_TILE, {.qk = 30, .pv = 9}, true, 2},
        {SCR_SKIP_TILE, {.qk = 30, .pv = 10}, false, 2},
        {SCR_SKIP_TILE, {.qk = 8, .pv = 8}, true, 2},
        {SCR_SKIP_TILE, {.qk = 30, .pv = 3}, false, 2},
    };
    struct scr_densities d = {.tiles_admissible = 10, .tiles_sure = 4, .tiles_maybe = 5};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct scr_case c = {.spec = {.problem = {.heads_q = 2}},
                             .config = {.skip = cases[i].skip}};
        struct scr_row row = {.status = "ok"};

        d.tiles_admissible = cases[i].unasked > 0 ? 30 : 10;
        scr_config_set(&c.config, "UNASKED", cases[i].unasked);
        assert_int_equal(scr_runner_judge_counts(&c, 3, &cases[i].n, &d, &row), cases[i].good);
        assert_string_equal(row.status, cases[i].good ? "ok" : "wrong");
        if (!cases[i].good)
            assert_non_null(strstr(row.reason, "head 1 of batch 1"));
    }
}

static void faults_are_parsed(void **state)
{
    static const char *const bad[] = {"",
                                      "fire",
                                      "crash,",
                                      "crash@",
                                      "crash@-1",
                                      "@3",
                                      "crash@x",
                                      "crash@TILE_Q",
                                      "crash@TILE_Q=x",
                                      "crash@colour=red",
                                      "crash@case=-1",
                                      "crash@=3",
                                      "crash@skip="};
    const scr_config config = {.kernel = "tile-skip",
                               .variant = "mma",
                               .skip = SCR_SKIP_SLICE,
                               .n_params = 1,
                               .params = {{"TILE_Q", 64}}};
    static const struct {
        const char *text;
        size_t at;
        bool has;
    } where[] = {
        {"crash", 5, true},
        {"crash@5", 5, true},
        {"crash@4", 5, false},
        {"crash@TILE_Q=64", 5, true},
        {"crash@TILE_Q=32", 5, false},
        {"crash@TILE_K=64", 5, false},
        {"crash@TILE_Q=64,case=5", 5, true},
        {"crash@case=4,TILE_Q=64", 5, false},
        {"crash@kernel=tile-skip,variant=mma,skip=slice", 5, true},
        {"crash@skip=tile", 5, false},
        {"crash@kernel=dense", 5, false},
    };
    struct scr_faults f;
    char why[200];

    (void)state;
    assert_int_equal(scr_faults_parse("hang,wrong-skip@12", &f, why, sizeof why), SCR_OK);
    assert_true(scr_faults_has(&f, SCR_INJECT_HANG, 12));
    assert_true(scr_faults_has(&f, SCR_INJECT_WRONG_SKIP, 12));
    assert_false(scr_faults_has(&f, SCR_INJECT_HANG, 11));
    assert_false(scr_faults_has(&f, SCR_INJECT_CRASH, 12));
    assert_int_equal(scr_faults_parse("drift", &f, why, sizeof why), SCR_OK);
    assert_true(scr_faults_has(&f, SCR_INJECT_DRIFT, 99));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(scr_faults_parse(bad[i], &f, why, sizeof why), SCR_ERR_INVALID);
    for (size_t i = 0; i < sizeof where / sizeof where[0]; i++) {
        assert_int_equal(scr_faults_parse(where[i].text, &f, why, sizeof why), SCR_OK);
        f = scr_faults_of(&f, where[i].at, &config);
        assert_int_equal(scr_faults_has(&f, SCR_INJECT_CRASH, 77), where[i].has);
    }
}

static struct scr_dataset *data_of(struct lab *lab)
{
    struct scr_dataset *d;
    char why[200];

    assert_int_equal(scr_dataset_create(&lab->list.cases[0].spec, 2, &d, why, sizeof why), SCR_OK);
    return d;
}

/* Copies are counted by what a run touches, not by what lies there. */
static void copies_leave_the_cache(void **state)
{
    enum { CACHE = 1 << 20 };
    struct lab lab;
    struct scr_dataset *d;
    size_t n;

    (void)state;
    open_lab(&lab, "seq=1 kv=1024 head_dim=64 heads=1 window=16 workload=iid kernel=tile-skip");
    d = data_of(&lab);
    assert_true(scr_bench_keys(d, false) == 1024);
    assert_in_range((long)scr_bench_keys(d, true), 16, 17);
    /* q and o are 256 bytes each, a key too. */
    assert_true(scr_bench_touched_bytes(d) == 256 * (2 + scr_bench_keys(d, true)));
    n = scr_bench_cold_copies(d, CACHE);
    assert_true((double)n * scr_bench_touched_bytes(d) > 2.0 * CACHE);
    assert_true((double)(n - 1) * scr_bench_touched_bytes(d) <= 2.0 * CACHE);
    assert_int_equal(scr_bench_cold_copies(d, (size_t)1 << 40), SCR_MAX_COPIES);
    scr_dataset_destroy(&d);
    close_lab(&lab);
}

static void guard_bands_tell(void **state)
{
    struct lab lab;
    struct scr_bench b = {0};
    struct scr_dataset *d;

    (void)state;
    open_lab(&lab, "seq=16 head_dim=16 heads=1 window=inf workload=iid kernel=tile-skip");
    d = data_of(&lab);
    b.dev = scr_devices_open(&lab.devices, 0);
    b.data = d;
    assert_int_equal(scr_bench_prepare(&b, 2), SCR_OK);
    for (int i = 0; i < 3; i++) {
        scr_buffer *o = b.copies[1].o;

        assert_int_equal(scr_bench_poison(&b, 1), SCR_OK);
        if (i > 0)
            assert_int_equal(scr_buffer_fill(o, i == 1 ? 4095 : scr_buffer_bytes(o) - 4096, 0, 1),
                             SCR_OK);
        assert_int_equal(scr_bench_read(&b, 1), SCR_OK);
        if (i == 0)
            assert_null(scr_bench_overrun(&b));
        else
            assert_string_equal(scr_bench_overrun(&b), i == 1 ? "before" : "behind");
    }
    scr_bench_clear(&b);
    scr_dataset_destroy(&d);
    close_lab(&lab);
}

/* Whether a device whose events behave like this is timed by that clock, and flagged so. */
static bool clock_is(unsigned fault, bool no_events, bool wall, const char *flag)
{
    struct lab lab;
    struct scr_bench b = {0};
    struct scr_dataset *d;
    struct scr_case *c;
    struct scr_row row = {0};
    scr_plan *plan;
    double ns;
    bool same;

    open_lab(&lab,
             "seq=256 head_dim=64 heads=2 window=inf workload=iid kernel=tile-skip skip=none");
    c = &lab.list.cases[0];
    d = data_of(&lab);
    b.dev = scr_devices_open(&lab.devices, 0);
    b.data = d;
    assert_int_equal(scr_bench_prepare(&b, 1), SCR_OK);
    assert_int_equal(scr_plan_create(b.dev, &c->spec.problem, &c->config, 0, &plan), SCR_OK);
    struct scr_sampler s = {.bench = &b,
                            .copies = 1,
                            .no_events = no_events,
                            .floor_wall_ns = NAN,
                            .faults = {.kinds = fault, .at = -1}};

    assert_int_equal(scr_sampler_start(&s, &plan, 1, 0.1), SCR_OK);
    assert_int_equal(scr_sampler_take(&s, 0, &ns), SCR_OK);
    assert_true(ns > 0);
    scr_sampler_report(&s, &row);
    assert_string_equal(row.timer, s.wall ? "wall" : "event");
    same = s.wall == wall && strcmp(row.flags, flag) == 0;
    scr_plan_destroy(&plan);
    scr_bench_clear(&b);
    scr_dataset_destroy(&d);
    close_lab(&lab);
    return same;
}

/* The C kernels tell a time of their own, so ref:0 stands in for a device with events. */
static void clocks_are_chosen(void **state)
{
    bool honest = false;

    (void)state;

    /* Events that are right are believed, unless other work holds up what they are held against. */
    for (int i = 0; i < 50 && !honest; i++)
        honest = clock_is(0, false, false, "");
    assert_true(honest);
    assert_true(clock_is(0, true, true, ""));
    assert_true(clock_is(SCR_INJECT_REVERSED, false, true, "events-reversed"));
    assert_true(clock_is(SCR_INJECT_MISSING, false, true, "events-missing"));
    assert_true(clock_is(SCR_INJECT_SHORT, false, true, "events-off"));
    assert_true(clock_is(SCR_INJECT_LONG, false, true, "events-off"));
    assert_true(clock_is(SCR_INJECT_SHORT_RUN, false, true, "events-off"));
}

/* How far apart the clocks may be. */
static void clocks_agree(void **state)
{
    const double us = 1000;

    (void)state;
    /* 32 runs of 60 us, a launch of 10 */
    assert_true(scr_clocks_agree(1920 * us, 1920 * us, 32, 10 * us));
    assert_true(scr_clocks_agree(1920 * us, 2000 * us, 32, 10 * us));
    assert_false(scr_clocks_agree(1920 * us, 2040 * us, 32, 10 * us));
    assert_true(scr_clocks_agree(1930 * us, 1920 * us, 32, 10 * us));
    assert_false(scr_clocks_agree(1980 * us, 1920 * us, 32, 10 * us));
    /* of 20 us, which a processor's driver launches and ends in 60 us more */
    assert_true(scr_clocks_agree(640 * us, 700 * us, 32, 10 * us));
    assert_false(scr_clocks_agree(64 * us, 700 * us, 32, 10 * us));
    assert_false(scr_clocks_agree(960 * us, 700 * us, 32, 10 * us));
    /* one by one: of 20 us, with 60 more each */
    assert_true(scr_single_runs_agree(640 * us, 2600 * us, 600 * us, 100 * us, 32));
    assert_false(scr_single_runs_agree(64 * us, 2600 * us, 600 * us, 100 * us, 32));
    assert_false(scr_single_runs_agree(2700 * us, 2600 * us, 600 * us, 100 * us, 32));
    /* of 10 us, which the host takes 30 to queue */
    assert_true(scr_single_runs_agree(320 * us, 1300 * us, 960 * us, 800 * us, 32));
    assert_false(scr_single_runs_agree(320 * us, 1300 * us, 960 * us, 740 * us, 32));
    assert_false(scr_single_runs_agree(320 * us, 300 * us, 960 * us, 950 * us, 32));
    assert_false(scr_single_runs_agree(96 * us, 1300 * us, 960 * us, 950 * us, 32));
    /* of a millisecond, where 100 us hide no other clock, and a host that computes hides nothing */
    assert_false(scr_single_runs_agree(3000 * us, 4000 * us, 3900 * us, 100 * us, 4));
    assert_false(scr_single_runs_agree(400 * us, 700 * us, 3900 * us, 3900 * us, 4));
}

static void rows_have_their_baselines(void **state)
{
    struct scr_engine_options options = {.timed = true, .warm = true, .faults = {.at = -1}};
    struct scr_engine *e;
    struct scr_row row;
    struct lab lab;
    bool little;
    int q = 0, k = 0;

    (void)state;
    open_lab(&lab, "seq=192 head_dim=32 heads=1 window=inf workload=planted:0.1x16 "
                   "kernel=dense,masked-dense,tile-skip skip=none,tile tile=auto");
    assert_int_equal(lab.list.n, 4);
    assert_int_equal(scr_engine_create(&lab.list, &lab.devices, &lab.machine, &options, &e),
                     SCR_OK);
    /* Out of order: what a row is compared with is found when it is needed. */
    for (size_t i = lab.list.n; i-- > 0;) {
        const struct scr_case *c = &lab.list.cases[i];
        bool skips = c->config.skip != SCR_SKIP_NONE;
        bool fused = strcmp(c->config.kernel, "tile-skip") == 0;

        scr_engine_run(e, i, 0.2, &row, &little);
        assert_string_equal(row.status, "ok");
        assert_true(row.t_median_ns > 0 && row.mem_peak_bytes > 0 && row.bytes > 0);
        assert_int_equal(isfinite(row.vs_no_skip), skips);
        assert_int_equal(isfinite(row.speedup_vs_dense), fused);
        assert_int_equal(isfinite(row.speedup_vs_masked),
                         strcmp(c->config.kernel, "masked-dense") != 0);
        if (!fused)
            continue;
        assert_int_equal(sscanf(row.masked_params, "TILE_Q=%d TILE_K=%d", &q, &k), 2);
        assert_true(row.t_masked_ns > 0);
        assert_true(row.pv_executed >= row.tile_density && row.qk_executed >= row.pv_executed);
        /* dense's matrix is there while this row is sampled. */
        assert_true(row.mem_peak_bytes > 192 * 192 * 4);
    }
    scr_engine_destroy(&e);
    close_lab(&lab);
}

static bool has_config(const scr_config *configs, size_t n, const scr_config *config)
{
    size_t found = 0;

    for (size_t i = 0; i < n; i++)
        found += scr_config_same(&configs[i], config);
    assert_true(found < 2);
    return found == 1;
}

/* All tiles race to be the baseline, and what the tables have, once. */
static void masked_dense_is_tuned(void **state)
{
    scr_config tiles[SCR_MAX_CONTESTANTS], out[SCR_MAX_CONTESTANTS];
    struct scr_case c;
    struct lab lab;
    size_t n;

    (void)state;
    open_lab(&lab, "seq=64 head_dim=16 heads=1 workload=iid kernel=tile-skip skip=tile");
    c = lab.list.cases[0];
    c.masked = (scr_config){0};
    n = scr_masked_candidates(&c, tiles);
    assert_in_range(n, 2, SCR_MAX_CONTESTANTS - 1);
    for (size_t i = 0; i < n; i++) {
        c.masked = tiles[i]; /* the tables have one of the tiles */
        assert_int_equal(scr_masked_candidates(&c, out), n);
        for (size_t j = 0; j < n; j++)
            assert_true(has_config(out, n, &tiles[j]));
    }
    c.masked = tiles[0];
    c.masked.params[0].value = 7; /* no tile */
    assert_int_equal(scr_masked_candidates(&c, out), n + 1);
    assert_true(has_config(out, n + 1, &c.masked));
    close_lab(&lab);
}

/* Each head of a trace, and each configuration of the tables, has a race of its own. */
static void every_shape_has_its_race(void **state)
{
    struct scr_engine_options options = {.timed = true, .warm = true, .faults = {.at = -1}};
    struct scr_engine *e;
    struct scr_row row;
    struct lab lab;
    char line[400];
    bool little;

    (void)state;
    snprintf(line, sizeof line,
             "workload=trace:%s/psi16_k16v64.safetensors trace_head=each seq=64 kernel=tile-skip "
             "skip=none,tile",
             getenv("SCR_TEST_DATA"));
    open_lab(&lab, line);
    assert_int_equal(lab.list.n, 8);
    assert_int_equal(scr_engine_create(&lab.list, &lab.devices, &lab.machine, &options, &e),
                     SCR_OK);
    for (size_t i = 0; i < lab.list.n; i++) {
        scr_engine_run(e, i, 0.02, &row, &little);
        assert_string_equal(row.status, "ok");
        assert_int_equal(e->baselines.n_tuned, i / 2 + 1);
    }
    scr_engine_destroy(&e);
    close_lab(&lab);
}

/* Looks at the processors that a test makes up: 'c' is calm, the last letter holds for good. */
static struct {
    const char *calm;
    size_t n; /* looks so far */
} looks;

static double made_up_rate(void)
{
    enum { RATES = 3 }; /* of a look */
    size_t at = looks.n++ / RATES, last = strlen(looks.calm) - 1;

    return looks.calm[at < last ? at : last] == 'c' ? 1 : 0.5;
}

static size_t n_looks(void)
{
    return looks.n / 3;
}

/* The row of a case with these faults, and looks as in `calm`. */
static struct scr_row row_with(struct lab *lab, size_t at, double limit_s, unsigned faults,
                               const char *calm)
{
    struct scr_engine_options options = {
        .timed = true, .warm = true, .faults = {.kinds = faults, .at = -1}};
    struct scr_engine *e;
    struct scr_row row;
    bool little;

    assert_int_equal(scr_engine_create(&lab->list, &lab->devices, &lab->machine, &options, &e),
                     SCR_OK);
    looks.calm = calm;
    looks.n = 0;
    e->calm.others = NULL;
    e->calm.rate = made_up_rate;
    e->calm.best = 1;
    e->calm.waited_s = INFINITY; /* no patience */
    scr_engine_run(e, at, limit_s, &row, &little);
    scr_engine_destroy(&e);
    assert_string_equal(row.status, "ok");
    return row;
}

/* What slows down one visit is seen by the other, and leaves the fastest sample alone. */
static void a_slow_visit_is_flagged(void **state)
{
    struct scr_row steady, slowed;
    struct lab lab;

    (void)state;
    open_lab(&lab, "seq=64 head_dim=32 heads=1 window=inf workload=iid kernel=masked-dense");
    steady = row_with(&lab, 0, 0.05, SCR_INJECT_FIXED_TIMES, "c");
    slowed = row_with(&lab, 0, 0.05, SCR_INJECT_FIXED_TIMES | SCR_INJECT_VISIT, "c");
    assert_string_equal(steady.flags, "");
    assert_string_equal(slowed.flags, "unsteady");
    assert_true(slowed.t_min_ns == steady.t_min_ns);
    close_lab(&lab);
}

/* Looks are taken before and after each visit, and before one that was not planned. */
static void disturbed_visits_are_flagged(void **state)
{
    static const struct {
        const char *calm;
        size_t n_looks;
        bool busy;
    } cases[] = {
        {"c", 4, false},         {"s", 3, true}, /* a visit that begins so needs no second look */
        {"cs", 4, true},                         /* one calm look at the start is not enough */
        {"cscs", 5, true},                       /* nor are two */
        {"cscscs", 6 + 1, true}, /* it was calm for another visit at once, but not for long */
        {"cscsccs", 8, true},
    };
    struct scr_row row;
    struct lab lab;

    (void)state;
    open_lab(&lab, "seq=64 head_dim=32 heads=1 window=inf workload=iid kernel=masked-dense");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        row = row_with(&lab, 0, 0.05, SCR_INJECT_FIXED_TIMES, cases[i].calm);
        assert_string_equal(row.flags, cases[i].busy ? "busy" : "");
        assert_int_equal(n_looks(), cases[i].n_looks);
    }
    row = row_with(&lab, 0, 0.05, SCR_INJECT_BUSY, "c");
    assert_true(scr_row_has_flag(&row, "busy"));
    assert_true(row.n_samples >= SCR_MIN_SAMPLES);
    close_lab(&lab);
}

/* Calm samples must be the most. */
static void most_samples_must_be_calm(void **state)
{
    struct scr_sampler s = {.n_visited = 0};

    (void)state;
    assert_false(scr_sampler_was_disturbed(&s));
    scr_sampler_visit(&s, true);
    s.n_samples += 10;
    scr_sampler_leave(&s);
    assert_int_equal(s.n_calm, 10); /* a device that is not the processors */
    s.n_visited = 20;
    assert_true(scr_sampler_was_disturbed(&s));
    s.n_visited = 19;
    assert_false(scr_sampler_was_disturbed(&s));
    scr_sampler_restart(&s);
    assert_false(scr_sampler_was_disturbed(&s));
}

/* A baseline too slow to take turns is sampled when the row's own visits were calm. */
static void disturbed_baselines_are_flagged(void **state)
{
    struct scr_row row;
    struct lab lab;

    (void)state;
    open_lab(&lab, "seq=64 head_dim=32 heads=1 window=inf workload=planted:0.1x16 "
                   "kernel=tile-skip skip=tile tile=auto");
    row = row_with(&lab, 0, 1e-7, 0, "c");
    assert_true(scr_row_has_flag(&row, "apart") && !scr_row_has_flag(&row, "busy"));
    assert_int_equal(n_looks(), 12); /* of the row, masked-dense and skip = none */
    row = row_with(&lab, 0, 1e-7, 0, "ccccs");
    assert_true(scr_row_has_flag(&row, "apart") && scr_row_has_flag(&row, "busy"));
    close_lab(&lab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(roofline_counts_what_ran),
        cmocka_unit_test(roofline_of_the_other_kernels),
        cmocka_unit_test(counts_are_held_to_densities),
        cmocka_unit_test(faults_are_parsed),
        cmocka_unit_test(copies_leave_the_cache),
        cmocka_unit_test(guard_bands_tell),
        cmocka_unit_test(clocks_agree),
        cmocka_unit_test(clocks_are_chosen),
        cmocka_unit_test(rows_have_their_baselines),
        cmocka_unit_test(masked_dense_is_tuned),
        cmocka_unit_test(every_shape_has_its_race),
        cmocka_unit_test(a_slow_visit_is_flagged),
        cmocka_unit_test(disturbed_visits_are_flagged),
        cmocka_unit_test(most_samples_must_be_calm),
        cmocka_unit_test(disturbed_baselines_are_flagged),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
