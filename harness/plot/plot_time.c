/* SPDX-License-Identifier: Apache-2.0 */
/* Where the time goes: by length, by part, by head of a trace. */
#include "plot_points.h"

#include "text.h"
#include "verdict.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Sets y and its interval, in microseconds. */
static bool set_time(struct scr_plot_point *p)
{
    const struct scr_row *r = p->row;

    p->y = r->t_median_ns / 1e3;
    if (!(p->y > 0) || isinf(p->y))
        return false;
    scr_plot_set_interval(p, r->t_ci_lo_ns / 1e3, r->t_ci_hi_ns / 1e3);
    return true;
}

/* ---- sequence length against latency ---- */

static void r_text(const struct scr_row *r, char *out, size_t size)
{
    if (isfinite(r->r))
        snprintf(out, size, "r %g", r->r);
    else
        snprintf(out, size, "own r");
}

/* A peer may give another type than was asked for, and stands beside the first of its problem. */
static const char *type_asked_for(const struct scr_rows_file *rows, const struct scr_row *r)
{
    for (size_t i = 0; r->peer[0] != '\0' && i < rows->n; i++) {
        const struct scr_row *own = &rows->rows[i];

        if (own->peer[0] == '\0' && strcmp(own->status, "ok") == 0 &&
            strcmp(own->data_hash, r->data_hash) == 0 && strcmp(own->device, r->device) == 0)
            return own->dtype_out;
    }
    return r->dtype_out;
}

static void seq_latency_group(struct scr_plot_point *p, const struct scr_rows_file *rows)
{
    const struct scr_row *r = p->row;
    struct scr_row as_asked = *r;
    char workload[40], sharpness[24];

    snprintf(as_asked.dtype_out, sizeof as_asked.dtype_out, "%s", type_asked_for(rows, r));
    scr_label_shape(&as_asked, p->group, sizeof p->group);
    scr_plot_group_cache(p);
    if (r->seq_q != r->seq_k)
        scr_append(p->group, sizeof p->group, ", %g queries", r->seq_q);
    scr_label_workload(r, workload, sizeof workload);
    r_text(r, sharpness, sizeof sharpness);
    scr_append(p->group, sizeof p->group, "; %s, window %s, %s", workload, r->window, sharpness);
}

/* Whether b was compared with masked-dense on the problem of a. */
static bool tells_baseline(const struct scr_row *b, const struct scr_row *a)
{
    return strcmp(b->status, "ok") == 0 && b->peer[0] == '\0' && b->t_masked_ns > 0 &&
           isfinite(b->t_masked_ns) && isnan(b->trace_head) &&
           strcmp(a->workload, b->workload) == 0 &&
           (a->r == b->r || (isnan(a->r) && isnan(b->r))) && scr_plot_same_shape(a, b);
}

/* The median, of an even number the lower, of what rows like r say of masked-dense; NaN none. */
static double time_of_baseline(const struct scr_rows_file *rows, const struct scr_row *r)
{
    size_t n = 0;

    for (size_t i = 0; i < rows->n; i++)
        n += tells_baseline(&rows->rows[i], r);
    for (size_t i = 0; i < rows->n; i++) {
        double t = rows->rows[i].t_masked_ns;
        size_t below = 0, equal = 0;

        if (!tells_baseline(&rows->rows[i], r))
            continue;
        for (size_t j = 0; j < rows->n; j++) {
            bool tells = tells_baseline(&rows->rows[j], r);

            below += tells && rows->rows[j].t_masked_ns < t;
            equal += tells && rows->rows[j].t_masked_ns == t;
        }
        if (below <= (n - 1) / 2 && (n - 1) / 2 < below + equal)
            return t;
    }
    return NAN;
}

