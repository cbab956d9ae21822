/* SPDX-License-Identifier: Apache-2.0 */
#include "plot_points.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- labels ---- */

/* Cuts text to at most max bytes, not inside a UTF-8 character. */
static void cut(char *text, size_t max)
{
    if (strlen(text) <= max)
        return;
    while (max > 0 && ((unsigned char)text[max] & 0xc0) == 0x80)
        max--;
    text[max] = '\0';
}

static bool is_trace(const char *workload)
{
    return strncmp(workload, "trace:", 6) == 0;
}

/* "trace:data/a.safetensors" is "trace a"; the others stay as they are. */
static void short_workload(const char *workload, char *out, size_t size)
{
    const char *base;
    char *dot;

    if (!is_trace(workload)) {
        snprintf(out, size, "%s", workload);
    } else {
        base = strrchr(workload, '/');
        snprintf(out, size, "trace %s", base != NULL ? base + 1 : workload + 6);
        dot = strstr(out, ".safetensors");
        if (dot != NULL)
            *dot = '\0';
    }
    cut(out, 26);
}

static bool is_word(const char *word, const char *text, size_t length)
{
    return strlen(word) == length && strncmp(text, word, length) == 0;
}

/* The workload without its density, which is what varies along a line, and any finite window. */
static void set_family(const struct scr_plot_row *r, struct scr_plot_label *out)
{
    static const char *const in_runs[] = {"planted", "shuffled", "skewed"};
    static const char *const plain[] = {"window", "iid", "ends"};
    const char *workload = r->workload;
    size_t length = strcspn(workload, ":");
    const char *run = strchr(workload, 'x');
    char window[32] = "";

    if (strcmp(r->window, "inf") != 0 && strcmp(r->window, "null") != 0 && r->window[0] != '\0')
        snprintf(window, sizeof window, ", w %s", r->window);
    out->rank = 40000;
    if (is_trace(workload)) {
        short_workload(workload, out->text, sizeof out->text);
    } else {
        for (int i = 0; i < 3; i++) {
            if (is_word(plain[i], workload, length))
                out->rank = 31000 + i;
            if (is_word(in_runs[i], workload, length)) {
                int tokens = run != NULL ? atoi(run + 1) : 64;

                out->rank = 10000 * (i + 1) - tokens;
                snprintf(out->text, sizeof out->text, "%s, runs of %d%s", in_runs[i], tokens,
                         window);
                return;
            }
        }
        snprintf(out->text, sizeof out->text, "%.*s%s", (int)(length < 20 ? length : 20), workload,
                 window);
    }
}

/* dtype, dims, batch, heads, mask: what must agree in any comparison. Returns the length. */
static int print_shape(const struct scr_plot_row *r, char *out, size_t size)
{
    return snprintf(out, size, "%s, dk %g, dv %g, batch %g, heads %g (kv %g), %s", r->dtype, r->dk,
                    r->dv, r->batch, r->heads, r->kv_heads, r->causal ? "causal" : "bidirectional");
}

static void set_shape_group(struct scr_plot_point *p)
{
    const struct scr_plot_row *r = p->row;
    int n = print_shape(r, p->group, sizeof p->group);

    if (n > 0 && (size_t)n < sizeof p->group)
        snprintf(p->group + n, sizeof p->group - (size_t)n, ", %g queries, %g keys", r->seq_q,
                 r->seq_k);
    if (is_trace(r->workload))
        snprintf(p->set, sizeof p->set, "%.*s", (int)sizeof p->set - 1, p->group);
}

static void set_interval(struct scr_plot_point *p, double lo, double hi)
{
    p->lo = lo > 0 && lo <= p->y ? lo : p->y;
    p->hi = isfinite(hi) && hi >= p->y ? hi : p->y;
}

static double ratio(double part, double whole)
{
    return whole > 0 && part >= 0 && part <= whole ? part / whole : NAN;
}

/* ---- the plots ---- */

static bool tile_density_point(struct scr_plot_point *p)
{
    const struct scr_plot_row *r = p->row;

    p->x = ratio(r->tiles_live, r->tiles_admissible);
    p->y = r->speedup_vs_masked;
    if (strcmp(r->kernel, "tile-skip") != 0 || isnan(p->x) || !(p->y > 0) || isinf(p->y))
        return false;
    if (strcmp(r->skip, "tile") != 0 && strcmp(r->skip, "slice") != 0)
        return false;
    set_interval(p, p->y * r->t_median_ns / r->t_ci_hi_ns, p->y * r->t_median_ns / r->t_ci_lo_ns);
    p->mark.rank = strcmp(r->skip, "tile") == 0 ? 1 : 2;
    snprintf(p->mark.text, sizeof p->mark.text, "skip=%s", p->mark.rank == 1 ? "tile" : "slice");
    set_family(r, &p->colour);
    set_shape_group(p);
    return true;
}

