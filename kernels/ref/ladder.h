/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the C kernels share: tiles of q, k and v as f32, the parts of the operator on one tile, and
 * which tiles a row block visits. Row tiles are aligned at row 0, key tiles at key 0.
 *
 * The operator (screening/problem.h) on a tile, with c = cos(pi (j - p) / (2 w)), so m = c^2:
 *   S = q k^T;   P = (max(0, r S + 1 - r) c)^2;   H += P V
 * All sums are f32 and run in ascending order of keys, so that adding zeros changes no bit.
 */
#ifndef SCR_KERNELS_REF_LADDER_H
#define SCR_KERNELS_REF_LADDER_H

#include "decl.h"
#include "ref/convert.h"

#include <screening/plan.h>

#include <math.h>
#include <string.h>

enum {
    LADDER_MAX_TILE = 128,
    LADDER_MAX_DIM = 128,
    LADDER_SLICE = 16, /* keys of one slice */
};

void scr_ref_dense(const struct scr_host_call *call);
void scr_ref_masked_dense(const struct scr_host_call *call);
void scr_ref_tile_skip(const struct scr_host_call *call);

/* One row tile of one query head. */
struct ladder_rows {
    const struct scr_host_call *call;
    int b, h;
    int tile_q, tile_k;
    int64_t row0;      /* first row */
    int n;             /* rows that exist, 1 to tile_q */
    int64_t position;  /* of the first row */
    int64_t keys;      /* keys that exist: len_k cut by kv_len */
    int64_t row_index; /* of the first row among all rows of q and of o */
    int64_t key_index; /* of key 0 among all rows of k and of v */
    float r, w;
};

/* A row tile's working memory; rows of `p` hold S, then P. */
struct ladder_tile {
    float q[LADDER_MAX_TILE][LADDER_MAX_DIM];
    float k[LADDER_MAX_DIM][LADDER_MAX_TILE]; /* transposed, zeros after the last key */
    float v[LADDER_MAX_TILE][LADDER_MAX_DIM];
    float p[LADDER_MAX_TILE][LADDER_MAX_TILE];
    float h[LADDER_MAX_TILE][LADDER_MAX_DIM];
    float c[2 * LADDER_MAX_TILE]; /* by key - row + tile_q - 1; 0 where not admissible */
};

static inline int ladder_tile_q(const struct scr_host_call *call)
{
    return scr_config_get(call->config, "TILE_Q", 64);
}

static inline int ladder_tile_k(const struct scr_host_call *call)
{
    return scr_config_get(call->config, "TILE_K", 64);
}

/* Row tiles of all heads and batches: what parallel_for runs over. */
static inline size_t ladder_row_tiles(const struct scr_host_call *call)
{
    const scr_problem *p = call->problem;

    return (size_t)scr_ceil_div(p->len_q, ladder_tile_q(call)) * (size_t)p->heads_q *
           (size_t)p->batch;
}

static inline struct ladder_rows ladder_rows_at(const struct scr_host_call *call, size_t index)
{
    const scr_problem *p = call->problem;
    int tile_q = ladder_tile_q(call);
    size_t tiles = (size_t)scr_ceil_div(p->len_q, tile_q);
    size_t head = index / tiles;
    struct ladder_rows t = {.call = call, .tile_q = tile_q, .tile_k = ladder_tile_k(call)};
    int64_t head_kv;

    t.b = (int)(head / (size_t)p->heads_q);
    t.h = (int)(head % (size_t)p->heads_q);
    head_kv = (int64_t)t.b * p->heads_kv + t.h / (p->heads_q / p->heads_kv);
    t.row0 = (int64_t)(index % tiles) * tile_q;
    t.n = (int)scr_min(tile_q, p->len_q - t.row0);
    t.position = scr_problem_q_pos0(p) + t.row0;
    t.keys = p->len_k;
    if (call->kv_len != NULL)
        t.keys = scr_max(0, scr_min(t.keys, call->kv_len[t.b]));
    t.row_index = (int64_t)head * p->len_q + t.row0;
    t.key_index = head_kv * p->len_k;
    t.r = call->r[t.h];
    t.w = call->w[t.h];
    return t;
}

/* Keys at which tiles start and end; end <= begin where there is nothing to visit. */
struct ladder_keys {
    int64_t begin, end;
};

