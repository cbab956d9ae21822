/* SPDX-License-Identifier: Apache-2.0 */
/* Densities against a count by hand, and what the verdict accepts and refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dataset.h"
#include "ref/convert.h"
#include "ref/oracle.h"
#include "truth.h"

#include <screening/screening.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EVERYTHING UINT64_MAX

struct fixture {
    struct scr_dataset_spec spec;
    struct scr_dataset *d;
    struct scr_truth *t;
    char *o; /* batch * heads_q * len_q * dv elements of dtype_out */
    size_t elements;
};

static struct scr_dataset_spec spec_of(const char *workload, int batch, int heads, int len)
{
    struct scr_dataset_spec s = {
        .problem = {.batch = batch,
                    .heads_q = heads,
                    .heads_kv = 1,
                    .len_q = len,
                    .len_k = len,
                    .dk = 16,
                    .dv = 32,
                    .q_pos0 = SCR_Q_POS0_DEFAULT,
                    .causal = true},
        .seed = 3,
    };
    char why[160];

    assert_int_equal(scr_workload_parse(workload, &s.workload, why, sizeof why), SCR_OK);
    return s;
}

/* Runs a kernel of the ref backend on the data; poisons the output first. */
static void run_kernel(struct fixture *f, const char *kernel, scr_skip skip, scr_counts *counts)
{
    static const scr_context_options options = {.backends = "ref"};
    const struct scr_dataset *d = f->d;
    const scr_problem *p = &d->spec.problem;
    scr_config config = {.skip = skip};
    size_t head_bytes = (size_t)p->heads_q * 4;
    struct {
        const void *data;
        size_t bytes;
        scr_buffer *buffer;
    } in[6] = {
        {d->q, d->q_bytes, NULL}, {d->k, d->k_bytes, NULL},
        {d->v, d->v_bytes, NULL}, {d->r, head_bytes, NULL},
        {d->w, head_bytes, NULL}, {d->kv_len, d->kv_len != NULL ? (size_t)p->batch * 4 : 0, NULL}};
    size_t o_bytes = f->elements * scr_dtype_bytes(p->dtype_out);
    scr_context *ctx;
    scr_device *dev;
    scr_plan *plan;
    scr_buffer *o;
    scr_args args;

    strcpy(config.kernel, kernel);
    assert_int_equal(scr_config_set(&config, "TILE_Q", 32), SCR_OK);
    assert_int_equal(scr_config_set(&config, "TILE_K", 16), SCR_OK);
    assert_int_equal(scr_context_create(&options, &ctx), SCR_OK);
    assert_int_equal(scr_device_open(ctx, "ref:0", &dev), SCR_OK);
    assert_int_equal(scr_plan_create(dev, p, &config, SCR_PLAN_COUNT, &plan), SCR_OK);
    for (int i = 0; i < 6 && in[i].bytes != 0; i++) {
        assert_int_equal(scr_buffer_create(dev, in[i].bytes, &in[i].buffer), SCR_OK);
        assert_int_equal(scr_buffer_write(in[i].buffer, 0, in[i].data, in[i].bytes), SCR_OK);
    }
    assert_int_equal(scr_buffer_create(dev, o_bytes, &o), SCR_OK);
    assert_int_equal(scr_buffer_fill(o, 0, 0xff, o_bytes), SCR_OK);
    args = (scr_args){.q = in[0].buffer,
                      .k = in[1].buffer,
                      .v = in[2].buffer,
                      .r = in[3].buffer,
                      .w = in[4].buffer,
                      .kv_len = in[5].buffer,
                      .o = o};
    assert_int_equal(scr_plan_run(plan, &args, NULL), SCR_OK);
    assert_int_equal(scr_buffer_read(o, 0, f->o, o_bytes), SCR_OK);
    if (counts != NULL)
        assert_int_equal(scr_plan_counts(plan, counts), SCR_OK);
    scr_plan_destroy(&plan);
    for (int i = 0; i < 6; i++)
        scr_buffer_destroy(&in[i].buffer);
    scr_buffer_destroy(&o);
    scr_device_close(&dev);
    scr_context_destroy(&ctx);
}

