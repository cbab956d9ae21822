/* SPDX-License-Identifier: Apache-2.0 */
/* clang-format off */
/*
 * Split of the keys, for the fused kernels. With SPLIT_K > 1 up to that many blocks share the key
 * tiles that a block of rows visits, each PART_TILES of them or more, and each leaves its part of h
 * as f32 [SPLIT_K][batch, heads_q, len_q, dv] in the workspace; `combine` adds the parts in order,
 * applies the norm and writes o. Rows that visit few tiles are not split.
 *
 * With LONG_HEADS > 0 blocks take the heads by their windows, the longest first, and split no more
 * than the first LONG_HEADS of them: layers have many short windows and a few long ones, which
 * should neither come last nor cost the others idle blocks. More heads than a warp has lanes are
 * taken as they come.
 *
 * DV / 4 threads own a row of o in combine, each four columns of it, of COMBINE_TURNS rows in turn.
 *
 * @tunable SPLIT_K = 1 : 1 2 4 8 -- blocks that share the keys of a block of rows
 * @tunable LONG_HEADS = 0 : 0 1 2 4 -- heads in their own order (0), or the longest windows first and so many of them split
 * @workspace SPLIT_K == 1 ? 0 : SPLIT_K * BATCH * HEADS_Q * LEN_Q * DV * 4
 * @step combine
 * @groups SPLIT_K == 1 ? 0 : ceil_div(LEN_Q, 2048 / DV), LONG_HEADS == 0 ? HEADS_Q : min(LONG_HEADS, HEADS_Q), BATCH
 * @group 128
 */
/* clang-format on */
#ifndef SCR_CUDA_SPLIT_CUH
#define SCR_CUDA_SPLIT_CUH

#include "common.cuh"

/*
 * The head that is the nth by window, the longest first; of equal ones in their order. For a whole
 * warp.
 */
__device__ __forceinline__ int head_by_window(const float *w, int n_heads, int nth)
{
    const int lane = threadIdx.x % 32;
    const float mine = lane < n_heads ? w[lane] : -1.0f;
    int before = 0;

    if (n_heads > 32)
        return nth;
    for (int i = 0; i < n_heads; i++) {
        float other = __shfl_sync(FULL_WARP, mine, i);

        before += other > mine || (other == mine && i < lane);
    }
    return __ffs(__ballot_sync(FULL_WARP, lane < n_heads && before == nth)) - 1;
}

/* What a block works on. */
struct assignment {
    int h;         /* query head */
    int row0;      /* the first of TILE_Q rows */
    int part;      /* of the tiles that they visit ... */
    int max_parts; /* ... which are split into so many at most */
};

/*
 * Heads in their own order take turns, all with their longest rows first, where their keys and
 * values are few enough to stay in the level 2 cache together: were it head after head, the longest
 * rows of the last one would begin late, and in the end few blocks would run. The grid is (heads,
 * rows and parts) then, else (rows and parts, heads), as @groups of the kernels has it.
 */
#define TURN_BYTES (32 << 20)

/* For whole warps. */
__device__ __forceinline__ assignment assign(const scr_shape &shape, const float *w)
{
    const int blocks = (shape.len_q + TILE_Q - 1) / TILE_Q; /* of rows */
    const bool turns = LONG_HEADS == 0 && (long long)shape.heads_q * max(shape.len_q, shape.len_k) *
                                                  ((DK + DV) * (int)sizeof(storage)) <=
                                              TURN_BYTES;
    int x = turns ? blockIdx.y : blockIdx.x;
    int nth = turns ? blockIdx.x : blockIdx.y;
    int max_parts = SPLIT_K;

    if (LONG_HEADS > 0) {
        const int n_long = min(LONG_HEADS, shape.heads_q);
        const int others = x - n_long * blocks * SPLIT_K;

        max_parts = others < 0 ? SPLIT_K : 1;
        nth = others < 0 ? x / (blocks * SPLIT_K) : n_long + others / blocks;
        x = others < 0 ? x % (blocks * SPLIT_K) : others % blocks;
    }
    /* The longest rows of a causal mask come last: start with them. */
    if (shape.flags & SCR_SHAPE_CAUSAL)
        x = blocks * max_parts - 1 - x;
    return {LONG_HEADS > 0 ? head_by_window(w, shape.heads_q, nth) : nth, x / max_parts * TILE_Q,
            x % max_parts, max_parts};
}

