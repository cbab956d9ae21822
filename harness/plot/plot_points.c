/* SPDX-License-Identifier: Apache-2.0 */
#include "plot_points.h"

#include "text.h"

#include <math.h>
#include <string.h>

const struct scr_plot_kind *const scr_plot_kinds[] = {
    &scr_plot_tile_density, &scr_plot_pair_density, &scr_plot_seq_latency, &scr_plot_tile_heat,
    &scr_plot_roofline,     &scr_plot_time_parts,   &scr_plot_trace_heads,
};

const size_t scr_plot_kind_count = sizeof scr_plot_kinds / sizeof scr_plot_kinds[0];

void scr_plot_set_interval(struct scr_plot_point *p, double lo, double hi)
{
    p->lo = lo > 0 && lo <= p->y ? lo : p->y;
    p->hi = isfinite(hi) && hi >= p->y ? hi : p->y;
}

void scr_plot_set_shape_group(struct scr_plot_point *p)
{
    const struct scr_row *r = p->row;

    scr_label_shape(r, p->group, sizeof p->group);
    scr_append(p->group, sizeof p->group, ", %g queries, %g keys", r->seq_q, r->seq_k);
    if (scr_label_is_trace(r))
        snprintf(p->set, sizeof p->set, "%s %gx%g %g", r->dtype, r->dk, r->dv, r->heads);
}

void scr_plot_group_cache(struct scr_plot_point *p)
{
    if (p->row->cache[0] != '\0')
        scr_append(p->group, sizeof p->group, ", %s cache", p->row->cache);
}

double scr_plot_share(double part, double whole)
{
    return whole > 0 && part >= 0 && part <= whole ? part / whole : NAN;
}

bool scr_plot_same_shape(const struct scr_row *a, const struct scr_row *b)
{
    return strcmp(a->device, b->device) == 0 && strcmp(a->dtype, b->dtype) == 0 &&
           strcmp(a->dtype_out, b->dtype_out) == 0 && a->batch == b->batch &&
           a->heads == b->heads && a->kv_heads == b->kv_heads && a->seq_q == b->seq_q &&
           a->seq_k == b->seq_k && a->dk == b->dk && a->dv == b->dv && a->causal == b->causal &&
           a->norm == b->norm && strcmp(a->kv_len, b->kv_len) == 0 &&
           strcmp(a->window, b->window) == 0 && strcmp(a->cache, b->cache) == 0;
}

bool scr_plot_is_faster(const struct scr_plot_point *a, const struct scr_plot_point *b)
{
    return a->row->t_median_ns < b->row->t_median_ns;
}

void scr_plot_points_collect(const struct scr_plot_kind *kind, const struct scr_rows_file *rows,
                             const char *device, struct scr_plot_points *out)
{
    out->n = 0;
    for (size_t i = 0; i < rows->n; i++) {
        const struct scr_row *r = &rows->rows[i];
        struct scr_plot_point *p = &out->at[out->n];

        if (strcmp(r->status, "ok") != 0 || (device != NULL && strcmp(r->device, device) != 0))
            continue;
        *p = (struct scr_plot_point){.row = r};
        out->n += kind->point(p, rows);
        p = &out->at[out->n];
        *p = (struct scr_plot_point){.row = r, .baseline = true};
        out->n += kind->baseline != NULL && kind->baseline(p, rows);
    }
}
