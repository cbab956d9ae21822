/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dense: what framework code does, in three steps through memory, for all len_q x len_k pairs:
 *   dense_scores     S = q k^T into the workspace, f32 [batch, heads_q, len_q, len_k]
 *   dense_relevance  S becomes the weight of each pair, 0 outside mask and window
 *   dense_values     o = S v, with the norm
 *
 * Blocks of 16 x 16 threads. In the two products a block owns 64 rows and thread (tx, ty) of them
 * rows ty + 16 i, so its result needs no more than plain loops over pieces of 16 in shared memory.
 *
 * @backend cuda
 * @kernel dense
 * @variant simt
 * @summary three steps through memory: all scores, the weights, the value product
 * @workspace BATCH * HEADS_Q * LEN_Q * LEN_K * 4
 * @step dense_scores
 * @groups ceil_div(LEN_Q, 64) * ceil_div(LEN_K, 64), HEADS_Q, BATCH
 * @group 256
 * @step dense_relevance
 * @groups min(ceil_div(LEN_Q * LEN_K, 1024), 65536), HEADS_Q, BATCH
 * @group 256
 * @step dense_values
 * @groups ceil_div(LEN_Q, 64), HEADS_Q, BATCH
 * @group 256
 */
#include "common.cuh"

#define PIECE   16          /* summed over at a time */
#define PITCH   (PIECE + 4) /* keeps float4 alignment, puts consecutive rows into other banks */
#define COLUMNS (DV / 16)

#define PARAMETERS                                                                                 \
    const storage *__restrict__ q, const storage *__restrict__ k, const storage *__restrict__ v,   \
        const float *__restrict__ r, const float *__restrict__ w, const int *__restrict__ kv_len,  \
        output *__restrict__ o, float *__restrict__ workspace, unsigned *counters, scr_shape shape

/* Columns [d0, d0 + PIECE) of 64 rows from row0, zeros past n_rows: one float4 a thread. */
__device__ __forceinline__ void load_piece(float (*dst)[PITCH], const storage *src, int row0,
                                           int n_rows, int d0)
{
    int row = threadIdx.x / 4;
    int column = threadIdx.x % 4 * 4;
    float4 x = make_float4(0.0f, 0.0f, 0.0f, 0.0f);

    if (row0 + row < n_rows)
        x = load4(src + (long long)(row0 + row) * DK + d0 + column);
    *(float4 *)&dst[row][column] = x;
}

extern "C" __global__ void __launch_bounds__(256, 1) dense_scores(PARAMETERS)
{
    __shared__ __align__(16) float sq[64][PITCH];
    __shared__ __align__(16) float sk[64][PITCH];
    const int tx = threadIdx.x % 16;
    const int ty = threadIdx.x / 16;
    const int h = blockIdx.y;
    const long long head = (long long)blockIdx.z * shape.heads_q + h;
    const long long head_kv =
        (long long)blockIdx.z * shape.heads_kv + h / (shape.heads_q / shape.heads_kv);
    const int key_tiles = (shape.len_k + 63) / 64;
    const int row0 = blockIdx.x / key_tiles * 64;
    const int j0 = blockIdx.x % key_tiles * 64;
    float s[4][4] = {};

    q += head * shape.len_q * DK;
    k += head_kv * shape.len_k * DK;
    workspace += head * shape.len_q * shape.len_k;
    for (int d0 = 0; d0 < DK; d0 += PIECE) {
        __syncthreads();
        load_piece(sq, q, row0, shape.len_q, d0);
        load_piece(sk, k, j0, shape.len_k, d0);
        __syncthreads();
#pragma unroll
        for (int d = 0; d < PIECE; d++) {
#pragma unroll
            for (int i = 0; i < 4; i++) {
#pragma unroll
                for (int j = 0; j < 4; j++)
                    s[i][j] = fmaf(sq[ty + i * 16][d], sk[tx + j * 16][d], s[i][j]);
            }
        }
    }
#pragma unroll
    for (int i = 0; i < 4; i++) {
#pragma unroll
        for (int j = 0; j < 4; j++) {
            const int row = row0 + ty + i * 16;
            const int key = j0 + tx + j * 16;

            if (row < shape.len_q && key < shape.len_k)
                workspace[(long long)row * shape.len_k + key] = s[i][j];
        }
    }
}

