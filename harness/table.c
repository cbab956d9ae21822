/* SPDX-License-Identifier: Apache-2.0 */
#include "table.h"

#include <screening/error.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_WIDTH = 120, CELL = 64 };

/* Writes the cell of a row; "" where it has none. */
typedef void (*cell_fn)(const struct scr_row *r, char *out);

#define TEXT_CELL(field)                                                                           \
    static void cell_##field(const struct scr_row *r, char *out)                                   \
    {                                                                                              \
        snprintf(out, CELL, "%.*s", CELL - 1, r->field);                                           \
    }
TEXT_CELL(device)
TEXT_CELL(dtype)
TEXT_CELL(kernel)
TEXT_CELL(variant)
TEXT_CELL(kv_len)
TEXT_CELL(window)
TEXT_CELL(workload)
TEXT_CELL(status)
TEXT_CELL(timer)

static void cell_number(double x, const char *format, char *out)
{
    if (isfinite(x))
        snprintf(out, CELL, format, x);
    else
        *out = '\0';
}

#define NUMBER_CELL(name, value, format)                                                           \
    static void cell_##name(const struct scr_row *r, char *out)                                    \
    {                                                                                              \
        cell_number(value, format, out);                                                           \
    }
NUMBER_CELL(batch, r->batch, "%.0f")
NUMBER_CELL(dk, r->dk, "%.0f")
NUMBER_CELL(dv, r->dv, "%.0f")
NUMBER_CELL(r, r->r, "%.3g")
NUMBER_CELL(pairs, 100 * r->pair_density, "%.3g")
NUMBER_CELL(tiles, 100 * r->tile_density, "%.3g")
NUMBER_CELL(pv, 100 * r->pv_executed, "%.3g")
NUMBER_CELL(time, 1e-6 * r->t_median_ns, r->t_median_ns < 1e6 ? "%.4f" : "%.3f")
NUMBER_CELL(ci, 50 * (r->t_ci_hi_ns - r->t_ci_lo_ns) / r->t_median_ns, "%.1f")
NUMBER_CELL(vs_masked, r->speedup_vs_masked, "%.2f")
NUMBER_CELL(vs_none, r->vs_no_skip, "%.2f")
NUMBER_CELL(vs_dense, r->speedup_vs_dense, "%.2f")
NUMBER_CELL(error, r->rel_err, "%.1e")

static void cell_pair(double a, double b, char *out)
{
    if (a == b)
        snprintf(out, CELL, "%.0f", a);
    else
        snprintf(out, CELL, "%.0f/%.0f", a, b);
}

static void cell_seq(const struct scr_row *r, char *out)
{
    cell_pair(r->seq_q, r->seq_k, out);
}

static void cell_heads(const struct scr_row *r, char *out)
{
    cell_pair(r->heads, r->kv_heads, out);
}

static void cell_mask(const struct scr_row *r, char *out)
{
    snprintf(out, CELL, "%s", r->causal ? "causal" : "both");
}

static void cell_norm(const struct scr_row *r, char *out)
{
    snprintf(out, CELL, "%s", r->norm ? "tanh" : "none");
}

static void cell_tile(const struct scr_row *r, char *out)
{
    if (isfinite(r->tile_q))
        snprintf(out, CELL, "%.0fx%.0f", r->tile_q, r->tile_k);
    else
        snprintf(out, CELL, "-");
}

static void cell_skip(const struct scr_row *r, char *out)
{
    snprintf(out, CELL, "%s", strcmp(r->kernel, "tile-skip") == 0 ? r->skip : "-");
}

static const struct column {
    const char *header;
    cell_fn cell;
    bool right; /* aligned */
    bool key;   /* a figure; shown where any row has it */
    int weight; /* the lightest columns are left out first when the table is too wide */
} columns[] = {
    {"device", cell_device, false, false, 90},
    {"workload", cell_workload, false, false, 95},
    {"window", cell_window, false, false, 60},
    {"r", cell_r, true, false, 20},
    {"dtype", cell_dtype, false, false, 85},
    {"batch", cell_batch, true, false, 50},
    {"heads", cell_heads, true, false, 50},
    {"seq", cell_seq, true, false, 80},
    {"dk", cell_dk, true, false, 55},
    {"dv", cell_dv, true, false, 55},
    {"mask", cell_mask, false, false, 45},
    {"norm", cell_norm, false, false, 40},
    {"kv_len", cell_kv_len, false, false, 40},
    {"kernel", cell_kernel, false, false, 98},
    {"variant", cell_variant, false, false, 15},
    {"tile", cell_tile, false, false, 70},
    {"skip", cell_skip, false, false, 92},
    {"timer", cell_timer, false, false, 25},
    {"pairs %", cell_pairs, true, true, 75},
    {"tiles %", cell_tiles, true, true, 88},
    {"pv run %", cell_pv, true, true, 65},
    {"time ms", cell_time, true, true, 99},
    {"+- %", cell_ci, true, true, 30},
    {"vs masked", cell_vs_masked, true, true, 97},
    {"vs no skip", cell_vs_none, true, true, 35},
    {"vs dense", cell_vs_dense, true, true, 22},
    {"error", cell_error, true, true, 28},
    {"status", cell_status, false, false, 100},
};
enum { N_COLUMNS = sizeof columns / sizeof columns[0] };