static void make_data(struct fixture *f, const struct scr_dataset_spec *spec)
{
    const scr_problem *p = &spec->problem;
    char why[160] = "";

    *f = (struct fixture){.spec = *spec};
    if (scr_dataset_create(spec, 2, &f->d, why, sizeof why) != SCR_OK)
        fail_msg("%s", why);
    f->elements = (size_t)p->batch * (size_t)p->heads_q * (size_t)p->len_q * (size_t)p->dv;
    f->o = malloc(f->elements * scr_dtype_bytes(p->dtype_out));
    assert_non_null(f->o);
}

static void make_truth(struct fixture *f, uint64_t max_pairs)
{
    assert_int_equal(scr_truth_create(f->d, 2, max_pairs, &f->t), SCR_OK);
}

static void drop(struct fixture *f)
{
    scr_truth_destroy(&f->t);
    scr_dataset_destroy(&f->d);
    free(f->o);
}

static struct scr_verdict judge(const struct fixture *f)
{
    struct scr_verdict v;

    scr_truth_judge(f->t, f->o, &v);
    return v;
}

/* Whether pair (i, j) of a head is admissible, and alive; from the definition. */
static bool admissible(const struct scr_dataset *d, int b, int h, int i, int j)
{
    const scr_problem *p = &d->spec.problem;
    int away = j - (scr_problem_q_pos0(p) + i);

    if (d->kv_len != NULL && j >= d->kv_len[b])
        return false;
    return (!p->causal || away <= 0) && abs(away) < d->w[h];
}

static bool alive(const struct scr_dataset *d, int b, int h, int i, int j)
{
    const scr_problem *p = &d->spec.problem;
    const float *q = (const float *)d->q + ((b * p->heads_q + h) * p->len_q + i) * p->dk;
    const float *k = (const float *)d->k +
                     ((b * p->heads_kv + h * p->heads_kv / p->heads_q) * p->len_k + j) * p->dk;
    double s = 0;

    for (int c = 0; c < p->dk; c++)
        s += (double)q[c] * k[c];
    return admissible(d, b, h, i, j) && 1 - d->r[h] * (1 - s) > 0;
}

static void count_by_hand(const struct scr_dataset *d, int tile_q, int tile_k,
                          struct scr_densities *out)
{
    const scr_problem *p = &d->spec.problem;

    *out = (struct scr_densities){0};
    for (int bh = 0; bh < p->batch * p->heads_q; bh++) {
        int b = bh / p->heads_q, h = bh % p->heads_q;

        for (int i0 = 0; i0 < p->len_q; i0 += tile_q) {
            for (int j0 = 0; j0 < p->len_k; j0 += tile_k) {
                uint64_t n = 0, live = 0;

                for (int i = i0; i < i0 + tile_q && i < p->len_q; i++) {
                    for (int j = j0; j < j0 + tile_k && j < p->len_k; j++) {
                        n += admissible(d, b, h, i, j);
                        live += alive(d, b, h, i, j);
                    }
                }
                out->pairs_admissible += n;
                out->pairs_live += live;
                out->tiles_admissible += n > 0;
                out->tiles_live += live > 0;
            }
        }
    }
}

static void densities(void **state)
{
    static const int tiles[][2] = {{16, 16}, {64, 32}, {32, 128}};

    (void)state;
    for (int trial = 0; trial < 4; trial++) {
        struct scr_dataset_spec spec = spec_of(trial % 2 ? "iid" : "planted:0.1x8", 2, 2, 150);
        struct fixture f;

        spec.problem.causal = trial < 2;
        spec.problem.len_q = 100;
        spec.problem.has_kv_len = spec.ragged_kv_len = true;
        spec.window.kind = SCR_WINDOW_INIT;
        make_data(&f, &spec);
        f.d->w[1] = trial == 3 ? INFINITY : 37.5f;
        make_truth(&f, trial == 0 ? 0 : EVERYTHING); /* sampled or not: all pairs are counted */
        for (size_t i = 0; i < sizeof tiles / sizeof tiles[0]; i++) {
            struct scr_densities found, expected, head;
            uint64_t sure = 0, live = 0, maybe = 0;

            scr_truth_densities(f.t, tiles[i][0], tiles[i][1], &found);
            for (size_t h = 0; h < 4; h++) {
                scr_truth_head_densities(f.t, h, tiles[i][0], tiles[i][1], &head);
                sure += head.tiles_sure;
                live += head.tiles_live;
                maybe += head.tiles_maybe;
            }
            assert_true(sure == found.tiles_sure && live == found.tiles_live);
            assert_true(maybe == found.tiles_maybe && maybe >= live);
            count_by_hand(f.d, tiles[i][0], tiles[i][1], &expected);
            assert_int_equal(found.pairs_admissible, expected.pairs_admissible);
            assert_int_equal(found.pairs_live, expected.pairs_live);
            assert_int_equal(found.tiles_admissible, expected.tiles_admissible);
            assert_int_equal(found.tiles_live, expected.tiles_live);
            assert_true(found.tiles_sure <= found.tiles_live && found.tiles_sure > 0);
            assert_true(found.tiles_live < found.tiles_admissible);
        }
        drop(&f);
    }
}