/* A row of masked-dense as it was swept gives way to the baseline, which is tuned on its own. */
static bool seq_latency_point(struct scr_plot_point *p, const struct scr_rows_file *rows)
{
    const struct scr_row *r = p->row;

    p->x = r->seq_k;
    if (!(p->x >= 1) || !set_time(p) || r->kernel[0] == '\0' || isfinite(r->trace_head))
        return false;
    if (r->peer[0] == '\0' && strcmp(r->kernel, "masked-dense") == 0) {
        for (size_t i = 0; i < rows->n; i++)
            if (tells_baseline(&rows->rows[i], r))
                return false;
    }
    scr_label_kernel(r, &p->colour);
    seq_latency_group(p, rows);
    return true;
}

/* One for all rows of a problem: with the first of them. */
static bool seq_latency_baseline(struct scr_plot_point *p, const struct scr_rows_file *rows)
{
    const struct scr_row *r = p->row, *first = rows->rows;

    p->x = r->seq_k;
    if (!(p->x >= 1) || !tells_baseline(r, r))
        return false;
    while (first < r && !tells_baseline(first, r))
        first++;
    if (first < r)
        return false;
    p->y = p->lo = p->hi = time_of_baseline(rows, r) / 1e3;
    p->colour.rank = 2; /* that of masked-dense */
    snprintf(p->colour.text, sizeof p->colour.text, "masked-dense, tuned");
    seq_latency_group(p, rows);
    return true;
}

static void seq_latency_print(FILE *f, const struct scr_plot_point *p)
{
    fprintf(f, "%.6g\t%.6g\t%.6g\t%.6g\t", p->x, p->y, p->lo, p->hi);
    if (p->baseline)
        fputs("best\t", f);
    else
        fprintf(f, "%gx%g\t", p->row->tile_q, p->row->tile_k);
}

const struct scr_plot_kind scr_plot_seq_latency = {
    .name = "seq_latency",
    .per_device = true,
    .fixed_colours = true,
    .title = "Latency against sequence length",
    .y_title = "latency (median)",
    .note = "Bars: 95 % interval of the median. masked-dense, tuned: what the speedups are "
            "against, timed beside the others.",
    .columns = "seq_k\tt_median_us\tlo\thi\ttile",
    .needs = "times of at least two sequence lengths of one shape",
    .point = seq_latency_point,
    .baseline = seq_latency_baseline,
    .print = seq_latency_print,
    .better = scr_plot_is_faster,
    .wide = true,
};

/* ---- floor, qk, pv ---- */

/* Whether b runs the program that a runs, on the same shape. */
static bool same_program(const struct scr_row *a, const struct scr_row *b)
{
    return strcmp(a->kernel, b->kernel) == 0 && strcmp(a->variant, b->variant) == 0 &&
           strcmp(a->params, b->params) == 0 && strcmp(a->skip, b->skip) == 0 &&
           a->tile_q == b->tile_q && a->tile_k == b->tile_k && scr_plot_same_shape(a, b);
}

/* The time of the same program where nothing is alive, or NaN. */
static double time_of_empty(const struct scr_rows_file *rows, const struct scr_row *r)
{
    for (size_t i = 0; i < rows->n; i++) {
        const struct scr_row *e = &rows->rows[i];

        if (strcmp(e->status, "ok") == 0 && strcmp(e->workload, "ends:0") == 0 &&
            same_program(e, r))
            return e->t_median_ns;
    }
    return NAN;
}

