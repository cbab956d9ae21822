/* SPDX-License-Identifier: Apache-2.0 */
/* clang-format off */
/*
 * masked-dense and tile-skip on tensor cores (mma.sync), f16 and bf16: the
 * operator of kernels/README.md in one pass, nothing stored. The including file sets ENTRY, and
 * MASKED_DENSE to 1 for the former.
 *
 * A block of WARPS warps owns TILE_Q query rows of one head; each warp owns TILE_Q / WARPS of them
 * with its q fragments and its part of o in registers. The block walks over tiles of TILE_K keys
 * that cp.async brings into a ring of STAGES buffers. Per tile and warp: s = q k^T 16 keys at a
 * time, x, the weight, packed at once into the A fragment of the value product; then a vote on
 * whether any pair has x > 0, and the value product of what has.
 *
 * skip = tile asks all warps of the block, skip = slice asks each warp about each 16 keys. What is
 * skipped would have added products with weight 0.
 *
 * f16 weights are scaled by a power of two on the way, so that small ones stay clear of f16's
 * subnormals and large ones of its end (make_relevance).
 *
 * With SPLIT_K > 1 a block takes only its part of the tiles, and split.cuh has the rest.
 *
 * @when DTYPE != F32 && SM >= 80
 * @tunable TILE_Q = 64 : 16 32 64 128 -- query rows a block
 * @tunable TILE_K = 64 : 16 32 64 128 -- keys a tile
 * @tunable WARPS = 4 : 1 2 4 8 -- warps a block; each owns TILE_Q / WARPS rows
 * @tunable STAGES = 2 : 2 3 4 -- tiles of keys in flight
 * @tunable PREFETCH_V = 1 : 0 1 -- load values with the keys (1) or once they are needed (0)
 * @require TILE_Q % (WARPS * 16) == 0 && TILE_Q <= WARPS * 32
 * @require TILE_Q / (WARPS * 16) * (DK / 4 + DV / 2 + TILE_K / 4) <= 152
 * @groups LONG_HEADS > 0 ? ceil_div(LEN_Q, TILE_Q) * (min(LONG_HEADS, HEADS_Q) * (SPLIT_K - 1) + HEADS_Q) : HEADS_Q * max(LEN_Q, LEN_K) * (DK + DV) * DTYPE_BYTES <= 33554432 ? HEADS_Q : ceil_div(LEN_Q, TILE_Q) * SPLIT_K, LONG_HEADS > 0 ? 1 : HEADS_Q * max(LEN_Q, LEN_K) * (DK + DV) * DTYPE_BYTES <= 33554432 ? ceil_div(LEN_Q, TILE_Q) * SPLIT_K : HEADS_Q, BATCH
 * @group WARPS * 32
 * @local TILE_K * (2 * STAGES * (DK + 8) + 2 * (PREFETCH_V ? STAGES : 1) * (DV + 8) + 8) + 32
 */
/* clang-format on */
#include "fragments.cuh"
#include "split.cuh"

#define THREADS (WARPS * 32)
#define ROWS    (TILE_Q / WARPS) /* rows a warp */
#define BLOCKS  (ROWS / 16)      /* blocks of 16 rows a warp */
#define SLICES  (TILE_K / SLICE_K)

/* Eight elements of padding put eight consecutive rows into different banks. */
#define K_PITCH  (DK + 8)
#define V_PITCH  (DV + 8)
#define V_STAGES (PREFETCH_V ? STAGES : 1)

struct tile_memory {
    storage k[STAGES][TILE_K][K_PITCH];
    storage v[V_STAGES][TILE_K][V_PITCH];
    float2 column[TILE_K]; /* cos and sin of pi jj / (2 w) */
    unsigned alive[8];     /* of each warp; bit s: it needs slice s of the values */
};
static_assert(sizeof(tile_memory) ==
                  TILE_K * (2 * STAGES * (DK + 8) + 2 * V_STAGES * (DV + 8) + 8) + 32,
              "@local");

/* x of one head times a power of two, 2^n, and 2^-2n, which undoes it in the sum of weights. */
struct relevance {
    float scale, bias; /* 2^n x = scale s + bias */
    float unscale;
};

