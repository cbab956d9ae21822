/* SPDX-License-Identifier: Apache-2.0 */
/* What suits the device: its best tile, and how near its ceilings the kernels come. */
#include "plot_points.h"

#include "text.h"

#include <math.h>
#include <string.h>

static bool tile_heat_point(struct scr_plot_point *p, const struct scr_rows_file *rows)
{
    const struct scr_row *r = p->row;
    struct scr_plot_label kernel = {0};
    char workload[40];

    (void)rows;
    p->x = r->tile_q;
    p->y = r->t_median_ns / 1e3;
    if (r->peer[0] != '\0' || !(r->tile_q > 0) || !(r->tile_k > 0) || !(p->y > 0) || isinf(p->y))
        return false;
    p->place = 65536 * r->tile_q + r->tile_k;
    scr_plot_set_interval(p, r->t_ci_lo_ns / 1e3, r->t_ci_hi_ns / 1e3);
    scr_plot_set_shape_group(p);
    scr_plot_group_cache(p);
    p->set[0] = '\0';
    scr_label_kernel(r, &kernel);
    scr_label_workload(r, workload, sizeof workload);
    scr_append(p->group, sizeof p->group, "; %s, %s, w %s\n%s %g %g", kernel.text, workload,
               r->window, r->variant, r->r, r->trace_head);
    return true;
}

static void tile_heat_print(FILE *f, const struct scr_plot_point *p)
{
    const struct scr_row *r = p->row;

    fprintf(f, "%g\t%g\t%.6g\t%.6g\t%.6g\t%.6g\t", r->tile_q, r->tile_k, p->y, p->lo, p->hi,
            scr_plot_share(r->tiles_live, r->tiles_admissible));
}

const struct scr_plot_kind scr_plot_tile_heat = {
    .name = "tile_heat",
    .per_device = true,
    .min_points = 3,
    .title = "Which tile is fastest?",
    .y_title = "tile_k: keys",
    .note = "Thick frame: the fastest. Thin frame: no difference can be told from it, the 95 % "
            "intervals of the medians meet.",
    .columns = "tile_q\ttile_k\tt_median_us\tlo\thi\ttile_density",
    .needs = "three rows that differ in tile alone, as of -a tile=all",
    .point = tile_heat_point,
    .print = tile_heat_print,
    .better = scr_plot_is_faster,
};

static bool roofline_point(struct scr_plot_point *p, const struct scr_rows_file *rows)
{
    const struct scr_row *r = p->row;

    (void)rows;
    p->x = r->flop / r->bytes;
    p->y = r->flop_per_s;
    if (r->peer[0] != '\0' || !(p->x > 0) || !(p->y > 0) || isinf(p->x) || isinf(p->y))
        return false;
    scr_plot_set_interval(p, p->y * r->t_median_ns / r->t_ci_hi_ns,
                          p->y * r->t_median_ns / r->t_ci_lo_ns);
    scr_label_kernel(r, &p->colour);
    scr_label_shape(r, p->group, sizeof p->group);
    scr_plot_group_cache(p);
    return true;
}

static void roofline_print(FILE *f, const struct scr_plot_point *p)
{
    const struct scr_row *r = p->row;

    fprintf(f, "%.6g\t%.6g\t%.6g\t%.6g\t%.4g\t%.6g\t%g\t%gx%g\t", p->x, p->y, p->lo, p->hi,
            r->pct_roofline, r->t_median_ns, r->seq_k, r->tile_q, r->tile_k);
}

const struct scr_plot_kind scr_plot_roofline = {
    .name = "roofline",
    .per_device = true,
    .fixed_colours = true,
    .needs_peaks = true,
    .title = "How near the ceilings of the device?",
    .y_title = "executed FLOP/s",
    .note = "Executed FLOP only; bytes: each input and output once. Bars: 95 % interval of the "
            "median. Ceilings measured here.",
    .columns = "flop_per_byte\tflop_per_s\tlo\thi\tpct_roofline\tt_median_ns\tseq_k\ttile",
    .needs = "rows with executed FLOP",
    .point = roofline_point,
    .print = roofline_print,
    .better = scr_plot_is_faster,
};
