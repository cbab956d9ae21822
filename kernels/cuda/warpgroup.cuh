/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a warpgroup of Hopper does with 64 rows and a tile of TILE_K keys: s = q k^T, mask and
 * window, the test whether a pair is alive, the weights, and their product with the values. Nothing
 * here waits for memory, or tells when; fused_wgmma.cuh does.
 *
 * ptxas runs products one by one where it cannot tell which registers they hold; a test that chose
 * between two ways of looking at s while a value product is under way was enough.
 */
#ifndef SCR_CUDA_WARPGROUP_CUH
#define SCR_CUDA_WARPGROUP_CUH

#include "fragments.cuh"
#include "ptx_sm90.cuh"

#define GROUP_ROWS 64 /* rows a warpgroup */
#define SLICES     (TILE_K / SLICE_K)
#define ALL        ((1u << SLICES) - 1)          /* slices */
#define CHUNK      (TILE_K < 128 ? TILE_K : 128) /* keys of a product */
#define CHUNKS     (TILE_K / CHUNK)

/* Bytes of a row in shared memory; wider heads lie there as two halves, one behind the other. */
#define K_ROW (DK < 64 ? 2 * DK : 128)
#define V_ROW (DV < 64 ? 2 * DV : 128)

/* What a head's r makes of s, on two scales. */
struct relevance {
    float scale, bias;     /* y = root x = scale s + bias, where root keeps y below 1 */
    float gain;            /* times y: z */
    float z_scale, z_bias; /* z = 2^n x, whose square is the weight */
    float unscale;         /* of the sum of weights: 2^-2n */
    float live;            /* LIVE_X on the scale of y */
    bool ordered;          /* r >= 1: x > 0 needs s > 0 */
};

/*
 * Rounding leaves unit vectors with s up to 1 + 2^-6; y has room for x up to 64 times what follows
 * from that, for vectors of other lengths. f16 weights are (2^n x)^2, where n is 4 where r allows,
 * as in fused_mma.cuh, and overflow from x = 16 on; bf16 has the range of f32.
 */
__device__ __forceinline__ relevance make_relevance(float r)
{
    const int exponent = 0x7f800000;

    /* Beyond 2^24 s tells no more of x; beyond 2^60 the scales would overflow. */
    r = fminf(r, 0x1p40f);

    float room = 1.0f / fmaf(r, 0x1p-6f, 1.0f);
    float root = 0x1p-6f * __int_as_float(__float_as_int(room) & exponent);
    float top = 240.0f / fmaf(r, 0x1p-9f, 1.0f);
    float up =
        SCR_DTYPE == SCR_F16 ? fminf(16.0f, __int_as_float(__float_as_int(top) & exponent)) : 1.0f;

    return {r * root,        (1.0f - r) * root, up / root,     r * up,
            (1.0f - r) * up, 1.0f / (up * up),  LIVE_X * root, r >= 1.0f};
}

__device__ __forceinline__ float relevance_of(const relevance &rel, float s)
{
    return __saturatef(fmaf(rel.scale, s, rel.bias));
}

typedef float scores[CHUNKS][CHUNK / 2];

/* One warpgroup's rows and its accumulators. */
struct group {
    rows<1> mine;
    scores s;
    float o[DV / 2];
    unsigned weights[SLICES][4];
};

/* s = q k^T, started; q is where the rows lie if Q_SHARED. */
__device__ __forceinline__ void start_scores(group &g, scores &s, unsigned q, unsigned k)
{
#pragma unroll
    for (int c = 0; c < CHUNKS; c++) {
#pragma unroll
        for (int i = 0; i < DK / 16; i++) {
            const unsigned long long keys =
                matrix_at<K_ROW>(k, c * CHUNK * K_ROW + i / 4 * TILE_K * 128 + i % 4 * 32, 16);

            if (Q_SHARED)
                product<0>(s[c], matrix_at<K_ROW>(q, i / 4 * GROUP_ROWS * 128 + i % 4 * 32, 16),
                           keys, i != 0);
            else
                product<0>(s[c], g.mine.q[0][i], keys, i != 0);
        }
    }
}

