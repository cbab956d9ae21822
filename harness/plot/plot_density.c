/* SPDX-License-Identifier: Apache-2.0 */
/* What depends on a density: speedup and tile density. */
#include "plot_points.h"

#include "text.h"
#include "verdict.h"

#include <math.h>
#include <string.h>

static bool skips(const struct scr_row *r)
{
    return r->peer[0] == '\0' && strcmp(r->kernel, "tile-skip") == 0 &&
           (strcmp(r->skip, "tile") == 0 || strcmp(r->skip, "slice") == 0);
}

static bool tile_density_point(struct scr_plot_point *p, const struct scr_rows_file *rows)
{
    const struct scr_row *r = p->row;

    (void)rows;
    p->x = scr_plot_share(r->tiles_live, r->tiles_admissible);
    p->y = r->speedup_vs_masked;
    if (!skips(r) || isnan(p->x) || !(p->y > 0) || isinf(p->y))
        return false;
    scr_plot_set_interval(p, r->speedup_vs_masked_lo, r->speedup_vs_masked_hi);
    p->mark.rank = strcmp(r->skip, "tile") == 0 ? 1 : 2;
    snprintf(p->mark.text, sizeof p->mark.text, "skip=%s", p->mark.rank == 1 ? "tile" : "slice");
    scr_label_family(r, &p->colour);
    scr_plot_set_shape_group(p);
    scr_plot_group_cache(p);
    /* A window's own gain is in the speedup, and would hide the others. A trace is as it is. */
    if (p->set[0] == '\0' && scr_row_has_window(r))
        scr_append(p->group, sizeof p->group, ", w %s", r->window);
    return true;
}

static void tile_density_print(FILE *f, const struct scr_plot_point *p)
{
    const struct scr_row *r = p->row;

    fprintf(f, "%.6g\t%.6g\t%.6g\t%.6g\t%.6g\t%.6g\t%gx%g\t", p->x, p->y, p->lo, p->hi,
            scr_plot_share(r->pairs_live, r->pairs_admissible), r->t_median_ns, r->tile_q,
            r->tile_k);
}

static bool higher(const struct scr_plot_point *a, const struct scr_plot_point *b)
{
    return a->y > b->y;
}

const struct scr_plot_kind scr_plot_tile_density = {
    .name = "tile_density",
    .per_device = true,
    .compares = true,
    .title = "Where does skipping break even?",
    .y_title = "speedup over masked-dense",
    .note = "Bars: 95 % interval of the ratio to the fastest masked-dense. Dotted: ideal, time in "
            "proportion to tile density.",
    .columns = "tile_density\tspeedup_vs_masked\tlo\thi\tpair_density\tt_median_ns\ttile",
    .needs = "tile-skip rows with a speedup over masked-dense",
    .colours = "workloads",
    .point = tile_density_point,
    .print = tile_density_print,
    .better = higher,
};

static bool pair_density_point(struct scr_plot_point *p, const struct scr_rows_file *rows)
{
    const struct scr_row *r = p->row;

    (void)rows;
    p->x = scr_plot_share(r->pairs_live, r->pairs_admissible);
    p->y = scr_plot_share(r->tiles_live, r->tiles_admissible);
    if (isnan(p->x) || isnan(p->y) || !(r->tile_q > 0) || !(r->tile_k > 0))
        return false;
    scr_plot_set_interval(p, p->y, p->y);
    p->colour.rank = (int)fmin(r->tile_q * r->tile_k, 1e9);
    snprintf(p->colour.text, sizeof p->colour.text, "tile %gx%g", r->tile_q, r->tile_k);
    scr_label_family(r, &p->mark);
    scr_plot_set_shape_group(p);
    return true;
}

static void pair_density_print(FILE *f, const struct scr_plot_point *p)
{
    fprintf(f, "%.6g\t%.6g\t%gx%g\t", p->x, p->y, p->row->tile_q, p->row->tile_k);
}

static bool earlier(const struct scr_plot_point *a, const struct scr_plot_point *b)
{
    return a->row < b->row;
}

const struct scr_plot_kind scr_plot_pair_density = {
    .name = "pair_density",
    .title = "From pair density to tile density",
    .y_title = "tile density: tiles with a live pair / admissible tiles",
    .note = "Counted from the data, over admissible pairs; the same on every device. On y = x all "
            "dead pairs can be skipped.",
    .columns = "pair_density\ttile_density\ttile",
    .needs = "rows of a tiled kernel with counted densities",
    .colours = "tiles",
    .marks = "workloads",
    .point = pair_density_point,
    .print = pair_density_print,
    .better = earlier,
};
