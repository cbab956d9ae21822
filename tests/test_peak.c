/* SPDX-License-Identifier: Apache-2.0 */
/* Peaks: plausible on the devices that are here, unknown where something fails, kept by JSON. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "backend.h"
#include "peak.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The device under a backend whose runs a test replaces. */
struct rig {
    scr_context *ctx;
    scr_device *dev;
    struct scr_backend backend;
};

static const struct scr_backend *real_backend;

/* False where there is no such device. */
static bool rig_open(struct rig *rig, const char *id,
                     int (*run)(struct scr_program *, const struct scr_run *, double *))
{
    assert_int_equal(scr_context_create(NULL, &rig->ctx), SCR_OK);
    if (scr_device_open(rig->ctx, id, &rig->dev) != SCR_OK) {
        scr_context_destroy(&rig->ctx);
        return false;
    }
    real_backend = rig->dev->backend;
    rig->backend = *real_backend;
    if (run != NULL)
        rig->backend.run = run;
    rig->dev->backend = &rig->backend;
    return true;
}

static void rig_close(struct rig *rig)
{
    rig->dev->backend = real_backend;
    scr_device_close(&rig->dev);
    scr_context_destroy(&rig->ctx);
}

/* A machine of any age: between 50 MFLOP/s and 1 TFLOP/s a processor, 100 MB/s and 10 TB/s. */
static void check_plausible(const scr_device_info *info, const struct scr_peak *p)
{
    assert_true(p->f32 > 5e7 && p->f32 < 1e12 * info->compute_units);
    assert_true(p->f16 == p->f32 && p->bf16 == p->f32);
    assert_true(p->bandwidth > 1e8 && p->bandwidth < 1e13);
    assert_true(p->floor_wall_ns > 10.0 && p->floor_wall_ns < 1e8);
}

static void plausible(void **state)
{
    static const char *const ids[] = {"ref:0", "opencl:0.0"};

    (void)state;
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        struct scr_peak p;
        struct rig rig;
        char why[160];

        if (!rig_open(&rig, ids[i], NULL)) {
            assert_int_not_equal(i, 0);
            continue;
        }
        if (rig.dev->info->is_cpu) {
            assert_int_equal(scr_peak_measure(rig.dev, 0.3, &p, why, sizeof why), SCR_OK);
            check_plausible(rig.dev->info, &p);
            if (i == 0)
                assert_true(p.floor_ns > 10.0 && p.floor_ns < 1e8);
        }
        rig_close(&rig);
    }
}

static int run_backwards(struct scr_program *prog, const struct scr_run *run, double *ns)
{
    int status = real_backend->run(prog, run, ns);

    if (ns != NULL)
        *ns = -*ns;
    return status;
}

static int run_too_short(struct scr_program *prog, const struct scr_run *run, double *ns)
{
    int status = real_backend->run(prog, run, ns);

    if (ns != NULL)
        *ns *= 1e-3;
    return status;
}

static int run_too_long(struct scr_program *prog, const struct scr_run *run, double *ns)
{
    int status = real_backend->run(prog, run, ns);

    if (ns != NULL)
        *ns *= 1e3;
    return status;
}

/* Events that cannot be right do not reach the peaks. */
static void wrong_events(void **state)
{
    int (*const runs[])(struct scr_program *, const struct scr_run *,
                        double *) = {run_backwards, run_too_short, run_too_long};

    (void)state;
    for (size_t i = 0; i < sizeof runs / sizeof runs[0]; i++) {
        struct scr_peak p;
        struct rig rig;
        char why[160];

        assert_true(rig_open(&rig, "ref:0", runs[i]));
        assert_int_equal(scr_peak_measure(rig.dev, 0.1, &p, why, sizeof why), SCR_OK);
        check_plausible(rig.dev->info, &p);
        if (runs[i] != run_too_short)
            assert_true(isnan(p.floor_ns));
        rig_close(&rig);
    }
}

/* Multiplies nothing, and says so to nobody. */
static int run_no_matrix(struct scr_program *prog, const struct scr_run *run, double *ns)
{
    if (strcmp(prog->decl->kernel, "probe-matrix") != 0)
        return real_backend->run(prog, run, ns);
    if (ns != NULL)
        *ns = 1000.0;
    return SCR_OK;
}

