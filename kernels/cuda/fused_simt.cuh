/* SPDX-License-Identifier: Apache-2.0 */
/* clang-format off */
/*
 * masked-dense and tile-skip in plain f32 arithmetic, every storage type, every GPU: the
 * operator of kernels/README.md in one pass, nothing stored. The including file sets ENTRY, and
 * MASKED_DENSE to 1 for the former.
 *
 * A block of THREADS_X x THREADS_Y threads owns TILE_Q query rows of one head and walks over tiles
 * of TILE_K keys, held in shared memory as f32. Thread (tx, ty) computes s of rows ty + i THREADS_Y
 * and keys tx + j THREADS_X, leaves the weights in shared memory, and keeps its part of o (the same
 * rows, columns tx + j THREADS_X) in registers. Keys and values take turns in one buffer, so that
 * values are loaded only once it is known that they are needed.
 *
 * skip = tile asks the block whether any pair of the tile has x > 0, skip = slice asks it about
 * each 16 keys. What is skipped would have added products with weight 0.
 *
 * With SPLIT_K > 1 a block takes only its part of the tiles, and split.cuh has the rest.
 *
 * @tunable TILE_Q = 64 : 16 32 64 128 -- query rows a block
 * @tunable TILE_K = 64 : 16 32 64 128 -- keys a tile
 * @tunable THREADS_X = 16 : 8 16 32 -- threads along the keys and the columns of o
 * @tunable THREADS_Y = 16 : 4 8 16 -- threads along the rows
 * @tunable UNROLL = 2 : 1 2 4 -- steps of four dims of q k^T at a time
 * @require TILE_K % THREADS_X == 0 && DV % THREADS_X == 0
 * @require TILE_Q / THREADS_Y <= 8 && TILE_Q / THREADS_Y * (TILE_K + DV) / THREADS_X <= 64
 * @groups LONG_HEADS > 0 ? ceil_div(LEN_Q, TILE_Q) * (min(LONG_HEADS, HEADS_Q) * (SPLIT_K - 1) + HEADS_Q) : HEADS_Q * max(LEN_Q, LEN_K) * (DK + DV) * DTYPE_BYTES <= 33554432 ? HEADS_Q : ceil_div(LEN_Q, TILE_Q) * SPLIT_K, LONG_HEADS > 0 ? 1 : HEADS_Q * max(LEN_Q, LEN_K) * (DK + DV) * DTYPE_BYTES <= 33554432 ? ceil_div(LEN_Q, TILE_Q) * SPLIT_K : HEADS_Q, BATCH
 * @group THREADS_X * THREADS_Y
 * @local 4 * (TILE_Q * (DK + TILE_K + 8) + TILE_K * max(DK + 4, DV) + 16)
 */
/* clang-format on */
#include "split.cuh"

#define THREADS (THREADS_X * THREADS_Y)
#define ROWS    (TILE_Q / THREADS_Y)
#define KEYS    (TILE_K / THREADS_X)
#define COLUMNS (DV / THREADS_X)
#define SLICES  (TILE_K / SLICE_K)

/* Four elements of padding keep float4 alignment and put consecutive rows into different banks. */
#define QK_PITCH (DK + 4)
#define P_PITCH  (TILE_K + 4)
#define KV_SIZE  (TILE_K * (QK_PITCH > DV ? QK_PITCH : DV))

struct tile_memory {
    float q[TILE_Q][QK_PITCH];
    float kv[KV_SIZE];
    float weight[TILE_Q][P_PITCH];
    unsigned alive[16]; /* of each warp; bit s: it has a pair with x > 0 in slice s */
};
static_assert(sizeof(tile_memory) == 4 * (TILE_Q * (DK + TILE_K + 8) + KV_SIZE + 16), "@local");

/* Rows [row0, row0 + n) as f32, zeros past n_rows; of each SLICE_K rows only those in slices. */
template <int WIDTH, int PITCH>
__device__ __forceinline__ void load_tile(float *dst, const storage *src, int row0, int n,
                                          int n_rows, unsigned slices)
{
    constexpr int CHUNKS = WIDTH / 4;

    for (int c = threadIdx.x; c < n * CHUNKS; c += THREADS) {
        int row = c / CHUNKS;
        int column = c % CHUNKS * 4;
        float4 x = make_float4(0.0f, 0.0f, 0.0f, 0.0f);

        if (!(slices >> (row / SLICE_K) & 1u))
            continue;
        if (row0 + row < n_rows)
            x = load4(src + (long long)(row0 + row) * WIDTH + column);
        *(float4 *)(dst + row * PITCH + column) = x;
    }
}

