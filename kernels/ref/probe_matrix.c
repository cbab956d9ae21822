/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Multiply-adds as the C kernels do them: a row x times a matrix of COLUMNS columns y, both in the
 * first cache, sums in as many vectors as the compiler keeps in registers.
 *
 * @backend ref
 * @kernel probe-matrix
 * @variant c
 * @summary f32 multiply-adds from the first cache
 * @when DTYPE == F32
 * @host scr_ref_probe_matrix
 * @tunable COLUMNS = 32 : 16 32 64 -- independent sums
 * @workspace LEN_Q * 16 * 4
 * @work LEN_Q * 16 * 2 * 16 * COLUMNS * LEN_K
 */
#include "ref/probe.h"

#include <screening/plan.h>

enum { MAX_COLUMNS = 64, MAX_DEPTH = 16 };

/* Inlined with a constant number of columns; the depth is none, lest the loop be taken apart. */
__attribute__((always_inline)) static inline void multiply(const struct scr_host_call *call,
                                                           size_t index, int columns)
{
    const float *x = call->q;
    const float *y = x + MAX_DEPTH;
    int depth = (int)scr_min(call->problem->dk, MAX_DEPTH);
    float b[MAX_DEPTH][MAX_COLUMNS];
    float sum[MAX_COLUMNS] = {0};
    float total = 0.0f;

    for (int d = 0; d < depth; d++) {
        for (int j = 0; j < columns; j++)
            b[d][j] = y[d];
    }
    for (int32_t n = 0; n < call->problem->len_k; n++) {
        for (int d = 0; d < depth; d++) {
            for (int j = 0; j < columns; j++)
                sum[j] += x[d] * b[d][j];
        }
    }
    for (int j = 0; j < columns; j++)
        total += sum[j];
    ((float *)call->workspace)[index] = total;
}

static void multiply16(void *user, size_t index)
{
    multiply(user, index, 16);
}

static void multiply32(void *user, size_t index)
{
    multiply(user, index, 32);
}

static void multiply64(void *user, size_t index)
{
    multiply(user, index, 64);
}

void scr_ref_probe_matrix(const struct scr_host_call *call)
{
    int columns = scr_config_get(call->config, "COLUMNS", 32);

    call->parallel_for(call->pool, (size_t)call->problem->len_q * PROBE_PARTS,
                       columns == 16   ? multiply16
                       : columns == 32 ? multiply32
                                       : multiply64,
                       (void *)call);
}
