/* SPDX-License-Identifier: Apache-2.0 */
/* The float64 reference against closed forms and a long double brute force of the definition. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "philox.h"
#include "ref/oracle.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { D = 16, MAX_LEN = 80, MAX_HEADS = 4, MAX_BATCH = 2 };

/* A small problem with room for its data. */
struct fixture {
    scr_problem p;
    double q[MAX_BATCH * MAX_HEADS * MAX_LEN * D];
    double k[MAX_BATCH * MAX_HEADS * MAX_LEN * D];
    double v[MAX_BATCH * MAX_HEADS * MAX_LEN * D];
    double o[MAX_LEN * D];
    struct scr_oracle_row rows[MAX_LEN];
    float r[MAX_HEADS], w[MAX_HEADS];
    int32_t kv_len[MAX_BATCH];
    double size;
    struct scr_oracle_stats stats;
    uint8_t blocks[(MAX_LEN / SCR_BLOCK) * (MAX_LEN / SCR_BLOCK)];
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    *state = f;
    if (f == NULL)
        return -1;
    f->p = (scr_problem){
        .batch = 1,
        .heads_q = 1,
        .heads_kv = 1,
        .len_q = 1,
        .len_k = 1,
        .dk = D,
        .dv = D,
        .q_pos0 = SCR_Q_POS0_DEFAULT,
        .causal = true,
    };
    for (int h = 0; h < MAX_HEADS; h++) {
        f->r[h] = 2;
        f->w[h] = INFINITY;
    }
    return 0;
}

static int teardown(void **state)
{
    free(*state);
    return 0;
}

static void run(struct fixture *f, int b, int h)
{
    struct scr_oracle_input in = {
        .problem = &f->p,
        .q = f->q,
        .k = f->k,
        .v = f->v,
        .r = f->r,
        .w = f->w,
        .kv_len = f->p.has_kv_len ? f->kv_len : NULL,
        .size = f->size,
    };

    memset(&f->stats, 0, sizeof f->stats);
    memset(f->blocks, 0, sizeof f->blocks);
    for (int i = 0; i < MAX_LEN * D; i++)
        f->o[i] = NAN;
    scr_oracle_rows(&in, b, h, 0, f->p.len_q, f->o, f->rows, &f->stats, f->blocks);
}

/* Row i becomes a unit vector whose product with the first axis is s. */
static void set_unit(double *x, int i, double s)
{
    x[i * D] = s;
    x[i * D + 1] = sqrt(1 - s * s);
}

/* All queries along the first axis, all keys at product s with it, v_j = e_(j mod D). */
static void fill(struct fixture *f, double s)
{
    for (int i = 0; i < MAX_BATCH * MAX_HEADS * MAX_LEN; i++) {
        f->q[i * D] = 1;
        set_unit(f->k, i, s);
        f->v[i * D + i % D] = 1;
    }
}

static void close_to(double x, double expected)
{
    if (!(fabs(x - expected) <= 1e-14 * (1 + fabs(expected))))
        fail_msg("%.17g is not %.17g", x, expected);
}

static void one_pair(void **state)
{
    struct fixture *f = *state;

    fill(f, 0.75);
    run(f, 0, 0);
    close_to(f->o[0], 0.25); /* (1 - 2 (1 - 0.75))^2 */
    close_to(f->o[1], 0);
    assert_int_equal(f->stats.pairs_admissible, 1);
    assert_int_equal(f->stats.pairs_live, 1);
    assert_int_equal(f->stats.pairs_near_tau, 0);
    close_to(f->stats.norm2, 0.0625);
    /* |d/ds| = 2 r x = 2, a band of 2 eps wider at most; the window is off */
    assert_true(fabs(sqrt(f->stats.rounding2) / SCR_ORACLE_EPS - 2) < 1e-5);
    assert_true(f->stats.drift2 == 0);
    f->p.dtype = SCR_F16;
    run(f, 0, 0);
    assert_true(fabs(sqrt(f->stats.drift2) / SCR_ORACLE_DRIFT * 128 / f->p.dk - 2) < 1e-5);
    f->p.dtype = SCR_F32;

    f->r[0] = 5; /* tau = 0.8 */
    run(f, 0, 0);
    assert_true(f->o[0] == 0 && f->o[1] == 0);
    assert_int_equal(f->stats.pairs_live, 0);
    assert_true(f->stats.norm2 == 0 && f->stats.rounding2 == 0);
}

