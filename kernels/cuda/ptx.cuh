/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The instructions that CUDA C++ without headers does not reach, one function each. Nothing else in
 * kernels/cuda holds assembly. Those from cp_async16 on need sm_80.
 */
#ifndef SCR_CUDA_PTX_CUH
#define SCR_CUDA_PTX_CUH

__device__ __forceinline__ float f16_to_float(unsigned short x)
{
    float f;

    asm("cvt.f32.f16 %0, %1;" : "=f"(f) : "h"(x));
    return f;
}

__device__ __forceinline__ unsigned short float_to_f16(float f)
{
    unsigned short x;

    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(x) : "f"(f));
    return x;
}

/* Two values rounded to nearest even, lo in the lower half. */
__device__ __forceinline__ unsigned pack_f16(float lo, float hi)
{
    unsigned x;

    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(x) : "f"(hi), "f"(lo));
    return x;
}

__device__ __forceinline__ unsigned pack_bf16(float lo, float hi)
{
    unsigned x;

    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(x) : "f"(hi), "f"(lo));
    return x;
}

/* Copies 16 bytes, both addresses aligned to 16, or writes zeros where in is false. */
__device__ __forceinline__ void cp_async16(void *shared, const void *global, bool in)
{
    unsigned dst = (unsigned)__cvta_generic_to_shared(shared);
    int bytes = in ? 16 : 0;

    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(dst), "l"(global), "r"(bytes)
                 : "memory");
}

__device__ __forceinline__ void cp_async_commit()
{
    asm volatile("cp.async.commit_group;" ::: "memory");
}

/* Waits until at most PENDING of the groups committed last are under way. */
template <int PENDING> __device__ __forceinline__ void cp_async_wait()
{
    asm volatile("cp.async.wait_group %0;" ::"n"(PENDING) : "memory");
}

/*
 * Four 8 x 8 matrices of 16-bit elements. Lane l gives the address of row l % 8 of matrix l / 8 and
 * receives of each matrix elements 2 (l % 4) and 2 (l % 4) + 1 of row l / 4.
 */
__device__ __forceinline__ void ldmatrix_x4(unsigned (&d)[4], const void *row)
{
    unsigned src = (unsigned)__cvta_generic_to_shared(row);

    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3])
                 : "r"(src)
                 : "memory");
}

/* The same, but lane l receives of each matrix column l / 4, rows 2 (l % 4) and 2 (l % 4) + 1. */
__device__ __forceinline__ void ldmatrix_x4_trans(unsigned (&d)[4], const void *row)
{
    unsigned src = (unsigned)__cvta_generic_to_shared(row);

    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3])
                 : "r"(src)
                 : "memory");
}

/*
 * c += a b, with a 16 x 16, b 16 x 8, c 16 x 8. With g = lane / 4, t = lane % 4, lane holds
 *   a[0] row g, columns 2t, 2t + 1    a[2] the same row, columns 2t + 8, 2t + 9
 *   a[1], a[3] the same of row g + 8
 *   b0 rows 2t, 2t + 1 of column g    b1 rows 2t + 8, 2t + 9
 *   c[0], c[1] row g, columns 2t, 2t + 1; c[2], c[3] the same of row g + 8
 */
__device__ __forceinline__ void mma_f16(float (&c)[4], const unsigned (&a)[4], unsigned b0,
                                        unsigned b1)
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
                 "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

__device__ __forceinline__ void mma_bf16(float (&c)[4], const unsigned (&a)[4], unsigned b0,
                                         unsigned b1)
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
                 "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

#endif
