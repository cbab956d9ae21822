/* SPDX-License-Identifier: Apache-2.0 */
/* clang-format off */
/*
 * Split of the keys, for the fused kernels. With SPLIT_K > 1 that many blocks share the key tiles
 * that a block of rows visits, and each leaves its part of h as f32 [SPLIT_K][batch, heads_q,
 * len_q, dv] in the workspace; `combine` adds the parts in order, applies the norm and writes o.
 *
 * DV / 4 threads own a row of o in combine, each four columns of it.
 *
 * @tunable SPLIT_K = 1 : 1 2 4 8 -- blocks that share the keys of a block of rows
 * @workspace SPLIT_K == 1 ? 0 : SPLIT_K * BATCH * HEADS_Q * LEN_Q * DV * 4
 * @step combine
 * @groups SPLIT_K == 1 ? 0 : ceil_div(LEN_Q, 512 / DV), HEADS_Q, BATCH
 * @group 128
 */
/* clang-format on */
#ifndef SCR_CUDA_SPLIT_CUH
#define SCR_CUDA_SPLIT_CUH

#include "common.cuh"

/* Part `part` of the tiles [*first, *end): SPLIT_K parts whose sizes differ by at most one. */
__device__ __forceinline__ void take_part(int part, int *first, int *end)
{
    const int n = *end - *first;

    *end = *first + n * (part + 1) / SPLIT_K;
    *first += n * part / SPLIT_K;
}

/* Where a part of a head starts in the workspace. */
__device__ __forceinline__ long long part_at(const scr_shape &shape, int part, long long head)
{
    return ((long long)part * shape.batch * shape.heads_q + head) * shape.len_q * DV;
}

#define COMBINE_THREADS 128
#define COMBINE_LANES   (DV / 4) /* a row */
#define COMBINE_ROWS    (COMBINE_THREADS / COMBINE_LANES)
static_assert(COMBINE_ROWS == 512 / DV && COMBINE_LANES <= 32 && 32 % COMBINE_LANES == 0,
              "@groups; a row within a warp");

/* Not launched with SPLIT_K = 1. */
extern "C" __global__ void __launch_bounds__(COMBINE_THREADS)
    combine(const storage *q, const storage *k, const storage *v, const float *r, const float *w,
            const int *kv_len, output *__restrict__ o, const float *__restrict__ workspace,
            unsigned *counters, scr_shape shape)
{
#if SPLIT_K > 1
    const int row = blockIdx.x * COMBINE_ROWS + threadIdx.x / COMBINE_LANES;
    const int column = threadIdx.x % COMBINE_LANES * 4;
    const long long head = (long long)blockIdx.z * shape.heads_q + blockIdx.y;
    /* Threads past the last row read that row, so that all lanes take part in the norm. */
    const long long at = (long long)min(row, shape.len_q - 1) * DV + column;
    float h[4] = {};
    float factor = 1.0f;

#pragma unroll
    for (int part = 0; part < SPLIT_K; part++) {
        const float4 x = *(const float4 *)(workspace + part_at(shape, part, head) + at);

        h[0] = __fadd_rn(h[0], x.x);
        h[1] = __fadd_rn(h[1], x.y);
        h[2] = __fadd_rn(h[2], x.z);
        h[3] = __fadd_rn(h[3], x.w);
    }
    if (shape.flags & SCR_SHAPE_TANH_NORM) {
        float n2 = 0.0f;

#pragma unroll
        for (int i = 0; i < 4; i++)
            n2 = fmaf(h[i], h[i], n2);
#pragma unroll
        for (int lane = COMBINE_LANES / 2; lane > 0; lane /= 2)
            n2 += __shfl_xor_sync(FULL_WARP, n2, lane);
        factor = norm_factor(n2);
    }
    if (row < shape.len_q) {
        output *dst = o + head * shape.len_q * DV + at;

#pragma unroll
        for (int i = 0; i < 4; i++)
            dst[i] = to_output(__fadd_rn(__fmul_rn(h[i], factor), 0.0f));
    }
#endif
}

#endif