/* part: floor and time where nothing is alive, in microseconds. */
static bool time_parts_point(struct scr_plot_point *p, const struct scr_rows_file *rows)
{
    const struct scr_row *r = p->row;

    p->x = scr_plot_share(r->tiles_live, r->tiles_admissible);
    if (r->peer[0] != '\0' || strcmp(r->kernel, "tile-skip") != 0 || strcmp(r->skip, "none") == 0 ||
        isnan(p->x) || !set_time(p))
        return false;
    p->part[0] = r->t_floor_ns / 1e3;
    p->part[1] = time_of_empty(rows, r) / 1e3;
    if (!(p->part[0] >= 0) || !(p->part[1] > 0))
        return false;
    scr_plot_set_shape_group(p);
    scr_plot_group_cache(p);
    p->set[0] = '\0';
    if (scr_row_has_window(r))
        scr_append(p->group, sizeof p->group, ", w %s", r->window);
    scr_append(p->group, sizeof p->group, "; skip=%s, tile %gx%g", r->skip, r->tile_q, r->tile_k);
    /* what is too long for the picture still tells the groups apart */
    scr_append(p->group, sizeof p->group, "\n%s %s", r->variant, r->params);
    return true;
}

static void time_parts_print(FILE *f, const struct scr_plot_point *p)
{
    fprintf(f, "%.6g\t%.6g\t%.6g\t%.6g\t%.6g\t%.6g\t%.6g\t", p->x, p->y, p->lo, p->hi, p->part[0],
            p->part[1] - p->part[0], p->y - p->part[1]);
}

const struct scr_plot_kind scr_plot_time_parts = {
    .name = "time_parts",
    .per_device = true,
    .min_points = 2,
    .title = "Where does the time of tile-skip go?",
    .y_title = "time (median)",
    .note = "floor: an empty kernel. qk: the same kernel where no pair is alive, less the floor. "
            "pv: the rest. Bars: 95 % interval.",
    .columns = "tile_density\tt_median_us\tlo\thi\tfloor_us\tqk_us\tpv_us",
    .needs = "rows with a floor, and the same shape with workload=ends:0",
    .point = time_parts_point,
    .print = time_parts_print,
    .better = scr_plot_is_faster,
};

/* ---- a trace, head by head ---- */

/* The window in tokens: infinite where it is off, NaN where the row does not tell it. */
static double window_of(const struct scr_row *r)
{
    char *end;
    double w;

    if (strcmp(r->window, "inf") == 0)
        return INFINITY;
    w = strtod(r->window, &end);
    return end != r->window && *end == '\0' && w > 0 && isfinite(w) ? w : NAN;
}

/* part[0]: the window. */
static bool trace_heads_point(struct scr_plot_point *p, const struct scr_rows_file *rows)
{
    const struct scr_row *r = p->row;
    char workload[40];

    (void)rows;
    p->x = scr_plot_share(r->tiles_live, r->tiles_admissible);
    if (!scr_label_is_trace(r) || !isfinite(r->trace_head) || isnan(p->x) || !set_time(p))
        return false;
    p->part[0] = window_of(r);
    p->place = r->trace_head;
    scr_label_kernel(r, &p->colour);
    scr_plot_set_shape_group(p);
    scr_plot_group_cache(p);
    p->set[0] = '\0';
    scr_label_workload(r, workload, sizeof workload);
    scr_append(p->group, sizeof p->group, "; %s", workload);
    return true;
}

static void trace_heads_print(FILE *f, const struct scr_plot_point *p)
{
    fprintf(f, "%.6g\t%.6g\t%.6g\t%.6g\t%.6g\t%.6g\t%g\t%gx%g\t", p->x, p->y, p->lo, p->hi,
            p->part[0], scr_plot_share(p->row->pairs_live, p->row->pairs_admissible),
            p->row->trace_head, p->row->tile_q, p->row->tile_k);
}

const struct scr_plot_kind scr_plot_trace_heads = {
    .name = "trace_heads",
    .per_device = true,
    .fixed_colours = true,
    .min_points = 2,
    .title = "A trace, head by head",
    .y_title = "latency of one head (median)",
    .note = "Bars: 95 % interval of the median. Numbers: heads.",
    .columns = "tile_density\tt_median_us\tlo\thi\twindow\tpair_density\thead\ttile",
    .needs = "single heads of a trace",
    .point = trace_heads_point,
    .print = trace_heads_print,
    .better = scr_plot_is_faster,
};
