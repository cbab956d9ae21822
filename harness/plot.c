/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plot is a kind (below) and a script of plots/. Its picture must compare like with like, so of
 * all rows it draws one group: the type, dims and masks with the most points. A trace has a shape
 * of its own and is drawn beside the group.
 */
#include "plot.h"

#include "plot_gnuplot.h"
#include "plot_rows.h"
#include "scripts.h"

#include <screening/error.h>

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MAX_COLOURS = 8, MAX_MARKS = 10 };

/* What a colour or a point shape stands for; sorted by rank, then by text. */
struct label {
    int rank;
    char text[56];
};

struct point {
    const struct scr_plot_row *row;
    char set[40];    /* "" for the common group; else the trace that this is of */
    char group[200]; /* only points of one group share a picture (of each set) */
    struct label colour, mark;
    double x, y, lo, hi;
};

struct kind {
    const char *name;
    bool per_device;
    bool fixed_colours; /* the rank of a colour is its place in the palette */
    const char *title;
    const char *y_title;
    const char *note;
    const char *columns;
    /* Sets colour, mark, group, x, y, lo and hi from p->row; false if this plot has no such row. */
    bool (*point)(struct point *p);
    void (*print)(FILE *f, const struct point *p);
    /* Of two points of one configuration, whether a is to be drawn rather than b. */
    bool (*better)(const struct point *a, const struct point *b);
    bool
        wide; /* of two groups, the one with more different x is drawn, not that with more points */
};

struct list {
    size_t n;
    struct point *at;
};

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