struct layout {
    bool shown[N_COLUMNS];
    bool same[N_COLUMNS]; /* one value in all rows, stated above */
    size_t width[N_COLUMNS];
};

static void measure(const struct scr_row *rows, size_t n, struct layout *l)
{
    for (int c = 0; c < N_COLUMNS; c++) {
        char first[CELL] = "";
        bool any = false, same = true;

        l->width[c] = strlen(columns[c].header);
        for (size_t i = 0; i < n; i++) {
            char cell[CELL];

            columns[c].cell(&rows[i], cell);
            if (i == 0)
                memcpy(first, cell, sizeof first);
            same &= strcmp(first, cell) == 0;
            any |= cell[0] != '\0';
            if (strlen(cell) > l->width[c])
                l->width[c] = strlen(cell);
        }
        l->same[c] = !columns[c].key && same && any;
        l->shown[c] = columns[c].key ? any : any && !same;
    }
}

static size_t total_width(const struct layout *l)
{
    size_t width = 0;

    for (int c = 0; c < N_COLUMNS; c++)
        width += l->shown[c] ? l->width[c] + (width > 0 ? 2 : 0) : 0;
    return width;
}

static void narrow(struct layout *l)
{
    while (total_width(l) > MAX_WIDTH) {
        int lightest = -1;

        for (int c = 0; c < N_COLUMNS; c++) {
            if (l->shown[c] && (lightest < 0 || columns[c].weight < columns[lightest].weight))
                lightest = c;
        }
        l->shown[lightest] = false;
    }
}

static void print_cells(const struct scr_row *row, const struct layout *l,
                        enum scr_table_style style, FILE *f)
{
    bool first = true;

    for (int c = 0; c < N_COLUMNS; c++) {
        char cell[CELL];

        if (!l->shown[c])
            continue;
        if (row == NULL)
            snprintf(cell, sizeof cell, "%s", columns[c].header);
        else
            columns[c].cell(row, cell);
        if (style == SCR_TABLE_MARKDOWN)
            fprintf(f, "| %s ", cell);
        else
            fprintf(f, "%s%*s", first ? "" : "  ",
                    columns[c].right ? (int)l->width[c] : -(int)l->width[c], cell);
        first = false;
    }
    fputs(style == SCR_TABLE_MARKDOWN ? "|\n" : "\n", f);
}

int scr_table_print(const struct scr_row *rows, size_t n, enum scr_table_style style, FILE *f)
{
    struct layout l;
    bool any_same = false;

    if (n == 0)
        return SCR_OK;
    measure(rows, n, &l);
    for (int c = 0; c < N_COLUMNS; c++) {
        char cell[CELL];

        if (!l.same[c] || (columns[c].cell == cell_status && strcmp(rows[0].status, "ok") == 0))
            continue;
        columns[c].cell(&rows[0], cell);
        fprintf(f, "%s%s %s", any_same ? ", " : "All rows: ", columns[c].header, cell);
        any_same = true;
    }
    fputs(any_same ? "\n\n" : "", f);
    if (style == SCR_TABLE_TEXT)
        narrow(&l);
    print_cells(NULL, &l, style, f);
    if (style == SCR_TABLE_MARKDOWN) {
        for (int c = 0; c < N_COLUMNS; c++) {
            if (l.shown[c])
                fputs(columns[c].right ? "|---:" : "|---", f);
        }
        fputs("|\n", f);
    }
    for (size_t i = 0; i < n; i++)
        print_cells(&rows[i], &l, style, f);
    return ferror(f) ? SCR_ERR_INVALID : SCR_OK;
}

/* A skipping row whose speedup says something about tile density alone. */
static bool speaks(const struct scr_row *r, const struct scr_row *like)
{
    return strcmp(r->status, "ok") == 0 && strcmp(r->kernel, "tile-skip") == 0 &&
           strcmp(r->skip, "none") != 0 && isfinite(r->speedup_vs_masked) &&
           isfinite(r->tile_density) &&
           (like == NULL ||
            (strcmp(r->device, like->device) == 0 && strcmp(r->dtype, like->dtype) == 0 &&
             r->dk == like->dk && r->dv == like->dv && r->tile_q == like->tile_q &&
             r->tile_k == like->tile_k && strcmp(r->window, like->window) == 0 &&
             r->seq_q == like->seq_q && r->seq_k == like->seq_k));
}