static inline struct ladder_keys ladder_causal_keys(const struct ladder_rows *t)
{
    struct ladder_keys keys = {0, t->keys};

    if (t->call->problem->causal)
        keys.end = scr_min(keys.end, t->position + t->n);
    return keys;
}

static inline struct ladder_keys ladder_window_keys(const struct ladder_rows *t)
{
    struct ladder_keys keys = ladder_causal_keys(t);

    if (t->w < 0x1p27f) {
        int64_t reach = (int64_t)ceilf(t->w) - 1;

        keys.begin = scr_max(0, t->position - reach);
        keys.end = scr_min(keys.end, t->position + t->n + reach);
    }
    /* Aligned down only where there is a key, else a tile without an admissible pair is visited. */
    keys.begin = keys.begin < keys.end ? keys.begin / t->tile_k * t->tile_k : keys.end;
    return keys;
}

static inline size_t ladder_element_bytes(const struct ladder_rows *t)
{
    return t->call->problem->dtype == SCR_F32 ? 4 : 2;
}

static inline void ladder_load_q(const struct ladder_rows *t, struct ladder_tile *tile)
{
    const scr_problem *p = t->call->problem;
    size_t row_bytes = (size_t)p->dk * ladder_element_bytes(t);
    const char *q = (const char *)t->call->q + (size_t)t->row_index * row_bytes;

    for (int i = 0; i < t->n; i++)
        scr_load_f32(tile->q[i], q + (size_t)i * row_bytes, p->dtype, (size_t)p->dk);
}

static inline int ladder_keys_at(const struct ladder_rows *t, int64_t key0, int64_t end)
{
    return (int)scr_min(t->tile_k, end - key0);
}

/* S of the tile at key0 into tile->p; columns from n_keys to the end of the tile become 0. */
static inline void ladder_scores(const struct ladder_rows *t, struct ladder_tile *tile,
                                 int64_t key0, int n_keys)
{
    const scr_problem *p = t->call->problem;
    size_t row_bytes = (size_t)p->dk * ladder_element_bytes(t);
    const char *k = (const char *)t->call->k + (size_t)(t->key_index + key0) * row_bytes;
    float row[LADDER_MAX_DIM];

    for (int j = 0; j < t->tile_k; j++) {
        if (j < n_keys)
            scr_load_f32(row, k + (size_t)j * row_bytes, p->dtype, (size_t)p->dk);
        else
            memset(row, 0, sizeof row);
        for (int d = 0; d < p->dk; d++)
            tile->k[d][j] = row[d];
    }
    for (int i = 0; i < t->n; i++) {
        /* Blocks of columns whose sums stay in registers. */
        for (int j0 = 0; j0 < t->tile_k; j0 += LADDER_SLICE) {
            float sum[LADDER_SLICE] = {0};

            for (int d = 0; d < p->dk; d++) {
                for (int j = 0; j < LADDER_SLICE; j++)
                    sum[j] += tile->q[i][d] * tile->k[d][j0 + j];
            }
            memcpy(&tile->p[i][j0], sum, sizeof sum);
        }
    }
}

/* The window of the tile at key0 as its half-angle cosine, 0 outside window and causal mask. */
static inline void ladder_window(const struct ladder_rows *t, struct ladder_tile *tile,
                                 int64_t key0)
{
    const double half_pi = 1.57079632679489661923;
    bool causal = t->call->problem->causal;

    for (int i = 0; i < t->tile_q + t->tile_k - 1; i++) {
        int64_t away = key0 - t->position + i - (t->tile_q - 1);
        bool inside = (!causal || away <= 0) && fabsf((float)away) < t->w;

        tile->c[i] = !inside ? 0.0f : isinf(t->w) ? 1.0f : (float)cos(half_pi * away / t->w);
    }
}

/*
 * S becomes P in place. `live` has one element a slice and says whether an admissible pair of it
 * has relevance; keys at n_keys and after are not admissible.
 */
