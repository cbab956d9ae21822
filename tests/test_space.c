/* SPDX-License-Identifier: Apache-2.0 */
/* The candidates for a shape: all that fit, the default first; and the shapes themselves. */
#include "config.h"
#include "devices_fixture.h"
#include "lab_shapes.h"
#include "space.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static scr_problem problem(void)
{
    return (scr_problem){.batch = 1,
                         .heads_q = 2,
                         .heads_kv = 2,
                         .len_q = 1024,
                         .len_k = 1024,
                         .dk = 64,
                         .dv = 64,
                         .q_pos0 = SCR_Q_POS0_DEFAULT,
                         .causal = true};
}

static bool same(const scr_config *a, const scr_config *b)
{
    if (strcmp(a->kernel, b->kernel) != 0 || strcmp(a->variant, b->variant) != 0 ||
        a->skip != b->skip || a->n_params != b->n_params)
        return false;
    for (int i = 0; i < a->n_params; i++) {
        if (scr_config_get(b, a->params[i].name, INT32_MIN) != a->params[i].value)
            return false;
    }
    return true;
}

static int count(void *user, const scr_config *c)
{
    (void)c;
    ++*(size_t *)user;
    return SCR_OK;
}

/* Every candidate resolves to itself; all variants' enumerations together are as many. */
static void test_all_that_fits(void **state)
{
    scr_problem p = problem();

    (void)state;
    for (int d = 0; d < N_MADE_UP; d++) {
        struct scr_space s;
        scr_config first = {.kernel = "tile-skip", .skip = SCR_SKIP_TILE};
        size_t n = 0;

        if (scr_config_resolve(&made_up[d], &p, &first, NULL, 0) == SCR_ERR_NOT_FOUND)
            continue; /* a backend that is not built in */
        assert_int_equal(scr_space_create(&made_up[d], &p, "tile-skip", SCR_SKIP_TILE, &s), SCR_OK);
        assert_true(same(&s.candidates[0].config, &first));
        for (size_t i = 0; i < s.n; i++) {
            scr_config c = s.candidates[i].config;

            assert_int_equal(scr_config_resolve(&made_up[d], &p, &c, NULL, 0), SCR_OK);
            assert_true(same(&c, &s.candidates[i].config));
            for (size_t j = 0; j < i; j++)
                assert_int_not_equal(
                    memcmp(s.candidates[i].at, s.candidates[j].at, sizeof s.candidates[i].at), 0);
        }
        for (size_t i = 0; i < scr_kernel_decl_count; i++) {
            scr_config partial = {.kernel = "tile-skip", .skip = SCR_SKIP_TILE};

            if (strcmp(scr_kernel_decls[i].backend, made_up[d].backend) != 0 ||
                strcmp(scr_kernel_decls[i].kernel, "tile-skip") != 0)
                continue;
            strcpy(partial.variant, scr_kernel_decls[i].variant);
            scr_config_enumerate(&made_up[d], &p, &partial, NULL, count, &n);
        }
        assert_int_equal(s.n, n);
        assert_int_equal(s.n_all, s.n + s.n_constraints + s.n_group_size + s.n_local_memory);
        scr_space_clear(&s);
        assert_null(s.candidates);
    }
}

static void test_limits_prune(void **state)
{
    scr_problem p = problem();
    scr_device_info small = made_up[1];
    struct scr_space large, pruned;

    (void)state;
    if (scr_space_create(&made_up[1], &p, "tile-skip", SCR_SKIP_TILE, &large) != SCR_OK)
        skip();
    assert_int_equal(large.n_local_memory, 0);
    small.local_mem = 64 << 10;
    assert_int_equal(scr_space_create(&small, &p, "tile-skip", SCR_SKIP_TILE, &pruned), SCR_OK);
    assert_true(pruned.n < large.n);
    assert_true(pruned.n_local_memory > 0);
    assert_int_equal(pruned.n_all, large.n_all);
    scr_space_clear(&pruned);
    scr_space_clear(&large);
    small.local_mem = 16;
    assert_int_equal(scr_space_create(&small, &p, "tile-skip", SCR_SKIP_TILE, &pruned),
                     SCR_ERR_UNSUPPORTED);
    assert_int_equal(scr_space_create(&made_up[0], &p, "no-such", SCR_SKIP_NONE, &pruned),
                     SCR_ERR_UNSUPPORTED);
    assert_int_equal(scr_space_create(&made_up[0], &p, "masked-dense", SCR_SKIP_TILE, &pruned),
                     SCR_ERR_UNSUPPORTED);
}

/* Neighbours differ in one axis with nothing between, go both ways, and join a variant's points. */
static void test_neighbours(void **state)
{
    scr_problem p = problem();

    (void)state;
    for (int d = 0; d < N_MADE_UP; d++) {
        struct scr_space s;

        if (scr_space_create(&made_up[d], &p, "tile-skip", SCR_SKIP_TILE, &s) != SCR_OK)
            continue;
        /* of large spaces some */
        for (size_t i = 0; i < s.n; i += 1 + s.n / 100) {
            size_t near[64], back[64];
            size_t n = scr_space_neighbours(&s, i, near, 64);

            assert_true(n > 0 || s.n == 1);
            assert_int_equal(scr_space_nearest(&s, &s.candidates[i].config), i);
            assert_int_equal(scr_space_neighbours(&s, i, back, 1), n > 0);
            for (size_t k = 0; k < n; k++) {
                const int *a = s.candidates[i].at, *b = s.candidates[near[k]].at;
                int axes = 0;
                size_t m;
                bool returns = false;

                assert_true(near[k] != i && near[k] < s.n);
                if (a[0] != b[0])
                    continue;
                for (int x = 0; x < s.n_axes; x++)
                    axes += a[x] != b[x];
                assert_int_equal(axes, 1);
                m = scr_space_neighbours(&s, near[k], back, 64);
                for (size_t j = 0; j < m; j++)
                    returns |= back[j] == i;
                assert_true(returns);
            }
        }
        scr_space_clear(&s);
    }
}

