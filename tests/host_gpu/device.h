/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CUDA C++ for kernels/cuda, in the host's C++: the part of the language that the kernels use, and
 * the functions of ptx.cuh and ptx_sm90.cuh, whose own text the include guards leave out. What each
 * must do is said there and in the PTX ISA; layouts are written out here again, from that.
 */
#ifndef SCR_HOST_GPU_DEVICE_H
#define SCR_HOST_GPU_DEVICE_H

#include "machine.h"

#include <cmath>
#include <cstring>
#include <vector>

extern "C" {
float scr_f16_to_f32(uint16_t h);
uint16_t scr_f32_to_f16(float f);
float scr_bf16_to_f32(uint16_t h);
uint16_t scr_f32_to_bf16(float f);
}

/* --- the language --- */

#define __device__
#define __global__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __grid_constant__
#define __shared__   static /* the blocks of a grid run one after the other */
#define __align__(n) __attribute__((aligned(n)))
#define threadIdx    (host_gpu::thread_index)
#define blockIdx     (host_gpu::block_index)
#define blockDim     (host_gpu::block_size)
#define gridDim      (host_gpu::grid_size)
#define shared       (host_gpu::shared_memory)

struct __align__(8) float2
{
    float x, y;
};
struct __align__(16) float4
{
    float x, y, z, w;
};
struct __align__(16) int4
{
    int x, y, z, w;
};
struct __align__(16) uint4
{
    unsigned x, y, z, w;
};
struct __align__(8) ushort4
{
    unsigned short x, y, z, w;
};

inline float2 make_float2(float x, float y)
{
    return {x, y};
}
inline float4 make_float4(float x, float y, float z, float w)
{
    return {x, y, z, w};
}
inline int4 make_int4(int x, int y, int z, int w)
{
    return {x, y, z, w};
}

template <class To, class From> inline To bits_as(From from)
{
    static_assert(sizeof(To) == sizeof(From), "");
    To to;

    memcpy(&to, &from, sizeof to);
    return to;
}
inline int __float_as_int(float f)
{
    return bits_as<int>(f);
}
inline unsigned __float_as_uint(float f)
{
    return bits_as<unsigned>(f);
}
inline float __int_as_float(int i)
{
    return bits_as<float>(i);
}
inline float __uint_as_float(unsigned u)
{
    return bits_as<float>(u);
}
inline float __fmul_rn(float a, float b)
{
    return a * b;
}
inline float __fadd_rn(float a, float b)
{
    return a + b;
}
inline float __fmaf_rn(float a, float b, float c)
{
    return fmaf(a, b, c);
}
inline float __saturatef(float f)
{
    return f > 0.0f ? (f < 1.0f ? f : 1.0f) : 0.0f;
}
inline float rsqrtf(float f)
{
    return 1.0f / sqrtf(f);
}
/* sin and cos of pi x: exact at the quarters, as on the device. */
inline void sincospif(float x, float *s, float *c)
{
    const double turn = x - 2.0 * floor(x / 2.0);

    *s = turn == 0.0 || turn == 1.0 ? 0.0f : (float)sin(turn * M_PI);
    *c = turn == 0.5 || turn == 1.5 ? 0.0f : (float)cos(turn * M_PI);
}
inline float __sinf(float x)
{
    return sinf(x);
}
inline float __cosf(float x)
{
    return cosf(x);
}
inline float cospif(float x)
{
    float s, c;

    sincospif(x, &s, &c);
    return c;
}
template <class T> inline T min(T a, T b)
{
    return a < b ? a : b;
}
template <class T> inline T max(T a, T b)
{
    return a > b ? a : b;
}
inline int __popc(unsigned x)
{
    return __builtin_popcount(x);
}
template <class T> inline T atomicAdd(T *at, T x)
{
    T before = *at;

    *at += x;
    return before;
}
inline unsigned atomicOr(unsigned *at, unsigned x)
{
    unsigned before = *at;

    *at |= x;
    return before;
}

inline void __syncthreads()
{
    host_gpu::block_barrier_all(false);
}
inline int __syncthreads_or(int mine)
{
    return host_gpu::block_barrier_all(mine != 0);
}
inline void __syncwarp()
{
    host_gpu::meet(host_gpu::WARP, nullptr, [](void **, int, int) {});
}

