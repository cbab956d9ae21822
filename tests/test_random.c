/* SPDX-License-Identifier: Apache-2.0 */
/* What --check --random draws: the same by the same seed, valid, of every kind, and each once. */
#include "config.h"
#include "decl.h"
#include "devices_fixture.h"
#include "random_draw.h"
#include "random_list.h"
#include "sweep_state.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The cases of a seed on one device; axes: words of -a, or "". Status in *status, if not NULL. */
static struct scr_case_list draw(int device, int n, uint64_t seed, const char *axes, char why[400],
                                 int *status)
{
    struct scr_devices devices = {.n = 1, .info = {&made_up[device]}};
    struct scr_options o = {.mode = SCR_MODE_CHECK, .n_random = n, .seed = seed, .jobs = 1};
    struct scr_case_list list = {.program = "harness"};
    char own[400];
    int s;

    why = why != NULL ? why : own;
    why[0] = '\0';
    assert_int_equal(scr_axes_set_line(&o.axes, axes, why, 400), SCR_OK);
    s = scr_random_list(&o, &devices, &list, why, 400);
    if (status != NULL)
        *status = s;
    else if (s != SCR_OK)
        fail_msg("%s", why);
    scr_axes_clear(&o.axes);
    return list;
}

static bool has_device(int device)
{
    for (size_t i = 0; i < scr_kernel_decl_count; i++) {
        if (strcmp(scr_kernel_decls[i].backend, made_up[device].backend) == 0)
            return true;
    }
    return false;
}

static char *command(const struct scr_case *c)
{
    static char text[SCR_ROW_TEXT];

    scr_case_repro(c, "--check", text, sizeof text);
    return text;
}

static void same_seed_same_draws(void **state)
{
    char kept[SCR_ROW_TEXT];

    (void)state;
    for (int device = 0; device < N_MADE_UP; device++) {
        struct scr_case_list a, b, c, more;
        size_t same = 0;

        if (!has_device(device))
            continue;
        a = draw(device, 50, 7, "", NULL, NULL);
        b = draw(device, 50, 7, "", NULL, NULL);
        c = draw(device, 50, 8, "", NULL, NULL);
        more = draw(device, 300, 7, "", NULL, NULL);
        assert_true(a.n == b.n && a.n == 50 + a.n_spare);
        for (size_t i = 0; i < a.n; i++) {
            strcpy(kept, command(&a.cases[i]));
            assert_string_equal(kept, command(&b.cases[i]));
            assert_string_equal(kept, command(&more.cases[i])); /* by its index alone */
            same += strcmp(kept, command(&c.cases[i])) == 0;
        }
        assert_int_equal(same, 0);
        scr_case_list_clear(&a);
        scr_case_list_clear(&b);
        scr_case_list_clear(&c);
        scr_case_list_clear(&more);
    }
}

/* Seeds of data are those that --seed takes, and all different. */
static void data_has_seeds_of_its_own(void **state)
{
    uint64_t seen[500];

    (void)state;
    for (uint32_t i = 0; i < 500; i++) {
        seen[i] = scr_random_data_seed(3, i);
        assert_true(seen[i] <= INT64_MAX);
        for (uint32_t j = 0; j < i; j++)
            assert_true(seen[i] != seen[j]);
    }
}

/* What one worker takes after another is the whole list, and shares a build. */
static void chunks_cover_all_once(void **state)
{
    struct scr_case_list l = draw(CPU, 203, 5, "", NULL, NULL);
    size_t i = 0, n, builds = 0;

    (void)state;
    for (; i < l.n; i += n, builds++) {
        n = scr_sweep_chunk(&l, i);
        assert_true(n >= 1 && n <= SCR_RANDOM_SHARE && i + n <= l.n);
        for (size_t j = i; j < i + n; j++) {
            assert_true(scr_config_same(&l.cases[j].config, &l.cases[i].config));
            assert_int_equal(l.cases[j].spec.problem.dtype, l.cases[i].spec.problem.dtype);
            assert_int_equal(l.cases[j].spec.problem.dtype_out, l.cases[i].spec.problem.dtype_out);
            assert_int_equal(l.cases[j].spec.problem.dk, l.cases[i].spec.problem.dk);
            assert_int_equal(l.cases[j].spec.problem.dv, l.cases[i].spec.problem.dv);
        }
    }
    assert_int_equal(i, l.n);
    assert_int_equal(builds, (l.n + SCR_RANDOM_SHARE - 1) / SCR_RANDOM_SHARE);
    for (size_t j = 1; j < l.n; j++) /* no data twice, so that no case is held for another's */
        assert_true(l.cases[j].group != l.cases[j - 1].group);
    scr_case_list_clear(&l);

    /* Without --random those of one data set stay together. */
    l = draw(REF, 1, 1, "", NULL, NULL);
    l.n_spare = 0;
    l.cases[1].group = l.cases[2].group = l.cases[0].group;
    l.cases[3].group = l.cases[0].group + 1;
    assert_int_equal(scr_sweep_chunk(&l, 0), 3);
    scr_case_list_clear(&l);
}

