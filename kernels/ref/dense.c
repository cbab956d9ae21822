/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dense: three steps through memory, as framework code does it. S = q k^T over all len_q x len_k
 * into the workspace; relevance and window elementwise; o = A v.
 *
 * workspace  f32 [batch, heads_q, len_q, len_k]
 *
 * @backend ref
 * @kernel dense
 * @variant c
 * @summary three steps through memory: scores, relevance and mask, values
 * @host scr_ref_dense
 * @workspace BATCH * HEADS_Q * LEN_Q * LEN_K * 4
 * @tunable TILE_Q = 64 : 16 32 64 128 -- query rows of a tile
 * @tunable TILE_K = 64 : 16 32 64 128 -- keys of a tile
 */
#include "ref/ladder.h"

/* The part of the workspace that row i of a row tile has for keys from key0. */
static float *stored(const struct ladder_rows *t, int i, int64_t key0)
{
    return (float *)t->call->workspace + (t->row_index + i) * t->call->problem->len_k + key0;
}

static void copy_out(const struct ladder_rows *t, const struct ladder_tile *tile, int64_t key0,
                     int n_keys)
{
    for (int i = 0; i < t->n; i++)
        memcpy(stored(t, i, key0), tile->p[i], sizeof(float) * (size_t)n_keys);
}

static void copy_in(const struct ladder_rows *t, struct ladder_tile *tile, int64_t key0, int n_keys)
{
    for (int i = 0; i < t->n; i++) {
        memcpy(tile->p[i], stored(t, i, key0), sizeof(float) * (size_t)n_keys);
        memset(tile->p[i] + n_keys, 0, sizeof(float) * (size_t)(t->tile_k - n_keys));
    }
}

static void scores(void *user, size_t index)
{
    struct ladder_rows t = ladder_rows_at(user, index);
    int64_t len_k = t.call->problem->len_k;
    struct ladder_tile tile;

    ladder_load_q(&t, &tile);
    for (int64_t key0 = 0; key0 < len_k; key0 += t.tile_k) {
        int n_keys = ladder_keys_at(&t, key0, len_k);

        ladder_scores(&t, &tile, key0, n_keys);
        copy_out(&t, &tile, key0, n_keys);
    }
}

static void relevance(void *user, size_t index)
{
    struct ladder_rows t = ladder_rows_at(user, index);
    int64_t len_k = t.call->problem->len_k;
    struct ladder_tile tile;

    for (int64_t key0 = 0; key0 < len_k; key0 += t.tile_k) {
        int n_keys = ladder_keys_at(&t, key0, len_k);
        bool live[LADDER_MAX_TILE / LADDER_SLICE];

        copy_in(&t, &tile, key0, n_keys);
        ladder_window(&t, &tile, key0);
        ladder_relevance(&t, &tile, (int)scr_max(0, ladder_keys_at(&t, key0, t.keys)), live);
        copy_out(&t, &tile, key0, n_keys);
    }
}

/* Values of keys that do not exist may be NaN, which a weight of 0 does not take away. */
static void values(void *user, size_t index)
{
    struct ladder_rows t = ladder_rows_at(user, index);
    struct ladder_tile tile;

    ladder_clear(&t, &tile);
    for (int64_t key0 = 0; key0 < t.keys; key0 += t.tile_k) {
        int n_keys = ladder_keys_at(&t, key0, t.keys);

        copy_in(&t, &tile, key0, n_keys);
        ladder_load_v(&t, &tile, key0, 0, n_keys);
        ladder_values(&t, &tile, 0, n_keys);
    }
    ladder_finish(&t, &tile);
}

void scr_ref_dense(const struct scr_host_call *call)
{
    size_t n = ladder_row_tiles(call);

    call->parallel_for(call->pool, n, scores, (void *)call);
    call->parallel_for(call->pool, n, relevance, (void *)call);
    call->parallel_for(call->pool, n, values, (void *)call);
}
