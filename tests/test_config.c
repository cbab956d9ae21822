/* SPDX-License-Identifier: Apache-2.0 */
/* Declarations against made-up devices: what is chosen always fits, what cannot fit is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "config.h"

#include <screening/screening.h>

#include <stdio.h>
#include <string.h>

static scr_device_info device(const char *backend, size_t local_mem, int max_group, int sm)
{
    scr_device_info info = {
        .is_cpu = strcmp(backend, "cuda") != 0,
        .has_subgroups = false,
        .sm = sm,
        .compute_units = 4,
        .max_group_size = max_group,
        .global_mem = (size_t)1 << 34,
        .local_mem = local_mem,
    };

    snprintf(info.id, sizeof info.id, "%s:0", backend);
    snprintf(info.backend, sizeof info.backend, "%s", backend);
    return info;
}

static scr_problem problem(int dk, int dv, scr_dtype t)
{
    return (scr_problem){
        .batch = 1,
        .heads_q = 4,
        .heads_kv = 2,
        .len_q = 300,
        .len_k = 500,
        .dk = dk,
        .dv = dv,
        .q_pos0 = SCR_Q_POS0_DEFAULT,
        .dtype = t,
        .dtype_out = SCR_F32,
        .causal = true,
    };
}

static const char *const kernels[] = {"dense", "masked-dense", "tile-skip"};
static const int dims[] = {16, 32, 64, 128};

static scr_config config(const char *kernel, scr_skip skip)
{
    scr_config c = {.skip = skip};

    snprintf(c.kernel, sizeof c.kernel, "%s", kernel);
    return c;
}

/* Each problem resolves on a roomy device of each backend, and every value is a declared one. */
static void resolves_everywhere(void **state)
{
    (void)state;
    for (size_t i = 0; i < scr_kernel_decl_count; i++) {
        const struct scr_kernel_decl *d = &scr_kernel_decls[i];
        scr_device_info info = device(d->backend, 96 * 1024, 1024, 90);

        for (int n = 0; n < 48; n++) {
            scr_problem p = problem(dims[n % 4], dims[n / 4 % 4], (scr_dtype)(n / 16));
            scr_config c = config(d->kernel, SCR_SKIP_NONE);
            char why[160] = "";

            assert_int_equal(scr_config_resolve(&info, &p, &c, why, sizeof why), SCR_OK);
            assert_true(c.variant[0] != '\0');
            assert_non_null(scr_decl_find(d->backend, d->kernel, c.variant));
        }
    }
}

/* Blocks of rows and parts may lie along y of a grid, which has room for 65535. */
static void grids_fit_the_device(void **state)
{
    scr_device_info gpu = device("cuda", 100 << 10, 1024, 80);
    scr_problem p = problem(64, 64, SCR_BF16);
    scr_config c;
    char why[200];

    (void)state;
    p.heads_q = p.heads_kv = 1;
    p.len_q = p.len_k = 131072;
    for (int split = 4; split <= 8; split *= 2) {
        c = config("tile-skip", SCR_SKIP_TILE);
        snprintf(c.variant, sizeof c.variant, "mma");
        scr_config_set(&c, "TILE_Q", 16);
        scr_config_set(&c, "WARPS", 1);
        scr_config_set(&c, "LONG_HEADS", 0);
        scr_config_set(&c, "SPLIT_K", split);
        assert_int_equal(scr_config_resolve(&gpu, &p, &c, why, sizeof why),
                         split == 4 ? SCR_OK : SCR_ERR_UNSUPPORTED);
    }
}

/* On a device with little local memory or small groups the choice still fits, or is refused. */
static void respects_small_limits(void **state)
{
    static const size_t local[] = {1 << 10, 8 << 10, 16 << 10, 32 << 10, 48 << 10};
    static const int group[] = {1, 16, 32, 128, 256};

    (void)state;
    for (size_t i = 0; i < scr_kernel_decl_count; i++) {
        const struct scr_kernel_decl *d = &scr_kernel_decls[i];

        for (int n = 0; n < 25 * 16; n++) {
            scr_device_info info = device(d->backend, local[n % 5], group[n / 5 % 5], 80);
            scr_problem p = problem(dims[n / 25 % 4], dims[n / 100], SCR_F16);
            scr_config c = config(d->kernel, SCR_SKIP_NONE);
            const struct scr_kernel_decl *chosen;
            struct scr_decl_env env;

            if (scr_config_resolve(&info, &p, &c, NULL, 0) != SCR_OK)
                continue;
            chosen = scr_decl_find(d->backend, d->kernel, c.variant);
            scr_env_init(&env, &info, &p, c.skip);
            scr_env_set_tunables(&env, chosen, &c);
            for (int s = 0; s < chosen->n_steps; s++) {
                size_t g[3];

                chosen->steps[s].group(&env, g);
                assert_true(g[0] * g[1] * g[2] <= (size_t)info.max_group_size);
                assert_true(chosen->steps[s].local_bytes(&env) <= info.local_mem);
            }
        }
    }
}

/* Inline PTX is for OpenCL devices that tell a compute capability, and their default. */
static void ptx_where_it_is(void **state)
{
    static const struct {
        int sm;
        scr_dtype dtype;
        int status;
    } cases[] = {{90, SCR_F16, SCR_OK},
                 {80, SCR_BF16, SCR_OK},
                 {90, SCR_F32, SCR_ERR_UNSUPPORTED},
                 {75, SCR_F16, SCR_ERR_UNSUPPORTED},
                 {0, SCR_F16, SCR_ERR_UNSUPPORTED}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        scr_device_info info = device("opencl", 48 << 10, 1024, cases[i].sm);

        info.is_cpu = false;
        for (int n = 0; n < 16; n++) {
            scr_problem p = problem(dims[n % 4], dims[n / 4], cases[i].dtype);
            scr_config c = config("tile-skip", SCR_SKIP_TILE);

            assert_int_equal(scr_config_resolve(&info, &p, &c, NULL, 0), SCR_OK);
            assert_string_equal(c.variant, cases[i].status == SCR_OK ? "mma" : "gpu");
            c = config("tile-skip", SCR_SKIP_TILE);
            strcpy(c.variant, "mma");
            assert_int_equal(scr_config_resolve(&info, &p, &c, NULL, 0), cases[i].status);
        }
    }
}