static void all_draws_are_valid(void **state)
{
    (void)state;
    for (int device = 0; device < N_MADE_UP; device++) {
        struct scr_case_list l;

        if (!has_device(device))
            continue;
        l = draw(device, 1500, 11, "", NULL, NULL);
        for (size_t i = 0; i < l.n; i++) {
            const struct scr_case *c = &l.cases[i];
            const struct scr_workload *w = &c->spec.workload;
            const scr_problem *p = &c->spec.problem;
            scr_config again = c->config;

            if (c->refused != SCR_OK)
                fail_msg("%s: %s", c->why, command(c));
            assert_int_equal(scr_problem_validate(p, NULL), SCR_OK);
            assert_int_equal(scr_config_resolve(c->device, p, &again, NULL, 0), SCR_OK);
            assert_true(scr_config_same(&again, &c->config));
            assert_true(c->spec.r > 0 && c->spec.kv_missing >= 0 && c->spec.kv_missing <= p->len_k);
            assert_false(w->kind == SCR_WORKLOAD_ENDS && w->density == 0 && c->spec.r < 0.55);
            assert_true((double)p->batch * p->heads_q * p->len_q * p->len_k <
                        2401.0 * 2401); /* float64 stays quick */
        }
        scr_case_list_clear(&l);
    }
}

/* A problem of a kind that should turn up. */
struct kind {
    const char *name;
    bool (*is)(const struct scr_case *c);
};

#define P (c->spec.problem)
#define KIND(name, condition)                                                                      \
    static bool is_##name(const struct scr_case *c)                                                \
    {                                                                                              \
        return condition;                                                                          \
    }
KIND(one_query, P.len_q == 1)
KIND(one_key, P.len_k == 1)
KIND(more_queries, P.len_q > P.len_k)
KIND(tile, c->tile_q > 0 && P.len_q % c->tile_q == 0)
KIND(tile_and_one, c->tile_q > 0 && P.len_q % c->tile_q == 1)
KIND(tile_but_one, c->tile_q > 0 && P.len_q % c->tile_q == c->tile_q - 1)
KIND(key_tile_and_one, c->tile_k > 0 && P.len_k % c->tile_k == 1)
KIND(long_one, P.len_q > 2000 || P.len_k > 2000)
KIND(batches, P.batch > 1)
KIND(grouped, P.heads_kv > 1 && P.heads_kv < P.heads_q)
KIND(multi_query, P.heads_kv == 1 && P.heads_q > 1)
KIND(bidirectional, !P.causal)
KIND(norm, P.tanh_norm)
KIND(same_type_out, P.dtype != SCR_F32 && P.dtype_out == P.dtype)
KIND(f32_out, P.dtype != SCR_F32 && P.dtype_out == SCR_F32)
KIND(position_0, P.q_pos0 == 0)
KIND(position_auto, P.q_pos0 == SCR_Q_POS0_DEFAULT)
KIND(position_before, P.q_pos0 != SCR_Q_POS0_DEFAULT && P.q_pos0 < 0)
KIND(position_past, P.q_pos0 > P.len_k)
KIND(position_far, P.q_pos0 > 1000000)
KIND(kv_none, !P.has_kv_len)
KIND(kv_full, P.has_kv_len && !c->spec.ragged_kv_len && c->spec.kv_missing == 0)
KIND(kv_ragged, c->spec.ragged_kv_len &&P.batch > 1)
KIND(kv_0, c->spec.kv_missing == P.len_k)
KIND(kv_1, c->spec.kv_missing > 0 && c->spec.kv_missing == P.len_k - 1)
KIND(kv_shorter, c->spec.kv_missing > 1 && c->spec.kv_missing < P.len_k - 1)
KIND(kv_but_one, P.len_k > 1 && c->spec.kv_missing == 1)
KIND(window_inf, c->spec.window.kind == SCR_WINDOW_INF)
KIND(window_init, c->spec.window.kind == SCR_WINDOW_INIT)
KIND(window_trained, c->spec.window.kind == SCR_WINDOW_TRAINED)
#define WINDOW(condition) (c->spec.window.kind == SCR_WINDOW_VALUE && (condition))
KIND(window_1, WINDOW(c->spec.window.value == 1))
KIND(window_tiny, WINDOW(c->spec.window.value < 1))
KIND(window_broken, WINDOW(fmod(c->spec.window.value, 1) != 0))
KIND(window_large, WINDOW(c->spec.window.value > P.len_k && c->spec.window.value > P.len_q))
KIND(r_below_1, c->spec.r < 1)
KIND(r_below_half, c->spec.r < 0.5)
KIND(r_some, c->spec.r > 1 && c->spec.r < 8)
KIND(r_large, c->spec.r > 1000)
KIND(iid, c->spec.workload.kind == SCR_WORKLOAD_IID)
KIND(planted_thin, c->spec.workload.kind == SCR_WORKLOAD_PLANTED && c->spec.workload.density < 0.01)
KIND(planted_thick, c->spec.workload.kind == SCR_WORKLOAD_PLANTED && c->spec.workload.density > 0.5)
KIND(shuffled, c->spec.workload.kind == SCR_WORKLOAD_SHUFFLED)
KIND(skewed, c->spec.workload.kind == SCR_WORKLOAD_SKEWED)
KIND(window, c->spec.workload.kind == SCR_WORKLOAD_WINDOW)
KIND(ends_0, c->spec.workload.kind == SCR_WORKLOAD_ENDS && c->spec.workload.density == 0)
KIND(ends_1, c->spec.workload.kind == SCR_WORKLOAD_ENDS && c->spec.workload.density == 1)
#undef P

