/* SPDX-License-Identifier: Apache-2.0 */
#include "roofline.h"

#include <math.h>
#include <string.h>

/* Above the ceiling by more than noise. */
static const double OVER = 101;
static const double NEAR_FLOOR = 3;

/*
 * Tiles of the causal range, all heads: what masked-dense computes, whatever the window. NaN where
 * lengths differ by batch or are not those of the keys.
 */
static double causal_tiles(const struct scr_row *row)
{
    double n = 0;

    if ((strcmp(row->kv_len, "none") != 0 && strcmp(row->kv_len, "full") != 0) ||
        isnan(row->tile_q) || isnan(row->tile_k))
        return NAN;
    for (double i = 0; i < row->seq_q; i += row->tile_q) {
        double last = row->q_pos0 + fmin(i + row->tile_q, row->seq_q) - 1;
        double keys = row->causal ? fmin(fmax(last + 1, 0), row->seq_k) : row->seq_k;

        n += ceil(keys / row->tile_k);
    }
    return n * row->batch * row->heads;
}

/* Pairs of a tile; the last one of a row or column of tiles counts by the average. */
static double tile_pairs(const struct scr_row *row)
{
    return row->seq_q / ceil(row->seq_q / row->tile_q) * row->seq_k /
           ceil(row->seq_k / row->tile_k);
}

static double executed_flop(const struct scr_row *row)
{
    double tile = tile_pairs(row);

    if (strcmp(row->kernel, "dense") == 0)
        return row->batch * row->heads * row->seq_q * row->seq_k * 2 * (row->dk + row->dv);
    if (strcmp(row->kernel, "masked-dense") == 0)
        return causal_tiles(row) * tile * 2 * (row->dk + row->dv);
    if (strcmp(row->skip, "slice") == 0)
        return NAN;
    return tile * 2 * (row->qk_tiles * row->dk + row->pv_tiles * row->dv);
}

static double peak_rate(const struct scr_peak *peak, const char *dtype)
{
    return strcmp(dtype, "f32") == 0   ? peak->f32
           : strcmp(dtype, "f16") == 0 ? peak->f16
                                       : peak->bf16;
}

void scr_roofline_fill(const struct scr_peak *peak, struct scr_row *row)
{
    bool wall = strcmp(row->timer, "wall") == 0;
    double compute_ns, memory_ns, t = row->t_median_ns;

    if (isnan(t))
        return;
    row->t_floor_ns = wall ? peak->floor_wall_ns : peak->floor_ns;
    if (t < NEAR_FLOOR * row->t_floor_ns)
        scr_row_flag(row, "near-floor");
    row->flop = executed_flop(row);
    row->flop_per_s = row->flop / t * 1e9;
    compute_ns = row->flop / peak_rate(peak, row->dtype) * 1e9;
    memory_ns = row->bytes / peak->bandwidth * 1e9;
    /* What is in the cache meets no limit of the memory. */
    if (strcmp(row->cache, "cold") != 0)
        memory_ns = 0;
    if (!isnan(compute_ns) && !isnan(memory_ns)) {
        row->pct_roofline = 100 * fmax(compute_ns, memory_ns) / t;
        snprintf(row->bound, sizeof row->bound, "%s",
                 compute_ns > memory_ns ? "compute" : "memory");
    }
    if (row->pct_roofline > OVER)
        scr_row_flag(row, "over-roofline");
    if (strcmp(row->kernel, "tile-skip") == 0)
        row->pct_ideal = 100 * row->tiles_live / causal_tiles(row) * row->t_masked_ns / t;
    if (row->pct_ideal > OVER)
        scr_row_flag(row, "over-ideal");
}