static void tile_density_print(FILE *f, const struct scr_plot_point *p)
{
    const struct scr_plot_row *r = p->row;

    fprintf(f, "%.6g\t%.6g\t%.6g\t%.6g\t%.6g\t%.6g\t%gx%g\t", p->x, p->y, p->lo, p->hi,
            ratio(r->pairs_live, r->pairs_admissible), r->t_median_ns, r->tile_q, r->tile_k);
}

static bool higher(const struct scr_plot_point *a, const struct scr_plot_point *b)
{
    return a->y > b->y;
}

static bool pair_density_point(struct scr_plot_point *p)
{
    const struct scr_plot_row *r = p->row;

    p->x = ratio(r->pairs_live, r->pairs_admissible);
    p->y = ratio(r->tiles_live, r->tiles_admissible);
    if (isnan(p->x) || isnan(p->y) || !(r->tile_q > 0) || !(r->tile_k > 0))
        return false;
    set_interval(p, p->y, p->y);
    p->colour.rank = (int)fmin(r->tile_q * r->tile_k, 1e9);
    snprintf(p->colour.text, sizeof p->colour.text, "tile %gx%g", r->tile_q, r->tile_k);
    set_family(r, &p->mark);
    set_shape_group(p);
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

static bool seq_latency_point(struct scr_plot_point *p)
{
    static const char *const names[] = {"dense", "masked-dense", "tile-skip, skip=none",
                                        "tile-skip, skip=tile", "tile-skip, skip=slice"};
    const struct scr_plot_row *r = p->row;
    char workload[40];
    int n;

    p->x = r->seq_k;
    p->y = r->t_median_ns / 1e3;
    if (!(p->x >= 1) || !(p->y > 0) || isinf(p->y) || r->kernel[0] == '\0')
        return false;
    set_interval(p, r->t_ci_lo_ns / 1e3, r->t_ci_hi_ns / 1e3);
    if (strcmp(r->kernel, "tile-skip") == 0)
        snprintf(p->colour.text, sizeof p->colour.text, "tile-skip, skip=%.20s", r->skip);
    else
        snprintf(p->colour.text, sizeof p->colour.text, "%.40s", r->kernel);
    p->colour.rank = 6;
    for (int i = 0; i < 5; i++)
        if (strcmp(p->colour.text, names[i]) == 0)
            p->colour.rank = i + 1;
    n = print_shape(r, p->group, sizeof p->group);
    short_workload(r->workload, workload, sizeof workload);
    if (n > 0 && (size_t)n < sizeof p->group) {
        char queries[32] = "";

        if (r->seq_q != r->seq_k)
            snprintf(queries, sizeof queries, ", %g queries", r->seq_q);
        snprintf(p->group + n, sizeof p->group - (size_t)n, "%s; %s, window %s, r %s", queries,
                 workload, r->window, r->r);
    }
    return true;
}

static void seq_latency_print(FILE *f, const struct scr_plot_point *p)
{
    fprintf(f, "%.6g\t%.6g\t%.6g\t%.6g\t%gx%g\t", p->x, p->y, p->lo, p->hi, p->row->tile_q,
            p->row->tile_k);
}

static bool lower(const struct scr_plot_point *a, const struct scr_plot_point *b)
{
    return a->y < b->y;
}

const struct scr_plot_kind scr_plot_kinds[] = {
    {
        .name = "tile_density",
        .per_device = true,
        .title = "Where does skipping break even?",
        .y_title = "speedup over masked-dense",
        .note = "Bars: 95 % interval of the median time of tile-skip.",
        .columns = "tile_density\tspeedup_vs_masked\tlo\thi\tpair_density\tt_median_ns\ttile",
        .point = tile_density_point,
        .print = tile_density_print,
        .better = higher,
    },
    {
        .name = "pair_density",
        .title = "How much of the sparsity is usable?",
        .y_title = "tile density: tiles with a live pair / admissible tiles",
        .note = "Counted from the data, over admissible pairs; the same on every device.",
        .columns = "pair_density\ttile_density\ttile",
        .point = pair_density_point,
        .print = pair_density_print,
        .better = earlier,
    },
    {
        .name = "seq_latency",
        .per_device = true,
        .fixed_colours = true,
        .title = "Latency against sequence length",
        .y_title = "latency (median)",
        .note = "Bars: 95 % interval of the median.",
        .columns = "seq_k\tt_median_us\tlo\thi\ttile",
        .point = seq_latency_point,
        .print = seq_latency_print,
        .better = lower,
        .wide = true,
    },
};

const size_t scr_plot_kind_count = sizeof scr_plot_kinds / sizeof scr_plot_kinds[0];

void scr_plot_points_collect(const struct scr_plot_kind *kind, const struct scr_plot_rows *rows,
                             const char *device, struct scr_plot_points *out)
{
    out->n = 0;
    for (size_t i = 0; i < rows->n; i++) {
        const struct scr_plot_row *r = &rows->row[i];
        struct scr_plot_point *p = &out->at[out->n];

        if (strcmp(r->status, "ok") != 0 || (device != NULL && strcmp(r->device, device) != 0))
            continue;
        *p = (struct scr_plot_point){.row = r};
        out->n += kind->point(p);
    }
}
