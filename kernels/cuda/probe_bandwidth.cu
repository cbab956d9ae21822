/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads q once and sums it; neighbouring threads read neighbouring 16 bytes, eight loads of each
 * are under way at once.
 *
 * @backend cuda
 * @kernel probe-bandwidth
 * @variant simt
 * @summary sums what it reads
 * @workspace LEN_Q * 8 * 256 * 4
 * @work LEN_Q * 8 * 256 * 16 * 8 * LEN_K
 * @step probe
 * @groups LEN_Q * 8
 * @group 256
 */
#include "common.cuh"

#define LOADS 8

extern "C" __global__ void __launch_bounds__(256)
    probe(const uint4 *__restrict__ q, const storage *k, const storage *v, const float *r,
          const float *w, const int *kv_len, float *o, unsigned *__restrict__ workspace,
          unsigned *counters, scr_shape shape)
{
    const size_t threads = (size_t)gridDim.x * blockDim.x;
    const unsigned me = blockIdx.x * blockDim.x + threadIdx.x;
    size_t at = me;
    unsigned sum = 0;

#pragma unroll 1
    for (int n = 0; n < shape.len_k; n++) {
        uint4 x[LOADS];

#pragma unroll
        for (int i = 0; i < LOADS; i++, at += threads)
            x[i] = q[at];
#pragma unroll
        for (int i = 0; i < LOADS; i++)
            sum += x[i].x + x[i].y + x[i].z + x[i].w;
    }
    workspace[me] = sum;
}