#define ENTRY(name)                                                                                \
    {                                                                                              \
#name, is_##name                                                                           \
    }
static const struct kind kinds[] = {ENTRY(one_query),
                                    ENTRY(one_key),
                                    ENTRY(more_queries),
                                    ENTRY(tile),
                                    ENTRY(tile_and_one),
                                    ENTRY(tile_but_one),
                                    ENTRY(long_one),
                                    ENTRY(batches),
                                    ENTRY(grouped),
                                    ENTRY(multi_query),
                                    ENTRY(bidirectional),
                                    ENTRY(norm),
                                    ENTRY(same_type_out),
                                    ENTRY(f32_out),
                                    ENTRY(position_0),
                                    ENTRY(position_auto),
                                    ENTRY(position_past),
                                    ENTRY(position_far),
                                    ENTRY(kv_none),
                                    ENTRY(kv_full),
                                    ENTRY(kv_ragged),
                                    ENTRY(kv_0),
                                    ENTRY(kv_1),
                                    ENTRY(kv_shorter),
                                    ENTRY(kv_but_one),
                                    ENTRY(window_inf),
                                    ENTRY(window_init),
                                    ENTRY(window_trained),
                                    ENTRY(window_1),
                                    ENTRY(window_tiny),
                                    ENTRY(window_broken),
                                    ENTRY(window_large),
                                    ENTRY(r_below_1),
                                    ENTRY(r_below_half),
                                    ENTRY(r_some),
                                    ENTRY(r_large),
                                    ENTRY(iid),
                                    ENTRY(planted_thin),
                                    ENTRY(planted_thick),
                                    ENTRY(shuffled),
                                    ENTRY(skewed),
                                    ENTRY(window),
                                    ENTRY(ends_0),
                                    ENTRY(ends_1),
                                    ENTRY(key_tile_and_one),
                                    ENTRY(position_before)};
enum { N_KINDS = sizeof kinds / sizeof kinds[0] };

static void every_kind_of_problem_is_drawn(void **state)
{
    struct scr_case_list l = draw(REF, 2000, 1, "", NULL, NULL);

    (void)state;
    for (int k = 0; k < N_KINDS; k++) {
        size_t n = 0;

        for (size_t i = 0; i < 2000; i++)
            n += kinds[k].is(&l.cases[i]);
        if (n < 8)
            fail_msg("%s: %zu of 2000", kinds[k].name, n);
    }
    scr_case_list_clear(&l);
}

