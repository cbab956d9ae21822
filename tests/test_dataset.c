/* SPDX-License-Identifier: Apache-2.0 */
/* Workloads: their notation, their distributions, and that a seed gives the same bytes everywhere.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dataset.h"
#include "philox.h"
#include "ref/convert.h"
#include "ref/oracle.h"
#include "safetensors.h"
#include "truth.h"
#include "workload.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct scr_dataset_spec spec_of(const char *workload, int heads, int len, int dk)
{
    struct scr_dataset_spec s = {
        .problem = {.batch = 1,
                    .heads_q = heads,
                    .heads_kv = heads,
                    .len_q = len,
                    .len_k = len,
                    .dk = dk,
                    .dv = 16,
                    .q_pos0 = SCR_Q_POS0_DEFAULT,
                    .causal = true},
        .seed = 1,
    };
    char why[160];

    assert_int_equal(scr_workload_parse(workload, &s.workload, why, sizeof why), SCR_OK);
    return s;
}

static struct scr_dataset *create(const struct scr_dataset_spec *s, int threads)
{
    struct scr_dataset *d;
    char why[160] = "";

    if (scr_dataset_create(s, threads, &d, why, sizeof why) != SCR_OK)
        fail_msg("%s", why);
    return d;
}

static struct scr_densities densities(const struct scr_dataset *d, int tile)
{
    struct scr_densities out;
    struct scr_truth *t;

    assert_int_equal(scr_truth_create(d, 2, 0, &t), SCR_OK);
    scr_truth_densities(t, tile, tile, &out);
    scr_truth_destroy(&t);
    return out;
}

/* Known answers that come with the authors' implementation. */
static void philox(void **state)
{
    static const struct {
        uint64_t key;
        uint32_t counter[4], expected[4];
    } cases[] = {
        {0, {0, 0, 0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {UINT64_MAX,
         {0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {0x299f31d0a4093822u,
         {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        uint32_t out[4];

        scr_philox(cases[i].key, cases[i].counter, out);
        assert_memory_equal(out, cases[i].expected, sizeof out);
    }
    assert_true(scr_philox_unit(0, 0) > 0 && scr_philox_unit(UINT32_MAX, UINT32_MAX) < 1);
}

static void workload_notation(void **state)
{
    static const char *const same[] = {"iid",
                                       "planted:0.1x64",
                                       "planted:1x1",
                                       "planted:1e-05x7",
                                       "planted:0.3333x16384",
                                       "shuffled:0.1x64",
                                       "shuffled:1x1",
                                       "skewed:0.02x16",
                                       "skewed:0.5x64",
                                       "skewed:1e-06x7",
                                       "window",
                                       "ends:0",
                                       "ends:1",
                                       "ends",
                                       "trace:a b:c.safetensors"};
    static const char *const refused[] = {"",
                                          "IID",
                                          "iid:1",
                                          "planted:",
                                          "planted:0",
                                          "planted:2",
                                          "planted:-1",
                                          "planted:nan",
                                          "planted:0.1x",
                                          "planted:0.1x0",
                                          "planted:x3",
                                          "planted:0.1x-1",
                                          "planted:0.1x64k",
                                          "planted:0.1x99999999999",
                                          "shuffled:",
                                          "shuffled:0",
                                          "shuffled:1.01x64",
                                          "shuffled:0.1x",
                                          "shuffle:0.1x64",
                                          "skewed:",
                                          "skewed:0.51",
                                          "skewed:1x64",
                                          "skewed:0.1x0",
                                          "skewed:0.1X64",
                                          "skew",
                                          "ends:2",
                                          "ends:",
                                          "ends:01",
                                          "trace:",
                                          "trace",
                                          "window:3",
                                          "planted:1e-9"};
    static const char *const planted[] = {"planted", "shuffled", "skewed"};
    static const enum scr_workload_kind kinds[] = {SCR_WORKLOAD_PLANTED, SCR_WORKLOAD_SHUFFLED,
                                                   SCR_WORKLOAD_SKEWED};
    struct scr_workload w;
    char why[160], name[600];

    (void)state;
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        assert_int_equal(scr_workload_parse(same[i], &w, why, sizeof why), SCR_OK);
        scr_workload_name(&w, name, sizeof name);
        assert_string_equal(name, same[i]);
    }
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        why[0] = '\0';
        if (scr_workload_parse(refused[i], &w, why, sizeof why) != SCR_ERR_INVALID)
            fail_msg("'%s' was accepted", refused[i]);
        assert_true(strlen(why) > 10 && strchr(why, '\n') == NULL);
    }
    assert_int_equal(scr_workload_parse("skewed:0.6x64", &w, why, sizeof why), SCR_ERR_INVALID);
    assert_non_null(strstr(why, "skewed:DENSITYxRUN with a density above 0 up to 0.5"));
    for (size_t i = 0; i < sizeof planted / sizeof planted[0]; i++) {
        assert_int_equal(scr_workload_parse(planted[i], &w, why, sizeof why), SCR_OK);
        assert_true(w.kind == kinds[i] && w.density == 0.1 && w.run == 64);
        snprintf(name, sizeof name, "%s:0.25", planted[i]);
        assert_int_equal(scr_workload_parse(name, &w, why, sizeof why), SCR_OK);
        assert_true(w.kind == kinds[i] && w.density == 0.25 && w.run == 64);
    }
    assert_int_equal(scr_workload_parse("ends", &w, why, sizeof why), SCR_OK);
    assert_true(w.density == -1);
}

static void window_notation(void **state)
{
    static const char *const same[] = {"auto", "inf", "init", "trained", "256", "1.5", "0.1"};
    static const char *const refused[] = {"", "0", "-3", "nan", "infinity", "12x", "1e99", "x"};
    struct scr_window w;
    char why[160], name[40];

    (void)state;
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        assert_int_equal(scr_window_parse(same[i], &w, why, sizeof why), SCR_OK);
        scr_window_name(&w, name, sizeof name);
        assert_string_equal(name, same[i]);
    }
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        assert_int_equal(scr_window_parse(refused[i], &w, why, sizeof why), SCR_ERR_INVALID);
}

/*
 * The chance that the product of two uniform directions is at most s, by the midpoint rule: (s + 1)
 * / 2 is Beta((d - 1) / 2, (d - 1) / 2), so the density of s goes as (1 - s^2)^((d - 3) / 2).
 */
enum { CELLS = 20000 };

static double *cumulative(int d)
{
    double *c = malloc((CELLS + 1) * sizeof *c);

    assert_non_null(c);
    c[0] = 0;
    for (int i = 0; i < CELLS; i++) {
        double s = -1 + 2 * (i + 0.5) / CELLS;

        c[i + 1] = c[i] + pow(1 - s * s, (d - 3) / 2.0);
    }
    for (int i = 0; i <= CELLS; i++)
        c[i] /= c[CELLS];
    return c;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void iid_distribution(void **state)
{
    static const int dims[] = {16, 64};
    enum { N = 1 << 16 };

    (void)state;
    for (int t = 0; t < 2; t++) {
        struct scr_dataset_spec spec = spec_of("iid", 1, N, dims[t]);
        struct scr_dataset *d = create(&spec, 2);
        const float *q = d->q, *k = d->k;
        double *s = malloc(N * sizeof *s);
        double *expected = cumulative(dims[t]);
        double mean = 0, variance = 0, tail = 0, distance = 0;
        double p_tail = 1 - expected[CELLS * 3 / 4]; /* s > 0.5 */

        assert_non_null(s);
        for (int i = 0; i < N; i++) {
            double norm = 0;

            s[i] = 0;
            for (int j = 0; j < dims[t]; j++) {
                s[i] += (double)q[i * dims[t] + j] * k[i * dims[t] + j];
                norm += (double)q[i * dims[t] + j] * q[i * dims[t] + j];
            }
            assert_true(fabs(norm - 1) < 1e-6);
            mean += s[i] / N;
            variance += s[i] * s[i] / N;
            tail += s[i] > 0.5;
        }
        qsort(s, N, sizeof *s, ascending);
        for (int i = 0; i < N; i++) {
            double f = expected[(int)((s[i] + 1) / 2 * CELLS + 0.5)];

            distance = fmax(distance, fabs(f - (i + 0.5) / N));
        }
        assert_true(fabs(mean) < 4 / sqrt((double)dims[t] * N));
        /* kurtosis below 3, so the variance's own deviation is under var sqrt(2 / N) */
        assert_true(fabs(variance * dims[t] - 1) < 4 * sqrt(2.0 / N));
        assert_true(fabs(tail - N * p_tail) < 4 * sqrt(N * p_tail) + 1);
        /* Kolmogorov-Smirnov: 1.95 / sqrt(n) is passed once in a thousand */
        assert_true(distance < 1.95 / sqrt(N));
        free(s);
        free(expected);
        scr_dataset_destroy(&d);
    }
}

static void planted_density(void **state)
{
    static const struct {
        double density;
        int run, dk;
    } cases[] = {{1, 64, 16},    {0.4, 16, 64},  {0.1, 1, 16},   {0.1, 64, 64},
                 {0.05, 16, 16}, {0.01, 16, 16}, {0.3, 128, 32}, {0.0015, 4, 16}};
    enum { HEADS = 4, LEN = 1024 };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        double wanted = cases[i].density;
        double runs = (double)LEN / cases[i].run;
        double run_pairs = HEADS * runs * (runs + 1) / 2;
        double sigma = sqrt(wanted * (1 - wanted) / run_pairs);
        char name[40];
        struct scr_dataset_spec spec;
        struct scr_dataset *d;
        struct scr_densities found;
        double measured;

        snprintf(name, sizeof name, "planted:%gx%d", wanted, cases[i].run);
        spec = spec_of(name, HEADS, LEN, cases[i].dk);
        spec.problem.dtype = SCR_BF16;
        d = create(&spec, 2);
        found = densities(d, 0);
        measured = (double)found.pairs_live / (double)found.pairs_admissible;
        if (!(fabs(measured - wanted) <= fmax(0.1 * wanted, 4 * sigma)))
            fail_msg("%s dk %d: density %g", name, cases[i].dk, measured);
        scr_dataset_destroy(&d);
    }
}

/* Runs are aligned: a tile of the run length is alive whole or not at all. */
static void planted_runs(void **state)
{
    struct scr_dataset_spec spec = spec_of("planted:0.2x32", 2, 512, 16);
    struct scr_dataset *d;
    struct scr_densities found;

    (void)state;
    spec.problem.causal = false;
    spec.problem.heads_q = 4; /* two query heads share the topics of a key head */
    d = create(&spec, 1);
    found = densities(d, 32);
    assert_true(found.tiles_live > 0 && found.tiles_live < found.tiles_admissible);
    assert_int_equal(found.pairs_live, found.tiles_live * 32 * 32);
    scr_dataset_destroy(&d);
    /* Rows that start within a run keep to the positions of the keys. */
    spec.problem.len_q = 512 - 8;
    d = create(&spec, 1);
    found = densities(d, 16);
    assert_true(found.pairs_live > found.tiles_live * 16 * 16 / 2);
    scr_dataset_destroy(&d);
}

/* A token of a dataset in f32: its vector, of a key also its value. */
enum { TOKEN_DIM = 16, MAX_TOKEN_DIM = 2 * TOKEN_DIM };
struct token {
    float x[MAX_TOKEN_DIM];
};

static int by_bytes(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct token));
}

/* The tokens of one head in an order that depends on their bytes alone; freed by the caller. */
static struct token *sorted_tokens(const void *first, const void *second, int head, int len)
{
    struct token *t = calloc((size_t)len, sizeof *t);

    assert_non_null(t);
    for (int i = 0; i < len; i++) {
        size_t row = ((size_t)head * (size_t)len + (size_t)i) * TOKEN_DIM;

        memcpy(t[i].x, (const float *)first + row, TOKEN_DIM * sizeof(float));
        if (second != NULL)
            memcpy(t[i].x + TOKEN_DIM, (const float *)second + row, TOKEN_DIM * sizeof(float));
    }
    qsort(t, (size_t)len, sizeof *t, by_bytes);
    return t;
}

static void assert_same_tokens(const void *a1, const void *a2, const void *b1, const void *b2,
                               int heads, int len)
{
    size_t head_bytes = (size_t)len * TOKEN_DIM * sizeof(float);

    for (int head = 0; head < heads; head++) {
        struct token *a = sorted_tokens(a1, a2, head, len);
        struct token *b = sorted_tokens(b1, b2, head, len);

        assert_memory_equal(a, b, (size_t)len * sizeof *a);
        free(a);
        free(b);
        /* Not the order that planted has. */
        assert_memory_not_equal((const char *)a1 + (size_t)head * head_bytes,
                                (const char *)b1 + (size_t)head * head_bytes, head_bytes);
    }
}

/* Planted in another order: the same tokens, the same live pairs of all, other tiles. */
static void shuffled_tokens(void **state)
{
    enum { HEADS_Q = 4, HEADS_KV = 2, LEN_Q = 300, LEN_K = 413, BATCH = 2 };
    struct scr_dataset_spec spec = spec_of("planted:0.05x32", HEADS_Q, LEN_Q, TOKEN_DIM);
    struct scr_dataset *planted, *shuffled;
    struct scr_densities before, after;

    (void)state;
    spec.problem.batch = BATCH;
    spec.problem.heads_kv = HEADS_KV;
    spec.problem.len_k = LEN_K;
    spec.problem.causal = false;
    planted = create(&spec, 2);
    spec.workload.kind = SCR_WORKLOAD_SHUFFLED;
    shuffled = create(&spec, 2);
    assert_same_tokens(planted->q, NULL, shuffled->q, NULL, BATCH * HEADS_Q, LEN_Q);
    assert_same_tokens(planted->k, planted->v, shuffled->k, shuffled->v, BATCH * HEADS_KV, LEN_K);
    before = densities(planted, 16);
    after = densities(shuffled, 16);
    assert_int_equal(after.pairs_live, before.pairs_live);
    assert_true(before.tiles_live < before.tiles_admissible / 5);
    assert_true(after.tiles_live > after.tiles_admissible * 4 / 5);
    scr_dataset_destroy(&planted);
    scr_dataset_destroy(&shuffled);
}

/*
 * What the two workloads say together: as many live pairs in each head, in many more tiles. Under a
 * causal mask, which admits other pairs of the two, the pair density agrees on average.
 */
static void shuffled_separates_pairs_from_tiles(void **state)
{
    static const struct {
        const char *workload;
        double most_before, least_after; /* tile density at 16 x 16 */
    } cases[] = {{"planted:0.02x64", 0.04, 0.85},
                 {"planted:0.1x64", 0.15, 0.99},
                 {"planted:0.05x16", 0.15, 0.95}};
    enum { HEADS = 4, LEN = 1024 };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (int causal = 0; causal < 2; causal++) {
            struct scr_dataset_spec spec = spec_of(cases[i].workload, HEADS, LEN, 16);
            struct scr_dataset *planted, *shuffled;
            struct scr_densities a, b;
            struct scr_truth *before, *after;

            spec.problem.causal = causal != 0;
            planted = create(&spec, 2);
            spec.workload.kind = SCR_WORKLOAD_SHUFFLED;
            shuffled = create(&spec, 2);
            assert_int_equal(scr_truth_create(planted, 2, 0, &before), SCR_OK);
            assert_int_equal(scr_truth_create(shuffled, 2, 0, &after), SCR_OK);
            for (size_t h = 0; h < HEADS && !causal; h++) {
                scr_truth_head_densities(before, h, 16, 16, &a);
                scr_truth_head_densities(after, h, 16, 16, &b);
                assert_int_equal(a.pairs_live, b.pairs_live);
                assert_int_equal(a.pairs_admissible, b.pairs_admissible);
                assert_true(a.tiles_live < b.tiles_live);
            }
            scr_truth_densities(before, 16, 16, &a);
            scr_truth_densities(after, 16, 16, &b);
            assert_int_equal(a.pairs_admissible, b.pairs_admissible);
            if (!causal)
                assert_int_equal(a.pairs_live, b.pairs_live);
            assert_true(fabs((double)a.pairs_live - (double)b.pairs_live) <
                        0.2 * (double)a.pairs_live);
            assert_true((double)a.tiles_live < cases[i].most_before * (double)a.tiles_admissible);
            assert_true((double)b.tiles_live > cases[i].least_after * (double)b.tiles_admissible);
            scr_truth_destroy(&before);
            scr_truth_destroy(&after);
            scr_dataset_destroy(&planted);
            scr_dataset_destroy(&shuffled);
        }
    }
}

