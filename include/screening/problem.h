/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCREENING_PROBLEM_H
#define SCREENING_PROBLEM_H

#include <screening/export.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

SCR_BEGIN_DECLS

/** Storage type of q, k, v. Every accumulation is f32 whatever the storage. */
typedef enum scr_dtype { SCR_F32 = 0, SCR_F16 = 1, SCR_BF16 = 2 } scr_dtype;

/** q_pos0 of a problem whose last query sees the last key: len_k - len_q. */
#define SCR_Q_POS0_DEFAULT INT32_MIN

/**
 * One screening problem: everything about a call but the data.
 *
 * All tensors are contiguous, last index fastest:
 *   q       [batch, heads_q, len_q, dk]   of dtype, unit length
 *   k       [batch, heads_kv, len_k, dk]  of dtype, unit length
 *   v       [batch, heads_kv, len_k, dv]  of dtype
 *   r       [heads_q]  f32, > 0           sharpness
 *   w       [heads_q]  f32, > 0 or +inf   distance window in tokens
 *   kv_len  [batch]    i32, optional
 *   o       [batch, heads_q, len_q, dv]   of dtype_out
 *
 * With s = q_i . k_j and d = |j - p_i|, key j adds max(0, 1 - r (1 - s))^2 (1 + cos(pi d / w)) / 2
 * times v_j to o_i if d < w (and, when causal, j <= p_i); there is no softmax.
 *
 * Query head h reads key head h / (heads_q / heads_kv). Query row i stands at position q_pos0 + i;
 * key j stands at position j. Keys at j >= kv_len[b] do not exist.
 */
typedef struct scr_problem {
    int32_t batch;       /**< >= 1 */
    int32_t heads_q;     /**< >= 1, a multiple of heads_kv */
    int32_t heads_kv;    /**< >= 1 */
    int32_t len_q;       /**< rows of q, >= 1; any number, not only multiples of a tile */
    int32_t len_k;       /**< rows of k and v, >= 1 */
    int32_t dk;          /**< 16, 32, 64 or 128 */
    int32_t dv;          /**< 16, 32, 64 or 128 */
    int32_t q_pos0;      /**< position of query row 0, may be negative; SCR_Q_POS0_DEFAULT */
    scr_dtype dtype;     /**< of q, k and v */
    scr_dtype dtype_out; /**< of o: SCR_F32, or the same as dtype */
    bool causal;         /**< keys after the query are masked; else the window reaches both ways */
    bool tanh_norm;      /**< o = tanh(|h|) / |h| * h; else o = h */
    bool has_kv_len;     /**< kv_len is given */
} scr_problem;

/**
 * Checks a problem against the limits above.
 *
 * @param p    the problem
 * @param why  if not NULL and the problem is refused, receives one sentence; static storage
 * @return SCR_OK or SCR_ERR_INVALID
 */
SCR_API int scr_problem_validate(const scr_problem *p, const char **why);

/** Returns q_pos0 with SCR_Q_POS0_DEFAULT replaced by len_k - len_q. */
SCR_API int32_t scr_problem_q_pos0(const scr_problem *p);

/** Bytes of one element: 4 for f32, 2 for f16 and bf16. */
SCR_API size_t scr_dtype_bytes(scr_dtype t);

/** "f32", "f16", "bf16". Static storage. */
SCR_API const char *scr_dtype_name(scr_dtype t);

SCR_END_DECLS

#endif
