/* SPDX-License-Identifier: Apache-2.0 */
/*
 * f32 multiply-adds in registers, CHAINS independent sums a thread. All add x y, from starts that
 * the compiler does not know to be equal.
 *
 * @backend cuda
 * @kernel probe-matrix
 * @variant simt
 * @summary f32 multiply-adds in registers
 * @when DTYPE == F32
 * @tunable CHAINS = 8 : 4 8 16 -- independent sums a thread
 * @workspace LEN_Q * 8 * 256 * 4
 * @work LEN_Q * 8 * 256 * 2 * CHAINS * 16 * LEN_K
 * @step probe
 * @groups LEN_Q * 8
 * @group 256
 */
#include "common.cuh"

#define STEPS 16 /* multiply-adds of each sum in one repeat */

extern "C" __global__ void __launch_bounds__(256)
    probe(const storage *__restrict__ q, const storage *k, const storage *v,
          const float *__restrict__ r, const float *w, const int *kv_len, float *o,
          float *__restrict__ workspace, unsigned *counters, scr_shape shape)
{
    const float x = q[threadIdx.x % 16];
    const float y = q[16 + threadIdx.x % 16];
    float sum[CHAINS];
    float total = 0.0f;

#pragma unroll
    for (int c = 0; c < CHAINS; c++)
        sum[c] = r[c];
#pragma unroll 1
    for (int n = 0; n < shape.len_k; n++) {
#pragma unroll
        for (int i = 0; i < STEPS; i++) {
#pragma unroll
            for (int c = 0; c < CHAINS; c++)
                sum[c] = fmaf(x, y, sum[c]);
        }
    }
#pragma unroll
    for (int c = 0; c < CHAINS; c++)
        total += sum[c];
    workspace[blockIdx.x * blockDim.x + threadIdx.x] = total;
}
