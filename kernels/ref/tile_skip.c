/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tile-skip: fused; each row tile visits only the key tiles that meet its window. After q k^T it
 * tests the tile (skip = tile), or 16 keys of it at a time (skip = slice), against the threshold,
 * and leaves out value load and value product where no admissible pair has relevance. What is left
 * out would have added zeros, so all skip modes give the same bits.
 *
 * @backend ref
 * @kernel tile-skip
 * @variant c
 * @summary fused, visits the window only, skips value products of screened tiles
 * @host scr_ref_tile_skip
 * @tunable TILE_Q = 64 : 16 32 64 128 -- query rows of a tile
 * @tunable TILE_K = 64 : 16 32 64 128 -- keys of a tile
 */
#include "ref/ladder.h"

/* Keys [j0, j1) of the tile at key0. */
static void add_values(const struct ladder_rows *t, struct ladder_tile *tile, int64_t key0, int j0,
                       int j1)
{
    ladder_load_v(t, tile, key0, j0, j1);
    ladder_values(t, tile, j0, j1);
}

/* Returns how many live slices were added; the others are left out. */
static uint32_t add_live_slices(const struct ladder_rows *t, struct ladder_tile *tile, int64_t key0,
                                int n_keys, const bool *live)
{
    uint32_t added = 0;

    for (int j0 = 0; j0 < n_keys; j0 += LADDER_SLICE) {
        if (live[j0 / LADDER_SLICE]) {
            add_values(t, tile, key0, j0, (int)scr_min(n_keys, j0 + LADDER_SLICE));
            added++;
        }
    }
    return added;
}

static void run_row_tile(void *user, size_t index)
{
    struct ladder_rows t = ladder_rows_at(user, index);
    struct ladder_keys keys = ladder_window_keys(&t);
    scr_skip skip = t.call->config->skip;
    struct ladder_tile tile;
    uint32_t qk = 0;
    uint32_t pv = 0;
    uint32_t pv_slices = 0;

    ladder_load_q(&t, &tile);
    ladder_clear(&t, &tile);
    for (int64_t key0 = keys.begin; key0 < keys.end; key0 += t.tile_k) {
        int n_keys = ladder_keys_at(&t, key0, keys.end);
        bool live[LADDER_MAX_TILE / LADDER_SLICE];
        bool any = skip == SCR_SKIP_NONE;

        ladder_scores(&t, &tile, key0, n_keys);
        ladder_window(&t, &tile, key0);
        ladder_relevance(&t, &tile, n_keys, live);
        qk++;
        for (int s = 0; s < t.tile_k / LADDER_SLICE; s++)
            any |= live[s];
        if (!any)
            continue;
        pv++;
        if (skip == SCR_SKIP_SLICE) {
            pv_slices += add_live_slices(&t, &tile, key0, n_keys, live);
        } else {
            add_values(&t, &tile, key0, 0, n_keys);
            pv_slices++;
        }
    }
    ladder_finish(&t, &tile);
    ladder_count(&t, qk, pv, pv_slices);
}

void scr_ref_tile_skip(const struct scr_host_call *call)
{
    call->parallel_for(call->pool, ladder_row_tiles(call), run_row_tile, (void *)call);
}
