/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices that appear with less than they have, and what the OpenCL kernels make of made-up ones:
 * every problem has a configuration, and each that is offered keeps to the limits.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "config.h"
#include "device_limits.h"
#include "program.h"
#include "scr_features.h"

#include <screening/screening.h>

#include <stdio.h>
#include <string.h>

static void parses(void **state)
{
    struct scr_limits l;
    char why[160];

    (void)state;
    assert_int_equal(scr_limits_parse(NULL, &l, why, sizeof why), SCR_OK);
    assert_int_equal(scr_limits_parse("", &l, why, sizeof why), SCR_OK);
    assert_string_equal(l.text, "");
    assert_int_equal(scr_limits_parse("local=16K,group=64,fp16=0,subgroups=0", &l, why, sizeof why),
                     SCR_OK);
    assert_int_equal(l.local_mem, 16384);
    assert_int_equal(l.max_group, 64);
    assert_true(l.no_fp16 && l.no_subgroups);
    assert_int_equal(scr_limits_parse("local=1M", &l, why, sizeof why), SCR_OK);
    assert_int_equal(l.local_mem, 1 << 20);
    assert_int_equal(l.max_group, 0);
    assert_false(l.no_fp16 || l.no_subgroups);
    assert_int_equal(scr_limits_parse("local=1024M", &l, why, sizeof why), SCR_OK);
    assert_int_equal(scr_limits_parse("group=1073741824", &l, why, sizeof why), SCR_OK);
}

static void refuses(void **state)
{
    static const char *const wrong[] = {
        "local",      "local=",      "local=0",    "local=-1",         "local=16k",
        "local=16KK", "local=1025M", "group=1.5",  "fp16=1",           "subgroups=2",
        "sm=80",      "wave=32",     ",",          "group=64,",        ",group=64",
        " group=64",  "group=64 ",   "group=0x40", "group=99999999999"};
    struct scr_limits l;
    char why[160], longest[200];

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        why[0] = '\0';
        if (scr_limits_parse(wrong[i], &l, why, sizeof why) == SCR_OK)
            fail_msg("'%s' was taken", wrong[i]);
        assert_string_not_equal(why, "");
    }
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    assert_int_equal(scr_limits_parse(longest, &l, why, sizeof why), SCR_ERR_INVALID);
}

/* What is taken away is taken away, what is less already stays, and the name says so. */
static void applies(void **state)
{
    struct scr_limits l;
    scr_device_info info = {.has_fp16 = true,
                            .has_subgroups = true,
                            .sm = 90,
                            .max_group_size = 1024,
                            .local_mem = 48 << 10,
                            .name = "a device"};
    char why[160];

    (void)state;
    assert_int_equal(scr_limits_parse("", &l, why, sizeof why), SCR_OK);
    scr_limits_apply(&l, &info);
    assert_string_equal(info.name, "a device");
    assert_int_equal(scr_limits_parse("local=1M,group=64", &l, why, sizeof why), SCR_OK);
    scr_limits_apply(&l, &info);
    assert_string_equal(info.name, "a device (local=1M,group=64)");
    assert_int_equal(info.local_mem, 48 << 10);
    assert_int_equal(info.max_group_size, 64);
    assert_true(info.has_fp16 && info.has_subgroups);
    assert_int_equal(scr_limits_parse("fp16=0,subgroups=0", &l, why, sizeof why), SCR_OK);
    memset(info.name, 'n', sizeof info.name - 1);
    scr_limits_apply(&l, &info);
    assert_false(info.has_fp16 || info.has_subgroups);
    assert_string_equal(info.name + strlen(info.name) - 21, " (fp16=0,subgroups=0)");
    assert_int_equal(scr_limits_parse("sm=0", &l, why, sizeof why), SCR_OK);
    snprintf(info.backend, sizeof info.backend, "cuda");
    scr_limits_apply(&l, &info);
    assert_int_equal(info.sm, 90);
    snprintf(info.backend, sizeof info.backend, "opencl");
    scr_limits_apply(&l, &info);
    assert_int_equal(info.sm, 0);
}