/* The C kernels pass, skip the same bits away, and count what they ran. */
static void kernels_pass(void **state)
{
    (void)state;
    for (int trial = 0; trial < 12; trial++) {
        static const char *const workloads[] = {"planted:0.1x8", "iid", "ends:1", "window"};
        struct scr_dataset_spec spec = spec_of(workloads[trial % 4], 2, 2, 150);
        struct scr_densities found;
        struct scr_verdict v;
        struct fixture f;
        scr_counts counts[4];
        char *bits;
        size_t bytes;

        spec.problem.dtype = (scr_dtype)(trial % 3);
        spec.problem.dtype_out = trial % 2 ? SCR_F32 : spec.problem.dtype;
        spec.problem.causal = trial % 5 != 0;
        spec.problem.tanh_norm = trial % 4 == 1;
        spec.problem.len_q = trial % 3 ? 150 : 70;
        spec.problem.has_kv_len = spec.ragged_kv_len = trial % 2 == 0;
        spec.window.kind = trial % 3 == 1 ? SCR_WINDOW_INIT : SCR_WINDOW_AUTO;
        make_data(&f, &spec);
        make_truth(&f, EVERYTHING);
        bytes = f.elements * scr_dtype_bytes(spec.problem.dtype_out);
        bits = malloc(bytes);
        assert_non_null(bits);
        for (int i = 0; i < 5; i++) {
            static const char *const kernels[] = {"dense", "masked-dense", "tile-skip"};

            run_kernel(&f, kernels[i < 2 ? i : 2], i < 2 ? SCR_SKIP_NONE : (scr_skip)(i - 2),
                       counts);
            v = judge(&f);
            if (!v.pass)
                fail_msg("trial %d, kernel %d: %s", trial, i, v.reason);
            assert_true(v.rows_checked == v.rows && v.rows == f.elements / 32);
            if (i == 2)
                memcpy(bits, f.o, bytes);
            else if (i > 2)
                assert_memory_equal(bits, f.o, bytes);
            for (size_t h = 0; h < 4 && i >= 2; h++) {
                scr_truth_head_densities(f.t, h, 32, 16, &found);
                assert_true(counts[h].qk == found.tiles_admissible);
                assert_true(counts[h].pv_slices >= counts[h].pv);
                if (i == 2)
                    assert_true(counts[h].pv == counts[h].qk);
                else
                    assert_true(counts[h].pv >= found.tiles_sure &&
                                counts[h].pv <= found.tiles_maybe);
            }
        }
        free(bits);
        drop(&f);
    }
}

static void refuses_wrong_numbers(void **state)
{
    struct scr_dataset_spec spec = spec_of("ends:1", 2, 4, 100);
    struct scr_verdict v;
    struct fixture f;
    float *o, kept;

    (void)state;
    make_data(&f, &spec);
    make_truth(&f, EVERYTHING);
    run_kernel(&f, "tile-skip", SCR_SKIP_TILE, NULL);
    o = (float *)f.o;
    v = judge(&f);
    assert_true(v.pass && v.rel_err > 0 && v.rel_err < 1e-6);
    assert_true(v.tol == 1e-5 && v.tol_base == 1e-5 && v.heads == 8 && v.heads_ill == 0);
    assert_string_equal(v.reason, "");
    for (size_t i = 0; i < 3200; i++) /* the third head of the second batch, off by 2e-5 */
        o[6 * 3200 + i] *= 1 + 2e-5f;
    v = judge(&f);
    assert_false(v.pass);
    assert_true(fabs(v.rel_err - 2e-5) < 2e-7);
    assert_string_equal(v.reason, "head 2 of batch 1: relative error 2e-05 is above 1e-05");

    run_kernel(&f, "tile-skip", SCR_SKIP_TILE, NULL);
    kept = o[7];
    memset(&o[7], 0xff, sizeof *o); /* not written */
    v = judge(&f);
    assert_false(v.pass);
    assert_true(v.rel_err == -1);
    assert_string_equal(v.reason, "row 0 of head 0 of batch 0: NaN: not written or not a number");
    o[7] = INFINITY;
    v = judge(&f);
    assert_false(v.pass);
    assert_string_equal(v.reason, "row 0 of head 0 of batch 0: infinite");
    o[7] = kept;
    assert_true(judge(&f).pass);
    drop(&f);
}