/* No place is favoured: where the first token of a head goes, over many heads. */
static void shuffled_evenly(void **state)
{
    enum { HEADS = 4000, LEN = 8 };
    struct scr_dataset_spec spec = spec_of("planted:1x1", HEADS, LEN, TOKEN_DIM);
    struct scr_dataset *planted, *shuffled;
    int to[LEN] = {0}, both = 0;

    (void)state;
    planted = create(&spec, 2);
    spec.workload.kind = SCR_WORKLOAD_SHUFFLED;
    shuffled = create(&spec, 2);
    for (size_t head = 0; head < HEADS; head++) {
        const float *q = (const float *)shuffled->q + head * LEN * TOKEN_DIM;
        const float *k = (const float *)shuffled->k + head * LEN * TOKEN_DIM;
        const float *q0 = (const float *)planted->q + head * LEN * TOKEN_DIM;
        const float *k0 = (const float *)planted->k + head * LEN * TOKEN_DIM;
        int place_q = -1, place_k = -1;

        for (int i = 0; i < LEN; i++) {
            if (memcmp(q + i * TOKEN_DIM, q0, TOKEN_DIM * sizeof *q) == 0)
                place_q = i;
            if (memcmp(k + i * TOKEN_DIM, k0, TOKEN_DIM * sizeof *k) == 0)
                place_k = i;
        }
        assert_true(place_q >= 0 && place_k >= 0);
        to[place_q]++;
        both += place_q == place_k;
    }
    for (int i = 0; i < LEN; i++)
        assert_true(fabs(to[i] - (double)HEADS / LEN) < 4 * sqrt((double)HEADS / LEN));
    assert_true(fabs(both - (double)HEADS / LEN) < 4 * sqrt((double)HEADS / LEN));
    scr_dataset_destroy(&planted);
    scr_dataset_destroy(&shuffled);
}