/*
 * f16 rounding leaves unit vectors with s up to 1 + 2^-9, so x up to 1 + 2^-9 r; 2^n times that
 * stays below 2^8, whose square f16 still holds. n is 4 where r allows, the least of weights that
 * keeps ten bits then being 2^-22. bf16 has the range of f32 and n = 0.
 */
__device__ __forceinline__ relevance make_relevance(float r)
{
#if SCR_DTYPE == SCR_F16
    float room = 240.0f / fmaf(r, 0x1p-9f, 1.0f);
    float root = fminf(16.0f, __int_as_float(__float_as_int(room) & 0x7f800000));
#else
    float root = 1.0f;
#endif
    float inverse = 1.0f / root;

    return {r * root, (1.0f - r) * root, inverse * inverse};
}

/* LIVE_X on the scale of 2^n x. */
__device__ __forceinline__ float live_x(const relevance &rel)
{
    return LIVE_X > 0.0f ? LIVE_X * rsqrtf(rel.unscale) : 0.0f;
}

__device__ __forceinline__ void mma(float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1)
{
#if SCR_DTYPE == SCR_F16
    mma_f16(c, a, b0, b1);
#else
    mma_bf16(c, a, b0, b1);
#endif
}

/* Starts the copy of rows [j0, j0 + TILE_K) of slices, zeros past n_keys. */
template <int WIDTH>
__device__ __forceinline__ void start_copy(storage (*dst)[WIDTH + 8], const storage *src, int j0,
                                           int n_keys, unsigned slices)
{
    constexpr int CHUNKS = WIDTH / 8;

#pragma unroll 4
    for (int c = threadIdx.x; c < TILE_K * CHUNKS; c += THREADS) {
        int row = c / CHUNKS;
        int column = c % CHUNKS * 8;
        bool in = j0 + row < n_keys;

        if (slices >> (row / SLICE_K) & 1u)
            cp_async16(&dst[row][column], src + (long long)(in ? j0 + row : 0) * WIDTH + column,
                       in);
    }
}

/* How much of the mask a tile needs. */
enum { INSIDE_OPEN, INSIDE_WINDOW, EDGE };

/*
 * Weights of the warp's rows and one tile of keys from j0, packed as A fragments of the value
 * product. Returns bit s where a pair of slice s has x > 0 (skip = tile: bit 0 for the whole tile).
 */
template <int MODE>
__device__ __forceinline__ unsigned
weigh(const rows<BLOCKS> &mine, const storage (*k)[K_PITCH], const float2 *column,
      const window &win, int j0, const relevance &rel, unsigned (&weights)[BLOCKS][SLICES][4])
{
    const int lane = threadIdx.x % 32;
    const storage *k_row = &k[lane / 16 * 8 + lane % 8][lane / 8 % 2 * 8];
    float row_cos[BLOCKS][2], row_sin[BLOCKS][2];
    float largest = 0.0f;
    unsigned alive = 0;

    if (MODE == INSIDE_WINDOW) {
#pragma unroll
        for (int m = 0; m < BLOCKS; m++) {
#pragma unroll
            for (int half = 0; half < 2; half++)
                sincospif((float)(mine.p[m][half] - j0) * win.turn, &row_sin[m][half],
                          &row_cos[m][half]);
        }
    }
#pragma unroll
    for (int s = 0; s < SLICES; s++) {
        float acc[BLOCKS][2][4] = {};

#pragma unroll
        for (int i = 0; i < DK / 16; i++) {
            unsigned b[4];

            ldmatrix_x4(b, k_row + s * SLICE_K * K_PITCH + i * 16);
#pragma unroll
            for (int m = 0; m < BLOCKS; m++) {
                mma(acc[m][0], mine.q[m][i], b[0], b[1]);
                mma(acc[m][1], mine.q[m][i], b[2], b[3]);
            }
        }
        if (SCR_SKIP == SKIP_SLICE)
            largest = 0.0f;
#pragma unroll
        for (int n = 0; n < 2; n++) {
            const int jj = s * SLICE_K + n * 8 + lane % 4 * 2;
            float4 col;

            if (MODE == INSIDE_WINDOW)
                col = *(const float4 *)&column[jj];
#pragma unroll
            for (int m = 0; m < BLOCKS; m++) {
#pragma unroll
                for (int half = 0; half < 2; half++) {
                    float root[2];

#pragma unroll
                    for (int e = 0; e < 2; e++) {
                        float x = fmaxf(fmaf(rel.scale, acc[m][n][half * 2 + e], rel.bias), 0.0f);

                        if (MODE == EDGE && !admissible(win, mine.p[m][half], j0 + jj + e))
                            x = 0.0f;
                        largest = fmaxf(largest, x);
                        if (MODE == INSIDE_WINDOW) {
                            float cos_j = e ? col.z : col.x;
                            float sin_j = e ? col.w : col.y;

                            x = __fmul_rn(x, __fmaf_rn(row_cos[m][half], cos_j,
                                                       __fmul_rn(row_sin[m][half], sin_j)));
                        } else if (MODE == EDGE) {
                            x = __fmul_rn(x, window_cos(win, mine.p[m][half], j0 + jj + e));
                        }
                        root[e] = x;
                    }
                    weights[m][s][n * 2 + half] =
                        pack(__fmul_rn(root[0], root[0]), __fmul_rn(root[1], root[1]));
                }
            }
        }
        if (SCR_SKIP == SKIP_SLICE && __any_sync(FULL_WARP, largest > live_x(rel)))
            alive |= 1u << s;
    }
    if (SCR_SKIP == SKIP_TILE)
        alive = __any_sync(FULL_WARP, largest > live_x(rel)) ? 1u : 0u;
    return alive;
}

