/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blocks of 16 query rows of a warp in the registers of the matrix instructions (ptx.cuh has who
 * holds what): loading q, storing h and o. f16 and bf16.
 */
#ifndef SCR_CUDA_FRAGMENTS_CUH
#define SCR_CUDA_FRAGMENTS_CUH

#include "common.cuh"

/* What a thread knows of its rows: 16 block + 8 half + lane / 4 of the warp's. */
template <int BLOCKS> struct rows {
    unsigned q[BLOCKS][DK / 16][4];
    int p[BLOCKS][2];
};

__device__ __forceinline__ unsigned pack(float lo, float hi)
{
#if SCR_DTYPE == SCR_F16
    return pack_f16(lo, hi);
#else
    return pack_bf16(lo, hi);
#endif
}

/* Where the warp's rows stand. */
template <int BLOCKS>
__device__ __forceinline__ void place_rows(rows<BLOCKS> &mine, int row0, int len_q, int q_pos0)
{
#pragma unroll
    for (int m = 0; m < BLOCKS; m++) {
#pragma unroll
        for (int half = 0; half < 2; half++) {
            int row = row0 + m * 16 + half * 8 + threadIdx.x % 32 / 4;

            mine.p[m][half] = row < len_q ? q_pos0 + row : NOWHERE;
        }
    }
}

/* The same, and their q. */
template <int BLOCKS>
__device__ __forceinline__ void load_rows(rows<BLOCKS> &mine, const storage *q, int row0, int len_q,
                                          int q_pos0)
{
    const int lane = threadIdx.x % 32;

    place_rows(mine, row0, len_q, q_pos0);
#pragma unroll
    for (int m = 0; m < BLOCKS; m++) {
#pragma unroll
        for (int half = 0; half < 2; half++) {
            int row = row0 + m * 16 + half * 8 + lane / 4;
            const storage *src = q + (long long)row * DK + lane % 4 * 2;

#pragma unroll
            for (int i = 0; i < DK / 16; i++) {
                mine.q[m][i][half] = row < len_q ? *(const unsigned *)(src + i * 16) : 0u;
                mine.q[m][i][half + 2] = row < len_q ? *(const unsigned *)(src + i * 16 + 8) : 0u;
            }
        }
    }
}

/* Writes the warp's rows of a part of h. */
template <int BLOCKS>
__device__ __forceinline__ void store_part(float *h, const float (&acc)[BLOCKS][DV / 8][4],
                                           int row0, int len_q, float unscale)
{
    const int lane = threadIdx.x % 32;

#pragma unroll
    for (int m = 0; m < BLOCKS; m++) {
#pragma unroll
        for (int half = 0; half < 2; half++) {
            int row = row0 + m * 16 + half * 8 + lane / 4;
            float *dst = h + (long long)row * DV + lane % 4 * 2;

            if (row >= len_q)
                continue;
#pragma unroll
            for (int n = 0; n < DV / 8; n++)
                *(float2 *)(dst + n * 8) =
                    make_float2(acc[m][n][half * 2] * unscale, acc[m][n][half * 2 + 1] * unscale);
        }
    }
}

/* Writes the warp's rows of o. */
template <int BLOCKS>
__device__ __forceinline__ void store_rows(output *o, const float (&acc)[BLOCKS][DV / 8][4],
                                           int row0, int len_q, float unscale, bool tanh_norm)
{
    const int lane = threadIdx.x % 32;

#pragma unroll
    for (int m = 0; m < BLOCKS; m++) {
#pragma unroll
        for (int half = 0; half < 2; half++) {
            int row = row0 + m * 16 + half * 8 + lane / 4;
            output *dst = o + (long long)row * DV + lane % 4 * 2;
            float factor = unscale;

            if (tanh_norm) {
                float n2 = 0.0f;

#pragma unroll
                for (int n = 0; n < DV / 8; n++) {
#pragma unroll
                    for (int e = 0; e < 2; e++) {
                        float h = acc[m][n][half * 2 + e] * unscale;

                        n2 = fmaf(h, h, n2);
                    }
                }
                n2 += __shfl_xor_sync(FULL_WARP, n2, 1);
                n2 += __shfl_xor_sync(FULL_WARP, n2, 2);
                factor *= norm_factor(n2);
            }
            if (row >= len_q)
                continue;
#pragma unroll
            for (int n = 0; n < DV / 8; n++) {
                float lo = __fadd_rn(__fmul_rn(acc[m][n][half * 2], factor), 0.0f);
                float hi = __fadd_rn(__fmul_rn(acc[m][n][half * 2 + 1], factor), 0.0f);

#if SCR_DTYPE_OUT == SCR_F32
                *(float2 *)(dst + n * 8) = make_float2(lo, hi);
#else
                *(unsigned *)(dst + n * 8) = pack(lo, hi);
#endif
            }
        }
    }
}

#endif