static double measured_density(const struct scr_dataset *d)
{
    struct scr_densities found = densities(d, 0);

    return (double)found.pairs_live / (double)found.pairs_admissible;
}

/* Shuffling brings the causal share nearer to that of all pairs; skewed must hold its own. */
static void shuffled_and_skewed_density(void **state)
{
    static const struct {
        const char *workload;
        int heads, len, dk;
    } cases[] = {{"shuffled:0.1x64", 4, 1024, 64}, {"shuffled:0.02x16", 4, 1024, 16},
                 {"shuffled:0.4x1", 2, 512, 32},   {"skewed", 2, 2048, 64},
                 {"skewed:0.1x16", 4, 1024, 16},   {"skewed:0.1x16", 1, 2048, 16},
                 {"skewed:0.2x16", 3, 1024, 16},   {"skewed:0.02x16", 4, 2048, 16},
                 {"skewed:0.3x32", 4, 1024, 32},   {"skewed:0.5x32", 4, 1024, 16},
                 {"skewed:0.002x4", 4, 1024, 16}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct scr_dataset_spec spec =
            spec_of(cases[i].workload, cases[i].heads, cases[i].len, cases[i].dk);
        double wanted = spec.workload.density;

        spec.problem.dtype = SCR_BF16;
        for (int causal = 0; causal < 2; causal++) {
            struct scr_dataset *d;
            double measured;

            spec.problem.causal = causal != 0;
            d = create(&spec, 2);
            assert_true(d->r[0] == 16.0f);
            measured = measured_density(d);
            if (!(fabs(measured - wanted) <= 0.15 * wanted))
                fail_msg("%s causal %d: density %g", cases[i].workload, causal, measured);
            scr_dataset_destroy(&d);
        }
    }
}