static int run_no_bandwidth(struct scr_program *prog, const struct scr_run *run, double *ns)
{
    if (strcmp(prog->decl->kernel, "probe-bandwidth") == 0)
        return SCR_ERR_DEVICE;
    return real_backend->run(prog, run, ns);
}

static void failures_leave_it_unknown(void **state)
{
    struct scr_peak p;
    struct rig rig;
    char why[160];

    (void)state;
    assert_true(rig_open(&rig, "ref:0", run_no_matrix));
    assert_int_equal(scr_peak_measure(rig.dev, 0.05, &p, why, sizeof why), SCR_ERR_DEVICE);
    assert_non_null(strstr(why, "f32"));
    assert_true(isnan(p.f32) && isnan(p.f16) && isnan(p.bf16));
    assert_true(p.bandwidth > 0.0 && p.floor_wall_ns > 0.0);
    rig_close(&rig);
    assert_true(rig_open(&rig, "ref:0", run_no_bandwidth));
    assert_int_equal(scr_peak_measure(rig.dev, 0.05, &p, why, sizeof why), SCR_ERR_DEVICE);
    assert_non_null(strstr(why, "bandwidth"));
    assert_true(isnan(p.bandwidth) && p.f32 > 0.0);
    rig_close(&rig);
}

static void json_keeps_it(void **state)
{
    const struct scr_peak p = {.floor_ns = NAN,
                               .floor_wall_ns = 2500.0,
                               .f32 = 1.5e13,
                               .f16 = 6e14,
                               .bf16 = 5e14,
                               .bandwidth = 3e12};
    struct scr_peak back = {0};
    json_t *object = scr_peak_json(&p);

    (void)state;
    assert_non_null(object);
    assert_true(json_is_null(json_object_get(object, "floor_ns")));
    assert_true(json_number_value(json_object_get(object, "f16_flop_per_s")) == 6e14);
    assert_true(scr_peak_from_json(object, &back));
    assert_true(isnan(back.floor_ns));
    assert_true(back.floor_wall_ns == p.floor_wall_ns && back.bandwidth == p.bandwidth);
    for (int t = SCR_F32; t <= SCR_BF16; t++)
        assert_true(scr_peak_flop_per_s(&back, (scr_dtype)t) ==
                    scr_peak_flop_per_s(&p, (scr_dtype)t));
    assert_true(scr_peak_flop_per_s(&back, SCR_BF16) == 5e14);
    json_object_del(object, "f32_flop_per_s");
    assert_true(scr_peak_from_json(object, &back));
    assert_true(isnan(back.f32));
    json_object_set_new(object, "f32_flop_per_s", json_string("fast"));
    assert_false(scr_peak_from_json(object, &back));
    json_decref(object);
    assert_false(scr_peak_from_json(NULL, &back));
    assert_true(isnan(back.bf16) && isnan(back.bandwidth));
}

static void print_says_what_is_unknown(void **state)
{
    const scr_device_info info = {.id = "cuda:0", .name = "a GPU"};
    const struct scr_peak p = {.floor_ns = 2500.0,
                               .floor_wall_ns = NAN,
                               .f32 = 1.5e13,
                               .f16 = 6e14,
                               .bf16 = 5e14,
                               .bandwidth = 3e12};
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);

    (void)state;
    assert_non_null(f);
    scr_peak_print(&info, &p, f);
    fclose(f);
    assert_non_null(strstr(text, "cuda:0  a GPU\n"));
    assert_non_null(strstr(text, " 600 TFLOP/s\n"));
    assert_non_null(strstr(text, " 3000 GB/s\n"));
    assert_non_null(strstr(text, " 2.5 us\n"));
    assert_non_null(strstr(text, " unknown\n"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plausible),
        cmocka_unit_test(wrong_events),
        cmocka_unit_test(failures_leave_it_unknown),
        cmocka_unit_test(json_keeps_it),
        cmocka_unit_test(print_says_what_is_unknown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
