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

#include <stdint.h>

/* Inputs as double, shapes as in screening/problem.h. kv_len is NULL unless has_kv_len. */
struct scr_oracle_input {
    const scr_problem *problem;
    const double *q, *k, *v;
    const float *r, *w;
    const int32_t *kv_len;
};

/* Edge of the square blocks of pairs whose liveness is recorded. Divides every tile size. */
enum { SCR_BLOCK = 16 };

/* Flags of one block; a block with none of them has no admissible pair. */
enum {
    SCR_BLOCK_ADMISSIBLE = 1, /* a pair inside mask, window and kv_len */
    SCR_BLOCK_LIVE = 2,       /* an admissible pair with relevance > 0 */
    SCR_BLOCK_SURE = 4,       /* a live pair that f32 rounding of q.k cannot screen */
};

/*
 * Half width, in units of q.k, of the band around tau in which f32 arithmetic may decide either
 * way: 2^-22, four roundings of a sum of size 1.
 */
#define SCR_ORACLE_EPS 0x1p-22

/* Sums over the rows of one call; the caller zeroes them before the first. */
struct scr_oracle_stats {
    uint64_t pairs_admissible;
    uint64_t pairs_live;
    uint64_t pairs_near_tau; /* admissible, |q.k - tau| <= SCR_ORACLE_EPS */
    double norm2;            /* sum of o^2 */
    /*
     * Square of the error that rounding q.k and the window's cosine by SCR_ORACLE_EPS can cause,
     * to first order and with independent signs. A head whose few live pairs all lie close to tau
     * is ill-conditioned: no f32 arithmetic can be within 1e-5 of it.
     */
    double rounding2;
};

/*
 * Computes rows [row0, row0 + n_rows) of o for batch b and query head h.
 *
 * o       [n_rows, dv] doubles, or NULL for liveness alone (norm2 and rounding2 stay)
 * stats   added to, never NULL
 * blocks  NULL, or flags of the 16 x 16 blocks, [ceil(len_q / 16), ceil(len_k / 16)] bytes, of the
 *         whole head; flags are or-ed in, so row ranges computed by different threads must start
 *         at multiples of SCR_BLOCK
 */
void scr_oracle_rows(const struct scr_oracle_input *in, int b, int h, int row0, int n_rows,
                     double *o, struct scr_oracle_stats *stats, uint8_t *blocks);

#endif