/* o += weights v, started. */
__device__ __forceinline__ void start_values(group &g, unsigned v)
{
#pragma unroll
    for (int s = 0; s < SLICES; s++)
        product<1>(g.o, g.weights[s], matrix_at<V_ROW>(v, s * SLICE_K * V_ROW, TILE_K * 128), true);
}

/* The same over the slices in need, one branch each. */
__device__ __forceinline__ void start_slices(group &g, unsigned v, unsigned need)
{
#pragma unroll
    for (int s = 0; s < SLICES; s++) {
        if (need >> s & 1u) {
            product_fence();
            product<1>(g.o, g.weights[s], matrix_at<V_ROW>(v, s * SLICE_K * V_ROW, TILE_K * 128),
                       true);
        }
    }
}

/* Waits before it hold for s from here on. */
__device__ __forceinline__ void pin_scores(scores &s)
{
#pragma unroll
    for (int c = 0; c < CHUNKS; c++)
        product_pin(s[c]);
}

/* Element i of a chunk of s: its key within the tile, less 2 (lane % 4), and its row half. */
__device__ __forceinline__ constexpr int key_of(int c, int i)
{
    return c * CHUNK + i / 4 * 8 + i % 2;
}

__device__ __forceinline__ constexpr int half_of(int i)
{
    return i / 2 % 2;
}

/* Takes pairs outside mask and window to an s that no threshold lets pass. */
__device__ __forceinline__ void mask_scores(const group &g, scores &s, const window &win, int j0)
{
    const int mine = j0 + threadIdx.x % 4 * 2;
    int low[2];
    unsigned width[2];

#pragma unroll
    for (int half = 0; half < 2; half++) {
        int high = min(g.mine.p[0][half] + win.offset, win.n_keys - 1) - mine;

        low[half] = g.mine.p[0][half] + win.offset - (int)win.span - mine;
        width[half] = (unsigned)(high - low[half]);
        if (high < low[half]) { /* none */
            low[half] = 1 << 30;
            width[half] = 0;
        }
    }
#pragma unroll
    for (int c = 0; c < CHUNKS; c++) {
#pragma unroll
        for (int i = 0; i < CHUNK / 2; i++) {
            if ((unsigned)(key_of(c, i) - low[half_of(i)]) > width[half_of(i)])
                s[c][i] = __int_as_float((int)0xff800000);
        }
    }
}

/*
 * Whether a pair among elements [from, from + n) of a chunk has x > 0. ORDERED is for r >= 1 and
 * has the largest s decide, as x never falls with s. As bits, floats above 0 are in the order of
 * integers, and those below, which cannot pass, are less than any of them.
 */
template <bool ORDERED, int FROM, int N>
__device__ __forceinline__ bool any_live(const relevance &rel, const float (&s)[CHUNK / 2])
{
    /* A NaN must not hide what is alive beside it. */
    auto live = [&](float x) { return relevance_of(rel, x) > rel.live || x != x; };

    if (!ORDERED) {
        bool any = false;

#pragma unroll
        for (int i = FROM; i < FROM + N; i++)
            any |= live(s[i]);
        return any;
    }

    constexpr int CHAINS = N < 16 ? 1 : 4; /* that do not wait for each other */
    int tops[CHAINS];

#pragma unroll
    for (int i = 0; i < CHAINS; i++)
        tops[i] = __float_as_int(s[FROM + i]);
#pragma unroll
    for (int i = CHAINS; i + 1 < N; i += 2) {
        int &top = tops[i / 2 % CHAINS];

        top = max(max(top, __float_as_int(s[FROM + i])), __float_as_int(s[FROM + i + 1]));
    }

    int top = N % 2 != CHAINS % 2 ? __float_as_int(s[FROM + N - 1]) : tops[0];

#pragma unroll
    for (int i = 0; i < CHAINS; i++)
        top = max(top, tops[i]);
    return live(__int_as_float(top));
}