struct shares {
    double busiest; /* of the live pairs, on the busiest tenth of the rows */
    double even;    /* of the live pairs, in heads 0, 2, ... */
};

/* Of a causal problem in f32 with an infinite window and as many key heads as query heads. */
static struct shares measure_shares(const struct scr_dataset *d)
{
    const scr_problem *p = &d->spec.problem;
    size_t len = (size_t)p->len_q, dk = (size_t)p->dk;
    size_t rows = (size_t)p->heads_q * len;
    double *live = calloc(rows, sizeof *live);
    double all = 0, top = 0, even = 0;

    assert_non_null(live);
    for (size_t row = 0; row < rows; row++) {
        const float *q = (const float *)d->q + row * dk;
        const float *k = (const float *)d->k + row / len * len * dk;

        for (size_t j = 0; j <= row % len; j++) {
            double s = 0;

            for (size_t c = 0; c < dk; c++)
                s += (double)q[c] * k[j * dk + c];
            live[row] += 1 - d->r[0] * (1 - s) > 0;
        }
        all += live[row];
        even += row / len % 2 == 0 ? live[row] : 0;
    }
    qsort(live, rows, sizeof *live, ascending);
    for (size_t i = rows - rows / 10; i < rows; i++)
        top += live[i];
    free(live);
    assert_true(all > 0);
    return (struct shares){top / all, even / all};
}

/* Nine tenths on a tenth of the rows, in half of the heads; planted spreads over all. */
static void skewed_rows(void **state)
{
    static const char *const workloads[] = {"skewed:0.1x16", "skewed:0.02x16", "skewed:0.05x8"};

    (void)state;
    for (size_t i = 0; i < sizeof workloads / sizeof workloads[0]; i++) {
        struct scr_dataset_spec spec = spec_of(workloads[i], 4, 1024, 16);
        struct scr_dataset *d = create(&spec, 2);
        struct shares skewed = measure_shares(d), planted;

        scr_dataset_destroy(&d);
        spec.workload.kind = SCR_WORKLOAD_PLANTED;
        d = create(&spec, 2);
        planted = measure_shares(d);
        scr_dataset_destroy(&d);
        if (!(skewed.busiest > 0.8 && planted.busiest < 0.5))
            fail_msg("%s: busiest tenth %g, planted %g", workloads[i], skewed.busiest,
                     planted.busiest);
        if (!(skewed.even > 0.9 && skewed.even < 1 && fabs(planted.even - 0.5) < 0.15))
            fail_msg("%s: even heads %g, planted %g", workloads[i], skewed.even, planted.even);
    }
}

static void ends_and_window(void **state)
{
    static const double sharpness[] = {0, 0.6, 1, 2, 16, 100};

    (void)state;
    for (int t = SCR_F32; t <= SCR_BF16; t++) {
        for (size_t i = 0; i < sizeof sharpness / sizeof sharpness[0]; i++) {
            struct scr_dataset_spec none = spec_of("ends:0", 2, 200, 16);
            struct scr_dataset_spec all = spec_of("ends:1", 2, 200, 16);
            struct scr_dataset_spec window = spec_of("window", 1, 600, 64);
            struct scr_dataset_spec *specs[] = {&none, &all, &window};

            for (int j = 0; j < 3; j++) {
                struct scr_dataset *d;
                struct scr_densities found;

                specs[j]->r = sharpness[i];
                specs[j]->problem.dtype = (scr_dtype)t;
                d = create(specs[j], 2);
                found = densities(d, 0);
                assert_int_equal(found.pairs_live, j == 0 ? 0 : found.pairs_admissible);
                assert_true(j == 2 ? d->w[0] == 256.0f : isinf(d->w[0]));
                assert_true(d->r[0] == (sharpness[i] != 0 ? (float)sharpness[i] : 2.0f));
                if (j == 2)
                    assert_int_equal(found.pairs_admissible, 256 * 600 - 256 * 255 / 2);
                scr_dataset_destroy(&d);
            }
        }
    }
}

static void refused_specs(void **state)
{
    struct scr_dataset_spec spec = spec_of("ends:0", 1, 16, 16);
    struct scr_dataset *d;
    char why[160] = "";

    (void)state;
    spec.r = 0.5;
    assert_int_equal(scr_dataset_create(&spec, 1, &d, why, sizeof why), SCR_ERR_INVALID);
    assert_non_null(strstr(why, "ends:0 needs r"));
    assert_null(d);
    spec = spec_of("ends", 1, 16, 16);
    assert_int_equal(scr_dataset_create(&spec, 1, &d, why, sizeof why), SCR_ERR_INVALID);
    spec = spec_of("iid", 1, 16, 17);
    assert_int_equal(scr_dataset_create(&spec, 1, &d, why, sizeof why), SCR_ERR_INVALID);
    assert_non_null(strstr(why, "dk and dv"));
    spec = spec_of("iid", 1, 16, 16);
    spec.r = -1;
    assert_int_equal(scr_dataset_create(&spec, 1, &d, why, sizeof why), SCR_ERR_INVALID);
    spec.r = NAN;
    assert_int_equal(scr_dataset_create(&spec, 1, &d, why, sizeof why), SCR_ERR_INVALID);
}

static void init_windows(void **state)
{
    struct scr_dataset_spec spec = spec_of("iid", 5, 16, 16);
    struct scr_dataset *d;

    (void)state;
    spec.window.kind = SCR_WINDOW_INIT;
    d = create(&spec, 1);
    for (int h = 0; h < 5; h++)
        assert_true(fabs(d->w[h] - (pow(255, h / 4.0) + 1)) < 1e-4);
    assert_true(d->w[0] == 2.0f && d->w[4] == 256.0f);
    scr_dataset_destroy(&d);
    spec = spec_of("iid", 1, 16, 16);
    spec.window.kind = SCR_WINDOW_INIT;
    d = create(&spec, 1);
    assert_true(d->w[0] == 2.0f);
    scr_dataset_destroy(&d);
    /* The nearest f32, for every head of every number of heads up to 64. */
    for (int heads = 2; heads <= 64; heads++) {
        for (int h = 0; h < heads; h++) {
            long double w = powl(255, (long double)h / (heads - 1)) + 1;

            assert_true(scr_window_init(h, heads) == (float)w);
        }
    }
}

