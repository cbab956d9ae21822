/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hopper's own instructions (sm_90a): warpgroup matrix products, bulk tensor copies and the
 * barriers in shared memory that they complete on, one function each. Shared memory is named by its
 * 32-bit address.
 */
#ifndef SCR_CUDA_PTX_SM90_CUH
#define SCR_CUDA_PTX_SM90_CUH

__device__ __forceinline__ unsigned shared_address(const void *p)
{
    return (unsigned)__cvta_generic_to_shared(p);
}

/* The opaque argument that kernels/decl.h calls a tensor map. */
struct __align__(128) tensor_map
{
    unsigned long long opaque[16];
};

/*
 * x, which is the same for the whole warp, in a register that the warp has but once. ptxas does not
 * see it where branches depend on data, and descriptors of matrices then cost four instructions
 * each.
 */
__device__ __forceinline__ unsigned warp_uniform(unsigned x)
{
    unsigned y;

    asm volatile("redux.sync.or.b32 %0, %1, 0xffffffff;" : "=r"(y) : "r"(x));
    return y;
}

/* --- barriers: 8 bytes of shared memory --- */

__device__ __forceinline__ void barrier_init(unsigned barrier, unsigned arrivals)
{
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(arrivals)
                 : "memory");
}

/* Makes initialised barriers known to the copy engine. */
__device__ __forceinline__ void barrier_init_done()
{
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}

/* Arrives, and has the phase wait for that many bytes of copies, too. */
__device__ __forceinline__ void barrier_expect(unsigned barrier, unsigned bytes)
{
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes)
                 : "memory");
}

__device__ __forceinline__ void barrier_arrive(unsigned barrier)
{
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory");
}

/* Until the phase of this parity is complete. */
__device__ __forceinline__ void barrier_wait(unsigned barrier, unsigned parity)
{
    asm volatile("{\n"
                 ".reg .pred done;\n"
                 "again:\n"
                 "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
                 "@done bra over;\n"
                 "bra again;\n"
                 "over:\n"
                 "}" ::"r"(barrier),
                 "r"(parity)
                 : "memory");
}

/* --- bulk tensor copies --- */

/* Starts the copy of a box whose first element is (column, row, plane). */
__device__ __forceinline__ void copy_box(unsigned dst, const tensor_map *map, int column, int row,
                                         int plane, unsigned barrier)
{
    asm volatile("cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes "
                 "[%0], [%1, {%2, %3, %4}], [%5];" ::"r"(dst),
                 "l"(map), "r"(column), "r"(row), "r"(plane), "r"(barrier)
                 : "memory");
}

__device__ __forceinline__ void prefetch_map(const tensor_map *map)
{
    asm volatile("prefetch.tensormap [%0];" ::"l"(map) : "memory");
}

/* Ordinary writes to shared memory before it are seen by products and copies after it. */
__device__ __forceinline__ void fence_async()
{
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

/* --- some threads of a block, which meet at barrier `id`, 1 to 15 --- */

__device__ __forceinline__ void threads_sync(int id, int n)
{
    asm volatile("barrier.cta.sync %0, %1;" ::"r"(id), "r"(n) : "memory");
}

/* The 128 of a warpgroup: whether any of them says so. */
__device__ __forceinline__ bool group_any(int id, bool mine)
{
    unsigned any;

    asm volatile("{\n"
                 ".reg .pred p, q;\n"
                 "setp.ne.u32 p, %2, 0;\n"
                 "barrier.cta.red.or.pred q, %1, 128, p;\n"
                 "selp.u32 %0, 1, 0, q;\n"
                 "}"
                 : "=r"(any)
                 : "r"(id), "r"((unsigned)mine)
                 : "memory");
    return any != 0;
}

/* Registers a thread of this warpgroup, a multiple of 8: fewer than it has, or more. */
template <int N> __device__ __forceinline__ void give_registers()
{
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(N));
}

template <int N> __device__ __forceinline__ void take_registers()
{
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(N));
}

/* Two floats rounded, those below 0 taken as 0; `lo` in the low half. */
__device__ __forceinline__ unsigned pack_positive_f16(float lo, float hi)
{
    unsigned x;

    asm("cvt.rn.relu.f16x2.f32 %0, %1, %2;" : "=r"(x) : "f"(hi), "f"(lo));
    return x;
}

__device__ __forceinline__ unsigned pack_positive_bf16(float lo, float hi)
{
    unsigned x;

    asm("cvt.rn.relu.bf16x2.f32 %0, %1, %2;" : "=r"(x) : "f"(hi), "f"(lo));
    return x;
}

/* --- warpgroup products --- */

/* Registers written before it may be operands of products after it. */
__device__ __forceinline__ void product_fence()
{
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}

__device__ __forceinline__ void product_commit()
{
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}

template <int PENDING> __device__ __forceinline__ void product_wait()
{
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(PENDING) : "memory");
}

/* Keeps the compiler from moving uses of accumulators over a wait. */
template <int N> __device__ __forceinline__ void product_pin(float (&d)[N])
{
#pragma unroll
    for (int i = 0; i < N; i++)
        asm volatile("" : "+f"(d[i])::"memory");
}