struct exchange {
    unsigned mine, other;
    int from;
};
inline void exchange_all(void **all, int, int)
{
    for (int lane = 0; lane < host_gpu::WARP; lane++) {
        exchange &e = *(exchange *)all[lane];

        e.other = ((exchange *)all[e.from])->mine;
    }
}
template <class T> inline T shuffle(T x, int from)
{
    exchange e = {bits_as<unsigned>(x), 0, from};

    host_gpu::meet(host_gpu::WARP, &e, exchange_all);
    return bits_as<T>(e.other);
}
inline unsigned lane_of()
{
    return (threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z)) % host_gpu::WARP;
}
template <class T> inline T __shfl_sync(unsigned, T x, int lane)
{
    return shuffle(x, lane);
}
template <class T> inline T __shfl_xor_sync(unsigned, T x, int mask)
{
    return shuffle(x, (int)lane_of() ^ mask);
}
inline unsigned __ballot_sync(unsigned, int mine)
{
    unsigned votes = mine != 0;

    host_gpu::meet(host_gpu::WARP, &votes, [](void **all, int n, int) {
        unsigned result = 0;

        for (int i = 0; i < n; i++)
            result |= *(unsigned *)all[i] << i;
        for (int i = 0; i < n; i++)
            *(unsigned *)all[i] = result;
    });
    return votes;
}
inline int __ffs(int x)
{
    return __builtin_ffs(x);
}
inline int __any_sync(unsigned, int mine)
{
    unsigned any = mine != 0;

    host_gpu::meet(host_gpu::WARP, &any, [](void **all, int n, int) {
        unsigned result = 0;

        for (int i = 0; i < n; i++)
            result |= *(unsigned *)all[i];
        for (int i = 0; i < n; i++)
            *(unsigned *)all[i] = result;
    });
    return any != 0;
}
inline size_t __cvta_generic_to_shared(const void *p)
{
    const unsigned char *at = (const unsigned char *)p;

    if (at < shared || at >= shared + host_gpu::SHARED_BYTES)
        host_gpu::fail("an address outside shared memory");
    return (size_t)(at - shared);
}

/* --- ptx.cuh --- */

#define SCR_CUDA_PTX_CUH

inline float f16_to_float(unsigned short x)
{
    return scr_f16_to_f32(x);
}
inline unsigned short float_to_f16(float f)
{
    return scr_f32_to_f16(f);
}
inline unsigned pack_f16(float lo, float hi)
{
    return scr_f32_to_f16(lo) | (unsigned)scr_f32_to_f16(hi) << 16;
}
inline unsigned pack_bf16(float lo, float hi)
{
    return scr_f32_to_bf16(lo) | (unsigned)scr_f32_to_bf16(hi) << 16;
}
template <bool F16> inline float half_of_pair(unsigned pair, int e)
{
    unsigned short h = (unsigned short)(pair >> 16 * e);

    return F16 ? scr_f16_to_f32(h) : scr_bf16_to_f32(h);
}

inline void cp_async16(void *dst, const void *src, bool in)
{
    __cvta_generic_to_shared(dst);
    if (in)
        memcpy(dst, src, 16);
    else
        memset(dst, 0, 16);
}
inline void cp_async_commit()
{
}
template <int PENDING> inline void cp_async_wait()
{
}

struct matrix_load {
    unsigned *d;
    const void *row;
};
template <bool TRANSPOSED> inline void load_matrices(void **all, int, int)
{
    unsigned short m[4][8][8];

    for (int lane = 0; lane < 32; lane++)
        memcpy(m[lane / 8][lane % 8], ((matrix_load *)all[lane])->row, 16);
    for (int lane = 0; lane < 32; lane++) {
        for (int i = 0; i < 4; i++) {
            const int a = lane / 4, b = lane % 4 * 2;

            ((matrix_load *)all[lane])->d[i] = TRANSPOSED
                                                   ? m[i][b][a] | (unsigned)m[i][b + 1][a] << 16
                                                   : m[i][a][b] | (unsigned)m[i][a][b + 1] << 16;
        }
    }
}
inline void ldmatrix_x4(unsigned (&d)[4], const void *row)
{
    matrix_load load = {d, row};

    host_gpu::meet(host_gpu::WARP, &load, load_matrices<false>);
}
inline void ldmatrix_x4_trans(unsigned (&d)[4], const void *row)
{
    matrix_load load = {d, row};

    host_gpu::meet(host_gpu::WARP, &load, load_matrices<true>);
}