static void near_tau(void **state)
{
    struct fixture *f = *state;

    f->p.len_k = 3; /* tau = 0.5: inside the band below and above, and just beyond it */
    fill(f, 0);
    set_unit(f->k, 0, 0.5 - SCR_ORACLE_BAND / 2);
    set_unit(f->k, 1, 0.5 + SCR_ORACLE_BAND / 2);
    set_unit(f->k, 2, 0.5 - SCR_ORACLE_BAND * 2);
    run(f, 0, 0);
    assert_int_equal(f->stats.pairs_near_tau, 2);
    assert_int_equal(f->stats.pairs_live, 1);
    assert_int_equal(f->blocks[0], SCR_BLOCK_ADMISSIBLE | SCR_BLOCK_LIVE | SCR_BLOCK_MAYBE);
    set_unit(f->k, 1, 0);
    run(f, 0, 0);
    assert_int_equal(f->blocks[0], SCR_BLOCK_ADMISSIBLE | SCR_BLOCK_MAYBE);
    assert_true(f->rows[0].maybe && f->rows[0].norm2 == 0 && f->rows[0].rounding2 > 0);
    set_unit(f->k, 0, 0);
    run(f, 0, 0);
    assert_int_equal(f->blocks[0], SCR_BLOCK_ADMISSIBLE);
    assert_true(!f->rows[0].maybe && f->rows[0].rounding2 == 0);
    f->size = 2; /* longer vectors, wider bands */
    run(f, 0, 0);
    assert_int_equal(f->blocks[0], SCR_BLOCK_ADMISSIBLE);
    set_unit(f->k, 2, 0.5 - SCR_ORACLE_BAND * 1.9);
    run(f, 0, 0);
    assert_int_equal(f->blocks[0], SCR_BLOCK_ADMISSIBLE | SCR_BLOCK_MAYBE);
    f->size = 0;
    set_unit(f->k, 2, 0.5 + SCR_ORACLE_BAND * 2);
    run(f, 0, 0);
    assert_int_equal(f->blocks[0],
                     SCR_BLOCK_ADMISSIBLE | SCR_BLOCK_LIVE | SCR_BLOCK_SURE | SCR_BLOCK_MAYBE);
}

static void window_edge(void **state)
{
    struct fixture *f = *state;

    f->p.len_q = f->p.len_k = 10;
    fill(f, 1);
    f->w[0] = 4;
    run(f, 0, 0);
    /* Row 9 sees keys 6 to 9; distance 4 is outside, though the cosine there is 0 anyway. */
    for (int j = 0; j < 10; j++)
        close_to(f->o[9 * D + j], j < 6 ? 0 : (1 + cos(acos(-1) * (9 - j) / 4)) / 2);
    assert_int_equal(f->stats.pairs_admissible, 1 + 2 + 3 + 7 * 4);
    f->w[0] = 4.5;
    run(f, 0, 0);
    close_to(f->o[9 * D + 5], (1 + cos(acos(-1) * 4 / 4.5)) / 2);
    close_to(f->o[9 * D + 4], 0);
    f->w[0] = 0.5; /* the token itself */
    run(f, 0, 0);
    close_to(f->o[9 * D + 9], 1);
    assert_int_equal(f->stats.pairs_admissible, 10);
    f->w[0] = INFINITY;
    run(f, 0, 0);
    close_to(f->o[9 * D + 0], 1);
    assert_int_equal(f->stats.pairs_admissible, 55);
}

static void bidirectional(void **state)
{
    struct fixture *f = *state;

    f->p.len_q = f->p.len_k = 10;
    f->p.causal = false;
    fill(f, 1);
    f->w[0] = 3;
    run(f, 0, 0);
    for (int j = 0; j < 10; j++)
        close_to(f->o[4 * D + j], j >= 2 && j <= 6 ? (1 + cos(acos(-1) * (4 - j) / 3)) / 2 : 0);
    assert_int_equal(f->stats.pairs_admissible, 8 * 5 - 2 * (1 + 0) + 2 * 4 - 2 * 1);
}

static void positions(void **state)
{
    struct fixture *f = *state;

    f->p.len_q = 2;
    f->p.len_k = 6;
    fill(f, 1);
    run(f, 0, 0); /* rows stand at 4 and 5 */
    close_to(f->o[4], 1);
    close_to(f->o[5], 0);
    close_to(f->o[D + 5], 1);
    assert_int_equal(f->stats.pairs_admissible, 5 + 6);
    close_to(f->rows[0].norm2, 5); /* unit values apart from each other */
    close_to(f->rows[1].norm2, 6);
    close_to(f->rows[1].terms2, 6);
    close_to(f->rows[0].norm2 + f->rows[1].norm2, f->stats.norm2);
    f->p.q_pos0 = -1; /* row 0 sees nothing, row 1 the first key */
    run(f, 0, 0);
    assert_true(f->o[0] == 0);
    close_to(f->o[D], 1);
    assert_int_equal(f->stats.pairs_admissible, 1);
    f->p.q_pos0 = 100; /* beyond the keys: all are seen, at their distance */
    f->w[0] = 98;
    run(f, 0, 0);
    close_to(f->o[3], (1 + cos(acos(-1) * 97 / 98)) / 2);
    assert_int_equal(f->stats.pairs_admissible, 3 + 2);
}

