/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Warpgroup products (wgmma) on f16 or bf16 with f32 sums: what Hopper's tensor cores give to the
 * instruction that the kernels use. a comes from registers, b from shared memory; BLOCKS blocks of
 * a warpgroup each share a multiprocessor. Each row of a is x, each column of b is y; a thread has
 * 64 elements of each 64 x 128 sum, so 1024 products an instruction.
 *
 * @backend cuda
 * @kernel probe-matrix
 * @variant wgmma
 * @summary warpgroup products, f32 sums, one operand in registers and one in shared memory
 * @target sm_90a
 * @when DTYPE != F32 && HAS_WARPGROUPS
 * @tunable BLOCKS = 3 : 2 3 4 -- warpgroups a multiprocessor
 * @workspace LEN_Q * BLOCKS * 128 * 4
 * @work LEN_Q * BLOCKS * 128 * 2 * 1024 * LEN_K
 * @step probe
 * @groups LEN_Q * BLOCKS
 * @group 128
 * @local 128 * 32
 */
#include "common.cuh"
#include "ptx_sm90.cuh"

#define COLUMNS 128 /* of b */

extern "C" __global__ void __launch_bounds__(128, BLOCKS)
    probe(const storage *__restrict__ q, const storage *k, const storage *v,
          const float *__restrict__ r, const float *w, const int *kv_len, float *o,
          float *__restrict__ workspace, unsigned *counters, scr_shape shape)
{
    extern __shared__ __align__(1024) unsigned char shared[];
    const unsigned *x = (const unsigned *)q + threadIdx.x % 4;
    const int4 *y = (const int4 *)q + 2;
    const unsigned a[4] = {x[0], x[0], x[4], x[4]};
    float sum[COLUMNS / 2];
    float total = 0.0f;

    /* A column of b is a row of 32 swizzled bytes: of four rows in eight the halves change places.
     */
#pragma unroll
    for (int half = 0; half < 2; half++)
        *(int4 *)(shared + threadIdx.x * 32 + (half ^ threadIdx.x / 4 % 2) * 16) = y[half];
    fence_async();
    __syncthreads();
#pragma unroll
    for (int i = 0; i < COLUMNS / 2; i++)
        sum[i] = r[0];
#pragma unroll 4
    for (int n = 0; n < shape.len_k; n++) {
        product_fence();
        product<0>(sum, a, matrix_at<32>(shared_address(shared), 0, 16), true);
        product_commit();
        product_wait<1>();
    }
    product_wait<0>();
    product_pin(sum);
#pragma unroll
    for (int i = 0; i < COLUMNS / 2; i++)
        total += sum[i];
    workspace[blockIdx.x * blockDim.x + threadIdx.x] = total;
}