struct warp_product {
    float *c;
    const unsigned *a;
    unsigned b[2];
};
/* Element (row, k) of the 16 x 16 matrix whose fragments four registers of 32 lanes hold. */
template <bool F16> inline float a_element(const unsigned *const *fragments, int row, int k)
{
    const unsigned *a = fragments[row % 8 * 4 + k % 8 / 2];

    return half_of_pair<F16>(a[row / 8 + k / 8 * 2], k % 2);
}
template <bool F16> inline void multiply_warp(void **all, int, int)
{
    const unsigned *fragments[32];

    for (int lane = 0; lane < 32; lane++)
        fragments[lane] = ((warp_product *)all[lane])->a;
    for (int row = 0; row < 16; row++) {
        for (int column = 0; column < 8; column++) {
            warp_product &p = *(warp_product *)all[row % 8 * 4 + column / 2];
            float &c = p.c[row / 8 * 2 + column % 2];
            double sum = c;

            for (int k = 0; k < 16; k++) {
                const warp_product &b = *(const warp_product *)all[column * 4 + k % 8 / 2];

                sum += (double)a_element<F16>(fragments, row, k) *
                       half_of_pair<F16>(b.b[k / 8], k % 2);
            }
            c = (float)sum;
        }
    }
}
inline void mma_f16(float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1)
{
    warp_product p = {c, a, {b0, b1}};

    host_gpu::meet(host_gpu::WARP, &p, multiply_warp<true>);
}
inline void mma_bf16(float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1)
{
    warp_product p = {c, a, {b0, b1}};

    host_gpu::meet(host_gpu::WARP, &p, multiply_warp<false>);
}

/* --- ptx_sm90.cuh --- */

#define SCR_CUDA_PTX_SM90_CUH

inline unsigned shared_address(const void *p)
{
    return (unsigned)__cvta_generic_to_shared(p);
}

inline unsigned warp_uniform(unsigned x)
{
    if (__shfl_sync(~0u, x, 0) != x)
        host_gpu::fail("lanes of a warp do not agree");
    return x;
}

/* As the driver's stand-in fills it in (driver.cc). */
struct __align__(128) tensor_map
{
    const unsigned short *address;
    unsigned long long lengths[3], row_bytes, plane_bytes;
    unsigned box_columns, box_rows, swizzle_bytes;
};

inline void barrier_init(unsigned barrier, unsigned arrivals)
{
    host_gpu::barrier_init(barrier, arrivals);
}
inline void barrier_init_done()
{
}
inline void barrier_expect(unsigned barrier, unsigned bytes)
{
    host_gpu::barrier_arrive(barrier, bytes);
}
inline void barrier_arrive(unsigned barrier)
{
    host_gpu::barrier_arrive(barrier, 0);
}
inline void barrier_wait(unsigned barrier, unsigned parity)
{
    host_gpu::barrier_wait(barrier, parity);
}

/* Where a byte of swizzled shared memory lies: 16-byte units are exchanged within 8 rows. */
inline unsigned swizzled(unsigned address, unsigned width)
{
    return address ^ ((address >> 7 & (width / 16 - 1)) << 4);
}

struct box {
    unsigned dst;
    tensor_map map;
    int column, row, plane;
};
inline void copy_now(void *arg)
{
    box *b = (box *)arg;

    for (unsigned row = 0; row < b->map.box_rows; row++) {
        for (unsigned column = 0; column < b->map.box_columns; column++) {
            const unsigned at = b->dst + (row * b->map.box_columns + column) * 2;
            const long long r = b->row + (long long)row, c = b->column + (long long)column;
            const bool in = r >= 0 && r < (long long)b->map.lengths[1] && c >= 0 &&
                            c < (long long)b->map.lengths[0] && b->plane >= 0 &&
                            b->plane < (long long)b->map.lengths[2];
            const char *src = (const char *)b->map.address + b->plane * b->map.plane_bytes +
                              r * b->map.row_bytes + c * 2;

            *(unsigned short *)&shared[swizzled(at, b->map.swizzle_bytes)] =
                in ? *(const unsigned short *)src : (unsigned short)0;
        }
    }
    delete b;
}
inline void copy_box(unsigned dst, const tensor_map *map, int column, int row, int plane,
                     unsigned barrier)
{
    if (dst % 128 != 0)
        host_gpu::fail("a copy to an address that is no multiple of 128");
    host_gpu::later(copy_now, new box{dst, *map, column, row, plane}, barrier,
                    map->box_rows * map->box_columns * 2);
}
inline void prefetch_map(const tensor_map *)
{
}
inline void fence_async()
{
}
inline void threads_sync(int id, int n)
{
    host_gpu::block_barrier(id, n, false);
}
inline bool group_any(int id, bool mine)
{
    return host_gpu::block_barrier(id, host_gpu::WARPGROUP, mine);
}
/* NaN stays NaN, as on the device. */
inline unsigned pack_positive_f16(float lo, float hi)
{
    return pack_f16(lo <= 0.0f ? 0.0f : lo, hi <= 0.0f ? 0.0f : hi);
}
inline unsigned pack_positive_bf16(float lo, float hi)
{
    return pack_bf16(lo <= 0.0f ? 0.0f : lo, hi <= 0.0f ? 0.0f : hi);
}
template <int N> inline void give_registers()
{
}
template <int N> inline void take_registers()
{
}
inline void product_fence()
{
}
inline void product_commit()
{
    host_gpu::meet(host_gpu::WARPGROUP, nullptr,
                   [](void **, int, int unit) { host_gpu::commit_products(unit); });
}
template <int PENDING> inline void product_wait()
{
    host_gpu::finish_products(PENDING);
}
template <int N> inline void product_pin(float (&)[N])
{
}

