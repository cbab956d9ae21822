/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The float64 reference: screening attention written as it is defined, pair by pair, from inputs
 * already rounded to their storage type. Everything else in this project is held to it, so it
 * stays plain: no tiles, no tricks, no shared code with the kernels.
 *
 * Source: arXiv:2604.01178 v3, section 3; screening/problem.h has shapes and masks.
 */
#ifndef SCR_KERNELS_REF_ORACLE_H
#define SCR_KERNELS_REF_ORACLE_H

#include <screening/problem.h>

#include <stdbool.h>
#include <stdint.h>

/*
 * Inputs as double, shapes as in screening/problem.h. kv_len is NULL unless has_kv_len; rows of k
 * and v from kv_len[b] on are never read.
 */
struct scr_oracle_input {
    const scr_problem *problem;
    const double *q, *k, *v;
    const float *r, *w;
    const int32_t *kv_len;
    double size; /* no |q| |k| is larger, or 0 where none is above 1; rounding grows with it */
};

/* Edge of the square blocks of pairs whose liveness is recorded. Divides every tile size. */
enum { SCR_BLOCK = 16 };

/* Flags of one block; a block with none of them has no admissible pair. */
enum {
    SCR_BLOCK_ADMISSIBLE = 1, /* a pair inside mask, window and kv_len */
    SCR_BLOCK_LIVE = 2,       /* an admissible pair with relevance > 0 */
    SCR_BLOCK_SURE = 4,       /* a live pair that f32 rounding of q.k cannot screen */
    SCR_BLOCK_MAYBE = 8,      /* an admissible pair that f32 rounding of q.k can find alive */
};

/*
 * In units of q.k, for vectors up to unit length (else times scr_oracle_input.size): the error that
 * f32 arithmetic is expected to make, four roundings of a sum of size 1; and the half width of the
 * band around tau in which it may decide either way. A sum of 128 products in order is off by
 * 2^-23 on average (root mean square), by 2^-20 never in practice.
 */
#define SCR_ORACLE_EPS  0x1p-22
#define SCR_ORACLE_BAND 0x1p-20

/*
 * Matrix units, which may multiply f16 and bf16, cut partial sums of q.k off where arithmetic
 * rounds, all to one side: sums of 128 products near 1 come out of an H100 too small by up to so
 * much, and shorter ones by their part of it. Kernels that sum in f32 are not told from those.
 */
#define SCR_ORACLE_DRIFT 0x1p-21

/* Sums over the rows of one call; the caller zeroes them before the first. */
struct scr_oracle_stats {
    uint64_t pairs_admissible;
    uint64_t pairs_live;
    uint64_t pairs_near_tau; /* admissible, |q.k - tau| <= SCR_ORACLE_BAND */
    double norm2;            /* sum of o^2 */
    /*
     * Square of the error that rounding q.k and the window's cosine by SCR_ORACLE_EPS can cause,
     * to first order and with independent signs. A head whose few live pairs all lie close to tau
     * is ill-conditioned: no f32 arithmetic can be within 1e-5 of it.
     */
    double rounding2;
    double rounding4; /* sum over pairs of the square of their part of rounding2 */
    /* Square of the error that SCR_ORACLE_DRIFT in every q.k can cause; 0 for f32. */
    double drift2;
};

/* What is known about one row of o. */
struct scr_oracle_row {
    double norm2, rounding2, rounding4, drift2; /* as above */
    double terms2; /* sum over keys of |P_j v_j|^2, what independent errors of P act on */
    bool maybe;    /* has a pair for SCR_BLOCK_MAYBE; without one, o is exactly 0 */
};

/*
 * Computes rows [row0, row0 + n_rows) of o for batch b and query head h.
 *
 * o       [n_rows, dv] doubles, or NULL for liveness alone (norm2 and rounding2 stay)
 * rows    [n_rows], written where o is not NULL, or NULL
 * stats   added to, never NULL
 * blocks  NULL, or flags of the 16 x 16 blocks, [ceil(len_q / 16), ceil(len_k / 16)] bytes, of the
 *         whole head; flags are or-ed in, so row ranges computed by different threads must start
 *         at multiples of SCR_BLOCK
 */
void scr_oracle_rows(const struct scr_oracle_input *in, int b, int h, int row0, int n_rows,
                     double *o, struct scr_oracle_row *rows, struct scr_oracle_stats *stats,
                     uint8_t *blocks);

#endif