static void tolerance_follows_type(void **state)
{
    static const double base[] = {1e-5, 1e-3, 8e-3};

    (void)state;
    for (int t = SCR_F32; t <= SCR_BF16; t++) {
        struct scr_dataset_spec spec = spec_of("ends:1", 1, 1, 64);
        struct fixture f;
        float *o;

        spec.problem.dtype = (scr_dtype)t;
        make_data(&f, &spec);
        make_truth(&f, EVERYTHING);
        run_kernel(&f, "masked-dense", SCR_SKIP_NONE, NULL);
        o = (float *)f.o;
        assert_true(judge(&f).tol == base[t]);
        for (size_t i = 0; i < f.elements; i++)
            o[i] *= (float)(1 + 0.9 * base[t]);
        assert_true(judge(&f).pass);
        for (size_t i = 0; i < f.elements; i++)
            o[i] *= (float)(1 + 0.2 * base[t]);
        assert_false(judge(&f).pass);
        drop(&f);
    }
}

static void zero_reference(void **state)
{
    struct scr_dataset_spec spec = spec_of("ends:0", 1, 2, 64);
    struct scr_verdict v;
    struct fixture f;
    float *o;

    (void)state;
    make_data(&f, &spec);
    make_truth(&f, EVERYTHING);
    run_kernel(&f, "tile-skip", SCR_SKIP_SLICE, NULL);
    v = judge(&f);
    assert_true(v.pass && v.rel_err == 0 && v.heads_zero == 2 && v.heads_ill == 0);
    o = (float *)f.o;
    o[64 * 32 + 5] = 1e-30f;
    v = judge(&f);
    assert_false(v.pass);
    assert_true(v.rel_err == -1);
    assert_string_equal(v.reason,
                        "row 0 of head 1: all its keys are screened, the output holds 1e-30");
    drop(&f);
}

/* One live pair within rounding of tau: f32 may screen it, so zeros pass, but not more. */
static void ill_conditioned(void **state)
{
    struct scr_dataset_spec spec = spec_of("ends:0", 1, 1, 16);
    struct scr_verdict v;
    struct fixture f;

    (void)state;
    make_data(&f, &spec);
    memset(f.d->q, 0, f.d->q_bytes);
    memset(f.d->k, 0, f.d->k_bytes);
    ((float *)f.d->q)[0] = 1;
    ((float *)f.d->k)[0] = 0.5f + 0x1p-24f; /* r = 2: tau = 0.5 */
    make_truth(&f, EVERYTHING);
    memset(f.o, 0, f.elements * 4);
    v = judge(&f);
    assert_true(v.pass && v.heads_ill == 1 && v.heads_hopeless == 1 && v.heads_zero == 0);
    assert_true(fabs(v.rel_err - 1) < 1e-12 && v.tol > 1);
    ((float *)f.o)[0] = 1e-9f;
    assert_false(judge(&f).pass);
    scr_truth_destroy(&f.t);

    /* The same just below tau: the reference is zero, a trace of the pair is not held against. */
    ((float *)f.d->k)[0] = 0.5f - 0x1p-24f;
    make_truth(&f, EVERYTHING);
    ((float *)f.o)[0] = 0x1p-44f;
    v = judge(&f);
    assert_true(v.pass && v.heads_zero == 1 && v.heads_ill == 1);
    ((float *)f.o)[0] = 0x1p-30f;
    assert_false(judge(&f).pass);
    scr_truth_destroy(&f.t);

    /* Further away f32 is held to what it can do, which is worth something. */
    ((float *)f.d->k)[0] = 0.505f;
    make_truth(&f, EVERYTHING);
    run_kernel(&f, "tile-skip", SCR_SKIP_TILE, NULL);
    v = judge(&f);
    assert_true(v.pass && v.heads_ill == 0 && v.tol == 1e-5);
    for (size_t i = 0; i < 32; i++)
        ((float *)f.o)[i] *= 1 + 3e-5f;
    v = judge(&f);
    assert_true(v.pass && v.heads_ill == 1 && v.heads_hopeless == 0);
    assert_true(v.tol > 2e-4 && v.tol < 5e-4);
    for (size_t i = 0; i < 32; i++)
        ((float *)f.o)[i] *= 1 + 1e-3f;
    assert_false(judge(&f).pass);
    scr_truth_destroy(&f.t);

    /* Of many such pairs not every one is as far off as one of them may be. */
    for (size_t i = 0; i < 16; i++) {
        ((float *)f.d->q)[i * (size_t)f.d->spec.problem.dk] = 1;
        ((float *)f.d->k)[i * (size_t)f.d->spec.problem.dk] = 0.505f;
    }
    make_truth(&f, EVERYTHING);
    run_kernel(&f, "tile-skip", SCR_SKIP_TILE, NULL);
    for (size_t i = 0; i < f.elements; i++)
        ((float *)f.o)[i] *= 1 + 3e-5f;
    v = judge(&f);
    assert_true(v.pass && v.heads_ill == 1 && v.tol > 5e-5 && v.tol < 2e-4);
    drop(&f);
}

