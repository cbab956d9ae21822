/* SPDX-License-Identifier: Apache-2.0 */
/*
 * masked-dense: one fused pass, nothing stored between. Each row tile visits every key tile of the
 * causal range (of all keys when bidirectional) and computes it whole; the window is multiplied in.
 *
 * @backend ref
 * @kernel masked-dense
 * @variant c
 * @summary one fused pass over the causal range, window multiplied in
 * @host scr_ref_masked_dense
 * @tunable TILE_Q = 64 : 16 32 64 128 -- query rows of a tile
 * @tunable TILE_K = 64 : 16 32 64 128 -- keys of a tile
 */
#include "ref/ladder.h"

static void run_row_tile(void *user, size_t index)
{
    struct ladder_rows t = ladder_rows_at(user, index);
    struct ladder_keys keys = ladder_causal_keys(&t);
    struct ladder_tile tile;
    uint32_t visited = 0;

    ladder_load_q(&t, &tile);
    ladder_clear(&t, &tile);
    for (int64_t key0 = keys.begin; key0 < keys.end; key0 += t.tile_k) {
        int n_keys = ladder_keys_at(&t, key0, keys.end);
        bool live[LADDER_MAX_TILE / LADDER_SLICE];

        ladder_scores(&t, &tile, key0, n_keys);
        ladder_window(&t, &tile, key0);
        ladder_relevance(&t, &tile, n_keys, live);
        ladder_load_v(&t, &tile, key0, 0, n_keys);
        ladder_values(&t, &tile, 0, n_keys);
        visited++;
    }
    ladder_finish(&t, &tile);
    ladder_count(&t, visited, visited, visited);
}

void scr_ref_masked_dense(const struct scr_host_call *call)
{
    call->parallel_for(call->pool, ladder_row_tiles(call), run_row_tile, (void *)call);
}
