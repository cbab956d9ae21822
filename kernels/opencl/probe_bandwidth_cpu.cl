/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads q once and sums it; each work-item a piece of its own, from one end to the other.
 *
 * @backend opencl
 * @kernel probe-bandwidth
 * @variant cpu
 * @summary sums what it reads, one work-item, long vectors
 * @when IS_CPU == 1
 * @workspace LEN_Q * 16 * 4
 * @work LEN_Q * 16 * 256 * LEN_K
 * @step probe
 * @groups LEN_Q * 16
 * @group 1
 */
#include "probe.clh"

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void probe(PROBE_ARGS(uint, uint))
{
    uint16 a = 0, b = 0, c = 0, d = 0;
    uint8 s8;
    uint4 s4;

    q += get_global_id(0) * shape.len_k * 64;
    for (int n = 0; n < shape.len_k; n++, q += 64) {
        a += vload16(0, q);
        b += vload16(1, q);
        c += vload16(2, q);
        d += vload16(3, q);
    }
    a += b + c + d;
    s8 = a.lo + a.hi;
    s4 = s8.lo + s8.hi;
    workspace[get_global_id(0)] = s4.x + s4.y + s4.z + s4.w;
}