template <int ROW_BYTES>
inline unsigned long long matrix_at(unsigned address, unsigned bytes, unsigned leading_bytes)
{
    const unsigned long long swizzle = ROW_BYTES == 128 ? 1 : ROW_BYTES == 64 ? 2 : 3;

    return (unsigned long long)((address + bytes) / 16) |
           (unsigned long long)(leading_bytes / 16) << 16 |
           (unsigned long long)(8 * ROW_BYTES / 16) << 32 | swizzle << 62;
}

struct group_product {
    float *d;
    const unsigned *a;           /* read when the product is done, not when it is started */
    unsigned long long a_shared; /* in place of a, if not 0 */
    unsigned long long b;
    bool add;
};
struct started_product {
    group_product of[host_gpu::WARPGROUP];
};
/* Element (k, n) of b in shared memory, or with rows false (n, k) of a, by the descriptor. */
inline unsigned short b_element(unsigned long long b, bool rows, int k, int n)
{
    const unsigned start = (unsigned)(b & 0x3fff) * 16, leading = (unsigned)(b >> 16 & 0x3fff) * 16,
                   stride = (unsigned)(b >> 32 & 0x3fff) * 16, width = 256u >> (b >> 62);
    const int along = rows ? n : k, across = rows ? k : n;
    const unsigned per_row = width / 2;
    const unsigned at = start + along / per_row * leading + along % per_row * 2 +
                        across / 8 * stride + across % 8 * width;

    return *(unsigned short *)&shared[swizzled(at, width)];
}
template <int N, bool F16, int B_ROWS> inline void multiply_group(void *arg)
{
    started_product *p = (started_product *)arg;

    for (int n = 0; n < N; n++) {
        float b[16];

        for (int k = 0; k < 16; k++) {
            unsigned short e = b_element(p->of[0].b, B_ROWS != 0, k, n);

            b[k] = F16 ? scr_f16_to_f32(e) : scr_bf16_to_f32(e);
        }
        for (int row = 0; row < 64; row++) {
            const unsigned long long a_shared = p->of[0].a_shared;
            group_product *warp = &p->of[row / 16 * 32];
            const unsigned *fragments[32];
            group_product &t = warp[row % 8 * 4 + n % 8 / 2];
            float &d = t.d[n / 8 * 4 + row % 16 / 8 * 2 + n % 2];
            double sum = t.add ? d : 0.0;

            for (int lane = 0; lane < 32; lane++)
                fragments[lane] = warp[lane].a;
            for (int k = 0; k < 16; k++) {
                unsigned short e = a_shared != 0 ? b_element(a_shared, false, k, row) : 0;
                float a = a_shared == 0 ? a_element<F16>(fragments, row % 16, k)
                          : F16         ? scr_f16_to_f32(e)
                                        : scr_bf16_to_f32(e);

                sum += (double)a * b[k];
            }
            d = (float)sum;
        }
    }
    delete p;
}
template <int N, bool F16, int B_ROWS> inline void start_group(void **all, int n, int unit)
{
    started_product *p = new started_product;

    for (int i = 0; i < n; i++) {
        p->of[i] = *(group_product *)all[i];
        if (p->of[i].b != p->of[0].b || p->of[i].a_shared != p->of[0].a_shared ||
            p->of[i].add != p->of[0].add)
            host_gpu::fail("threads of a warpgroup ask for different products");
    }
    host_gpu::start_product(unit, multiply_group<N, F16, B_ROWS>, p);
}
template <int B_ROWS, int HALF>
inline void product(float (&d)[HALF], const unsigned (&a)[4], unsigned long long b, bool add)
{
    group_product mine = {d, a, 0, b, add};

    host_gpu::meet(host_gpu::WARPGROUP, &mine, start_group<2 * HALF, SCR_DTYPE == 1, B_ROWS>);
}
template <int B_ROWS, int HALF>
inline void product(float (&d)[HALF], unsigned long long a, unsigned long long b, bool add)
{
    group_product mine = {d, nullptr, a, b, add};

    host_gpu::meet(host_gpu::WARPGROUP, &mine, start_group<2 * HALF, SCR_DTYPE == 1, B_ROWS>);
}

#endif
