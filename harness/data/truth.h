/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is right about one dataset: the float64 output, the densities, and the verdict on a kernel's
 * output. Computed once a dataset and used for every kernel, device and tile that runs on it.
 */
#ifndef SCR_HARNESS_TRUTH_H
#define SCR_HARNESS_TRUTH_H

#include "dataset.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct scr_truth;

/*
 * max_pairs  bound on the admissible pairs whose output is computed in float64; above it a seeded
 *            sample of 16-row blocks, the first and the last among them, stands for the rest.
 *            Liveness is always computed for all pairs.
 * Returns SCR_OK or SCR_ERR_NO_MEMORY.
 */
int scr_truth_create(const struct scr_dataset *data, int threads, uint64_t max_pairs,
                     struct scr_truth **out);
void scr_truth_destroy(struct scr_truth **t);

/* Bytes of host memory, at most, that a dataset of this problem and its truth take together. */
double scr_truth_memory(const scr_problem *p, int threads);

struct scr_densities {
    uint64_t pairs_admissible, pairs_live, pairs_near_tau;
    uint64_t tiles_admissible, tiles_live;
    uint64_t tiles_sure;  /* live beyond f32 rounding: a kernel that skips one is wrong */
    uint64_t tiles_maybe; /* live within f32 rounding: a kernel that finds another alive is wrong */
};

/* Sums over batch and heads for tiles of tile_q x tile_k (multiples of 16), aligned at row and
 * key 0. tile sizes of 0 leave the tile counts 0. */
void scr_truth_densities(const struct scr_truth *t, int tile_q, int tile_k,
                         struct scr_densities *out);

/* The same for one head: b * heads_q + h. */
void scr_truth_head_densities(const struct scr_truth *t, size_t head, int tile_q, int tile_k,
                              struct scr_densities *out);

/* What |o - ref| / |ref| of a head may be, by storage type. */
double scr_truth_tolerance(scr_dtype type);

/* Whether a 16-row block is compared where a share of all is: the i-th of all heads, of which each
 * has n_blocks. The first and the last of a head always are. */
bool scr_truth_checks(uint64_t seed, size_t i, size_t n_blocks, double share);

/*
 * Two measures decide. Of each (batch, head): |o - ref| / |ref| within the tolerance of the storage
 * type, which is widened where f32 rounding next to tau alone can exceed it. Of each checked row,
 * so that a wrong row does not drown in its head: an error below 4 times the tolerance, relative to
 * the row, and exact zeros where no pair can be found alive.
 */
struct scr_verdict {
    bool pass;
    /* |o - ref| / |ref| of the (batch, head) nearest to failing; -1 where it holds a NaN or an
     * infinity, or where |ref| is 0 and o is not */
    double rel_err;
    double tol;            /* that head's tolerance */
    double tol_base;       /* 1e-5, 1e-3 or 8e-3 by storage type */
    uint64_t rows_checked; /* rows compared against float64 */
    uint64_t rows;         /* batch * heads_q * len_q: all were checked for NaN and being written */
    int heads;             /* batch * heads_q */
    int heads_zero;        /* reference all zero: o must be exactly 0 */
    int heads_ill;         /* needed a wider tolerance: every live pair too close to tau for f32 */
    int heads_hopeless;    /* ill, and widened over 100 times: passing proves nothing */
    char reason[200];      /* "" when it passes */
};

/* Judges an output in problem.dtype_out; `o` is what was read back, poisoned with 0xff before. */
void scr_truth_judge(const struct scr_truth *t, const void *o, struct scr_verdict *out);

#endif
