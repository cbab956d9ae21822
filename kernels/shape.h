/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The run-time part of a problem, passed by value as the last argument of every kernel entry:
 *
 *   entry(q, k, v, r, w, kv_len, o, workspace, counters, shape)
 *
 * OpenCL entries take one more, `ulong o_offset`: elements from the start of o to the first one
 * written, since a cl_mem cannot be moved by an arbitrary number of bytes. CUDA moves the pointer.
 *
 * kv_len, workspace and counters may be null pointers. `counters` is written only when compiled
 * with SCR_COUNT=1: SCR_COUNTERS 32-bit words a (batch, query head), zeroed before the run, in the
 * order of struct scr_counts. Everything else of a problem is known when the kernel is compiled:
 *
 *   DK DV          head dims of q, k and of v
 *   SCR_DTYPE      storage of q, k, v: SCR_F32 0, SCR_F16 1, SCR_BF16 2;  SCR_DTYPE_OUT of o
 *   SCR_SKIP       0 none, 1 tile, 2 slice;  SCR_COUNT 0 or 1
 *   SCR_FAULT_SKIP 1 in builds that skip too much for a test's sake (runtime/backend.h), else not
 *                  defined
 *   the kernel's tunables by name
 *
 * This file is included by C, by OpenCL C and by CUDA C++, so it holds plain ints only.
 */
#ifndef SCR_KERNELS_SHAPE_H
#define SCR_KERNELS_SHAPE_H

#define SCR_COUNTERS 4

#define SCR_SHAPE_CAUSAL     1
#define SCR_SHAPE_TANH_NORM  2
#define SCR_SHAPE_HAS_KV_LEN 4

struct scr_shape {
    int batch;
    int heads_q;
    int heads_kv;
    int len_q;
    int len_k;
    int q_pos0; /* resolved: position of query row 0 */
    int flags;  /* SCR_SHAPE_* */
    int reserved;
};

#endif
