/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads q once and sums it; neighbouring work-items read neighbouring 16 bytes, eight loads of each
 * are under way at once.
 *
 * @backend opencl
 * @kernel probe-bandwidth
 * @variant gpu
 * @summary sums what it reads, many work-items side by side
 * @workspace LEN_Q * 32 * 64 * 4
 * @work LEN_Q * 32 * 64 * 16 * 8 * LEN_K
 * @step probe
 * @groups LEN_Q * 32
 * @group 64
 */
#include "probe.clh"

#define LOADS 8

__kernel __attribute__((reqd_work_group_size(64, 1, 1))) void probe(PROBE_ARGS(uint, uint))
{
    size_t items = get_global_size(0);
    size_t at = get_global_id(0);
    uint4 sum = 0;

    for (int n = 0; n < shape.len_k; n++) {
        uint4 x[LOADS];

#pragma unroll
        for (int i = 0; i < LOADS; i++, at += items)
            x[i] = vload4(at, q);
#pragma unroll
        for (int i = 0; i < LOADS; i++)
            sum += x[i];
    }
    workspace[get_global_id(0)] = sum.x + sum.y + sum.z + sum.w;
}