/* One pair with s = 1, f16 and r = 200: sums cut off by matrix units may cost 2 r DRIFT of it. */
static void sums_cut_off(void **state)
{
    struct scr_dataset_spec spec = spec_of("ends:0", 1, 1, 16);
    const double drift = 2 * 200 * SCR_ORACLE_DRIFT;
    struct scr_verdict v;
    struct fixture f;

    (void)state;
    spec.problem.dk = 128;
    spec.problem.dtype = SCR_F16;
    make_data(&f, &spec);
    memset(f.d->q, 0, f.d->q_bytes);
    memset(f.d->k, 0, f.d->k_bytes);
    ((uint16_t *)f.d->q)[0] = ((uint16_t *)f.d->k)[0] = scr_f32_to_f16(1);
    f.d->r[0] = 200;
    make_truth(&f, EVERYTHING);
    run_kernel(&f, "tile-skip", SCR_SKIP_TILE, NULL);
    v = judge(&f);
    assert_true(v.pass && v.heads_ill == 0 && v.tol == 1e-3);
    for (size_t i = 0; i < 32; i++)
        ((float *)f.o)[i] *= (float)(1 + 1e-3 + 0.8 * drift);
    v = judge(&f);
    assert_true(v.pass && v.heads_ill == 1 && v.heads_hopeless == 0);
    assert_true(fabs(v.tol - 1e-3 - drift) < 0.1 * drift);
    for (size_t i = 0; i < 32; i++)
        ((float *)f.o)[i] *= (float)(1 + 0.4 * drift);
    assert_false(judge(&f).pass);
    drop(&f);
}

/* Rows that have too small a part in their head for the error of the head to tell. */
static void wrong_rows(void **state)
{
    struct scr_dataset_spec spec = spec_of("ends:1", 1, 2, 1000);
    struct scr_verdict v;
    struct fixture f;
    float *o, *row, kept[32];

    (void)state;
    spec.problem.dtype = SCR_BF16;
    make_data(&f, &spec);
    make_truth(&f, EVERYTHING);
    run_kernel(&f, "tile-skip", SCR_SKIP_TILE, NULL);
    o = (float *)f.o;
    for (size_t i = 0; i < f.elements; i++) /* honest rounding */
        o[i] = scr_bf16_to_f32(scr_f32_to_bf16(o[i]));
    v = judge(&f);
    assert_true(v.pass);
    row = o + 1003 * 32;
    memcpy(kept, row, sizeof kept);
    for (int trial = 0; trial < 4; trial++) {
        for (int d = 0; d < 32; d++) {
            if (trial == 0) /* lost */
                row[d] = 0;
            else if (trial == 1) /* added twice */
                row[d] = 2 * kept[d];
            else if (trial == 2) /* swapped with the next */
                row[d] = row[32 + d];
            else
                row[d] = 1.1f * kept[d];
        }
        if (trial == 2)
            memcpy(row + 32, kept, sizeof kept);
        v = judge(&f);
        assert_false(v.pass);
        assert_true(v.rel_err >= 0 && v.rel_err < v.tol);
        assert_true(strncmp(v.reason, "row 3 of head 1: |o - ref| is ", 30) == 0);
        if (trial == 2)
            memcpy(row + 32, row, sizeof kept);
        memcpy(row, kept, sizeof kept);
    }
    assert_true(judge(&f).pass);
    drop(&f);
}