/* The parts of the heads that have short windows and long ones, and each as the nearest f32. */
static void trained_windows(void **state)
{
    static const long double part[] = {0, 0.5L, 0.6L, 8 / 9.0L, 1}, w[] = {2, 12, 20, 130, 16384};
    struct scr_dataset_spec spec = spec_of("iid", 9, 16, 16);
    struct scr_dataset *d;

    (void)state;
    for (int heads = 1; heads <= 320; heads++) {
        int below_12 = 0, below_20 = 0, above_130 = 0;

        for (int h = 0; h < heads; h++) {
            long double u = (h + 0.5L) / heads, exact;
            int i = u > part[3] ? 3 : u > part[2] ? 2 : u > part[1] ? 1 : 0;
            float ours = scr_window_trained(h, heads);

            exact = w[i] * powl(w[i + 1] / w[i], (u - part[i]) / (part[i + 1] - part[i]));
            assert_true(ours == (float)exact);
            below_12 += ours < 12;
            below_20 += ours < 20;
            above_130 += ours > 130;
        }
        assert_true(abs(below_12 - heads / 2) <= 1);
        assert_true(fabs(below_20 - 0.6 * heads) <= 1);
        assert_true(fabs(above_130 - heads / 9.0) <= 1);
    }
    spec.window.kind = SCR_WINDOW_TRAINED;
    d = create(&spec, 1);
    for (int h = 0; h < 9; h++)
        assert_true(d->w[h] == scr_window_trained(h, 9));
    scr_dataset_destroy(&d);
}

/* Whether all or none of the rows [first, end) of one head are NaN throughout. */
static void rows_are_nan(const uint16_t *x, size_t dim, int first, int end, bool nan)
{
    for (size_t i = (size_t)first * dim; i < (size_t)end * dim; i++)
        assert_true(isnan(scr_f16_to_f32(x[i])) == nan);
}

static void missing_keys(void **state)
{
    struct scr_dataset_spec spec = spec_of("iid", 2, 100, 32);
    struct scr_dataset *d;

    (void)state;
    spec.problem.batch = 3;
    spec.problem.dtype = SCR_F16;
    spec.problem.has_kv_len = spec.ragged_kv_len = true;
    d = create(&spec, 1);
    for (int head = 0; head < 6; head++) {
        const uint16_t *k = (const uint16_t *)d->k + (size_t)head * 100 * 32;
        const uint16_t *v = (const uint16_t *)d->v + (size_t)head * 100 * 16;
        int keys = d->kv_len[head / 2];

        rows_are_nan(k, 32, 0, keys, false);
        rows_are_nan(v, 16, 0, keys, false);
        rows_are_nan(k, 32, keys, 100, true);
        rows_are_nan(v, 16, keys, 100, true);
    }
    assert_true(d->kv_len[1] < 100 && d->kv_len[2] < 100);
    assert_true(densities(d, 0).pairs_admissible > 0);
    scr_dataset_destroy(&d);
}

static void key_lengths(void **state)
{
    struct scr_dataset_spec spec = spec_of("iid", 1, 100, 16);
    struct scr_dataset *d;
    int shorter = 0;

    (void)state;
    spec.problem.has_kv_len = true;
    d = create(&spec, 1);
    assert_int_equal(d->kv_len[0], 100);
    scr_dataset_destroy(&d);
    spec.problem.dtype = SCR_F16;
    for (spec.kv_missing = 0; spec.kv_missing <= 100; spec.kv_missing += 50) {
        d = create(&spec, 1);
        assert_int_equal(d->kv_len[0], 100 - spec.kv_missing);
        rows_are_nan(d->v, 16, 0, d->kv_len[0], false);
        rows_are_nan(d->v, 16, d->kv_len[0], 100, true);
        scr_dataset_destroy(&d);
    }
    spec.problem.dtype = SCR_F32;
    spec.kv_missing = 0;
    spec.ragged_kv_len = true;
    d = create(&spec, 1);
    assert_int_equal(d->kv_len[0], 75);
    scr_dataset_destroy(&d);
    spec.problem.batch = 8;
    d = create(&spec, 1);
    assert_int_equal(d->kv_len[0], 100);
    for (int b = 1; b < 8; b++) {
        assert_true(d->kv_len[b] >= 0 && d->kv_len[b] < 100);
        shorter += d->kv_len[b] != d->kv_len[1];
    }
    assert_true(shorter > 0);
    scr_dataset_destroy(&d);
}

/* The hash of each workload at one small shape; another value means other bytes for old seeds. */
static void same_bytes(void **state)
{
    static const struct {
        const char *workload;
        scr_dtype dtype;
        uint64_t hash;
    } golden[] = {
        {"iid", SCR_F32, 0x80c5a3952befaca5u},
        {"iid", SCR_F16, 0x103ae7e2711c43dau},
        {"iid", SCR_BF16, 0x60b35fa9fecdd8d2u},
        {"planted:0.1x16", SCR_F32, 0xa9e9d7ceb4a8dd8du},
        {"planted:0.0001x16", SCR_F32, 0x1235f98064129a7cu},
        {"shuffled:0.1x16", SCR_F32, 0x2e76a9039c0de69au},
        {"shuffled:0.0001x16", SCR_BF16, 0x088d92ef6fc77764u},
        {"skewed:0.1x16", SCR_F32, 0xc7312f15fe60ee5cu},
        {"skewed:0.001x16", SCR_F16, 0x0b78c6818a759d25u},
        {"window", SCR_F32, 0x64b021dbb4e7f927u},
        {"ends:0", SCR_F32, 0x897112a82f049194u},
        {"ends:1", SCR_F32, 0x661f32566a1801deu},
    };
    int wrong = 0;

    (void)state;
    for (size_t i = 0; i < sizeof golden / sizeof golden[0]; i++) {
        struct scr_dataset_spec spec = spec_of(golden[i].workload, 4, 300, 32);
        struct scr_dataset *one, *four, *other;

        spec.problem.batch = 2;
        spec.problem.heads_kv = 2;
        spec.problem.dtype = golden[i].dtype;
        one = create(&spec, 1);
        four = create(&spec, 4);
        spec.seed = 2;
        other = create(&spec, 1);
        assert_memory_equal(one->q, four->q, one->q_bytes);
        assert_memory_equal(one->k, four->k, one->k_bytes);
        assert_memory_equal(one->v, four->v, one->v_bytes);
        assert_true(one->hash == four->hash);
        assert_true(one->hash != other->hash);
        assert_memory_not_equal(one->k, other->k, one->k_bytes);
        if (one->hash != golden[i].hash) {
            print_message("%s %s: 0x%016llxu\n", golden[i].workload,
                          scr_dtype_name(golden[i].dtype), (unsigned long long)one->hash);
            wrong++;
        }
        scr_dataset_destroy(&one);
        scr_dataset_destroy(&four);
        scr_dataset_destroy(&other);
    }
    assert_int_equal(wrong, 0);
}