template <bool ORDERED, int C, int S> struct each_slice {
    static __device__ __forceinline__ unsigned alive(const relevance &rel, const scores &s)
    {
        unsigned mine = __any_sync(FULL_WARP, any_live<ORDERED, S * 8, 8>(rel, s[C])) ? 1u : 0u;

        return mine << (C * CHUNK / SLICE_K + S) | each_slice<ORDERED, C, S - 1>::alive(rel, s);
    }
};
template <bool ORDERED, int C> struct each_slice<ORDERED, C, -1> {
    static __device__ __forceinline__ unsigned alive(const relevance &, const scores &)
    {
        return 0;
    }
};

template <bool ORDERED>
__device__ __forceinline__ bool tile_live(const relevance &rel, const scores &s)
{
    bool live = false;

#pragma unroll
    for (int c = 0; c < CHUNKS; c++)
        live |= any_live<ORDERED, 0, CHUNK / 2>(rel, s[c]);
    return live;
}

/* Whether any thread of the warpgroup says so. The second vote is for the compiler, which learns
 * from it that a warp's lanes agree. */
__device__ __forceinline__ bool group_says(int id, bool mine)
{
    return __any_sync(FULL_WARP, group_any(id, mine));
}

/* Weights of all pairs, in place of their s. */
template <bool OPEN>
__device__ __forceinline__ void weigh(const group &g, scores &s, const relevance &rel,
                                      const window &win, const float2 *column, int j0)
{
    float row_cos[2], row_sin[2];

    if (!OPEN) {
#pragma unroll
        for (int half = 0; half < 2; half++) {
            /* Half turns, taken into [-1, 1], where the device's quick functions are off by 2^-20:
             * far less than f16 and bf16 round weights by. */
            float turns = __fmul_rn((float)(g.mine.p[0][half] - j0), win.turn);
            float angle =
                __fmul_rn(__fmaf_rn(-2.0f, rintf(__fmul_rn(0.5f, turns)), turns), 3.14159265f);

            row_cos[half] = __fmul_rn(rel.gain, __cosf(angle));
            row_sin[half] = __fmul_rn(rel.gain, __sinf(angle));
        }
    }
#pragma unroll
    for (int c = 0; c < CHUNKS; c++) {
#pragma unroll
        for (int n = 0; n < CHUNK / 8; n++) {
            float4 col;

            if (!OPEN)
                col = *(const float4 *)&column[key_of(c, n * 4) + threadIdx.x % 4 * 2];
#pragma unroll
            for (int half = 0; half < 2; half++) {
#pragma unroll
                for (int e = 0; e < 2; e++) {
                    float &x = s[c][n * 4 + half * 2 + e];

                    if (OPEN) {
                        float z = __fmaf_rn(rel.z_scale, x, rel.z_bias);

                        x = __fmul_rn(z, fabsf(z));
                    } else {
                        float cos_j = e ? col.z : col.x;
                        float sin_j = e ? col.w : col.y;
                        float z = __fmul_rn(
                            relevance_of(rel, x),
                            __fmaf_rn(row_cos[half], cos_j, __fmul_rn(row_sin[half], sin_j)));

                        x = __fmul_rn(z, z);
                    }
                }
            }
        }
    }
}

__device__ __forceinline__ unsigned pack_positive(float lo, float hi)
{
#if SCR_DTYPE == SCR_F16
    return pack_positive_f16(lo, hi);
#else
    return pack_positive_bf16(lo, hi);
#endif
}

/* Weights as the A operand of the value product; those below 0 are 0. */
__device__ __forceinline__ void pack_weights(group &g, const scores &s)
{
#pragma unroll
    for (int c = 0; c < CHUNKS; c++) {
#pragma unroll
        for (int n = 0; n < CHUNK / 8; n++) {
#pragma unroll
            for (int half = 0; half < 2; half++)
                g.weights[c * CHUNK / SLICE_K + n / 2][n % 2 * 2 + half] =
                    pack_positive(s[c][n * 4 + half * 2], s[c][n * 4 + half * 2 + 1]);
        }
    }
}

#endif
