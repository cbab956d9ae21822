/* SPDX-License-Identifier: Apache-2.0 */
#include "plot_choose.h"

#include <screening/error.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Colours of a fixed palette go round; what comes round again has other dashes and shapes. */
enum { MAX_COLOURS = 8, MAX_FIXED_COLOURS = 14, MAX_MARKS = 10 };

static int compare_label(const struct scr_plot_label *a, const struct scr_plot_label *b)
{
    return a->rank != b->rank ? (a->rank > b->rank) - (a->rank < b->rank)
                              : strcmp(a->text, b->text);
}

static int compare_order(const struct scr_plot_point *a, const struct scr_plot_point *b)
{
    return (a->row > b->row) - (a->row < b->row);
}

static int by_group(const void *pa, const void *pb)
{
    const struct scr_plot_point *a = pa, *b = pb;
    int c = strcmp(a->set, b->set);

    if (c == 0)
        c = strcmp(a->group, b->group);
    if (c == 0)
        c = (a->x > b->x) - (a->x < b->x);
    return c != 0 ? c : compare_order(a, b);
}

static int compare_series(const struct scr_plot_point *a, const struct scr_plot_point *b)
{
    int c = compare_label(&a->colour, &b->colour);

    return c != 0 ? c : compare_label(&a->mark, &b->mark);
}

/* NaN, a value that the row does not have, comes first. */
static int compare_number(double a, double b)
{
    return isnan(a) || isnan(b) ? isnan(b) - isnan(a) : (a > b) - (a < b);
}

/* Points of one configuration, which may differ in tile and seed, are equal. */
static int compare_configuration(const struct scr_plot_point *a, const struct scr_plot_point *b)
{
    int c = compare_series(a, b);

    if (c == 0)
        c = strcmp(a->row->workload, b->row->workload);
    if (c == 0)
        c = strcmp(a->row->window, b->row->window);
    if (c == 0)
        c = compare_number(a->row->r, b->row->r);
    if (c == 0)
        c = compare_number(a->row->seq_k, b->row->seq_k);
    if (c == 0)
        c = compare_number(a->row->trace_head, b->row->trace_head);
    return c != 0 ? c : compare_number(a->place, b->place);
}

static int by_configuration(const void *a, const void *b)
{
    int c = compare_configuration(a, b);

    return c != 0 ? c : compare_order(a, b);
}

static int by_series(const void *pa, const void *pb)
{
    const struct scr_plot_point *a = pa, *b = pb;
    int c = compare_series(a, b);

    if (c == 0)
        c = (a->x > b->x) - (a->x < b->x);
    return c != 0 ? c : compare_order(a, b);
}

/* Length of the run of points at p, before end, that share set (and group). */
static size_t run_length(const struct scr_plot_point *p, const struct scr_plot_point *end,
                         bool same_group)
{
    size_t n = 1;

    while (p + n < end && strcmp(p[n].set, p->set) == 0 &&
           (!same_group || strcmp(p[n].group, p->group) == 0))
        n++;
    return n;
}

static size_t count_x(const struct scr_plot_point *p, size_t n)
{
    size_t different = 1;

    for (size_t i = 1; i < n; i++)
        different += p[i].x != p[i - 1].x;
    return different;
}

/* Whether group a, of n_a points, tells more than group b: more different lengths, more points,
 * a planted workload, a kernel that skips, longer sequences; then the one that was measured
 * first. */
static bool better_group(const struct scr_plot_kind *kind, const struct scr_plot_point *a,
                         size_t n_a, const struct scr_plot_point *b, size_t n_b)
{
    size_t x_a = count_x(a, n_a), x_b = count_x(b, n_b);
    int planted_a = strncmp(a->row->workload, "planted", 7) == 0;
    int planted_b = strncmp(b->row->workload, "planted", 7) == 0;
    int skips_a = strcmp(a->row->skip, "none") != 0, skips_b = strcmp(b->row->skip, "none") != 0;

    if (kind->wide && x_a != x_b)
        return x_a > x_b;
    if (n_a != n_b)
        return n_a > n_b;
    if (kind->wide && planted_a != planted_b)
        return planted_a > planted_b;
    if (skips_a != skips_b)
        return skips_a > skips_b;
    if (a->row->seq_k != b->row->seq_k)
        return a->row->seq_k > b->row->seq_k;
    return compare_order(a, b) < 0;
}