static void hash_sees_every_byte(void **state)
{
    struct scr_dataset_spec spec = spec_of("iid", 2, 16, 16);
    struct scr_dataset *a, *b;

    (void)state;
    a = create(&spec, 1);
    spec.r = 3;
    b = create(&spec, 1);
    assert_true(a->hash != b->hash);
    scr_dataset_destroy(&b);
    spec.r = 0;
    spec.window.kind = SCR_WINDOW_INIT;
    b = create(&spec, 1);
    assert_true(a->hash != b->hash);
    scr_dataset_destroy(&b);
    spec.window.kind = SCR_WINDOW_AUTO;
    spec.problem.has_kv_len = true;
    b = create(&spec, 1);
    assert_true(a->hash != b->hash);
    scr_dataset_destroy(&a);
    scr_dataset_destroy(&b);
}

/* A recorded trace of the test data as the spec of a dataset. */
static struct scr_dataset_spec trace_spec(const char *file, int max_len)
{
    struct scr_dataset_spec s = {
        .problem = {.q_pos0 = SCR_Q_POS0_DEFAULT, .causal = true, .dtype = SCR_F16}};
    const char *folder = getenv("SCR_TEST_DATA");
    char why[160] = "";

    s.workload.kind = SCR_WORKLOAD_TRACE;
    assert_non_null(folder);
    snprintf(s.workload.path, sizeof s.workload.path, "%s/%s", folder, file);
    if (scr_dataset_shape(&s.workload, max_len, &s.problem, why, sizeof why) != SCR_OK)
        fail_msg("%s", why);
    return s;
}

static void trace_slices(void **state)
{
    struct scr_dataset_spec spec = trace_spec("psi16_k16v64.safetensors", 0);
    struct scr_dataset *whole, *part;
    struct scr_densities found;

    (void)state;
    assert_int_equal(spec.problem.heads_q, 4);
    assert_int_equal(spec.problem.len_q, 1024);
    assert_int_equal(spec.problem.len_k, 1024);
    assert_int_equal(spec.problem.dk, 16);
    assert_int_equal(spec.problem.dv, 64);
    whole = create(&spec, 4);
    part = create(&spec, 1);
    assert_true(part->hash == whole->hash);
    if (whole->hash != 0x3539c2ad3179ec91u)
        fail_msg("0x%016llxu", (unsigned long long)whole->hash);
    scr_dataset_destroy(&part);
    assert_true(whole->w[3] > 9868 && whole->w[3] < 9869);
    found = densities(whole, 64);
    assert_true(found.pairs_live > 0 && found.pairs_live < found.pairs_admissible);
    /* The first tokens only: the same rows of every head. */
    spec = trace_spec("psi16_k16v64.safetensors", 100);
    assert_int_equal(spec.problem.len_k, 100);
    part = create(&spec, 2);
    for (int h = 0; h < 4; h++) {
        assert_memory_equal((char *)part->q + h * 100 * 32, (char *)whole->q + h * 1024 * 32, 3200);
        assert_memory_equal((char *)part->v + h * 100 * 128, (char *)whole->v + h * 1024 * 128,
                            12800);
    }
    scr_dataset_destroy(&part);
    /* Other storage: bf16 by way of f32. */
    spec.problem.dtype = SCR_BF16;
    spec.r = 3;
    spec.window = (struct scr_window){SCR_WINDOW_VALUE, 7};
    part = create(&spec, 2);
    for (int i = 0; i < 1600; i++)
        assert_int_equal(((uint16_t *)part->q)[i],
                         scr_f32_to_bf16(scr_f16_to_f32(((uint16_t *)whole->q)[i])));
    for (int h = 0; h < 4; h++)
        assert_true(part->r[h] == 3.0f && part->w[h] == 7.0f);
    scr_dataset_destroy(&part);
    scr_dataset_destroy(&whole);
    spec = trace_spec("d512_k64v64.safetensors", 0);
    assert_int_equal(spec.problem.heads_q, 3);
    assert_int_equal(spec.problem.len_q, 1000);
    assert_int_equal(spec.problem.dk, 64);
}

enum { LAYER_BATCH = 2, LAYER_Q = 4, LAYER_KV = 2, LAYER_LEN = 70, LAYER_DK = 16, LAYER_DV = 16 };

/* A layer with grouped heads, its r and w by head, as a trace file. */
static struct scr_dataset_spec write_layer(const char *path)
{
    struct scr_dataset_spec spec = spec_of("planted:0.2x8", LAYER_Q, LAYER_LEN, LAYER_DK);
    float r[LAYER_Q] = {4, 8, 16, 2}, w[LAYER_Q] = {9, INFINITY, 33, 50};
    struct scr_dataset *d;
    char why[160] = "";

    spec.problem.batch = LAYER_BATCH;
    spec.problem.heads_kv = LAYER_KV;
    d = create(&spec, 1);
    {
        const struct scr_tensor tensors[] = {
            {"q", SCR_F32, 4, {LAYER_BATCH, LAYER_Q, LAYER_LEN, LAYER_DK}, d->q_bytes, d->q},
            {"k", SCR_F32, 4, {LAYER_BATCH, LAYER_KV, LAYER_LEN, LAYER_DK}, d->k_bytes, d->k},
            {"v", SCR_F32, 4, {LAYER_BATCH, LAYER_KV, LAYER_LEN, LAYER_DV}, d->v_bytes, d->v},
            {"r", SCR_F32, 1, {LAYER_Q}, sizeof r, r},
            {"w", SCR_F32, 1, {LAYER_Q}, sizeof w, w},
        };

        if (scr_safetensors_write(path, tensors, 5, why, sizeof why) != SCR_OK)
            fail_msg("%s", why);
    }
    scr_dataset_destroy(&d);
    spec.workload.kind = SCR_WORKLOAD_TRACE;
    strcpy(spec.workload.path, path);
    assert_int_equal(scr_dataset_shape(&spec.workload, 0, &spec.problem, why, sizeof why), SCR_OK);
    return spec;
}

