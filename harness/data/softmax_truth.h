/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Softmax attention in float64 on a dataset of the harness, for peers that compute that operator:
 *
 *     s = q_i . k_j / sqrt(dk),  p = softmax over the keys that row i sees,  o_i = sum p v_j
 *
 * Row i sees keys j < kv_len, and when causal those at j <= q_pos0 + i. r, w and the norm of the
 * screening operator play no part. A row that sees no key has no value and is not compared.
 */
#ifndef SCR_HARNESS_SOFTMAX_TRUTH_H
#define SCR_HARNESS_SOFTMAX_TRUTH_H

#include "dataset.h"
#include "truth.h"

#include <stddef.h>
#include <stdint.h>

struct scr_softmax_truth;

/*
 * max_pairs  bound on the pairs that are computed, but for the first and the last 16 rows of each
 *            head; above it a seeded sample of blocks of 16 rows stands for the rest
 * Returns SCR_OK or SCR_ERR_NO_MEMORY.
 */
int scr_softmax_truth_create(const struct scr_dataset *data, int threads, uint64_t max_pairs,
                             struct scr_softmax_truth **out);
void scr_softmax_truth_destroy(struct scr_softmax_truth **t);

/*
 * Judges o, [batch, heads_q, len_q, dv] of type o_type. Tolerances are those of truth.h: of each
 * (batch, head) by the type of q, k and v, of each row four times that. Errors are relative to |o|
 * or, where values cancel, to the root of the sum of |p v|^2. Rows that are not sampled must be
 * finite. rel_err and tol of the verdict are those of the head nearest to failing; heads_zero
 * counts heads without a row that sees a key, no head is ill.
 */
void scr_softmax_truth_judge(const struct scr_softmax_truth *t, const void *o, scr_dtype o_type,
                             struct scr_verdict *out);

#endif