/* o += weights v over the slices in need. */
__device__ __forceinline__ void add_values(float (&o)[BLOCKS][DV / 8][4],
                                           const unsigned (&weights)[BLOCKS][SLICES][4],
                                           const storage (*v)[V_PITCH], unsigned need)
{
    const int lane = threadIdx.x % 32;
    const storage *v_row = &v[lane % 16][lane / 16 * 8];

#pragma unroll
    for (int s = 0; s < SLICES; s++) {
        if (SCR_SKIP == SKIP_SLICE && !(need >> s & 1u))
            continue;
#pragma unroll
        for (int n = 0; n < DV / 16; n++) {
            unsigned b[4];

            ldmatrix_x4_trans(b, v_row + s * SLICE_K * V_PITCH + n * 16);
#pragma unroll
            for (int m = 0; m < BLOCKS; m++) {
                mma(o[m][2 * n], weights[m][s], b[0], b[1]);
                mma(o[m][2 * n + 1], weights[m][s], b[2], b[3]);
            }
        }
    }
}

extern "C" __global__ void __launch_bounds__(THREADS, 1)
    ENTRY(const storage *__restrict__ q, const storage *__restrict__ k,
          const storage *__restrict__ v, const float *__restrict__ r, const float *__restrict__ w,
          const int *__restrict__ kv_len, output *__restrict__ o, float *workspace,
          unsigned *counters, scr_shape shape)
{
    extern __shared__ __align__(16) unsigned char shared[];
    tile_memory &memory = *(tile_memory *)shared;
    const int warp = threadIdx.x / 32;
    const assignment work = assign(shape, w);
    const int h = work.h;
    const int b = blockIdx.z;
    const long long head = (long long)b * shape.heads_q + h;
    const long long head_kv = (long long)b * shape.heads_kv + h / (shape.heads_q / shape.heads_kv);
    const int row0 = work.row0;
    const int row_end = min(row0 + TILE_Q, shape.len_q);
    const int warp_row0 = row0 + warp * ROWS;
    const window win = make_window(w[h], shape.flags, key_count(shape, kv_len, b));
    const relevance rel = make_relevance(r[h]);
    rows<BLOCKS> mine;
    float acc[BLOCKS][DV / 8][4] = {};
    int first, end;
    unsigned count_pv = 0, count_slices = 0;

    q += head * shape.len_q * DK;
    k += head_kv * shape.len_k * DK;
    v += head_kv * shape.len_k * DV;
    o += head * shape.len_q * DV;
    key_tiles(win, shape.flags, MASKED_DENSE, shape.q_pos0 + row0, shape.q_pos0 + row_end - 1,
              TILE_K, &first, &end);

    const int parts = take_part(work.part, work.max_parts, &first, &end);

    if (work.part >= parts)
        return;

        /* One group of copies a tile and tensor, empty past the end, so that they can be counted.
         */
#pragma unroll
    for (int stage = 0; stage < STAGES - 1; stage++) {
        int tile = first + stage;

        if (tile < end)
            start_copy<DK>(memory.k[stage], k, tile * TILE_K, win.n_keys, ~0u);
        cp_async_commit();
        if (PREFETCH_V) {
            if (tile < end)
                start_copy<DV>(memory.v[stage], v, tile * TILE_K, win.n_keys, ~0u);
            cp_async_commit();
        }
    }
    load_rows(mine, q, warp_row0, shape.len_q, shape.q_pos0);
    for (int jj = threadIdx.x; jj < TILE_K; jj += THREADS)
        sincospif((float)jj * win.turn, &memory.column[jj].y, &memory.column[jj].x);

    int stage = 0;
    for (int tile = first; tile < end; tile++) {
        const int j0 = tile * TILE_K;
        const int ahead = tile + STAGES - 1;
        const int ahead_stage = stage == 0 ? STAGES - 1 : stage - 1;
        unsigned weights[BLOCKS][SLICES][4];
        unsigned mine_alive, any_alive;

        cp_async_wait<PREFETCH_V ? 2 * (STAGES - 1) - 1 : STAGES - 2>();
        /* The keys are there, and all warps have done with the tile before this one. */
        __syncthreads();
        if (ahead < end)
            start_copy<DK>(memory.k[ahead_stage], k, ahead * TILE_K, win.n_keys, ~0u);
        cp_async_commit();
        if (PREFETCH_V) {
            if (ahead < end)
                start_copy<DV>(memory.v[ahead_stage], v, ahead * TILE_K, win.n_keys, ~0u);
            cp_async_commit();
        }

        if (warp_row0 + ROWS > shape.len_q ||
            !all_admissible(win, shape.q_pos0 + warp_row0, ROWS, j0, TILE_K))
            mine_alive = weigh<EDGE>(mine, memory.k[stage], memory.column, win, j0, rel, weights);
        else if (win.open)
            mine_alive =
                weigh<INSIDE_OPEN>(mine, memory.k[stage], memory.column, win, j0, rel, weights);
        else
            mine_alive =
                weigh<INSIDE_WINDOW>(mine, memory.k[stage], memory.column, win, j0, rel, weights);

        any_alive = ~0u;
        if (SCR_SKIP != SKIP_NONE && threadIdx.x % 32 == 0)
            memory.alive[warp] = mine_alive;
        if (PREFETCH_V)
            cp_async_wait<2 * (STAGES - 1)>();
        if (PREFETCH_V || SCR_SKIP != SKIP_NONE)
            __syncthreads();
        if (SCR_SKIP != SKIP_NONE) {
            any_alive = 0;
#pragma unroll
            for (int i = 0; i < WARPS; i++)
                any_alive |= memory.alive[i];
        }
        if (!PREFETCH_V && any_alive != 0) {
            start_copy<DV>(memory.v[0], v, j0, win.n_keys,
                           SCR_SKIP == SKIP_SLICE ? any_alive : ~0u);
            cp_async_commit();
            cp_async_wait<0>();
            __syncthreads();
        }
        if (any_alive != 0) {
            add_values(acc, weights, memory.v[PREFETCH_V ? stage : 0], mine_alive);
            count_pv++;
        }
        if (SCR_SKIP == SKIP_SLICE)
            count_slices += __popc(mine_alive);
        stage = stage == STAGES - 1 ? 0 : stage + 1;
    }
    if (parts > 1)
        store_part(workspace + part_at(shape, work.part, head), acc, warp_row0, shape.len_q,
                   rel.unscale);
    else
        store_rows(o, acc, warp_row0, shape.len_q, rel.unscale, shape.flags & SCR_SHAPE_TANH_NORM);

#if SCR_COUNT
    unsigned *count = counters + head * SCR_COUNTERS;

    if (threadIdx.x == 0) {
        atomicAdd(&count[COUNT_QK], (unsigned)(end - first));
        atomicAdd(&count[COUNT_PV], count_pv);
    }
    if (SCR_SKIP == SKIP_SLICE && threadIdx.x % 32 == 0)
        atomicAdd(&count[COUNT_PV_SLICES], count_slices);
    if (SCR_SKIP != SKIP_SLICE && threadIdx.x == 0)
        atomicAdd(&count[COUNT_PV_SLICES], count_pv);
#endif
}