static void key_lengths(void **state)
{
    struct fixture *f = *state;

    f->p.batch = 2;
    f->p.len_q = f->p.len_k = 6;
    f->p.has_kv_len = true;
    f->kv_len[0] = 4;
    f->kv_len[1] = 0;
    fill(f, 1);
    for (int i = 0; i < 12 * D; i++) { /* keys that do not exist are not looked at */
        if (i / D >= 4)
            f->k[i] = f->v[i] = NAN;
    }
    run(f, 0, 0);
    close_to(f->o[5 * D + 3], 1);
    close_to(f->o[5 * D + 4], 0);
    assert_int_equal(f->stats.pairs_admissible, 1 + 2 + 3 + 4 + 4 + 4);
    run(f, 1, 0);
    assert_int_equal(f->stats.pairs_admissible, 0);
    assert_true(f->o[5 * D] == 0);
    assert_int_equal(f->blocks[0], 0);
}

static void grouped_heads(void **state)
{
    struct fixture *f = *state;

    f->p.heads_q = 4;
    f->p.heads_kv = 2;
    f->p.batch = 2;
    fill(f, 1);
    memset(f->v, 0, sizeof f->v);
    for (int head = 0; head < 4; head++) /* batch * heads_kv heads of one key */
        f->v[head * D] = 1 + head;
    for (int b = 0; b < 2; b++) {
        for (int h = 0; h < 4; h++) {
            run(f, b, h);
            close_to(f->o[0], 1 + b * 2 + h / 2);
        }
    }
}

static void norm(void **state)
{
    struct fixture *f = *state;

    f->p.len_k = 2;
    f->p.tanh_norm = true;
    fill(f, 1);
    f->v[0] = 3; /* h = (3, 4) */
    f->v[D + 1] = 4;
    run(f, 0, 0);
    close_to(f->o[0], tanh(5) * 0.6);
    close_to(f->o[1], tanh(5) * 0.8);
    fill(f, -1);
    run(f, 0, 0);
    assert_true(f->o[0] == 0 && f->o[1] == 0);
}

static void blocks(void **state)
{
    struct fixture *f = *state;

    f->p.len_q = f->p.len_k = 40;
    f->w[0] = 8;
    fill(f, -1);
    set_unit(f->k, 33, 1);
    run(f, 0, 0);
    for (int i = 0; i < 3; i++) {
        for (int j = 0; j < 3; j++) {
            int expected = j == i || j == i - 1 ? SCR_BLOCK_ADMISSIBLE : 0;

            if (i == 2 && j == 2)
                expected |= SCR_BLOCK_LIVE | SCR_BLOCK_SURE | SCR_BLOCK_MAYBE;
            assert_int_equal(f->blocks[i * 3 + j], expected);
        }
    }
    assert_int_equal(f->stats.pairs_live, 7); /* rows 33 to 39 */
}

/* The definition, pair by pair, with nothing taken from the reference. */
static void brute_row(const struct fixture *f, int b, int h, int i, long double *o)
{
    const scr_problem *p = &f->p;
    long double pi = acosl(-1), norm2 = 0;
    int hk = b * p->heads_kv + h * p->heads_kv / p->heads_q;
    int pos = (p->q_pos0 == SCR_Q_POS0_DEFAULT ? p->len_k - p->len_q : p->q_pos0) + i;

    for (int d = 0; d < p->dv; d++)
        o[d] = 0;
    for (int j = 0; j < p->len_k; j++) {
        long double s = 0, x, m;

        if (p->has_kv_len && j >= f->kv_len[b])
            continue;
        if (p->causal ? !(-f->w[h] < j - pos && j <= pos) : !(abs(j - pos) < f->w[h]))
            continue;
        for (int d = 0; d < p->dk; d++)
            s += (long double)f->q[((b * p->heads_q + h) * p->len_q + i) * p->dk + d] *
                 f->k[(hk * p->len_k + j) * p->dk + d];
        x = fmaxl(0, 1 - f->r[h] * (1 - s));
        m = isinf(f->w[h]) ? 1 : (1 + cosl(pi * (j - pos) / f->w[h])) / 2;
        for (int d = 0; d < p->dv; d++)
            o[d] += x * x * m * f->v[(hk * p->len_k + j) * p->dv + d];
    }
    for (int d = 0; d < p->dv; d++)
        norm2 += o[d] * o[d];
    for (int d = 0; d < p->dv && p->tanh_norm && norm2 > 0; d++)
        o[d] *= tanhl(sqrtl(norm2)) / sqrtl(norm2);
}