static inline void ladder_relevance(const struct ladder_rows *t, struct ladder_tile *tile,
                                    int n_keys, bool live[LADDER_MAX_TILE / LADDER_SLICE])
{
    float one_minus_r = 1.0f - t->r;

    for (int s = 0; s < t->tile_k / LADDER_SLICE; s++) {
        int j0 = s * LADDER_SLICE;
        float most = 0.0f;

        for (int i = 0; i < t->n; i++) {
            const float *c = tile->c + t->tile_q - 1 - i + j0;
            float *p = &tile->p[i][j0];
            float x[LADDER_SLICE];

            for (int j = 0; j < LADDER_SLICE; j++) {
                x[j] = t->r * p[j] + one_minus_r;
                x[j] = (x[j] > 0.0f ? x[j] : 0.0f) * c[j];
                x[j] = j0 + j < n_keys ? x[j] : 0.0f;
            }
            for (int j = 0; j < LADDER_SLICE; j++) {
                most = x[j] > most ? x[j] : most;
                p[j] = x[j] * x[j];
            }
        }
        live[s] = most > t->call->live_root;
    }
}

/* Loads values of keys [j0, j1) of the tile at key0. */
static inline void ladder_load_v(const struct ladder_rows *t, struct ladder_tile *tile,
                                 int64_t key0, int j0, int j1)
{
    const scr_problem *p = t->call->problem;
    size_t row_bytes = (size_t)p->dv * ladder_element_bytes(t);
    const char *v = (const char *)t->call->v + (size_t)(t->key_index + key0) * row_bytes;

    for (int j = j0; j < j1; j++)
        scr_load_f32(tile->v[j], v + (size_t)j * row_bytes, p->dtype, (size_t)p->dv);
}

/* H += P V over keys [j0, j1) of the tile. */
static inline void ladder_values(const struct ladder_rows *t, struct ladder_tile *tile, int j0,
                                 int j1)
{
    int dv = t->call->problem->dv;

    for (int i = 0; i < t->n; i++) {
        for (int d0 = 0; d0 < dv; d0 += LADDER_SLICE) {
            float sum[LADDER_SLICE];

            memcpy(sum, &tile->h[i][d0], sizeof sum);
            for (int j = j0; j < j1; j++) {
                for (int d = 0; d < LADDER_SLICE; d++)
                    sum[d] += tile->p[i][j] * tile->v[j][d0 + d];
            }
            memcpy(&tile->h[i][d0], sum, sizeof sum);
        }
    }
}

static inline void ladder_clear(const struct ladder_rows *t, struct ladder_tile *tile)
{
    memset(tile->h, 0, sizeof tile->h[0] * (size_t)t->n);
}

/* TanhNorm where it is asked for, and the store. */
static inline void ladder_finish(const struct ladder_rows *t, struct ladder_tile *tile)
{
    const scr_problem *p = t->call->problem;
    size_t row_bytes = (size_t)p->dv * (p->dtype_out == SCR_F32 ? 4 : 2);
    char *o = (char *)t->call->o + (size_t)t->row_index * row_bytes;

    for (int i = 0; i < t->n; i++) {
        float factor = 1.0f;

        if (p->tanh_norm) {
            float norm2 = 0.0f;

            for (int d = 0; d < p->dv; d++)
                norm2 += tile->h[i][d] * tile->h[i][d];
            /* Below, tanh(n) / n rounds to 1, and norm2 may have underflowed. */
            if (norm2 > 1e-8f)
                factor = tanhf(sqrtf(norm2)) / sqrtf(norm2);
        }
        for (int d = 0; d < p->dv; d++)
            tile->h[i][d] = tile->h[i][d] * factor + 0.0f;
        scr_store_f32(o + (size_t)i * row_bytes, tile->h[i], p->dtype_out, (size_t)p->dv);
    }
}

/* Adds to the counters of the row tile's head; nothing where the call does not count. */
static inline void ladder_count(const struct ladder_rows *t, uint32_t qk, uint32_t pv,
                                uint32_t pv_slices)
{
    scr_counts *counts = t->call->counters;

    if (counts == NULL)
        return;
    counts += (size_t)t->b * (size_t)t->call->problem->heads_q + (size_t)t->h;
    __atomic_fetch_add(&counts->qk, qk, __ATOMIC_RELAXED);
    __atomic_fetch_add(&counts->pv, pv, __ATOMIC_RELAXED);
    __atomic_fetch_add(&counts->pv_slices, pv_slices, __ATOMIC_RELAXED);
}

#endif