/*
 * A matrix in shared memory whose rows are `ROW_BYTES` (32, 64 or 128) swizzled bytes: the start is
 * a multiple of eight rows, or lies within the first row of such a group; `bytes` further on from
 * the address.
 * leading_bytes   from one group of ROW_BYTES columns to the next, where a product needs both
 */
template <int ROW_BYTES>
__device__ __forceinline__ unsigned long long matrix_at(unsigned address, unsigned bytes,
                                                        unsigned leading_bytes)
{
    constexpr unsigned swizzle = ROW_BYTES == 128 ? 1 : ROW_BYTES == 64 ? 2 : 3;
    constexpr unsigned high = 8 * ROW_BYTES >> 4 | swizzle << 30;
    /* Shared memory ends below the field's end, so that an offset is but an addition; in a cluster
     * addresses have the block's number above it. */
    const unsigned low = ((address & 0x3ffff) >> 4 | leading_bytes >> 4 << 16) + (bytes >> 4);

    return (unsigned long long)high << 32 | low;
}

#if SCR_DTYPE == SCR_F16
#define PRODUCT_TYPES ".f32.f16.f16"
#else
#define PRODUCT_TYPES ".f32.bf16.bf16"
#endif

/*
 * d = a b, or d += a b with `add`: a is 64 x 16, fragments as of mma.sync, warp i of the warpgroup
 * having rows 16 i to 16 i + 15; b is 16 x N in shared memory. d[4 n + e] of a thread is element e
 * of mma.sync's c for columns 8 n to 8 n + 7. B_ROWS says how b lies in memory: 0, a column of b a
 * row there (q k^T); 1, a row of b a row there (the value product).
 */
#define PRODUCT_(N, D, A0, A1, A2, A3, B, ADD, ROWS, ...)                                          \
    template <int B_ROWS>                                                                          \
    __device__ __forceinline__ void product(float(&d)[N / 2], const unsigned(&a)[4],               \
                                            unsigned long long b, bool add)                        \
    {                                                                                              \
        asm volatile("{\n"                                                                         \
                     ".reg .pred p;\n"                                                             \
                     "setp.ne.b32 p, " ADD ", 0;\n"                                                \
                     "wgmma.mma_async.sync.aligned.m64n" #N "k16" PRODUCT_TYPES " {" D "}, {" A0   \
                     ", " A1 ", " A2 ", " A3 "}, " B ", p, 1, 1, " ROWS ";\n"                      \
                     "}"                                                                           \
                     : __VA_ARGS__                                                                 \
                     : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"((int)add),          \
                       "n"(B_ROWS));                                                               \
    }

/* The same with a in shared memory, a row of a a row there. */
#define PRODUCT_SHARED_(N, D, A, B, ADD, ROWS, ...)                                                \
    template <int B_ROWS>                                                                          \
    __device__ __forceinline__ void product(float(&d)[N / 2], unsigned long long a,                \
                                            unsigned long long b, bool add)                        \
    {                                                                                              \
        asm volatile("{\n"                                                                         \
                     ".reg .pred p;\n"                                                             \
                     "setp.ne.b32 p, " ADD ", 0;\n"                                                \
                     "wgmma.mma_async.sync.aligned.m64n" #N "k16" PRODUCT_TYPES " {" D "}, " A     \
                     ", " B ", p, 1, 1, 0, " ROWS ";\n"                                            \
                     "}"                                                                           \
                     : __VA_ARGS__                                                                 \
                     : "l"(a), "l"(b), "r"((int)add), "n"(B_ROWS));                                \
    }

#define F4(i)  "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3])
#define F8(i)  F4(i), F4(i + 4)
#define F16(i) F8(i), F8(i + 8)
#define F32(i) F16(i), F16(i + 16)
#define D8     "%0, %1, %2, %3, %4, %5, %6, %7"
#define D16    D8 ", %8, %9, %10, %11, %12, %13, %14, %15"
#define D32    D16 ", %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define D64                                                                                        \
    D32 ", %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47"         \
        ", %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"

PRODUCT_(16, D8, "%8", "%9", "%10", "%11", "%12", "%13", "%14", F8(0))
PRODUCT_(32, D16, "%16", "%17", "%18", "%19", "%20", "%21", "%22", F16(0))
PRODUCT_(64, D32, "%32", "%33", "%34", "%35", "%36", "%37", "%38", F32(0))
PRODUCT_(128, D64, "%64", "%65", "%66", "%67", "%68", "%69", "%70", F32(0), F32(32))
PRODUCT_SHARED_(32, D16, "%16", "%17", "%18", "%19", F16(0))
PRODUCT_SHARED_(64, D32, "%32", "%33", "%34", "%35", F32(0))
PRODUCT_SHARED_(128, D64, "%64", "%65", "%66", "%67", F32(0), F32(32))

#undef F4
#undef F8
#undef F16
#undef F32
#undef D8
#undef D16
#undef D32
#undef D64

#endif