static double random_unit(uint32_t stream, uint64_t index)
{
    return 2 * scr_philox_uniform(7, stream, index) - 1;
}

static void random_problems(void **state)
{
    struct fixture *f = *state;
    int live = 0;

    for (int trial = 0; trial < 48; trial++) {
        f->p = (scr_problem){
            .batch = 2,
            .heads_q = trial % 3 == 0 ? 4 : 2,
            .heads_kv = 2,
            .len_q = 1 + trial * 7 % 37,
            .len_k = 1 + trial * 11 % 61,
            .dk = D,
            .dv = D,
            .q_pos0 = trial % 4 == 0 ? trial - 20 : SCR_Q_POS0_DEFAULT,
            .causal = trial & 1,
            .tanh_norm = trial & 2,
            .has_kv_len = trial % 5 == 0,
        };
        for (int i = 0; i < MAX_BATCH * MAX_HEADS * MAX_LEN * D; i++) {
            f->q[i] = 0.4 * random_unit((uint32_t)trial * 3, (uint64_t)i);
            f->k[i] = 0.4 * random_unit((uint32_t)trial * 3 + 1, (uint64_t)i);
            f->v[i] = random_unit((uint32_t)trial * 3 + 2, (uint64_t)i);
        }
        for (int h = 0; h < MAX_HEADS; h++) {
            f->r[h] = 0.8f + 0.3f * (float)h;
            f->w[h] = h == 1 ? INFINITY : 1.5f + (float)(trial * (h + 1) % 40);
        }
        f->kv_len[0] = f->p.len_k / 2;
        f->kv_len[1] = f->p.len_k;
        for (int b = 0; b < 2; b++) {
            for (int h = 0; h < f->p.heads_q; h++) {
                run(f, b, h);
                live += f->stats.pairs_live > 0;
                for (int i = 0; i < f->p.len_q; i++) {
                    long double expected[D];

                    brute_row(f, b, h, i, expected);
                    for (int d = 0; d < D; d++)
                        close_to(f->o[i * D + d], (double)expected[d]);
                }
            }
        }
    }
    assert_true(live > 100);
}

/* Rows in two calls give what one call gives; without o only the liveness is computed. */
static void ranges(void **state)
{
    struct fixture *f = *state;
    struct scr_oracle_input in = {
        .problem = &f->p, .q = f->q, .k = f->k, .v = f->v, .r = f->r, .w = f->w};
    struct scr_oracle_stats stats = {0};
    uint8_t flags[sizeof f->blocks] = {0};
    double o[MAX_LEN * D];

    f->p.len_q = f->p.len_k = 50;
    fill(f, 0.9);
    run(f, 0, 0);
    scr_oracle_rows(&in, 0, 0, 0, 16, o, NULL, &stats, flags);
    scr_oracle_rows(&in, 0, 0, 16, 34, o + 16 * D, NULL, &stats, flags);
    assert_memory_equal(o, f->o, sizeof *o * 50 * D);
    assert_memory_equal(flags, f->blocks, sizeof flags);
    assert_int_equal(stats.pairs_live, f->stats.pairs_live);
    close_to(stats.norm2, f->stats.norm2);
    memset(&stats, 0, sizeof stats);
    scr_oracle_rows(&in, 0, 0, 0, 50, NULL, NULL, &stats, NULL);
    assert_int_equal(stats.pairs_live, f->stats.pairs_live);
    assert_int_equal(stats.pairs_admissible, f->stats.pairs_admissible);
    assert_true(stats.norm2 == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_pair, setup, teardown),
        cmocka_unit_test_setup_teardown(near_tau, setup, teardown),
        cmocka_unit_test_setup_teardown(window_edge, setup, teardown),
        cmocka_unit_test_setup_teardown(bidirectional, setup, teardown),
        cmocka_unit_test_setup_teardown(positions, setup, teardown),
        cmocka_unit_test_setup_teardown(key_lengths, setup, teardown),
        cmocka_unit_test_setup_teardown(grouped_heads, setup, teardown),
        cmocka_unit_test_setup_teardown(norm, setup, teardown),
        cmocka_unit_test_setup_teardown(blocks, setup, teardown),
        cmocka_unit_test_setup_teardown(random_problems, setup, teardown),
        cmocka_unit_test_setup_teardown(ranges, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