/* Keeps the best group of each set. */
static void choose_groups(const struct scr_plot_kind *kind, struct scr_plot_points *points)
{
    const struct scr_plot_point *end = points->at + points->n;
    struct scr_plot_point *out = points->at;

    qsort(points->at, points->n, sizeof *points->at, by_group);
    for (struct scr_plot_point *set = points->at; set < end;) {
        struct scr_plot_point *set_end = set + run_length(set, end, false);
        const struct scr_plot_point *best = set;
        size_t best_n = run_length(set, set_end, true);

        for (const struct scr_plot_point *p = set + best_n; p < set_end;) {
            size_t n = run_length(p, set_end, true);

            if (better_group(kind, p, n, best, best_n)) {
                best = p;
                best_n = n;
            }
            p += n;
        }
        memmove(out, best, best_n * sizeof *out);
        out += best_n;
        set = set_end;
    }
    points->n = (size_t)(out - points->at);
}

/* Keeps the best of the points that differ in tile or seed alone. */
static void choose_points(const struct scr_plot_kind *kind, struct scr_plot_points *points)
{
    size_t n = 0;

    qsort(points->at, points->n, sizeof *points->at, by_configuration);
    for (size_t i = 0; i < points->n; i++) {
        const struct scr_plot_point *p = &points->at[i];

        if (n == 0 || compare_configuration(&points->at[n - 1], p) != 0)
            points->at[n++] = *p;
        else if (kind->better(p, &points->at[n - 1]))
            points->at[n - 1] = *p;
    }
    points->n = n;
}

static const struct scr_plot_label *label_at(const struct scr_plot_point *p, bool mark)
{
    return mark ? &p->mark : &p->colour;
}

size_t scr_plot_legend_index(const struct scr_plot_legend *legend, const struct scr_plot_label *l)
{
    for (size_t i = 0; i < legend->n; i++)
        if (compare_label(&legend->at[i], l) == 0)
            return i + 1;
    return 0;
}

static int by_label(const void *a, const void *b)
{
    return compare_label(a, b);
}

/* Of more than max labels, max evenly spaced ones stay, and the points of the others go. */
static int choose_labels(struct scr_plot_points *points, bool mark, size_t max,
                         struct scr_plot_legend *out)
{
    size_t n = 0, kept = 0;

    out->at = malloc(points->n * sizeof *out->at);
    if (out->at == NULL)
        return SCR_ERR_NO_MEMORY;
    for (size_t i = 0; i < points->n; i++)
        out->at[i] = *label_at(&points->at[i], mark);
    qsort(out->at, points->n, sizeof *out->at, by_label);
    for (size_t i = 0; i < points->n; i++)
        if (n == 0 || compare_label(&out->at[n - 1], &out->at[i]) != 0)
            out->at[n++] = out->at[i];
    out->n = out->n_all = n;
    if (n <= max)
        return SCR_OK;
    for (size_t i = 0; i < n; i++)
        if (i == 0 || i * max / n != (i - 1) * max / n)
            out->at[kept++] = out->at[i];
    out->n = kept;
    n = 0;
    for (size_t i = 0; i < points->n; i++)
        if (scr_plot_legend_index(out, label_at(&points->at[i], mark)) != 0)
            points->at[n++] = points->at[i];
    points->n = n;
    return SCR_OK;
}

int scr_plot_choose(const struct scr_plot_kind *kind, const struct scr_plot_points *points,
                    struct scr_plot_picture *out)
{
    *out = (struct scr_plot_picture){.kind = kind, .points = *points};
    choose_groups(kind, &out->points);
    choose_points(kind, &out->points);
    if (choose_labels(&out->points, false, kind->fixed_colours ? MAX_FIXED_COLOURS : MAX_COLOURS,
                      &out->colours) != SCR_OK ||
        choose_labels(&out->points, true, MAX_MARKS, &out->marks) != SCR_OK)
        return SCR_ERR_NO_MEMORY;
    qsort(out->points.at, out->points.n, sizeof *out->points.at, by_series);
    return SCR_OK;
}

void scr_plot_picture_free(struct scr_plot_picture *picture)
{
    free(picture->colours.at);
    free(picture->marks.at);
}

bool scr_plot_starts_series(const struct scr_plot_points *points, size_t i)
{
    return i == 0 || compare_series(&points->at[i - 1], &points->at[i]) != 0;
}
