/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mma.sync on f16 or bf16 with f32 sums, operands in registers: what the tensor cores give to the
 * instruction that the mma kernels use, as cuda/probe_matrix_mma.cu has it. Each warp keeps CHAINS
 * independent 16 x 8 sums; each row of a is x, each column of b is y. A work-item has four elements
 * of each sum, so 64 products an mma.
 *
 * @backend opencl
 * @kernel probe-matrix
 * @variant mma
 * @summary mma.sync by inline PTX, f32 sums, operands in registers
 * @when DTYPE != F32 && SM >= 80
 * @tunable CHAINS = 8 : 4 8 12 -- independent sums a warp
 * @workspace LEN_Q * 4 * 256 * 4
 * @work LEN_Q * 4 * 256 * 2 * 64 * CHAINS * LEN_K
 * @step probe
 * @groups LEN_Q * 4
 * @group 256
 */
#define WG  256
#define VEC 4
#include "common.clh"
#include "probe.clh"
#include "ptx.clh"

__kernel __attribute__((reqd_work_group_size(WG, 1, 1))) void probe(PROBE_ARGS(uint, float))
{
    const __global uint *pairs = q + get_local_id(0) % 4;
    const uint a[4] = {pairs[0], pairs[0], pairs[4], pairs[4]};
    const uint b0 = pairs[8];
    const uint b1 = pairs[12];
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
            ptx_mma_f16(sum[c], a, b0, b1);
#else
            ptx_mma_bf16(sum[c], a, b0, b1);
#endif
        }
    }
#pragma unroll
    for (int c = 0; c < CHAINS; c++)
        total += (sum[c][0] + sum[c][1]) + (sum[c][2] + sum[c][3]);
    workspace[get_group_id(0) * WG + get_local_id(0)] = total;
}
