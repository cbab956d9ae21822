/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Probes on the devices that are here: they do what they say, and a check notices when they do not.
 * Also the fault that makes tile-skip leave out too much: its results and counts change with the
 * flag and only then.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "backend.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A device of this machine; one that runs GPU kernels too may pass for a GPU. */
struct target {
    const char *id;
    bool as_gpu;
};

static const struct target targets[] = {
    {"ref:0", false}, {"opencl:0.0", false}, {"opencl:0.0", true}};
enum { N_TARGETS = sizeof targets / sizeof targets[0] };

struct opened {
    scr_context *ctx;
    scr_device *dev; /* NULL where there is no such device */
    scr_device_info info;
};

static void open_target(struct opened *o, const struct target *t)
{
    assert_int_equal(scr_context_create(NULL, &o->ctx), SCR_OK);
    if (scr_device_open(o->ctx, t->id, &o->dev) != SCR_OK) {
        assert_string_not_equal(t->id, "ref:0");
        return;
    }
    if (t->as_gpu) {
        o->info = *o->dev->info;
        o->info.is_cpu = false;
        o->info.global_mem = (size_t)512 << 20; /* of which a quarter is read */
        o->dev->info = &o->info;
    }
}

static void close_target(struct opened *o)
{
    scr_device_close(&o->dev);
    scr_context_destroy(&o->ctx);
}

static void probes_do_their_work(void **state)
{
    (void)state;
    for (int i = 0; i < N_TARGETS; i++) {
        struct opened o;
        scr_device *dev;

        open_target(&o, &targets[i]);
        dev = o.dev;
        for (int kind = SCR_PROBE_EMPTY; dev != NULL && kind <= SCR_PROBE_BANDWIDTH; kind++) {
            scr_probe *probe;
            double ns = NAN;

            assert_int_equal(scr_probe_create(dev, (scr_probe_kind)kind, SCR_F32, &probe), SCR_OK);
            assert_true((scr_probe_work(probe) > 0.0) == (kind != SCR_PROBE_EMPTY));
            assert_int_equal(scr_probe_run(probe, NULL), SCR_OK);
            assert_int_equal(scr_probe_check(probe), SCR_OK);
            assert_int_equal(scr_probe_run(probe, &ns), SCR_OK);
            assert_false(isnan(ns));
            assert_int_equal(scr_probe_check(probe), SCR_OK);
            scr_probe_destroy(&probe);
            assert_null(probe);
            scr_probe_destroy(&probe);
        }
        close_target(&o);
    }
}

static const struct scr_backend *real_backend;

/* Runs nothing and says that all is well, as a driver might whose launch fails silently. */
static int run_nothing(struct scr_program *prog, const struct scr_run *run, double *ns)
{
    (void)prog;
    (void)run;
    if (ns != NULL)
        *ns = 1.0;
    return SCR_OK;
}

/* Runs one repeat less. */
static int run_less(struct scr_program *prog, const struct scr_run *run, double *ns)
{
    struct scr_run less = *run;
    scr_problem p = *run->problem;

    less.shape.len_k--;
    p.len_k--;
    less.problem = &p;
    return real_backend->run(prog, &less, ns);
}

static void a_check_notices(void **state)
{
    int (*const runs[])(struct scr_program *, const struct scr_run *, double *) = {run_nothing,
                                                                                   run_less};

    (void)state;
    for (int i = 0; i < N_TARGETS; i++) {
        struct opened o;
        scr_device *dev;

        open_target(&o, &targets[i]);
        dev = o.dev;
        for (int kind = SCR_PROBE_MATRIX; dev != NULL && kind <= SCR_PROBE_BANDWIDTH; kind++) {
            scr_probe *probe;

            assert_int_equal(scr_probe_create(dev, (scr_probe_kind)kind, SCR_F32, &probe), SCR_OK);
            assert_int_equal(scr_probe_check(probe), SCR_ERR_INVALID);
            assert_int_equal(scr_probe_run(probe, NULL), SCR_OK);
            assert_int_equal(scr_probe_check(probe), SCR_OK);
            for (size_t r = 0; r < sizeof runs / sizeof runs[0]; r++) {
                struct scr_backend spoilt = *dev->backend;

                real_backend = dev->backend;
                spoilt.run = runs[r];
                dev->backend = &spoilt;
                assert_int_equal(scr_probe_run(probe, NULL), SCR_OK);
                dev->backend = real_backend;
                assert_int_equal(scr_probe_check(probe), SCR_ERR_DEVICE);
            }
            scr_probe_destroy(&probe);
        }
        close_target(&o);
    }
}