/* s = q k^T of the thread's pairs. */
__device__ __forceinline__ void multiply_keys(float (&s)[ROWS][KEYS], const tile_memory &memory,
                                              int tx, int ty)
{
#pragma unroll UNROLL
    for (int d = 0; d < DK; d += 4) {
        float4 a[ROWS];

#pragma unroll
        for (int i = 0; i < ROWS; i++)
            a[i] = *(const float4 *)&memory.q[ty + i * THREADS_Y][d];
#pragma unroll
        for (int j = 0; j < KEYS; j++) {
            float4 c = *(const float4 *)&memory.kv[(tx + j * THREADS_X) * QK_PITCH + d];

#pragma unroll
            for (int i = 0; i < ROWS; i++) {
                s[i][j] = fmaf(a[i].x, c.x, s[i][j]);
                s[i][j] = fmaf(a[i].y, c.y, s[i][j]);
                s[i][j] = fmaf(a[i].z, c.z, s[i][j]);
                s[i][j] = fmaf(a[i].w, c.w, s[i][j]);
            }
        }
    }
}

/* o += weights v of the thread's rows and columns over the slices in need. */
__device__ __forceinline__ void add_values(float (&o)[ROWS][COLUMNS], const tile_memory &memory,
                                           int tx, int ty, unsigned need)
{
    for (int s = 0; s < SLICES; s++) {
        if (!(need >> s & 1u))
            continue;
#pragma unroll
        for (int j = s * SLICE_K; j < (s + 1) * SLICE_K; j += 4) {
            float4 p[ROWS];

#pragma unroll
            for (int i = 0; i < ROWS; i++)
                p[i] = *(const float4 *)&memory.weight[ty + i * THREADS_Y][j];
#pragma unroll
            for (int n = 0; n < COLUMNS; n++) {
                const float *v = &memory.kv[j * DV + tx + n * THREADS_X];

#pragma unroll
                for (int i = 0; i < ROWS; i++) {
                    o[i][n] = fmaf(p[i].x, v[0], o[i][n]);
                    o[i][n] = fmaf(p[i].y, v[DV], o[i][n]);
                    o[i][n] = fmaf(p[i].z, v[2 * DV], o[i][n]);
                    o[i][n] = fmaf(p[i].w, v[3 * DV], o[i][n]);
                }
            }
        }
    }
}

/* Writes the thread's rows, row0 + i THREADS_Y, and columns of a part of h. */
__device__ __forceinline__ void store_part(float *h, const float (&acc)[ROWS][COLUMNS], int row0,
                                           int tx, int len_q)
{
#pragma unroll
    for (int i = 0; i < ROWS; i++) {
        const int row = row0 + i * THREADS_Y;

        if (row < len_q) {
#pragma unroll
            for (int n = 0; n < COLUMNS; n++)
                h[(long long)row * DV + tx + n * THREADS_X] = acc[i][n];
        }
    }
}