#define PART_TILES 4 /* the least that a part has where there are several */

/*
 * Part `part` of the tiles [*first, *end), which are split into parts whose sizes differ by at most
 * one; returns into how many. From there on a part has nothing to do.
 */
__device__ __forceinline__ int take_part(int part, int max_parts, int *first, int *end)
{
    const int n = *end - *first;
    const int parts = min(max_parts, max(1, n / PART_TILES));

    *end = *first + n * (part + 1) / parts;
    *first += n * part / parts;
    return parts;
}

/* Where a part of a head starts in the workspace. */
__device__ __forceinline__ long long part_at(const scr_shape &shape, int part, long long head)
{
    return ((long long)part * shape.batch * shape.heads_q + head) * shape.len_q * DV;
}

#define COMBINE_THREADS 128
#define COMBINE_LANES   (DV / 4) /* a row */
#define COMBINE_ROWS    (COMBINE_THREADS / COMBINE_LANES)
#define COMBINE_TURNS   4
static_assert(COMBINE_ROWS * COMBINE_TURNS == 2048 / DV && COMBINE_LANES <= 32 &&
                  32 % COMBINE_LANES == 0,
              "@groups; a row within a warp");

/*
 * Adds the parts of a row, of columns [column, column + 4), where it has several. For whole warps:
 * a row past the last one is that one, and is not written.
 */
__device__ __forceinline__ void combine_row(output *o, const float *workspace,
                                            const scr_shape &shape, const window &win,
                                            long long head, int wanted, int column)
{
    const int row = min(wanted, shape.len_q - 1);
    const int row0 = row / TILE_Q * TILE_Q;
    const int row_end = min(row0 + TILE_Q, shape.len_q);
    const long long at = (long long)row * DV + column;
    float h[4] = {};
    float factor = 1.0f;
    int first, end;

    key_tiles(win, shape.flags, MASKED_DENSE, shape.q_pos0 + row0, shape.q_pos0 + row_end - 1,
              TILE_K, &first, &end);

    const int parts = take_part(0, SPLIT_K, &first, &end);

    if (!__any_sync(FULL_WARP, parts > 1))
        return;
    for (int part = 0; parts > 1 && part < parts; part++) {
        const float4 x = *(const float4 *)(workspace + part_at(shape, part, head) + at);

        h[0] = __fadd_rn(h[0], x.x);
        h[1] = __fadd_rn(h[1], x.y);
        h[2] = __fadd_rn(h[2], x.z);
        h[3] = __fadd_rn(h[3], x.w);
    }
    if (shape.flags & SCR_SHAPE_TANH_NORM) {
        float n2 = 0.0f;

#pragma unroll
        for (int i = 0; i < 4; i++)
            n2 = fmaf(h[i], h[i], n2);
#pragma unroll
        for (int lane = COMBINE_LANES / 2; lane > 0; lane /= 2)
            n2 += __shfl_xor_sync(FULL_WARP, n2, lane);
        factor = norm_factor(n2);
    }
#pragma unroll
    for (int i = 0; i < 4; i++) {
        if (parts > 1 && row == wanted)
            o[head * shape.len_q * DV + at + i] =
                to_output(__fadd_rn(__fmul_rn(h[i], factor), 0.0f));
    }
}

/* Not launched with SPLIT_K = 1. */
extern "C" __global__ void __launch_bounds__(COMBINE_THREADS, 1)
    combine(const storage *q, const storage *k, const storage *v, const float *r, const float *w,
            const int *kv_len, output *__restrict__ o, const float *__restrict__ workspace,
            unsigned *counters, scr_shape shape)
{
#if SPLIT_K > 1
    const int b = blockIdx.z;
    const int h = LONG_HEADS > 0 ? head_by_window(w, shape.heads_q, blockIdx.y) : blockIdx.y;
    const int row0 = blockIdx.x * COMBINE_ROWS * COMBINE_TURNS + threadIdx.x / COMBINE_LANES;
    const window win = make_window(w[h], shape.flags, key_count(shape, kv_len, b));

#pragma unroll 1
    for (int i = 0; i < COMBINE_TURNS; i++)
        combine_row(o, workspace, shape, win, (long long)b * shape.heads_q + h,
                    row0 + i * COMBINE_ROWS, threadIdx.x % COMBINE_LANES * 4);
#endif
}

#endif