static void refuses(void **state)
{
    struct opened o;
    scr_device *dev;
    scr_probe *probe;

    (void)state;
    open_target(&o, &targets[0]);
    dev = o.dev;
    assert_int_equal(scr_probe_create(dev, (scr_probe_kind)3, SCR_F32, &probe), SCR_ERR_INVALID);
    assert_null(probe);
    assert_int_equal(scr_probe_create(dev, SCR_PROBE_MATRIX, (scr_dtype)3, &probe),
                     SCR_ERR_INVALID);
    assert_int_equal(scr_probe_dtype(dev, SCR_BF16), SCR_F32);
    close_target(&o);
}

/* Which device multiplies what, as declared. */
static void tensor_cores_take_16_bits(void **state)
{
    static const char *const backends[] = {"cuda", "opencl"};
    size_t n = 0;

    (void)state;
    for (size_t b = 0; b < 2; b++) {
        scr_device_info gpu = {.sm = 90, .max_group_size = 1024};
        scr_device dev = {.info = &gpu};
        bool built = false;

        snprintf(gpu.backend, sizeof gpu.backend, "%s", backends[b]);
        for (size_t i = 0; i < scr_probe_decl_count; i++)
            built |= strcmp(scr_probe_decls[i].backend, backends[b]) == 0;
        if (!built)
            continue;
        n++;
        assert_int_equal(scr_probe_dtype(&dev, SCR_F32), SCR_F32);
        assert_int_equal(scr_probe_dtype(&dev, SCR_F16), SCR_F16);
        assert_int_equal(scr_probe_dtype(&dev, SCR_BF16), SCR_BF16);
        gpu.sm = 75;
        assert_int_equal(scr_probe_dtype(&dev, SCR_F16), SCR_F32);
    }
    if (n == 0)
        skip();
}

enum { LEN = 64, DIM = 16 };

struct outcome {
    float o[LEN * DIM];
    scr_counts counts;
};

/*
 * 64 queries and 64 keys in two tiles each, everything admissible: keys 0 to 31 have s = 1 and so
 * weight 1, keys 32 to 63 have x = 1/8 and so weight 1/64.
 */
static void run_skip(scr_device *dev, const char *variant, scr_skip skip, unsigned flags,
                     struct outcome *out)
{
    const scr_problem p = {.batch = 1,
                           .heads_q = 1,
                           .heads_kv = 1,
                           .len_q = LEN,
                           .len_k = LEN,
                           .dk = DIM,
                           .dv = DIM,
                           .q_pos0 = SCR_Q_POS0_DEFAULT};
    scr_config c = {.kernel = "tile-skip", .skip = skip};
    float q[LEN * DIM] = {0}, k[LEN * DIM] = {0}, v[LEN * DIM], r = 2.0f, w = INFINITY;
    scr_buffer *buffers[6];
    const void *from[] = {q, k, v, &r, &w, NULL};
    const size_t sizes[] = {sizeof q, sizeof k, sizeof v, sizeof r, sizeof w, sizeof out->o};
    scr_args a = {0};
    scr_plan *plan;