/* The workload without its density, which is what varies along a line, and any finite window. */
static void set_family(const struct scr_plot_row *r, struct label *out)
{
    static const char *const plain[] = {"window", "iid", "ends"};
    const char *workload = r->workload;
    size_t length = strcspn(workload, ":");
    const char *run = strchr(workload, 'x');
    char window[32] = "";

    if (strcmp(r->window, "inf") != 0 && strcmp(r->window, "null") != 0 && r->window[0] != '\0')
        snprintf(window, sizeof window, ", w %s", r->window);
    out->rank = 20000;
    if (is_trace(workload)) {
        short_workload(workload, out->text, sizeof out->text);
    } else if (length == 7 && strncmp(workload, "planted", length) == 0) {
        int tokens = run != NULL ? atoi(run + 1) : 64;

        out->rank = 10000 - tokens;
        snprintf(out->text, sizeof out->text, "planted, runs of %d%s", tokens, window);
    } else {
        for (int i = 0; i < 3; i++) {
            if (strlen(plain[i]) == length && strncmp(workload, plain[i], length) == 0)
                out->rank = 11000 + i;
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

static void set_shape_group(struct point *p)
{
    const struct scr_plot_row *r = p->row;
    int n = print_shape(r, p->group, sizeof p->group);

    if (n > 0 && (size_t)n < sizeof p->group)
        snprintf(p->group + n, sizeof p->group - (size_t)n, ", %g queries, %g keys", r->seq_q,
                 r->seq_k);
    if (is_trace(r->workload))
        snprintf(p->set, sizeof p->set, "%.*s", (int)sizeof p->set - 1, p->group);
}

static void set_interval(struct point *p, double lo, double hi)
{
    p->lo = lo > 0 && lo <= p->y ? lo : p->y;
    p->hi = isfinite(hi) && hi >= p->y ? hi : p->y;
}

static double ratio(double part, double whole)
{
    return whole > 0 && part >= 0 && part <= whole ? part / whole : NAN;
}

/* ---- the plots ---- */

static bool tile_density_point(struct point *p)
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

static void tile_density_print(FILE *f, const struct point *p)
{
    const struct scr_plot_row *r = p->row;

    fprintf(f, "%.6g\t%.6g\t%.6g\t%.6g\t%.6g\t%.6g\t%gx%g\t", p->x, p->y, p->lo, p->hi,
            ratio(r->pairs_live, r->pairs_admissible), r->t_median_ns, r->tile_q, r->tile_k);
}

static bool higher(const struct point *a, const struct point *b)
{
    return a->y > b->y;
}

static bool pair_density_point(struct point *p)
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

static void pair_density_print(FILE *f, const struct point *p)
{
    fprintf(f, "%.6g\t%.6g\t%gx%g\t", p->x, p->y, p->row->tile_q, p->row->tile_k);
}

static bool earlier(const struct point *a, const struct point *b)
{
    return a->row < b->row;
}

static bool seq_latency_point(struct point *p)
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

static void seq_latency_print(FILE *f, const struct point *p)
{
    fprintf(f, "%.6g\t%.6g\t%.6g\t%.6g\t%gx%g\t", p->x, p->y, p->lo, p->hi, p->row->tile_q,
            p->row->tile_k);
}

static bool lower(const struct point *a, const struct point *b)
{
    return a->y < b->y;
}

static const struct kind kinds[] = {
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

/* ---- choosing what to draw ---- */

static int compare_label(const struct label *a, const struct label *b)
{
    return a->rank != b->rank ? (a->rank > b->rank) - (a->rank < b->rank)
                              : strcmp(a->text, b->text);
}

static int compare_order(const struct point *a, const struct point *b)
{
    return (a->row > b->row) - (a->row < b->row);
}

static int by_group(const void *pa, const void *pb)
{
    const struct point *a = pa, *b = pb;
    int c = strcmp(a->set, b->set);

    if (c == 0)
        c = strcmp(a->group, b->group);
    if (c == 0)
        c = (a->x > b->x) - (a->x < b->x);
    return c != 0 ? c : compare_order(a, b);
}

static int compare_series(const struct point *a, const struct point *b)
{
    int c = compare_label(&a->colour, &b->colour);

    return c != 0 ? c : compare_label(&a->mark, &b->mark);
}

/* Points of one configuration, which may differ in tile and seed, are equal. */
static int compare_configuration(const struct point *a, const struct point *b)
{
    int c = compare_series(a, b);

    if (c == 0)
        c = strcmp(a->row->workload, b->row->workload);
    if (c == 0)
        c = strcmp(a->row->window, b->row->window);
    if (c == 0)
        c = strcmp(a->row->r, b->row->r);
    return c != 0 ? c : (a->row->seq_k > b->row->seq_k) - (a->row->seq_k < b->row->seq_k);
}

static int by_configuration(const void *a, const void *b)
{
    int c = compare_configuration(a, b);

    return c != 0 ? c : compare_order(a, b);
}

static int by_series(const void *pa, const void *pb)
{
    const struct point *a = pa, *b = pb;
    int c = compare_series(a, b);

    if (c == 0)
        c = (a->x > b->x) - (a->x < b->x);
    return c != 0 ? c : compare_order(a, b);
}

/* Length of the run of points at p, before end, that share set (and group). */
static size_t run_length(const struct point *p, const struct point *end, bool same_group)
{
    size_t n = 1;

    while (p + n < end && strcmp(p[n].set, p->set) == 0 &&
           (!same_group || strcmp(p[n].group, p->group) == 0))
        n++;
    return n;
}

static size_t count_x(const struct point *p, size_t n)
{
    size_t different = 1;

    for (size_t i = 1; i < n; i++)
        different += p[i].x != p[i - 1].x;
    return different;
}

/* Whether group a, of n_a points, tells more than group b: more different lengths, more points,
 * a planted workload, longer sequences; then the one that was measured first. */
static bool better_group(const struct kind *kind, const struct point *a, size_t n_a,
                         const struct point *b, size_t n_b)
{
    size_t x_a = count_x(a, n_a), x_b = count_x(b, n_b);
    int planted_a = strncmp(a->row->workload, "planted", 7) == 0;
    int planted_b = strncmp(b->row->workload, "planted", 7) == 0;

    if (kind->wide && x_a != x_b)
        return x_a > x_b;
    if (n_a != n_b)
        return n_a > n_b;
    if (kind->wide && planted_a != planted_b)
        return planted_a > planted_b;
    if (a->row->seq_k != b->row->seq_k)
        return a->row->seq_k > b->row->seq_k;
    return compare_order(a, b) < 0;
}

/* Keeps the best group of each set. */
static void choose_groups(const struct kind *kind, struct list *points)
{
    const struct point *end = points->at + points->n;
    struct point *out = points->at;

    qsort(points->at, points->n, sizeof *points->at, by_group);
    for (struct point *set = points->at; set < end;) {
        struct point *set_end = set + run_length(set, end, false);
        const struct point *best = set;
        size_t best_n = run_length(set, set_end, true);

        for (const struct point *p = set + best_n; p < set_end;) {
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
static void choose_points(const struct kind *kind, struct list *points)
{
    size_t n = 0;

    qsort(points->at, points->n, sizeof *points->at, by_configuration);
    for (size_t i = 0; i < points->n; i++) {
        const struct point *p = &points->at[i];

        if (n == 0 || compare_configuration(&points->at[n - 1], p) != 0)
            points->at[n++] = *p;
        else if (kind->better(p, &points->at[n - 1]))
            points->at[n - 1] = *p;
    }
    points->n = n;
}

/* Colours, or point shapes, of a picture. */
struct legend {
    size_t n;
    size_t n_all; /* before some were left out */
    struct label *at;
};

static const struct label *label_at(const struct point *p, bool mark)
{
    return mark ? &p->mark : &p->colour;
}

/* 1-based, as gnuplot counts; 0 where the label is left out. */
static size_t legend_index(const struct legend *legend, const struct label *l)
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
static int choose_labels(struct list *points, bool mark, size_t max, struct legend *out)
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
        if (legend_index(out, label_at(&points->at[i], mark)) != 0)
            points->at[n++] = points->at[i];
    points->n = n;
    return SCR_OK;
}

/* ---- writing ---- */

/* A gnuplot string: in single quotes nothing is special but the quote itself. */
static void print_quoted(FILE *f, const char *text)
{
    putc('\'', f);
    for (; *text != '\0'; text++) {
        if (*text == '\'')
            putc('\'', f);
        putc((unsigned char)*text < ' ' ? ' ' : *text, f);
    }
    putc('\'', f);
}

static void print_text(FILE *f, const char *variable, const char *text)
{
    fprintf(f, "%s = ", variable);
    print_quoted(f, text);
    putc('\n', f);
}

static void print_legend(FILE *f, const char *what, const struct legend *legend)
{
    fprintf(f, "n_%ss = %zu\narray %s_title[%zu] = [", what, legend->n, what, legend->n);
    for (size_t i = 0; i < legend->n; i++) {
        fputs(i ? ", " : "", f);
        print_quoted(f, legend->at[i].text);
    }
    fputs("]\n", f);
}

static const char *script_text(const char *name)
{
    for (size_t i = 0; i < scr_plot_script_count; i++)
        if (strcmp(scr_plot_scripts[i].name, name) == 0)
            return scr_plot_scripts[i].text;
    return "";
}

/* One index block a series; points are sorted by series. */
static void print_data(FILE *f, const struct kind *kind, const struct list *points)
{
    fprintf(f, "# %s: %s\n", kind->name, kind->title);
    for (size_t i = 0; i < points->n; i++) {
        const struct point *p = &points->at[i];

        if (i == 0 || compare_series(p - 1, p) != 0)
            fprintf(f, "%s# %s%s%s\n# %s\tworkload\n", i ? "\n\n" : "\n", p->colour.text,
                    p->mark.text[0] ? ", " : "", p->mark.text, kind->columns);
        kind->print(f, p);
        for (const char *c = p->row->workload; *c != '\0'; c++)
            putc((unsigned char)*c < ' ' ? ' ' : *c, f);
        putc('\n', f);
    }
}

static void print_range(FILE *f, const struct list *points)
{
    double x_min = INFINITY, x_max = 0, y_min = INFINITY, y_max = 0;

    for (size_t i = 0; i < points->n; i++) {
        const struct point *p = &points->at[i];

        if (p->x > 0) {
            x_min = fmin(x_min, p->x);
            x_max = fmax(x_max, p->x);
        }
        if (p->y > 0) {
            y_min = fmin(y_min, p->lo);
            y_max = fmax(y_max, p->hi);
        }
    }
    /* with a point always: gnuplot would divide whole numbers as integers */
    fprintf(f, "x_min = %#.6g; x_max = %#.6g; y_min = %#.6g; y_max = %#.6g\n",
            x_max > 0 ? x_min : 1, x_max > 0 ? x_max : 1, y_max > 0 ? y_min : 1,
            y_max > 0 ? y_max : 1);
}

static void print_note(FILE *f, const struct kind *kind, const struct list *points,
                       const struct legend *colours, const struct legend *marks)
{
    char note[320];
    int n = snprintf(note, sizeof note, "%s", kind->note);
    bool tiles_differ = false;

    for (size_t i = 1; i < points->n; i++)
        tiles_differ |= points->at[i].row->tile_q != points->at[0].row->tile_q ||
                        points->at[i].row->tile_k != points->at[0].row->tile_k;
    if (kind->per_device && tiles_differ)
        n += snprintf(note + n, sizeof note - (size_t)n, " Each point: the fastest tile measured.");
    if (colours->n < colours->n_all)
        n += snprintf(note + n, sizeof note - (size_t)n, " %zu of %zu colours shown.", colours->n,
                      colours->n_all);
    if (marks->n < marks->n_all)
        snprintf(note + n, sizeof note - (size_t)n, " %zu of %zu shapes shown.", marks->n,
                 marks->n_all);
    print_text(f, "note", note);
}

static void print_subtitles(FILE *f, const struct kind *kind, const struct list *points)
{
    const struct point *p = &points->at[0];
    char text[256];
    size_t other = 0;

    if (kind->per_device)
        snprintf(text, sizeof text, "%.100s (%.40s)",
                 p->row->device_name[0] ? p->row->device_name : "unnamed device", p->row->device);
    else
        snprintf(text, sizeof text, "pair density against tile density");
    print_text(f, "subtitle", text);
    while (other < points->n && points->at[other].set[0] != '\0')
        other++;
    snprintf(text, sizeof text, "%s%s", points->at[other < points->n ? other : 0].group,
             other > 0 && other < points->n ? "; traces: their own" : "");
    print_text(f, "subtitle2", text);
}

static void print_script(FILE *f, const char *name, const struct kind *kind,
                         const struct list *points, const struct legend *colours,
                         const struct legend *marks)
{
    size_t n_series = 0;

    fprintf(f, "# Draws %s.svg and %s.png from %s.dat; run it here: gnuplot %s.gp\n", name, name,
            name, name);
    print_text(f, "name", name);
    print_text(f, "title", kind->title);
    print_text(f, "y_title", kind->y_title);
    print_subtitles(f, kind, points);
    print_note(f, kind, points, colours, marks);
    print_range(f, points);
    print_legend(f, "colour", colours);
    fprintf(f, "array colour_id[%zu] = [", colours->n);
    for (size_t i = 0; i < colours->n; i++)
        fprintf(f, "%s%d", i ? ", " : "", kind->fixed_colours ? colours->at[i].rank : (int)i + 1);
    fputs("]\n", f);
    print_legend(f, "mark", marks);
    for (size_t i = 0; i < points->n; i++)
        n_series += i == 0 || compare_series(&points->at[i - 1], &points->at[i]) != 0;
    fprintf(f, "n_series = %zu\narray series_colour[%zu]\narray series_mark[%zu]\n", n_series,
            n_series, n_series);
    n_series = 0;
    for (size_t i = 0; i < points->n; i++) {
        const struct point *p = &points->at[i];

        if (i != 0 && compare_series(p - 1, p) == 0)
            continue;
        n_series++;
        fprintf(f, "series_colour[%zu] = %zu; series_mark[%zu] = %zu\n", n_series,
                legend_index(colours, &p->colour), n_series, legend_index(marks, &p->mark));
    }
    fprintf(f, "\n%s\n%s", script_text("style"), script_text(kind->name));
}

/* Opens DIR/NAME.EXT for writing; NULL with a line in why. */
static FILE *open_file(const char *dir, const char *name, const char *ext, char *why,
                       size_t why_size)
{
    char path[4096];
    FILE *f = NULL;

    errno = ENAMETOOLONG;
    if (snprintf(path, sizeof path, "%s/%s.%s", dir, name, ext) < (int)sizeof path)
        f = fopen(path, "w");
    if (f == NULL)
        snprintf(why, why_size, "cannot write %s.%s: %s", name, ext, strerror(errno));
    return f;
}

static int close_file(FILE *f, const char *name, char *why, size_t why_size)
{
    bool bad = ferror(f) != 0;

    if (fclose(f) == 0 && !bad)
        return SCR_OK;
    snprintf(why, why_size, "cannot write %s: %s", name, strerror(errno));
    return SCR_ERR_INVALID;
}

static int write_plot(const char *dir, const char *name, const struct kind *kind,
                      struct list *points, char *why, size_t why_size)
{
    struct legend colours = {0}, marks = {0};
    int status = SCR_ERR_NO_MEMORY;
    FILE *f;

    if (choose_labels(points, false, MAX_COLOURS, &colours) != SCR_OK ||
        choose_labels(points, true, MAX_MARKS, &marks) != SCR_OK) {
        snprintf(why, why_size, "out of memory");
        goto out;
    }
    qsort(points->at, points->n, sizeof *points->at, by_series);
    status = SCR_ERR_INVALID;
    f = open_file(dir, name, "dat", why, why_size);
    if (f == NULL)
        goto out;
    print_data(f, kind, points);
    status = close_file(f, name, why, why_size);
    if (status != SCR_OK)
        goto out;
    status = SCR_ERR_INVALID;
    f = open_file(dir, name, "gp", why, why_size);
    if (f == NULL)
        goto out;
    print_script(f, name, kind, points, &colours, &marks);
    status = close_file(f, name, why, why_size);
out:
    free(colours.at);
    free(marks.at);
    return status;
}

/* ---- the whole folder ---- */

/* NAME-cuda_0: a device's id with what is awkward in a file name replaced. */
static void plot_name(const struct kind *kind, const char *device, char *out, size_t size)
{
    char *c = out + strlen(kind->name);

    if (!kind->per_device) {
        snprintf(out, size, "%s", kind->name);
        return;
    }
    snprintf(out, size, "%s-%s", kind->name, device[0] ? device : "unknown");
    while (*++c != '\0')
        if (strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-", *c) == NULL)
            *c = '_';
}

/* The points of the rows of one device, or of all when device is NULL. */
static void collect(const struct kind *kind, const struct scr_plot_rows *rows, const char *device,
                    struct list *out)
{
    out->n = 0;
    for (size_t i = 0; i < rows->n; i++) {
        const struct scr_plot_row *r = &rows->row[i];
        struct point *p = &out->at[out->n];

        if (strcmp(r->status, "ok") != 0 || (device != NULL && strcmp(r->device, device) != 0))
            continue;
        *p = (struct point){.row = r};
        out->n += kind->point(p);
    }
}

struct job {
    const char *plots_dir;
    const struct scr_plot_rows *rows;
    struct scr_plot_summary *summary;
    struct list points; /* room for every row */
    bool gnuplot_missing;
    char *why;
    size_t why_size;
};

static int draw(struct job *job, const struct kind *kind, const char *device)
{
    struct scr_plot_summary *s = job->summary;
    char name[sizeof s->drawn[0]];
    int status;

    plot_name(kind, device != NULL ? device : "", name, sizeof name);
    collect(kind, job->rows, kind->per_device ? device : NULL, &job->points);
    if (job->points.n == 0) {
        snprintf(s->left_out[s->n_left_out++], sizeof s->left_out[0], "%s: no row to draw", name);
        return SCR_OK;
    }
    choose_groups(kind, &job->points);
    choose_points(kind, &job->points);
    status = write_plot(job->plots_dir, name, kind, &job->points, job->why, job->why_size);
    if (status != SCR_OK)
        return status;
    memcpy(s->drawn[s->n_drawn++], name, sizeof name);
    if (job->gnuplot_missing)
        return SCR_OK;
    status = scr_gnuplot_run(job->plots_dir, name, job->why, job->why_size);
    job->gnuplot_missing = status == SCR_ERR_NOT_FOUND;
    return job->gnuplot_missing ? SCR_OK : status;
}

/* The ids of the devices with a row that is ok, in their order. */
static int list_devices(const struct scr_plot_rows *rows, const char **out,
                        struct scr_plot_summary *summary)
{
    int n = 0;

    for (size_t i = 0; i < rows->n; i++) {
        int at = 0;

        if (strcmp(rows->row[i].status, "ok") != 0)
            continue;
        while (at < n && strcmp(out[at], rows->row[i].device) != 0)
            at++;
        if (at < n)
            continue;
        if (n == SCR_PLOT_MAX_DEVICES) {
            snprintf(summary->left_out[summary->n_left_out++], sizeof summary->left_out[0],
                     "devices after the first %d: no picture of their own", SCR_PLOT_MAX_DEVICES);
            break;
        }
        out[n++] = rows->row[i].device;
    }
    return n;
}

static int draw_all(struct job *job)
{
    const char *devices[SCR_PLOT_MAX_DEVICES];
    int n = list_devices(job->rows, devices, job->summary);
    int status;

    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
        int times = kinds[k].per_device && n > 0 ? n : 1;

        for (int d = 0; d < times; d++) {
            status = draw(job, &kinds[k], n > 0 ? devices[d] : NULL);
            if (status != SCR_OK)
                return status;
        }
    }
    return job->gnuplot_missing ? SCR_ERR_NOT_FOUND : SCR_OK;
}

int scr_plot_dir(const char *dir, struct scr_plot_summary *summary, char *why, size_t why_size)
{
    struct scr_plot_summary *own = NULL;
    struct scr_plot_rows rows = {0};
    struct job job = {.rows = &rows, .why = why, .why_size = why_size};
    char rows_path[4096], plots_dir[4096];
    int status = SCR_ERR_INVALID;

    own = calloc(1, sizeof *own);
    if (own == NULL) {
        snprintf(why, why_size, "out of memory");
        return SCR_ERR_NO_MEMORY;
    }
    if (snprintf(rows_path, sizeof rows_path, "%s/rows.jsonl", dir) >= (int)sizeof rows_path ||
        snprintf(plots_dir, sizeof plots_dir, "%s/plots", dir) >= (int)sizeof plots_dir) {
        snprintf(why, why_size, "%.80s...: name too long", dir);
        goto out;
    }
    status = scr_plot_rows_read(rows_path, &rows, why, why_size);
    if (status != SCR_OK)
        goto out;
    if (mkdir(plots_dir, 0777) != 0 && errno != EEXIST) {
        snprintf(why, why_size, "%s: %s", plots_dir, strerror(errno));
        status = SCR_ERR_INVALID;
        goto out;
    }
    job.plots_dir = plots_dir;
    job.summary = own;
    job.points.at = malloc((rows.n + 1) * sizeof *job.points.at);
    if (job.points.at == NULL) {
        snprintf(why, why_size, "out of memory");
        status = SCR_ERR_NO_MEMORY;
        goto out;
    }
    status = draw_all(&job);
out:
    if (summary != NULL)
        *summary = *own;
    free(job.points.at);
    scr_plot_rows_free(&rows);
    free(own);
    return status;
}
