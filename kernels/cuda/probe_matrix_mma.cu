/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mma.sync on f16 or bf16 with f32 sums, operands in registers: what the tensor cores give to the
 * instruction that the kernels use. Each warp keeps CHAINS independent 16 x 8 sums; each row of a
 * is x, each column of b is y. A thread has four elements of each sum, so 64 products an mma.
 *
 * @backend cuda
 * @kernel probe-matrix
 * @variant mma
 * @summary mma.sync, f32 sums, operands in registers
 * @when DTYPE != F32 && SM >= 80
 * @tunable CHAINS = 8 : 4 8 12 -- independent sums a warp
 * @workspace LEN_Q * 4 * 256 * 4
 * @work LEN_Q * 4 * 256 * 2 * 64 * CHAINS * LEN_K
 * @step probe
 * @groups LEN_Q * 4
 * @group 256
 */
#include "common.cuh"

extern "C" __global__ void __launch_bounds__(256)
    probe(const storage *__restrict__ q, const storage *k, const storage *v,
          const float *__restrict__ r, const float *w, const int *kv_len, float *o,
          float *__restrict__ workspace, unsigned *counters, scr_shape shape)
{
    const unsigned *pairs = (const unsigned *)q + threadIdx.x % 4;
    const unsigned a[4] = {pairs[0], pairs[0], pairs[4], pairs[4]};
    const unsigned b0 = pairs[8];
    const unsigned b1 = pairs[12];
    float sum[CHAINS][4];
    float total = 0.0f;

#pragma unroll
    for (int c = 0; c < CHAINS; c++) {
#pragma unroll
        for (int i = 0; i < 4; i++)
            sum[c][i] = r[c];
    }
#pragma unroll 4
    for (int n = 0; n < shape.len_k; n++) {
#pragma unroll
        for (int c = 0; c < CHAINS; c++) {
#if SCR_DTYPE == SCR_F16
            mma_f16(sum[c], a, b0, b1);
#else
            mma_bf16(sum[c], a, b0, b1);
#endif
        }
    }
#pragma unroll
    for (int c = 0; c < CHAINS; c++)
        total += (sum[c][0] + sum[c][1]) + (sum[c][2] + sum[c][3]);
    workspace[blockIdx.x * blockDim.x + threadIdx.x] = total;
}