/* Parameters that are given stay as given. */
static void keeps_what_is_given(void **state)
{
    scr_device_info info = device("ref", 1 << 30, 1024, 0);
    scr_problem p = problem(64, 64, SCR_F32);
    scr_config c = config("tile-skip", SCR_SKIP_TILE);

    (void)state;
    assert_int_equal(scr_config_set(&c, "TILE_K", 128), SCR_OK);
    assert_int_equal(scr_config_resolve(&info, &p, &c, NULL, 0), SCR_OK);
    assert_int_equal(scr_config_get(&c, "TILE_K", 0), 128);
    assert_true(scr_config_get(&c, "TILE_Q", 0) > 0);
}

static void refuses(void **state)
{
    scr_device_info info = device("ref", 1 << 30, 1024, 0);
    scr_problem p = problem(64, 64, SCR_F32);
    scr_config c = config("no-such-kernel", SCR_SKIP_NONE);
    char why[160] = "";

    (void)state;
    assert_int_equal(scr_config_resolve(&info, &p, &c, why, sizeof why), SCR_ERR_NOT_FOUND);
    assert_non_null(strstr(why, "no-such-kernel"));

    c = config("masked-dense", SCR_SKIP_TILE);
    assert_int_equal(scr_config_resolve(&info, &p, &c, why, sizeof why), SCR_ERR_UNSUPPORTED);

    c = config("tile-skip", SCR_SKIP_NONE);
    scr_config_set(&c, "NOT_A_PARAMETER", 1);
    assert_int_equal(scr_config_resolve(&info, &p, &c, why, sizeof why), SCR_ERR_UNSUPPORTED);
    assert_non_null(strstr(why, "NOT_A_PARAMETER"));

    c = config("tile-skip", SCR_SKIP_NONE);
    scr_config_set(&c, "TILE_Q", 17);
    assert_int_equal(scr_config_resolve(&info, &p, &c, why, sizeof why), SCR_ERR_UNSUPPORTED);
    assert_non_null(strstr(why, "17"));

    c = config("tile-skip", SCR_SKIP_NONE);
    p.dk = 48;
    assert_int_equal(scr_config_resolve(&info, &p, &c, why, sizeof why), SCR_ERR_INVALID);
}

struct seen {
    int n;
    int pairs[64];
};

static int note_tile(void *user, const scr_config *c)
{
    struct seen *s = user;
    int key = scr_config_get(c, "TILE_Q", 0) * 1000 + scr_config_get(c, "TILE_K", 0);

    for (int i = 0; i < s->n; i++)
        assert_int_not_equal(s->pairs[i], key);
    assert_true(s->n < 64);
    s->pairs[s->n++] = key;
    return SCR_OK;
}

/* Free tile sizes give each combination once. */
static void enumerates_tiles(void **state)
{
    scr_device_info info = device("ref", 1 << 30, 1024, 0);
    scr_problem p = problem(64, 64, SCR_F32);
    scr_config c = config("tile-skip", SCR_SKIP_TILE);
    struct seen s = {0};

    (void)state;
    assert_int_equal(scr_config_enumerate(&info, &p, &c, "TILE_Q,TILE_K", note_tile, &s), SCR_OK);
    assert_int_equal(s.n, 16);
}

/* What every declaration must hold so that the harness can count tiles in 16 x 16 blocks. */
static void declarations_are_sane(void **state)
{
    (void)state;
    assert_true(scr_kernel_decl_count >= 3);
    for (size_t i = 0; i < scr_kernel_decl_count; i++) {
        const struct scr_kernel_decl *d = &scr_kernel_decls[i];
        bool tile_q = false, tile_k = false, known = false;

        for (size_t k = 0; k < sizeof kernels / sizeof kernels[0]; k++)
            known |= strcmp(kernels[k], d->kernel) == 0;
        assert_true(known);
        for (int t = 0; t < d->n_tunables; t++) {
            const struct scr_tunable *u = &d->tunables[t];

            tile_q |= strcmp(u->name, "TILE_Q") == 0;
            tile_k |= strcmp(u->name, "TILE_K") == 0;
            for (int v = 0; strncmp(u->name, "TILE_", 5) == 0 && v < u->n_values; v++)
                assert_int_equal(u->values[v] % 16, 0);
        }
        assert_true(strcmp(d->kernel, "dense") == 0 || (tile_q && tile_k));
        for (size_t j = 0; j < i; j++) {
            const struct scr_kernel_decl *e = &scr_kernel_decls[j];

            assert_false(strcmp(d->backend, e->backend) == 0 && strcmp(d->kernel, e->kernel) == 0 &&
                         strcmp(d->variant, e->variant) == 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grids_fit_the_device),
        cmocka_unit_test(declarations_are_sane),
        cmocka_unit_test(resolves_everywhere),
        cmocka_unit_test(respects_small_limits),
        cmocka_unit_test(ptx_where_it_is),
        cmocka_unit_test(keeps_what_is_given),
        cmocka_unit_test(refuses),
        cmocka_unit_test(enumerates_tiles),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