static double *as_double(const void *f32, size_t bytes)
{
    size_t n = bytes / sizeof(float);
    double *out = malloc(n * sizeof *out);

    assert_non_null(out);
    for (size_t i = 0; i < n; i++)
        out[i] = ((const float *)f32)[i];
    return out;
}

/* The float64 output of a dataset with one head, into its place in the layer's. */
static void compute_head(const struct scr_dataset *d, int head, float *layer)
{
    enum { N = LAYER_LEN * LAYER_DV };
    double *q = as_double(d->q, d->q_bytes), *k = as_double(d->k, d->k_bytes);
    double *v = as_double(d->v, d->v_bytes), o[N];
    struct scr_oracle_input in = {
        .problem = &d->spec.problem, .q = q, .k = k, .v = v, .r = d->r, .w = d->w};

    for (int b = 0; b < LAYER_BATCH; b++) {
        struct scr_oracle_stats stats = {0};

        scr_oracle_rows(&in, b, 0, 0, LAYER_LEN, o, NULL, &stats, NULL);
        for (int i = 0; i < N; i++)
            layer[(b * LAYER_Q + head) * N + i] = (float)o[i];
    }
    free(q);
    free(k);
    free(v);
}

static void assert_slice(const void *part, const void *whole, size_t bytes, int heads, int head)
{
    for (size_t b = 0; b < LAYER_BATCH; b++)
        assert_memory_equal((const char *)part + b * bytes,
                            (const char *)whole + (b * (size_t)heads + (size_t)head) * bytes,
                            bytes);
}

/* Head by head a trace is the layer: its bytes, densities and outputs. */
static void trace_heads_make_the_layer(void **state)
{
    char path[] = "/tmp/scr-test-XXXXXX", why[160] = "";
    int fd = mkstemp(path);
    struct scr_dataset_spec spec = write_layer(path);
    float *o = malloc(LAYER_BATCH * LAYER_Q * LAYER_LEN * LAYER_DV * sizeof *o);
    struct scr_densities sum = {0}, all;
    struct scr_dataset *whole = create(&spec, 2), *none;
    struct scr_verdict verdict;
    struct scr_truth *truth;
    uint64_t hashes[LAYER_Q];

    (void)state;
    assert_true(fd >= 0);
    close(fd);
    assert_non_null(o);
    spec.one_head = true;
    spec.problem.heads_q = spec.problem.heads_kv = 1;
    for (int h = 0; h < LAYER_Q; h++) {
        struct scr_densities of_head;
        struct scr_dataset *d;

        spec.trace_head = h;
        d = create(&spec, 1);
        assert_slice(d->q, whole->q, LAYER_LEN * LAYER_DK * 4, LAYER_Q, h);
        assert_slice(d->k, whole->k, LAYER_LEN * LAYER_DK * 4, LAYER_KV, h / 2);
        assert_slice(d->v, whole->v, LAYER_LEN * LAYER_DV * 4, LAYER_KV, h / 2);
        assert_true(d->r[0] == whole->r[h] && d->w[0] == whole->w[h]);
        hashes[h] = d->hash;
        assert_true(d->hash != whole->hash);
        for (int other = 0; other < h; other++)
            assert_true(hashes[other] != d->hash);
        of_head = densities(d, 16);
        assert_true(of_head.pairs_live > 0);
        sum.pairs_admissible += of_head.pairs_admissible;
        sum.pairs_live += of_head.pairs_live;
        sum.pairs_near_tau += of_head.pairs_near_tau;
        sum.tiles_admissible += of_head.tiles_admissible;
        sum.tiles_live += of_head.tiles_live;
        compute_head(d, h, o);
        scr_dataset_destroy(&d);
    }
    all = densities(whole, 16);
    assert_int_equal(sum.pairs_admissible, all.pairs_admissible);
    assert_int_equal(sum.pairs_live, all.pairs_live);
    assert_int_equal(sum.pairs_near_tau, all.pairs_near_tau);
    assert_int_equal(sum.tiles_admissible, all.tiles_admissible);
    assert_int_equal(sum.tiles_live, all.tiles_live);
    assert_int_equal(scr_truth_create(whole, 2, UINT64_MAX, &truth), SCR_OK);
    scr_truth_judge(truth, o, &verdict);
    if (!verdict.pass)
        fail_msg("%s", verdict.reason);
    scr_truth_destroy(&truth);

    /* Initial windows are those of the head's place in the layer. */
    spec.window.kind = SCR_WINDOW_INIT;
    none = create(&spec, 1);
    assert_true(none->w[0] == scr_window_init(LAYER_Q - 1, LAYER_Q));
    scr_dataset_destroy(&none);
    spec.trace_head = LAYER_Q;
    assert_int_equal(scr_dataset_create(&spec, 1, &none, why, sizeof why), SCR_ERR_INVALID);
    assert_non_null(strstr(why, "no head 4; its heads are 0 to 3"));
    spec.workload.kind = SCR_WORKLOAD_IID;
    assert_int_equal(scr_dataset_create(&spec, 1, &none, why, sizeof why), SCR_ERR_INVALID);
    assert_non_null(strstr(why, "only a trace has heads"));
    scr_dataset_destroy(&whole);
    unlink(path);
    free(o);
}

/* A small trace in memory that tests spoil in one place each. */
struct small {
    float q[2 * 4 * 16], k[2 * 5 * 16], v[2 * 5 * 32], r[2], w[2];
    struct scr_tensor tensors[5];
};

static void make_small(struct small *s)
{
    *s = (struct small){.r = {2, 3}, .w = {8, INFINITY}};
    for (size_t i = 0; i < sizeof s->q / sizeof s->q[0]; i++)
        s->q[i] = (float)i;
    s->tensors[0] = (struct scr_tensor){"q", SCR_F32, 3, {2, 4, 16}, sizeof s->q, s->q};
    s->tensors[1] = (struct scr_tensor){"k", SCR_F32, 3, {2, 5, 16}, sizeof s->k, s->k};
    s->tensors[2] = (struct scr_tensor){"v", SCR_F32, 3, {2, 5, 32}, sizeof s->v, s->v};
    s->tensors[3] = (struct scr_tensor){"r", SCR_F32, 1, {2}, sizeof s->r, s->r};
    s->tensors[4] = (struct scr_tensor){"w", SCR_F32, 1, {2}, sizeof s->w, s->w};
}