/* Every kernel that a device supports, with each type, each pair of dims, each skip, each value of
 * each tunable; one that does not fit the device anywhere is known to the space alone. */
static void every_build_is_drawn(void **state)
{
    enum { N = 4000 };
    static const int dims[] = {16, 32, 64, 128};
    struct scr_random_build build;
    const struct scr_axes none = {0};
    char why[400], words[SCR_RANDOM_WORDS], *all;

    (void)state;
    for (int device = 0; device < N_MADE_UP; device++) {
        const scr_device_info *info = &made_up[device];
        struct scr_random r = {.seed = 1, .only = &none, .devices = &info, .n_devices = 1};
        size_t used = 0;

        if (!has_device(device))
            continue;
        all = malloc((size_t)N * SCR_RANDOM_WORDS);
        assert_non_null(all);
        all[0] = '\0';
        for (uint32_t i = 0; i < N; i++) {
            assert_int_equal(scr_random_draw_build(&r, i, &build, why, sizeof why), SCR_OK);
            used += (size_t)sprintf(all + used, "%s\n", build.words);
        }
        for (int q = 0; q < 4; q++) {
            for (int v = 0; v < 4; v++) {
                snprintf(words, sizeof words, "dk=%d dv=%d\n", dims[q], dims[v]);
                assert_non_null(strstr(all, words));
            }
        }
        for (size_t i = 0; i < scr_kernel_decl_count; i++) {
            const struct scr_kernel_decl *d = &scr_kernel_decls[i];
            scr_problem p = {.batch = 1,
                             .heads_q = 1,
                             .heads_kv = 1,
                             .len_q = 64,
                             .len_k = 64,
                             .dk = 16,
                             .dv = 32,
                             .dtype = SCR_F16};
            struct scr_decl_env env;

            scr_env_init(&env, info, &p, SCR_SKIP_NONE);
            if (strcmp(d->backend, info->backend) != 0 || !d->supports(&env))
                continue;
            snprintf(words, sizeof words, "kernel=%s variant=%s ", d->kernel, d->variant);
            if (strstr(all, words) == NULL)
                fail_msg("%s: never %s", info->id, words);
            for (int t = 0; t < d->n_tunables; t++) {
                const struct scr_tunable *tunable = &d->tunables[t];

                for (int v = 0; v < tunable->n_values; v++) {
                    scr_config partial = {.n_params = 0};
                    bool seen = false;

                    snprintf(partial.kernel, sizeof partial.kernel, "%s", d->kernel);
                    snprintf(partial.variant, sizeof partial.variant, "%s", d->variant);
                    scr_config_set(&partial, tunable->name, tunable->values[v]);
                    if (scr_config_resolve(info, &p, &partial, NULL, 0) != SCR_OK)
                        continue;
                    for (const char *s = all; !seen && (s = strstr(s, words)) != NULL; s++) {
                        struct scr_axes axes = {0};
                        struct scr_case_list l = {0};
                        char line[SCR_RANDOM_WORDS];

                        snprintf(line, sizeof line, "seq=16 %.*s", (int)strcspn(s, "\n"), s);
                        assert_int_equal(scr_axes_set_line(&axes, line, why, sizeof why), SCR_OK);
                        assert_int_equal(scr_case_list_add(&l, &axes, &info, 1, 1, why, sizeof why),
                                         SCR_OK);
                        seen = scr_config_get(&l.cases[0].config, tunable->name, -1) ==
                               tunable->values[v];
                        scr_case_list_clear(&l);
                        scr_axes_clear(&axes);
                    }
                    if (!seen)
                        fail_msg("%s: %snever with %s=%d", info->id, words, tunable->name,
                                 tunable->values[v]);
                }
            }
        }
        for (scr_skip s = SCR_SKIP_NONE; s <= SCR_SKIP_SLICE; s++) {
            snprintf(words, sizeof words, " skip=%s ", scr_skip_name(s));
            assert_non_null(strstr(all, words));
        }
        for (scr_dtype t = SCR_F32; t <= SCR_BF16; t++) {
            snprintf(words, sizeof words, " dtype=%s ", scr_dtype_name(t));
            assert_non_null(strstr(all, words));
        }
        free(all);
    }
}