    strcpy(c.variant, variant);
    assert_int_equal(scr_config_set(&c, "TILE_Q", 32), SCR_OK);
    assert_int_equal(scr_config_set(&c, "TILE_K", 32), SCR_OK);
    for (int i = 0; i < LEN; i++) {
        float s = i < 32 ? 1.0f : 0.5625f;

        q[i * DIM] = 1.0f;
        k[i * DIM] = s;
        k[i * DIM + 1] = sqrtf(1.0f - s * s);
        for (int d = 0; d < DIM; d++)
            v[i * DIM + d] = (float)(d + 1);
    }
    for (int i = 0; i < 6; i++) {
        assert_int_equal(scr_buffer_create(dev, sizes[i], &buffers[i]), SCR_OK);
        if (from[i] != NULL)
            assert_int_equal(scr_buffer_write(buffers[i], 0, from[i], sizes[i]), SCR_OK);
    }
    a = (scr_args){.q = buffers[0],
                   .k = buffers[1],
                   .v = buffers[2],
                   .r = buffers[3],
                   .w = buffers[4],
                   .o = buffers[5]};
    memset(out, 0, sizeof *out);
    assert_int_equal(scr_plan_create(dev, &p, &c, flags, &plan), SCR_OK);
    assert_int_equal(scr_plan_run(plan, &a, NULL), SCR_OK);
    assert_int_equal(scr_buffer_read(a.o, 0, out->o, sizeof out->o), SCR_OK);
    if (flags & SCR_PLAN_COUNT)
        assert_int_equal(scr_plan_counts(plan, &out->counts), SCR_OK);
    scr_plan_destroy(&plan);
    for (int i = 0; i < 6; i++)
        scr_buffer_destroy(&buffers[i]);
}

/* The rows of the result: 32 (1 + 1/64) v, and 32 v without the second tile. */
static void check_output(const struct outcome *out, float weights)
{
    for (int i = 0; i < LEN * DIM; i++)
        assert_true(fabsf(out->o[i] - weights * (float)(i % DIM + 1)) < 1e-3f);
}

static void fault_skips_small_weights(scr_device *dev, const char *variant)
{
    for (int skip = SCR_SKIP_NONE; skip <= SCR_SKIP_SLICE; skip++) {
        struct outcome good, bad;
        bool skips = skip != SCR_SKIP_NONE;

        run_skip(dev, variant, (scr_skip)skip, SCR_PLAN_COUNT, &good);
        check_output(&good, 32.5f);
        assert_int_equal(good.counts.qk, 4);
        assert_int_equal(good.counts.pv, 4);
        run_skip(dev, variant, (scr_skip)skip, SCR_PLAN_FAULT_SKIP | SCR_PLAN_COUNT, &bad);
        check_output(&bad, skips ? 32.0f : 32.5f);
        assert_int_equal(bad.counts.qk, 4);
        assert_int_equal(bad.counts.pv, skips ? 2 : 4);
        /* The build that is timed has the fault as well. */
        if (skip == SCR_SKIP_TILE) {
            run_skip(dev, variant, SCR_SKIP_TILE, SCR_PLAN_FAULT_SKIP, &bad);
            check_output(&bad, 32.0f);
        }
    }
}

static void wrong_skip_shows(void **state)
{
    (void)state;
    for (int i = 0; i < N_TARGETS; i++) {
        struct opened o;

        open_target(&o, &targets[i]);
        if (o.dev != NULL && strcmp(targets[i].id, "ref:0") == 0)
            fault_skips_small_weights(o.dev, "c");
        else if (o.dev != NULL && (targets[i].as_gpu || o.dev->info->is_cpu))
            fault_skips_small_weights(o.dev, targets[i].as_gpu ? "gpu" : "cpu");
        close_target(&o);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(probes_do_their_work),
        cmocka_unit_test(a_check_notices),
        cmocka_unit_test(refuses),
        cmocka_unit_test(tensor_cores_take_16_bits),
        cmocka_unit_test(wrong_skip_shows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