static void make_shapes(const char *line, const scr_device_info *device, struct scr_case_list *l,
                        size_t *n_tuned)
{
    struct scr_axes axes = {0};
    char why[300] = "";

    *l = (struct scr_case_list){.program = "tuner"};
    assert_int_equal(scr_axes_set_line(&axes, line, why, sizeof why), SCR_OK);
    assert_int_equal(scr_lab_shapes(&axes, device, 1, l, n_tuned, why, sizeof why), SCR_OK);
    scr_axes_clear(&axes);
}

static void test_shapes(void **state)
{
    struct scr_case_list l;
    size_t n_tuned, trained;
    bool none = false, all = false, row = false, both = false, ragged = false, tail = false;

    (void)state;
    /* repetitions count once; two types of dims, each with its own shapes that verify */
    make_shapes("seq=64,64,128 head_dim=16,32 workload=iid", &made_up[0], &l, &n_tuned);
    assert_int_equal(n_tuned, 4);
    for (size_t i = 0; i < l.n; i++) {
        const struct scr_case *c = &l.cases[i];
        const scr_problem *p = &c->spec.problem;
        char name[80];

        assert_int_equal(c->refused, SCR_OK);
        assert_string_equal(c->config.kernel, "tile-skip");
        scr_lab_shape_name(c, name, sizeof name);
        assert_true(strlen(name) > 8);
        if (i < n_tuned || !scr_lab_shape_verifies(&l.cases[0], c))
            continue;
        none |= strncmp(name, "ends:0", 6) == 0;
        all |= strncmp(name, "ends:1", 6) == 0;
        row |= p->len_q == 1;
        both |= !p->causal;
        ragged |= p->has_kv_len && c->spec.ragged_kv_len;
        tail |= p->len_q % 16 != 0 && p->len_k % 16 != 0 && p->len_k != p->len_q;
    }
    assert_true(none && all && row && both && ragged && tail);
    assert_int_equal((l.n - n_tuned) % 2, 0);
    scr_case_list_clear(&l);
    for (int d = 0; d < N_MADE_UP; d++) {
        scr_problem p = problem();
        scr_config c = {.kernel = "tile-skip"};

        if (scr_config_resolve(&made_up[d], &p, &c, NULL, 0) != SCR_OK)
            continue;
        make_shapes("", &made_up[d], &l, &n_tuned);
        assert_int_equal(n_tuned, 14);
        for (size_t i = trained = 0; i < n_tuned; i++)
            trained += l.cases[i].spec.window.kind == SCR_WINDOW_TRAINED;
        assert_int_equal(trained, 2);
        scr_case_list_clear(&l);
    }
}

static void test_shapes_are_refused(void **state)
{
    static const char *const lines[] = {"tile=16x16",  "kernel=tile-skip",
                                        "skip=tile",   "param=TILE_Q=16",
                                        "variant=cpu", "heads=3 kv_heads=2"};

    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        struct scr_axes axes = {0};
        struct scr_case_list l = {.program = "tuner"};
        size_t n_tuned;
        char why[300] = "";

        if (scr_axes_set_line(&axes, lines[i], why, sizeof why) == SCR_OK) {
            assert_int_equal(scr_lab_shapes(&axes, &made_up[0], 1, &l, &n_tuned, why, sizeof why),
                             SCR_ERR_INVALID);
            assert_true(why[0] != '\0');
        }
        scr_case_list_clear(&l);
        scr_axes_clear(&axes);
    }
}

static void test_shape_key(void **state)
{
    struct scr_case_list l;
    struct scr_shape_key key;
    size_t n_tuned;
    char why[300];

    (void)state;
    make_shapes("seq=128 window=9,inf,init,1000 heads=4 kv_heads=2 workload=iid dtype=f16 causal=0",
                &made_up[0], &l, &n_tuned);
    assert_int_equal(n_tuned, 4);
    for (size_t i = 0; i < n_tuned; i++) {
        const char *words = l.cases[i].data_words;

        assert_int_equal(scr_lab_shape_key(&l.cases[i], 0.012345, &key, why, sizeof why), SCR_OK);
        assert_string_equal(key.words, words);
        assert_true(key.density == 0.012);
        assert_true(key.heads == 4 && key.kv_heads == 2 && key.len_q == 128 &&
                    key.dtype == SCR_F16);
        assert_false(key.causal);
        if (strstr(words, "window=9 ") != NULL)
            assert_true(key.window == 9);
        else if (strstr(words, "window=inf") != NULL)
            assert_true(isinf(key.window));
        else if (strstr(words, "window=init") != NULL) /* 2, about 7.3, 41, 256 cut to 128 */
            assert_true(key.window > 44 && key.window < 45.5);
        else
            assert_true(key.window == 128);
    }
    scr_case_list_clear(&l);
    assert_true(scr_lab_round_density(NAN) == 0);
    assert_true(scr_lab_round_density(0) > 0 && scr_lab_round_density(0) <= 1e-6);
    assert_true(scr_lab_round_density(1) == 1);
    assert_true(scr_lab_round_density(0.999) == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_that_fits),      cmocka_unit_test(test_limits_prune),
        cmocka_unit_test(test_neighbours),         cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_shapes_are_refused), cmocka_unit_test(test_shape_key),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
