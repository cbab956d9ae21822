/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every CUDA kernel shares: storage types, mask and window, the range of keys that a block of
 * rows visits, the norm of the output. kernels/README.md names r, w, p, a and m.
 *
 * The window is used through the half angle: m = (1 + cos t) / 2 = cos(t / 2)^2, so that the weight
 * of a pair is (max(0, x) c)^2 with x = 1 - r (1 - s) and c = cos(pi (p - j) / (2 w)).
 */
#ifndef SCR_CUDA_COMMON_CUH
#define SCR_CUDA_COMMON_CUH

#include "ptx.cuh"
#include "shape.h"

#define SCR_F32  0
#define SCR_F16  1
#define SCR_BF16 2

#if SCR_DTYPE == SCR_F32
typedef float storage;
#else
typedef unsigned short storage;
#endif

#if SCR_DTYPE_OUT == SCR_F32
typedef float output;
#else
typedef unsigned short output;
#endif

#define FULL_WARP 0xffffffffu

__device__ __forceinline__ float bf16_to_float(unsigned bits)
{
    return __uint_as_float(bits << 16);
}

/* Rounds to nearest even without the instruction that only sm_80 has; NaN stays NaN. */
__device__ __forceinline__ unsigned short float_to_bf16(float f)
{
    unsigned u = __float_as_uint(f);

    if (f != f)
        return 0x7fc0;
    return (unsigned short)((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
}

/* Four consecutive elements as f32; src is aligned to four elements. */
__device__ __forceinline__ float4 load4(const storage *src)
{
#if SCR_DTYPE == SCR_F32
    return *(const float4 *)src;
#else
    ushort4 x = *(const ushort4 *)src;
#if SCR_DTYPE == SCR_F16
    return make_float4(f16_to_float(x.x), f16_to_float(x.y), f16_to_float(x.z), f16_to_float(x.w));
#else
    return make_float4(bf16_to_float(x.x), bf16_to_float(x.y), bf16_to_float(x.z),
                       bf16_to_float(x.w));
#endif
#endif
}

__device__ __forceinline__ output to_output(float f)
{
#if SCR_DTYPE_OUT == SCR_F32
    return f;
#elif SCR_DTYPE_OUT == SCR_F16
    return float_to_f16(f);
#else
    return float_to_bf16(f);
#endif
}

/* Keys of batch b: those at j >= the result do not exist. */
__device__ __forceinline__ int key_count(const scr_shape &shape, const int *kv_len, int b)
{
    if (!(shape.flags & SCR_SHAPE_HAS_KV_LEN))
        return shape.len_k;
    return max(0, min(shape.len_k, kv_len[b]));
}

/* Mask and window of one head. */
struct window {
    bool open;  /* w = inf: c = 1 */
    float turn; /* c = cos(pi * turn * (p - j)) */
    int reach;  /* the largest |p - j| inside the window; at most 2^26 */
    int offset; /* a pair is admissible if 0 <= p - j + offset <= span ... */
    unsigned span;
    int n_keys; /* ... and j < n_keys */
};

__device__ __forceinline__ window make_window(float w, int flags, int n_keys)
{
    window win;

    win.open = w == __int_as_float(0x7f800000);
    /* For w <= 1 only p = j is left, whose angle is 0. */
    win.turn = 0.5f / fmaxf(w, 1.0f);
    win.reach = (int)ceilf(fminf(w, 67108864.0f)) - 1;
    if (win.open)
        win.reach = 67108864;
    win.offset = flags & SCR_SHAPE_CAUSAL ? 0 : win.reach;
    win.span = (unsigned)(win.offset + win.reach);
    win.n_keys = n_keys;
    return win;
}

__device__ __forceinline__ bool admissible(const window &win, int p, int j)
{
    return (unsigned)(p - j + win.offset) <= win.span && j < win.n_keys;
}

/* A position from which no key is admissible: that of rows past the end of q. */
#define NOWHERE (-(1 << 30))

/* Every pair of positions [p0, p0 + n_rows) and keys [j0, j0 + n_keys) is admissible. */
__device__ __forceinline__ bool all_admissible(const window &win, int p0, int n_rows, int j0,
                                               int n_keys)
{
    return p0 - (j0 + n_keys - 1) + win.offset >= 0 && p0 + n_rows - 1 - j0 <= win.reach &&
           j0 + n_keys <= win.n_keys;
}

/* cos(pi (p - j) / (2 w)) of an admissible pair. */
__device__ __forceinline__ float window_cos(const window &win, int p, int j)
{
    return win.open ? 1.0f : cospif((float)(p - j) * win.turn);
}

/*
 * The tiles of keys that rows at positions [p0, p1] visit: those that meet mask and window, or with
 * whole, those that meet the mask alone. [*first, *end) is empty where there is none.
 */
__device__ __forceinline__ void key_tiles(const window &win, int flags, bool whole, int p0, int p1,
                                          int tile_k, int *first, int *end)
{
    bool causal = flags & SCR_SHAPE_CAUSAL;
    int lo = whole ? 0 : max(0, p0 - win.reach);
    int hi = win.n_keys - 1;

    if (causal)
        hi = min(hi, p1);
    else if (!whole)
        hi = min(hi, p1 + win.reach);
    *first = lo / tile_k;
    *end = hi >= lo ? hi / tile_k + 1 : *first;
}

/* TanhNorm's factor tanh(n) / n, given n^2. */
__device__ __forceinline__ float norm_factor(float n2)
{
    float n = sqrtf(n2);

    return n > 0.0f ? tanhf(n) / n : 1.0f;
}

/* Enum of SCR_SKIP, and the indices of struct scr_counts. */
#define SKIP_NONE  0
#define SKIP_TILE  1
#define SKIP_SLICE 2

#define COUNT_QK        0
#define COUNT_PV        1
#define COUNT_PV_SLICES 2

/* A tile is left out where no pair's x = 1 - r (1 - s) is above it. */
#if SCR_FAULT_SKIP
#define LIVE_X 0.25f
#else
#define LIVE_X 0.0f
#endif

/* Keys whose value product is skipped as one with skip = slice. */
#define SLICE_K 16

#endif
