/* SPDX-License-Identifier: Apache-2.0 */
/* What builtins.clh calls: device.h's warp instructions for OpenCL kernels, and copies. */
#define SCR_DTYPE 1
#include "device.h"

#include <deque>

namespace
{

struct copy {
    void *dst;
    const void *src; /* NULL: zeros */
};

/* Of one work-item: groups that are committed, and the copies since. */
struct copies {
    std::deque<std::vector<copy>> groups;
    std::vector<copy> open;
} copies_of[1024];

uint32_t random_state = 1;

void land(const copy &c)
{
    if (c.src != nullptr)
        memcpy(c.dst, c.src, 16);
    else
        memset(c.dst, 0, 16);
}

copies &mine()
{
    return copies_of[threadIdx.x];
}

} // namespace

/* Before and after each work-item. */
void begin_copies()
{
    mine() = {};
}
void end_copies()
{
    for (const auto &group : mine().groups) {
        if (!group.empty())
            host_gpu::fail("a work-item ended before its copies");
    }
    if (!mine().open.empty())
        host_gpu::fail("a work-item ended before its copies");
}

extern "C" {

unsigned long host_local_id()
{
    return threadIdx.x;
}
unsigned long host_group_id(unsigned d)
{
    return d == 0 ? blockIdx.x : d == 1 ? blockIdx.y : blockIdx.z;
}
unsigned long host_num_groups(unsigned d)
{
    return d == 0 ? gridDim.x : d == 1 ? gridDim.y : gridDim.z;
}
void host_barrier()
{
    __syncthreads();
}

/* Lands at once or, every other time, when it is waited for. */
void host_copy16(unsigned long dst, unsigned long src, int in)
{
    const copy c = {(void *)dst, in ? (const void *)src : nullptr};

    if (dst % 16 != 0 || (in && src % 16 != 0))
        host_gpu::fail("a copy between addresses that are no multiples of 16");
    random_state = random_state * 1664525u + 1013904223u;
    if (random_state >> 31 != 0)
        land(c);
    else
        mine().open.push_back(c);
}
void host_copy_commit()
{
    mine().groups.push_back(std::move(mine().open));
    mine().open.clear();
}
void host_copy_wait(int pending)
{
    auto &groups = mine().groups;

    for (; groups.size() > (size_t)pending; groups.pop_front()) {
        for (const copy &c : groups.front())
            land(c);
    }
}

int host_any(int mine)
{
    return __any_sync(0, mine);
}
float host_shuffle_xor(float x, int mask)
{
    return __shfl_xor_sync(0, x, mask);
}
unsigned host_pack_f16(float lo, float hi)
{
    return pack_f16(lo, hi);
}
unsigned host_pack_bf16(float lo, float hi)
{
    return pack_bf16(lo, hi);
}
void host_load_matrices(unsigned *d, unsigned long row, int transposed)
{
    unsigned(&four)[4] = *(unsigned(*)[4])d;

    if (row % 16 != 0)
        host_gpu::fail("a row of a matrix at an address that is no multiple of 16");
    if (transposed)
        ldmatrix_x4_trans(four, (const void *)row);
    else
        ldmatrix_x4(four, (const void *)row);
}
void host_mma(float *c, const unsigned *a, unsigned b0, unsigned b1, int f16)
{
    float(&sums)[4] = *(float(*)[4])c;
    const unsigned(&rows)[4] = *(const unsigned(*)[4])a;

    if (f16)
        mma_f16(sums, rows, b0, b1);
    else
        mma_bf16(sums, rows, b0, b1);
}
}