/* The row to speak for: windows off (a window is a gain of its own), with the most of its like. */
static const struct scr_row *spokesman(const struct scr_row *rows, size_t n)
{
    const struct scr_row *best = NULL;
    size_t best_like = 0;
    const char *device = NULL;

    for (size_t i = 0; i < n; i++) {
        size_t like = 0;

        if (!speaks(&rows[i], NULL) || strcmp(rows[i].window, "inf") != 0)
            continue;
        if (device == NULL)
            device = rows[i].device;
        if (strcmp(device, rows[i].device) != 0)
            continue;
        for (size_t j = 0; j < n; j++)
            like += speaks(&rows[j], &rows[i]);
        if (like > best_like) {
            best_like = like;
            best = &rows[i];
        }
    }
    return best;
}

/*
 * How many times as fast as masked-dense the row is for certain: the bounds of both intervals that
 * favour masked-dense. NaN where there is no interval, so that nothing is claimed.
 */
static double sure_speedup(const struct scr_row *rows, size_t n, const struct scr_row *r)
{
    const struct scr_row *masked = NULL;

    for (size_t i = 0; i < n; i++) {
        if (strcmp(rows[i].status, "ok") == 0 && strcmp(rows[i].kernel, "masked-dense") == 0 &&
            strcmp(rows[i].device, r->device) == 0 &&
            strcmp(rows[i].data_hash, r->data_hash) == 0 &&
            strcmp(rows[i].workload, r->workload) == 0 && rows[i].causal == r->causal &&
            rows[i].norm == r->norm &&
            (masked == NULL || rows[i].t_median_ns < masked->t_median_ns))
            masked = &rows[i];
    }
    return masked != NULL ? masked->t_ci_lo_ns / r->t_ci_hi_ns : NAN;
}

static size_t with_status(const struct scr_row *rows, size_t n, const char *status)
{
    size_t count = 0;

    for (size_t i = 0; i < n; i++)
        count += strcmp(rows[i].status, status) == 0;
    return count;
}

void scr_verdict_line(const struct scr_row *rows, size_t n, char *out, size_t size)
{
    size_t wrong = with_status(rows, n, "wrong");
    const struct scr_row *like, *best = NULL;
    double loses_at = INFINITY, wins_to = -1;
    char where[300];

    if (wrong > 0) {
        for (size_t i = 0; i < n; i++) {
            if (strcmp(rows[i].status, "wrong") == 0) {
                snprintf(out, size, "%zu row%s WRONG, the first: %s (%s)", wrong,
                         wrong == 1 ? "" : "s", rows[i].reason, rows[i].repro);
                return;
            }
        }
    }
    if (n == 0 || with_status(rows, n, "ok") == 0) {
        snprintf(out, size, "no row was measured");
        return;
    }
    like = spokesman(rows, n);
    if (like == NULL) {
        snprintf(out, size,
                 "all measured rows are right; none compares tile-skip with "
                 "masked-dense with the window off");
        return;
    }
    for (size_t i = 0; i < n; i++) {
        const struct scr_row *r = &rows[i];
        double fastest = 0;

        if (!speaks(r, like))
            continue;
        /* A density counts by the better of its two ways to skip. */
        for (size_t j = 0; j < n; j++) {
            if (speaks(&rows[j], like) && strcmp(rows[j].workload, r->workload) == 0 &&
                rows[j].r == r->r)
                fastest = fmax(fastest, sure_speedup(rows, n, &rows[j]));
        }
        if (fastest <= 1 && r->tile_density < loses_at)
            loses_at = r->tile_density;
        if (best == NULL || r->speedup_vs_masked > best->speedup_vs_masked)
            best = r;
    }
    for (size_t i = 0; i < n; i++) {
        if (speaks(&rows[i], like) && rows[i].tile_density < loses_at &&
            rows[i].tile_density > wins_to)
            wins_to = rows[i].tile_density;
    }
    snprintf(where, sizeof where, "%s %s, %s, (%.0f, %.0f), tile %.0fx%.0f, seq %.0f", like->device,
             like->device_name, like->dtype, like->dk, like->dv, like->tile_q, like->tile_k,
             like->seq_q);
    if (wins_to < 0)
        snprintf(
            out, size,
            "tile-skip does not beat masked-dense down to the lowest tile density; its best is "
            "%.2fx at %.3g (%s)",
            best->speedup_vs_masked, best->tile_density, where);
    else
        snprintf(out, size,
                 "tile-skip beats masked-dense from tile density %.2g down; at %.2g it is %.1fx "
                 "(%s)",
                 wins_to, best->tile_density, best->speedup_vs_masked, where);
}