/* The same of o. */
__device__ __forceinline__ void store_rows(output *o, const float (&acc)[ROWS][COLUMNS], int row0,
                                           int tx, int len_q, bool tanh_norm)
{
#pragma unroll
    for (int i = 0; i < ROWS; i++) {
        const int row = row0 + i * THREADS_Y;
        float factor = 1.0f;

        if (tanh_norm) {
            float n2 = 0.0f;

#pragma unroll
            for (int n = 0; n < COLUMNS; n++)
                n2 = fmaf(acc[i][n], acc[i][n], n2);
#pragma unroll
            for (int lane = THREADS_X / 2; lane > 0; lane /= 2)
                n2 += __shfl_xor_sync(FULL_WARP, n2, lane);
            factor = norm_factor(n2);
        }
        if (row < len_q) {
#pragma unroll
            for (int n = 0; n < COLUMNS; n++)
                o[(long long)row * DV + tx + n * THREADS_X] =
                    to_output(__fadd_rn(__fmul_rn(acc[i][n], factor), 0.0f));
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
    const int tx = threadIdx.x % THREADS_X;
    const int ty = threadIdx.x / THREADS_X;
    const assignment work = assign(shape, w);
    const int h = work.h;
    const int b = blockIdx.z;
    const long long head = (long long)b * shape.heads_q + h;
    const long long head_kv = (long long)b * shape.heads_kv + h / (shape.heads_q / shape.heads_kv);
    const int row0 = work.row0;
    const int row_end = min(row0 + TILE_Q, shape.len_q);
    const window win = make_window(w[h], shape.flags, key_count(shape, kv_len, b));
    const float scale = r[h];
    const float bias = 1.0f - r[h];
    float acc[ROWS][COLUMNS] = {};
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
    load_tile<DK, QK_PITCH>(&memory.q[0][0], q, row0, TILE_Q, shape.len_q, ~0u);

    for (int tile = first; tile < end; tile++) {
        const int j0 = tile * TILE_K;
        const bool inside = row_end == row0 + TILE_Q &&
                            all_admissible(win, shape.q_pos0 + row0, TILE_Q, j0, TILE_K);
        float s[ROWS][KEYS] = {};
        unsigned alive = 0;

        /* The values of the tile before this one are in use until here. */
        __syncthreads();
        load_tile<DK, QK_PITCH>(memory.kv, k, j0, TILE_K, win.n_keys, ~0u);
        __syncthreads();
        multiply_keys(s, memory, tx, ty);
#pragma unroll
        for (int i = 0; i < ROWS; i++) {
            const int row = row0 + ty + i * THREADS_Y;
            const int p = row < shape.len_q ? shape.q_pos0 + row : NOWHERE;

#pragma unroll
            for (int j = 0; j < KEYS; j++) {
                const int jj = tx + j * THREADS_X;
                float x = fmaxf(fmaf(scale, s[i][j], bias), 0.0f);

                if (x > 0.0f) {
                    if (inside || admissible(win, p, j0 + jj)) {
                        if (x > LIVE_X)
                            alive |= 1u << (jj / SLICE_K);
                        x = __fmul_rn(x, window_cos(win, p, j0 + jj));
                    } else {
                        x = 0.0f;
                    }
                }
                memory.weight[ty + i * THREADS_Y][jj] = __fmul_rn(x, x);
            }
        }
        if (SCR_SKIP == SKIP_NONE) {
            alive = ~0u;
            __syncthreads();
        } else if (SCR_SKIP == SKIP_TILE) {
            alive = __syncthreads_or(alive != 0) ? ~0u : 0u;
        } else {
            unsigned mine = 0;

#pragma unroll
            for (int n = 0; n < SLICES; n++)
                mine |= __any_sync(FULL_WARP, alive >> n & 1u) ? 1u << n : 0u;
            if (threadIdx.x % 32 == 0)
                memory.alive[threadIdx.x / 32] = mine;
            __syncthreads();
            alive = 0;
#pragma unroll
            for (int n = 0; n < THREADS / 32; n++)
                alive |= memory.alive[n];
        }
        if (alive == 0)
            continue;
        load_tile<DV, DV>(memory.kv, v, j0, TILE_K, win.n_keys, alive);
        __syncthreads();
        add_values(acc, memory, tx, ty, alive);
        count_pv++;
        if (SCR_SKIP == SKIP_SLICE)
            count_slices += __popc(alive);
    }

    if (parts > 1)
        store_part(workspace + part_at(shape, work.part, head), acc, row0 + ty, tx, shape.len_q);
    else
        store_rows(o, acc, row0 + ty, tx, shape.len_q, shape.flags & SCR_SHAPE_TANH_NORM);

#if SCR_COUNT
    if (threadIdx.x == 0) {
        unsigned *count = counters + head * SCR_COUNTERS;

        atomicAdd(&count[COUNT_QK], (unsigned)(end - first));
        atomicAdd(&count[COUNT_PV], count_pv);
        atomicAdd(&count[COUNT_PV_SLICES], SCR_SKIP == SKIP_SLICE ? count_slices : count_pv);
    }
#endif
}