extern "C" __global__ void __launch_bounds__(256, 1) dense_relevance(PARAMETERS)
{
    const int h = blockIdx.y;
    const long long head = (long long)blockIdx.z * shape.heads_q + h;
    const long long pairs = (long long)shape.len_q * shape.len_k;
    const window win = make_window(w[h], shape.flags, key_count(shape, kv_len, blockIdx.z));
    const float scale = r[h];
    const float bias = 1.0f - r[h];

    workspace += head * pairs;
    for (long long n = blockIdx.x * 256LL + threadIdx.x; n < pairs; n += gridDim.x * 256LL) {
        const int row = (int)(n / shape.len_k);
        const int j = (int)(n - (long long)row * shape.len_k);
        const int p = shape.q_pos0 + row;
        float x = 0.0f;

        if (admissible(win, p, j))
            x = fmaxf(fmaf(scale, workspace[n], bias), 0.0f) * window_cos(win, p, j);
        workspace[n] = x * x;
    }
}

extern "C" __global__ void __launch_bounds__(256, 1) dense_values(PARAMETERS)
{
    __shared__ float weight[64][PITCH];
    __shared__ __align__(16) float values[PIECE][DV];
    const int tx = threadIdx.x % 16;
    const int ty = threadIdx.x / 16;
    const int h = blockIdx.y;
    const long long head = (long long)blockIdx.z * shape.heads_q + h;
    const long long head_kv =
        (long long)blockIdx.z * shape.heads_kv + h / (shape.heads_q / shape.heads_kv);
    const int row0 = blockIdx.x * 64;
    const int n_keys = key_count(shape, kv_len, blockIdx.z);
    float acc[4][COLUMNS] = {};

    v += head_kv * shape.len_k * DV;
    o += head * shape.len_q * DV;
    workspace += head * shape.len_q * shape.len_k;
    for (int j0 = 0; j0 < n_keys; j0 += PIECE) {
        __syncthreads();
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const int row = row0 + ty + i * 16;
            const bool in = row < shape.len_q && j0 + tx < n_keys;

            weight[ty + i * 16][tx] = in ? workspace[(long long)row * shape.len_k + j0 + tx] : 0.0f;
        }
        for (int c = threadIdx.x; c < PIECE * DV / 4; c += 256) {
            const int j = c / (DV / 4);
            const int column = c % (DV / 4) * 4;
            float4 x = make_float4(0.0f, 0.0f, 0.0f, 0.0f);

            if (j0 + j < n_keys)
                x = load4(v + (long long)(j0 + j) * DV + column);
            *(float4 *)&values[j][column] = x;
        }
        __syncthreads();
#pragma unroll
        for (int j = 0; j < PIECE; j++) {
#pragma unroll
            for (int i = 0; i < 4; i++) {
#pragma unroll
                for (int n = 0; n < COLUMNS; n++)
                    acc[i][n] = fmaf(weight[ty + i * 16][j], values[j][tx + n * 16], acc[i][n]);
            }
        }
    }
#pragma unroll
    for (int i = 0; i < 4; i++) {
        const int row = row0 + ty + i * 16;
        float factor = 1.0f;

        if (shape.flags & SCR_SHAPE_TANH_NORM) {
            float n2 = 0.0f;

#pragma unroll
            for (int n = 0; n < COLUMNS; n++)
                n2 = fmaf(acc[i][n], acc[i][n], n2);
#pragma unroll
            for (int lane = 8; lane > 0; lane /= 2)
                n2 += __shfl_xor_sync(FULL_WARP, n2, lane);
            factor = norm_factor(n2);
        }
        if (row < shape.len_q) {
#pragma unroll
            for (int n = 0; n < COLUMNS; n++)
                o[(long long)row * DV + tx + n * 16] =
                    to_output(__fadd_rn(acc[i][n] * factor, 0.0f));
        }
    }
}