/* A row with nothing but screened keys, among rows that have others. */
static void screened_row(void **state)
{
    struct scr_dataset_spec spec = spec_of("ends:1", 1, 1, 100);
    struct scr_verdict v;
    struct fixture f;

    (void)state;
    make_data(&f, &spec);
    for (int c = 0; c < 16; c++)
        ((float *)f.d->q)[77 * 16 + c] *= -1;
    make_truth(&f, EVERYTHING);
    run_kernel(&f, "tile-skip", SCR_SKIP_TILE, NULL);
    assert_true(judge(&f).pass);
    ((float *)f.o)[77 * 32 + 31] = 1e-20f;
    v = judge(&f);
    assert_false(v.pass);
    assert_true(v.rel_err < v.tol);
    assert_string_equal(v.reason,
                        "row 77 of head 0: all its keys are screened, the output holds 1e-20");
    drop(&f);
}

/* The flags of blocks, one byte a block, are what grows with the square of the length. */
static void memory(void **state)
{
    struct scr_dataset_spec spec = spec_of("iid", 2, 3, 1 << 22);
    double flags = 6 * pow((1 << 22) / 16.0, 2);

    (void)state;
    assert_true(scr_truth_memory(&spec.problem, 4) > flags);
    assert_true(scr_truth_memory(&spec.problem, 4) < 1.1 * flags);
    spec.problem.len_q = 1;
    assert_true(scr_truth_memory(&spec.problem, 4) < 0.1 * flags);
}

/* A bound on pairs: the first and last rows and a sample of the others are compared. */
static void samples_rows(void **state)
{
    struct scr_dataset_spec spec = spec_of("ends:1", 1, 2, 1000);
    struct scr_verdict v;
    struct fixture f;
    float *o, *wrong;
    int caught = 0;

    (void)state;
    make_data(&f, &spec);
    make_truth(&f, 200000); /* of a million pairs */
    run_kernel(&f, "tile-skip", SCR_SKIP_NONE, NULL);
    v = judge(&f);
    assert_true(v.pass && v.rows == 2000);
    assert_true(v.rows_checked > 200 && v.rows_checked < 800);
    o = (float *)f.o;
    o[0] += 10; /* row 0 of head 0, row 999 of head 1 */
    assert_false(judge(&f).pass);
    o[0] -= 10;
    wrong = &o[f.elements - 1];
    *wrong += 10;
    assert_false(judge(&f).pass);
    *wrong -= 10;
    for (int row = 0; row < 1000; row += 16) {
        float kept = o[row * 32];

        o[row * 32] += 1000;
        caught += !judge(&f).pass;
        o[row * 32] = NAN; /* this is looked for everywhere */
        assert_false(judge(&f).pass);
        o[row * 32] = kept;
    }
    assert_true(caught >= 2 && caught < 40);
    drop(&f);
}

/* f16 outputs so small that they are subnormal are not held to a relative error. */
static void subnormal_output(void **state)
{
    struct scr_dataset_spec spec = spec_of("ends:0", 1, 1, 16);
    struct fixture f;

    (void)state;
    spec.problem.dtype = spec.problem.dtype_out = SCR_F16;
    make_data(&f, &spec);
    memset(f.d->q, 0, f.d->q_bytes);
    memset(f.d->k, 0, f.d->k_bytes);
    ((uint16_t *)f.d->q)[0] = scr_f32_to_f16(1);
    ((uint16_t *)f.d->k)[0] = scr_f32_to_f16(0.5f + 0x1p-11f); /* a = 2^-20 */
    make_truth(&f, EVERYTHING);
    run_kernel(&f, "tile-skip", SCR_SKIP_TILE, NULL);
    assert_true(judge(&f).pass);
    ((uint16_t *)f.o)[0] ^= 0x0400; /* 2^-14, a normal number */
    assert_false(judge(&f).pass);
    drop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(densities),
        cmocka_unit_test(kernels_pass),
        cmocka_unit_test(refuses_wrong_numbers),
        cmocka_unit_test(tolerance_follows_type),
        cmocka_unit_test(zero_reference),
        cmocka_unit_test(ill_conditioned),
        cmocka_unit_test(sums_cut_off),
        cmocka_unit_test(wrong_rows),
        cmocka_unit_test(screened_row),
        cmocka_unit_test(memory),
        cmocka_unit_test(samples_rows),
        cmocka_unit_test(subnormal_output),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