/* Writes it, takes its shape, loads it; `expected` is part of the one line, or NULL for success. */
static void try_small(const char *path, const struct small *s, const char *expected)
{
    struct scr_dataset_spec spec = {.problem = {.q_pos0 = SCR_Q_POS0_DEFAULT}};
    struct scr_dataset *d = NULL;
    char why[160] = "";
    int status;

    spec.workload.kind = SCR_WORKLOAD_TRACE;
    strcpy(spec.workload.path, path);
    assert_int_equal(scr_safetensors_write(path, s->tensors, 5, why, sizeof why), SCR_OK);
    status = scr_dataset_shape(&spec.workload, 0, &spec.problem, why, sizeof why);
    if (status == SCR_OK)
        status = scr_dataset_create(&spec, 1, &d, why, sizeof why);
    if (expected == NULL) {
        if (status != SCR_OK)
            fail_msg("%s", why);
    } else {
        assert_int_equal(status, SCR_ERR_INVALID);
        assert_null(d);
        if (strstr(why, expected) == NULL || strchr(why, '\n') != NULL)
            fail_msg("'%s' does not say '%s'", why, expected);
    }
    scr_dataset_destroy(&d);
}

static void bad_traces(void **state)
{
    char path[] = "/tmp/scr-test-XXXXXX";
    struct small s;
    int fd = mkstemp(path);

    (void)state;
    assert_true(fd >= 0);
    close(fd);
    make_small(&s);
    try_small(path, &s, NULL);
    s.tensors[1].dims[0] = s.tensors[2].dims[0] = 1; /* grouped heads */
    s.tensors[1].bytes /= 2;
    s.tensors[2].bytes /= 2;
    try_small(path, &s, NULL);
    make_small(&s);
    for (int i = 0; i < 3; i++) { /* the same as [B,H,T,d] with a batch of 2 and one head */
        struct scr_tensor *t = &s.tensors[i];

        t->n_dims = 4;
        t->dims[3] = t->dims[2];
        t->dims[2] = t->dims[1];
        t->dims[1] = 1;
    }
    s.tensors[3].dims[0] = s.tensors[4].dims[0] = 1;
    s.tensors[3].bytes = s.tensors[4].bytes = 4;
    try_small(path, &s, NULL);

    make_small(&s);
    s.q[77] = NAN;
    try_small(path, &s, "q holds a NaN or an infinity, in token 0 of head 1");
    make_small(&s);
    s.v[33] = -INFINITY;
    try_small(path, &s, "v holds a NaN or an infinity, in token 1 of head 0");
    make_small(&s);
    s.r[1] = 0;
    try_small(path, &s, "r of head 1 is 0");
    make_small(&s);
    s.r[0] = INFINITY;
    try_small(path, &s, "r of head 0 is inf");
    make_small(&s);
    s.w[0] = NAN;
    try_small(path, &s, "w of head 0 is");
    make_small(&s);
    s.w[0] = -1;
    try_small(path, &s, "w of head 0 is -1");
    make_small(&s);
    strcpy(s.tensors[2].name, "values");
    try_small(path, &s, "no tensor 'v'");
    make_small(&s);
    s.tensors[1].n_dims = 2;
    s.tensors[1].dims[0] = 10;
    s.tensors[1].dims[1] = 16;
    try_small(path, &s, "k has 2 dimensions");
    make_small(&s);
    s.tensors[1].dims[1] = 10;
    s.tensors[1].dims[2] = 8;
    try_small(path, &s, "k has 10 tokens, v has 5");
    make_small(&s);
    s.tensors[0].dims[1] = 8;
    s.tensors[0].dims[2] = 8;
    try_small(path, &s, "q has head dim 8, k has 16");
    make_small(&s);
    s.tensors[0].dims[1] = s.tensors[1].dims[1] = 0;
    s.tensors[0].bytes = s.tensors[1].bytes = 0;
    try_small(path, &s, "dimension of 0");
    make_small(&s);
    s.tensors[2].dims[1] = 10;
    s.tensors[2].dims[2] = 16;
    s.tensors[1].dims[0] = 1;
    s.tensors[1].dims[1] = 10;
    try_small(path, &s, "heads");
    make_small(&s);
    s.tensors[3].dims[0] = 1;
    s.tensors[3].bytes = 4;
    try_small(path, &s, "r must have shape [2]");
    make_small(&s);
    s.tensors[2].dims[1] = s.tensors[1].dims[1] = 5;
    s.tensors[2].dims[2] = 24;
    s.tensors[2].bytes = 2 * 5 * 24 * 4;
    try_small(path, &s, "dk and dv must be");
    unlink(path);
}

/* Finite in f32, infinite in f16. */
static void narrowing(void **state)
{
    char path[] = "/tmp/scr-test-XXXXXX";
    struct scr_dataset_spec spec = {.problem = {.q_pos0 = SCR_Q_POS0_DEFAULT, .dtype = SCR_F16}};
    struct scr_dataset *d;
    struct small s;
    char why[160];
    int fd = mkstemp(path);

    (void)state;
    assert_true(fd >= 0);
    close(fd);
    make_small(&s);
    s.k[0] = 1e6f;
    spec.workload.kind = SCR_WORKLOAD_TRACE;
    strcpy(spec.workload.path, path);
    assert_int_equal(scr_safetensors_write(path, s.tensors, 5, why, sizeof why), SCR_OK);
    assert_int_equal(scr_dataset_shape(&spec.workload, 0, &spec.problem, why, sizeof why), SCR_OK);
    assert_int_equal(scr_dataset_create(&spec, 1, &d, why, sizeof why), SCR_ERR_INVALID);
    assert_non_null(strstr(why, "k holds a NaN or an infinity"));
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(philox),
        cmocka_unit_test(workload_notation),
        cmocka_unit_test(window_notation),
        cmocka_unit_test(iid_distribution),
        cmocka_unit_test(planted_density),
        cmocka_unit_test(planted_runs),
        cmocka_unit_test(shuffled_tokens),
        cmocka_unit_test(shuffled_separates_pairs_from_tiles),
        cmocka_unit_test(shuffled_evenly),
        cmocka_unit_test(shuffled_and_skewed_density),
        cmocka_unit_test(skewed_rows),
        cmocka_unit_test(ends_and_window),
        cmocka_unit_test(refused_specs),
        cmocka_unit_test(init_windows),
        cmocka_unit_test(trained_windows),
        cmocka_unit_test(key_lengths),
        cmocka_unit_test(missing_keys),
        cmocka_unit_test(same_bytes),
        cmocka_unit_test(hash_sees_every_byte),
        cmocka_unit_test(trace_slices),
        cmocka_unit_test(trace_heads_make_the_layer),
        cmocka_unit_test(bad_traces),
        cmocka_unit_test(narrowing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