static void keep_text(void *user, int level, const char *text)
{
    char *kept = user;

    if (level == SCR_LOG_ERROR)
        snprintf(kept, 200, "%s", text);
}

static void contexts_have_limits(void **state)
{
    char text[200] = "";
    scr_context_options options = {.log = keep_text,
                                   .log_user = text,
                                   .backends = "ref",
                                   .table = "",
                                   .cache_dir = "",
                                   .limits = "local=16K,group=2"};
    const scr_device_info *info;
    scr_context *ctx;

    (void)state;
    assert_int_equal(scr_context_create(&options, &ctx), SCR_OK);
    info = scr_context_device_info(ctx, 0);
    assert_int_equal(info->local_mem, 16384);
    assert_non_null(strstr(info->name, " (local=16K,group=2)"));
    scr_context_destroy(&ctx);

    options.limits = "local=16K,warp=16";
    assert_int_equal(scr_context_create(&options, &ctx), SCR_ERR_INVALID);
    assert_null(ctx);
    assert_non_null(strstr(text, "warp=16"));
}

static const int dims[] = {16, 32, 64, 128};
enum { N_PROBLEMS = 4 * 4 * 3 };

static scr_problem problem(int n)
{
    return (scr_problem){
        .batch = 2,
        .heads_q = 4,
        .heads_kv = 2,
        .len_q = 300,
        .len_k = 500,
        .dk = dims[n % 4],
        .dv = dims[n / 4 % 4],
        .q_pos0 = SCR_Q_POS0_DEFAULT,
        .dtype = (scr_dtype)(n / 16),
        .dtype_out = SCR_F32,
        .causal = true,
    };
}

static const struct {
    const char *kernel;
    scr_skip skip;
} kernels[] = {{"dense", SCR_SKIP_NONE},
               {"masked-dense", SCR_SKIP_NONE},
               {"tile-skip", SCR_SKIP_NONE},
               {"tile-skip", SCR_SKIP_TILE},
               {"tile-skip", SCR_SKIP_SLICE}};
enum { N_KERNELS = sizeof kernels / sizeof kernels[0] };

static scr_config config(int kernel)
{
    scr_config c = {.skip = kernels[kernel].skip};

    snprintf(c.kernel, sizeof c.kernel, "%s", kernels[kernel].kernel);
    return c;
}

/* Made-up device n of N_DEVICES: each with and without processors, halves and sub-groups. */
enum { N_DEVICES = 4 * 3 * 8 };

static scr_device_info device(int n)
{
    static const size_t local[] = {16 << 10, 32 << 10, 48 << 10, 64 << 10};
    static const int group[] = {64, 128, 256};
    int flags = n / 12;

    return (scr_device_info){
        .id = "opencl:0.0",
        .backend = "opencl",
        .is_cpu = (flags & 1) != 0,
        .has_fp16 = (flags & 2) != 0,
        .has_subgroups = (flags & 4) != 0,
        .compute_units = 4,
        .max_group_size = group[n / 4 % 3],
        .global_mem = (size_t)1 << 34,
        .local_mem = local[n % 4],
    };
}

/* Every step within the device's limits. */
static void assert_fits(const scr_device_info *info, const scr_problem *p, const scr_config *c)
{
    const struct scr_kernel_decl *d = scr_decl_find(info->backend, c->kernel, c->variant);
    struct scr_decl_env env;

    assert_non_null(d);
    scr_env_init(&env, info, p, c->skip);
    scr_env_set_tunables(&env, d, c);
    for (int s = 0; s < d->n_steps; s++) {
        size_t g[3];

        d->steps[s].group(&env, g);
        assert_true(g[0] * g[1] * g[2] <= (size_t)info->max_group_size);
        assert_true(d->steps[s].local_bytes(&env) <= info->local_mem);
    }
}

