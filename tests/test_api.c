/* SPDX-License-Identifier: Apache-2.0 */
/* The public interface on ref:0, as a program that links the installed library would use it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <screening/screening.h>

#include <math.h>
#include <string.h>

static void version_matches(void **state)
{
    (void)state;
    assert_int_equal(scr_version(), SCR_VERSION);
    assert_string_equal(scr_version_text(), "0.1.0");
}

static void every_status_has_a_text(void **state)
{
    (void)state;
    for (int s = SCR_ERR_NOT_FOUND; s <= SCR_OK; s++)
        assert_string_not_equal(scr_status_text(s), scr_status_text(1));
    assert_string_equal(scr_status_text(-1000), scr_status_text(1));
}

static void problem_limits(void **state)
{
    const scr_problem good = {.batch = 1,
                              .heads_q = 4,
                              .heads_kv = 2,
                              .len_q = 1,
                              .len_k = 1,
                              .dk = 16,
                              .dv = 128,
                              .q_pos0 = SCR_Q_POS0_DEFAULT};
    const char *why = NULL;
    scr_problem p;

    (void)state;
    assert_int_equal(scr_problem_validate(&good, &why), SCR_OK);
    assert_null(why);
#define REFUSED(field, value)                                                                      \
    p = good;                                                                                      \
    p.field = value;                                                                               \
    why = NULL;                                                                                    \
    assert_int_equal(scr_problem_validate(&p, &why), SCR_ERR_INVALID);                             \
    assert_non_null(why)
    REFUSED(batch, 0);
    REFUSED(heads_q, 3);
    REFUSED(heads_kv, 0);
    REFUSED(len_q, 0);
    REFUSED(len_k, -1);
    REFUSED(len_k, (1 << 24) + 1);
    REFUSED(dk, 17);
    REFUSED(dv, 256);
    REFUSED(dtype, (scr_dtype)3);
    REFUSED(dtype_out, SCR_F16);
    REFUSED(q_pos0, 1 << 25);
#undef REFUSED
    p = good;
    p.len_k = 10;
    p.len_q = 4;
    assert_int_equal(scr_problem_q_pos0(&p), 6);
    p.q_pos0 = -2;
    assert_int_equal(scr_problem_q_pos0(&p), -2);
}

struct setup {
    scr_context *ctx;
    scr_device *dev;
};

static int open_ref(void **state)
{
    static struct setup s;
    scr_context_options o = {.backends = "ref"};

    assert_int_equal(scr_context_create(&o, &s.ctx), SCR_OK);
    assert_int_equal(scr_context_device_count(s.ctx), 1);
    assert_int_equal(scr_device_open(s.ctx, "ref:0", &s.dev), SCR_OK);
    *state = &s;
    return 0;
}

static int close_ref(void **state)
{
    struct setup *s = *state;

    scr_device_close(&s->dev);
    assert_null(s->dev);
    scr_device_close(&s->dev);
    scr_context_destroy(&s->ctx);
    assert_null(s->ctx);
    scr_context_destroy(&s->ctx);
    return 0;
}

static void names_what_is_missing(void **state)
{
    struct setup *s = *state;
    scr_device *dev;

    assert_int_equal(scr_device_open(s->ctx, "cuda:99", &dev), SCR_ERR_NOT_FOUND);
    assert_null(dev);
    assert_null(scr_context_device_info(s->ctx, 1));
    assert_string_not_equal(scr_context_backend_note(s->ctx, "cuda"), "");
    assert_string_equal(scr_context_backend_note(s->ctx, "ref"), "");
}

static void buffers_keep_their_bounds(void **state)
{
    struct setup *s = *state;
    scr_buffer *b;
    unsigned char in[64], out[64];

    for (int i = 0; i < 64; i++)
        in[i] = (unsigned char)i;
    assert_int_equal(scr_buffer_create(s->dev, 0, &b), SCR_ERR_INVALID);
    assert_int_equal(scr_buffer_create(s->dev, 64, &b), SCR_OK);
    assert_int_equal(scr_buffer_write(b, 0, in, 64), SCR_OK);
    assert_int_equal(scr_buffer_fill(b, 60, 0xaa, 4), SCR_OK);
    assert_int_equal(scr_buffer_read(b, 0, out, 64), SCR_OK);
    assert_memory_equal(in, out, 60);
    assert_int_equal(out[63], 0xaa);
    assert_int_equal(scr_buffer_write(b, 1, in, 64), SCR_ERR_INVALID);
    assert_int_equal(scr_buffer_read(b, 65, out, 0), SCR_ERR_INVALID);
    assert_int_equal(scr_buffer_fill(b, SIZE_MAX, 0, 2), SCR_ERR_INVALID);
    scr_buffer_destroy(&b);
    assert_null(b);
    scr_buffer_destroy(&b);
}

/* One query, one key: o = a m v with a and m known. */
static void one_pair(void **state)
{
    struct setup *s = *state;
    const scr_problem p = {.batch = 1,
                           .heads_q = 1,
                           .heads_kv = 1,
                           .len_q = 1,
                           .len_k = 1,
                           .dk = 16,
                           .dv = 16,
                           .q_pos0 = 1,
                           .causal = true};
    float q[16] = {1}, k[16] = {0.75f, 0.66143783f}, v[16] = {0, 1}, r = 2, w = 2, o[16];
    scr_config c = {.kernel = "tile-skip", .skip = SCR_SKIP_TILE};
    scr_args a = {0};
    scr_plan *plan = NULL;
    double ns = -1;

    assert_int_equal(scr_buffer_create(s->dev, sizeof q, &a.q), SCR_OK);
    assert_int_equal(scr_buffer_create(s->dev, sizeof k, &a.k), SCR_OK);
    assert_int_equal(scr_buffer_create(s->dev, sizeof v, &a.v), SCR_OK);
    assert_int_equal(scr_buffer_create(s->dev, sizeof r, &a.r), SCR_OK);
    assert_int_equal(scr_buffer_create(s->dev, sizeof w, &a.w), SCR_OK);
    assert_int_equal(scr_buffer_create(s->dev, sizeof o, &a.o), SCR_OK);
    assert_int_equal(scr_plan_create(s->dev, &p, &c, SCR_PLAN_COUNT, &plan), SCR_OK);
    scr_counts counts;
    assert_string_equal(scr_plan_config(plan)->kernel, "tile-skip");
    assert_true(scr_config_get(scr_plan_config(plan), "TILE_Q", 0) > 0);
    assert_int_equal(scr_plan_workspace_bytes(plan), 0);
    assert_int_equal(scr_plan_counts(plan, &counts), SCR_ERR_INVALID);
    scr_buffer_write(a.q, 0, q, sizeof q);
    scr_buffer_write(a.k, 0, k, sizeof k);
    scr_buffer_write(a.v, 0, v, sizeof v);
    scr_buffer_write(a.r, 0, &r, sizeof r);
    scr_buffer_write(a.w, 0, &w, sizeof w);
    assert_int_equal(scr_plan_run(plan, &a, &ns), SCR_OK);
    assert_true(ns >= 0);
    scr_buffer_read(a.o, 0, o, sizeof o);
    /* x = 1 - 2 (1 - 0.75) = 0.5; one token away of a window of 2: m = cos^2(pi / 4) = 0.5 */
    assert_true(fabsf(o[1] - 0.125f) < 1e-6f);
    assert_true(o[0] == 0 && o[2] == 0);
    assert_int_equal(scr_plan_counts(plan, &counts), SCR_OK);
    assert_int_equal(counts.qk, 1);
    assert_int_equal(counts.pv, 1);
    a.o_offset = 16;
    assert_int_equal(scr_plan_run(plan, &a, &ns), SCR_ERR_INVALID);
    a.o_offset = 0;
    scr_buffer *kept = a.k;
    a.k = NULL;
    assert_int_equal(scr_plan_run(plan, &a, &ns), SCR_ERR_INVALID);
    a.k = kept;
    scr_plan_destroy(&plan);
    assert_null(plan);
    scr_plan_destroy(&plan);
    c = (scr_config){.kernel = "dense"};
    assert_int_equal(scr_plan_create(s->dev, &p, &c, 0, &plan), SCR_OK);
    assert_true(scr_plan_workspace_bytes(plan) >= 4);
    assert_int_equal(scr_plan_workspace_bytes(plan),
                     scr_config_workspace_bytes(scr_device_get_info(s->dev), &p, &c));
    scr_plan_destroy(&plan);
    scr_buffer_destroy(&a.q);
    scr_buffer_destroy(&a.k);
    scr_buffer_destroy(&a.v);
    scr_buffer_destroy(&a.r);
    scr_buffer_destroy(&a.w);
    scr_buffer_destroy(&a.o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(version_matches),
        cmocka_unit_test(every_status_has_a_text),
        cmocka_unit_test(problem_limits),
        cmocka_unit_test_setup_teardown(names_what_is_missing, open_ref, close_ref),
        cmocka_unit_test_setup_teardown(buffers_keep_their_bounds, open_ref, close_ref),
        cmocka_unit_test_setup_teardown(one_pair, open_ref, close_ref),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