/* All valid points are as likely, the default no more than others. */
static void tunables_are_uniform(void **state)
{
    const scr_device_info *info = &made_up[REF];
    struct scr_random r = {.seed = 9, .devices = &info, .n_devices = 1};
    struct scr_axes only = {0};
    struct scr_random_build build;
    int count[4][4] = {{0}};
    char why[400];

    (void)state;
    assert_int_equal(scr_axes_set_line(&only, "kernel=tile-skip", why, sizeof why), SCR_OK);
    r.only = &only;
    for (uint32_t i = 0; i < 3200; i++) {
        assert_int_equal(scr_random_draw_build(&r, i, &build, why, sizeof why), SCR_OK);
        count[(int)log2(build.tile_q / 16.0)][(int)log2(build.tile_k / 16.0)]++;
    }
    for (int i = 0; i < 16; i++) /* 200 each; the deviation is 14 */
        assert_in_range(count[i / 4][i % 4], 130, 270);
    scr_axes_clear(&only);
}

static void axes_limit_what_is_drawn(void **state)
{
    struct scr_case_list l =
        draw(CPU, 400, 4,
             "dtype=f16,bf16 seq=77,300 kv=auto head_dim=32,64 kernel=tile-skip skip=slice "
             "tile=32x64,64x16 param=SPLIT_K=4 variant=cpu heads=6 kv_heads=2,3 causal=0 norm=1 "
             "window=inf,9 r=0.5,3 q_pos0=5 kv_len=50,ragged out=same batch=2",
             NULL, NULL);
    int shapes = 0;

    (void)state;
    for (size_t i = 0; i < l.n; i++) {
        const struct scr_case *c = &l.cases[i];
        const scr_problem *p = &c->spec.problem;

        assert_true(p->dtype != SCR_F32 && p->dtype_out == p->dtype);
        assert_true((p->len_q == 77 || p->len_q == 300) && p->len_k == p->len_q);
        assert_true(p->dk == p->dv && (p->dk == 32 || p->dk == 64));
        assert_string_equal(c->config.kernel, "tile-skip");
        assert_string_equal(c->config.variant, "cpu");
        assert_int_equal(c->config.skip, SCR_SKIP_SLICE);
        assert_true((c->tile_q == 32 && c->tile_k == 64) || (c->tile_q == 64 && c->tile_k == 16));
        assert_int_equal(scr_config_get(&c->config, "SPLIT_K", 0), 4);
        assert_true(p->heads_q == 6 && (p->heads_kv == 2 || p->heads_kv == 3) && p->batch == 2);
        assert_true(!p->causal && p->tanh_norm && p->q_pos0 == 5 && p->has_kv_len);
        assert_true(c->spec.ragged_kv_len || p->len_k - c->spec.kv_missing == 50);
        assert_true(c->spec.r == 0.5 || c->spec.r == 3);
        assert_false(c->spec.workload.kind == SCR_WORKLOAD_ENDS && c->spec.workload.density == 0 &&
                     c->spec.r == 0.5);
        shapes |= 1 << (p->len_q == 77) | 4 << (p->heads_kv == 2);
    }
    assert_int_equal(shapes, 15);
    scr_case_list_clear(&l);
}

static void what_cannot_be_drawn_is_told(void **state)
{
    static const struct {
        const char *axes, *said;
    } bad[] = {
        {"variant=wgmma", "no such kernel or variant"},
        {"tile=24x64", "no values of"},
        {"param=SPLIT_K=3", "no values of"},
        {"kv=9 kv_len=10", "kv_len 10 is above kv"},
        {"heads=4 kv_heads=3", "multiple"},
        {"workload=iid,trace:file", "trace"},
        {"trace_head=each", "trace"},
    };
    char why[400];
    int status;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct scr_case_list l = draw(CPU, 10, 1, bad[i].axes, why, &status);

        assert_int_equal(status, SCR_ERR_INVALID);
        if (strstr(why, bad[i].said) == NULL)
            fail_msg("%s: %s", bad[i].axes, why);
        scr_case_list_clear(&l);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_seed_same_draws),
        cmocka_unit_test(data_has_seeds_of_its_own),
        cmocka_unit_test(chunks_cover_all_once),
        cmocka_unit_test(all_draws_are_valid),
        cmocka_unit_test(every_kind_of_problem_is_drawn),
        cmocka_unit_test(every_build_is_drawn),
        cmocka_unit_test(tunables_are_uniform),
        cmocka_unit_test(axes_limit_what_is_drawn),
        cmocka_unit_test(what_cannot_be_drawn_is_told),
    };

    return cmocka_run_group_tests_name("random", tests, NULL, NULL);
}