/*
 * 32 KiB is the least that an OpenCL 1.2 device may have, but for embedded ones. With 16 KiB all is
 * well, too, but that tiles of 16 queries and 16 keys of 128 dims are 18 KiB of f32: these are
 * refused, and said to be.
 */
static void every_problem_has_a_default(void **state)
{
    (void)state;
    if (!SCR_HAVE_OPENCL)
        skip();
    for (int n = 0; n < N_DEVICES * N_PROBLEMS * N_KERNELS; n++) {
        scr_device_info info = device(n / N_KERNELS / N_PROBLEMS);
        scr_problem p = problem(n / N_KERNELS % N_PROBLEMS);
        scr_config c = config(n % N_KERNELS);
        char why[160] = "";
        int status = scr_config_resolve(&info, &p, &c, why, sizeof why);

        if (status == SCR_ERR_UNSUPPORTED && info.local_mem < 32 << 10 && p.dk == 128) {
            assert_string_not_equal(why, "");
            continue;
        }
        if (status != SCR_OK)
            fail_msg("local %zu, group %d, dk %d, dv %d, %s: %s", info.local_mem,
                     (int)info.max_group_size, p.dk, p.dv, scr_dtype_name(p.dtype), why);
        assert_fits(&info, &p, &c);
    }
}

struct within {
    const scr_device_info *info;
    const scr_problem *p;
    int n;
};

static int note(void *user, const scr_config *c)
{
    struct within *w = user;

    assert_fits(w->info, w->p, c);
    w->n++;
    return SCR_OK;
}

/* All that the tuner would try, on the least device of each kind. */
static void all_that_is_offered_fits(void **state)
{
    (void)state;
    if (!SCR_HAVE_OPENCL)
        skip();
    for (int n = 0; n < 8 * N_KERNELS; n++) {
        scr_device_info info = device(n / N_KERNELS * 12);
        scr_problem p = problem(2 + 4 * 2 + 16); /* dk = dv = 64, f16 */
        scr_config c = config(n % N_KERNELS);
        struct within w = {&info, &p, 0};

        assert_int_equal(scr_config_enumerate(&info, &p, &c, NULL, note, &w), SCR_OK);
        assert_in_range(w.n, 2, 100000);
    }
}

/* What a plan reports of steps with groups of these sizes, compiled for at most so many. */
static scr_resources resources_of(int n, const int sizes[][2])
{
    scr_resources r = {0};

    for (int i = 0; i < n; i++) {
        struct scr_launch l = {.group = {(size_t)sizes[i][0], 1, 1}};

        scr_resources_add(&r, 32, 0, &l, sizes[i][1], 0);
    }
    return r;
}

/* A step compiled for small groups does not make the large groups of another one too large. */
static void steps_are_held_against_their_own_limits(void **state)
{
    scr_resources r = resources_of(2, (const int[][2]){{384, 1024}, {128, 128}});

    (void)state;
    assert_true(r.group_size <= r.max_group);
    r = resources_of(2, (const int[][2]){{128, 128}, {384, 1024}});
    assert_true(r.group_size <= r.max_group);
    r = resources_of(3, (const int[][2]){{128, 128}, {384, 256}, {64, 1024}});
    assert_int_equal(r.group_size, 384);
    assert_int_equal(r.max_group, 256);
    r = resources_of(2, (const int[][2]){{128, 128}, {384, 0}});
    assert_int_equal(r.group_size, 128);
    assert_int_equal(r.max_group, 128);
    r = resources_of(2, (const int[][2]){{64, 0}, {384, 0}});
    assert_int_equal(r.group_size, 384);
    assert_int_equal(r.max_group, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parses),
        cmocka_unit_test(refuses),
        cmocka_unit_test(applies),
        cmocka_unit_test(contexts_have_limits),
        cmocka_unit_test(every_problem_has_a_default),
        cmocka_unit_test(all_that_is_offered_fits),
        cmocka_unit_test(steps_are_held_against_their_own_limits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
