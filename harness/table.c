/* SPDX-License-Identifier: Apache-2.0 */
#include "table.h"

#include <screening/error.h>

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { MIN_WIDTH = 80, MAX_WIDTH = 120, CELL = 64 };

/* Fewer samples give no interval of the median. */
enum { MIN_SAMPLES = 6 };

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
NUMBER_CELL(time, 1e-6 * r->t_median_ns,
            r->n_samples < MIN_SAMPLES ? r->t_median_ns < 1e6 ? "~%.4f" : "~%.3f"
            : r->t_median_ns < 1e6     ? "%.4f"
                                       : "%.3f")
NUMBER_CELL(ci, 50 * (r->t_ci_hi_ns - r->t_ci_lo_ns) / r->t_median_ns, "%.1f")
NUMBER_CELL(vs_masked, r->speedup_vs_masked, "%.2f")
NUMBER_CELL(vs_none, r->vs_no_skip, "%.2f")
NUMBER_CELL(vs_dense, r->speedup_vs_dense, "%.2f")
NUMBER_CELL(error, r->rel_err, "%.1e")

static void cell_workload(const struct scr_row *r, char *out)
{
    const char *slash = strncmp(r->workload, "trace:", 6) == 0 ? strrchr(r->workload, '/') : NULL;

    snprintf(out, CELL, "%s%.*s", slash != NULL ? "trace:" : "", CELL - 8,
             slash != NULL ? slash + 1 : r->workload);
}

static void cell_checked(const struct scr_row *r, char *out)
{
    *out = '\0';
    if (r->rows_checked < r->rows)
        snprintf(out, CELL, "%.0f/%.0f", r->rows_checked, r->rows);
}

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
    {"checked", cell_checked, true, true, 10},
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

/* Columns of text that fit: those of the terminal within limits. */
static size_t text_width(FILE *f)
{
    struct winsize size;
    int fd = fileno(f);

    if (fd < 0 || !isatty(fd) || ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
        return MAX_WIDTH;
    return size.ws_col < MIN_WIDTH ? MIN_WIDTH : size.ws_col > MAX_WIDTH ? MAX_WIDTH : size.ws_col;
}

static void print_wrapped_line(const char *line, size_t len, size_t width, FILE *f)
{
    while (len > width) {
        size_t cut = width;

        while (cut > 0 && line[cut] != ' ')
            cut--;
        if (cut == 0)
            cut = strcspn(line, " \n");
        if (cut >= len)
            break;
        fprintf(f, "%.*s\n", (int)cut, line);
        line += cut + 1;
        len -= cut + 1;
    }
    fprintf(f, "%.*s\n", (int)len, line);
}

void scr_print_wrapped(const char *text, FILE *f)
{
    size_t width = text_width(f);

    for (;;) {
        size_t len = strcspn(text, "\n");

        if (*text == ' ')
            fprintf(f, "%.*s\n", (int)len, text);
        else
            print_wrapped_line(text, len, width, f);
        if (text[len] == '\0' || text[len + 1] == '\0')
            return;
        text += len + 1;
    }
}

static void narrow(struct layout *l, size_t width)
{
    while (total_width(l) > width) {
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

bool scr_row_has_result(const struct scr_row *r)
{
    return strcmp(r->status, "ok") == 0 || strcmp(r->status, "wrong") == 0;
}

#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
static void
append(char *out, size_t size, const char *format, ...)
{
    size_t used = strlen(out);
    va_list ap;

    va_start(ap, format);
    vsnprintf(out + used, size - used, format, ap);
    va_end(ap);
}

/* What is the same in all rows. */
static void print_common(const struct scr_row *row, const struct layout *l,
                         enum scr_table_style style, FILE *f)
{
    char line[N_COLUMNS * (CELL + 16)] = "";

    for (int c = 0; c < N_COLUMNS; c++) {
        char cell[CELL];

        if (!l->same[c] || (columns[c].cell == cell_status && strcmp(row->status, "ok") == 0))
            continue;
        columns[c].cell(row, cell);
        append(line, sizeof line, "%s%s %s",
               line[0] != '\0' ? ", " : "All rows: ", columns[c].header, cell);
    }
    if (line[0] == '\0')
        return;
    if (style == SCR_TABLE_TEXT)
        scr_print_wrapped(line, f);
    else
        fprintf(f, "%s\n", line);
    fputc('\n', f);
}

static void print_table(const struct scr_row *rows, size_t n, enum scr_table_style style, FILE *f)
{
    struct layout l;

    measure(rows, n, &l);
    print_common(&rows[0], &l, style, f);
    if (style == SCR_TABLE_TEXT)
        narrow(&l, text_width(f));
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
}

/* One line for each pair of status and reason, with the first command where it can be repeated. */
static void print_rest(const struct scr_row *rows, size_t n, enum scr_table_style style, FILE *f)
{
    for (size_t i = 0; i < n; i++) {
        const struct scr_row *r = &rows[i];
        bool repeated = scr_row_has_result(r);
        size_t count = 0;

        for (size_t j = 0; j < n && !repeated; j++) {
            bool like =
                strcmp(rows[j].status, r->status) == 0 && strcmp(rows[j].reason, r->reason) == 0;

            repeated = like && j < i;
            count += like;
        }
        if (repeated)
            continue;
        if (style == SCR_TABLE_MARKDOWN)
            fprintf(f, "- %zu row%s %s: %s\n  `%s`\n", count, count == 1 ? "" : "s", r->status,
                    r->reason, r->repro);
        else
            fprintf(f, "%zu row%s %s: %s\n", count, count == 1 ? "" : "s", r->status, r->reason);
    }
}

int scr_table_print(const struct scr_row *rows, size_t n, enum scr_table_style style, FILE *f)
{
    struct scr_row *shown = malloc((n + 1) * sizeof *shown);
    size_t n_shown = 0;

    if (shown == NULL)
        return SCR_ERR_NO_MEMORY;
    for (size_t i = 0; i < n; i++) {
        if (scr_row_has_result(&rows[i]))
            shown[n_shown++] = rows[i];
    }
    if (n_shown > 0)
        print_table(shown, n_shown, style, f);
    free(shown);
    if (n_shown < n) {
        fputs(n_shown > 0 ? "\n" : "", f);
        if (style == SCR_TABLE_MARKDOWN)
            fputs("## Rows without a result\n\n", f);
        print_rest(rows, n, style, f);
    }
    return SCR_OK;
}

/* Far enough from masked-dense to be told apart by more than the clock. */
#define WINS_RATIO  1.03
#define LOSES_RATIO 0.97

static bool is_trace(const struct scr_row *r)
{
    return strncmp(r->workload, "trace:", 6) == 0;
}

/* The fastest masked-dense row on the same data, or NULL. */
static const struct scr_row *baseline(const struct scr_row *rows, size_t n, const struct scr_row *r)
{
    const struct scr_row *masked = NULL;

    for (size_t i = 0; i < n; i++) {
        if (strcmp(rows[i].status, "ok") == 0 && strcmp(rows[i].kernel, "masked-dense") == 0 &&
            isfinite(rows[i].t_median_ns) && strcmp(rows[i].device, r->device) == 0 &&
            strcmp(rows[i].data_hash, r->data_hash) == 0 &&
            strcmp(rows[i].workload, r->workload) == 0 && rows[i].causal == r->causal &&
            rows[i].norm == r->norm &&
            (masked == NULL || rows[i].t_median_ns < masked->t_median_ns))
            masked = &rows[i];
    }
    return masked;
}

enum scr_outcome scr_row_outcome(const struct scr_row *rows, size_t n, const struct scr_row *r)
{
    const struct scr_row *masked = baseline(rows, n, r);
    double ratio;

    if (masked == NULL || !(masked->n_samples >= MIN_SAMPLES) || !(r->n_samples >= MIN_SAMPLES) ||
        !isfinite(masked->t_ci_lo_ns) || !isfinite(masked->t_ci_hi_ns) ||
        !isfinite(r->t_ci_lo_ns) || !isfinite(r->t_ci_hi_ns))
        return SCR_OUTCOME_FEW_SAMPLES;
    ratio = masked->t_median_ns / r->t_median_ns;
    if (r->t_ci_hi_ns < masked->t_ci_lo_ns && ratio >= WINS_RATIO)
        return SCR_OUTCOME_WINS;
    if (r->t_ci_lo_ns > masked->t_ci_hi_ns && ratio <= LOSES_RATIO)
        return SCR_OUTCOME_LOSES;
    return SCR_OUTCOME_NO_DIFFERENCE;
}

/*
 * A skipping row whose speedup says something about tile density alone: without a window, which is
 * a gain of its own, or with a trace's own windows. like: only rows that compare with it.
 */
static bool speaks(const struct scr_row *r, const struct scr_row *like)
{
    return strcmp(r->status, "ok") == 0 && strcmp(r->kernel, "tile-skip") == 0 &&
           strcmp(r->skip, "none") != 0 && isfinite(r->speedup_vs_masked) &&
           isfinite(r->tile_density) && strcmp(r->window, is_trace(r) ? "auto" : "inf") == 0 &&
           (like == NULL ||
            (strcmp(r->device, like->device) == 0 && strcmp(r->dtype, like->dtype) == 0 &&
             strcmp(r->dtype_out, like->dtype_out) == 0 && r->dk == like->dk && r->dv == like->dv &&
             r->batch == like->batch && r->heads == like->heads && r->kv_heads == like->kv_heads &&
             r->seq_q == like->seq_q && r->seq_k == like->seq_k && r->tile_q == like->tile_q &&
             r->tile_k == like->tile_k && r->causal == like->causal && r->norm == like->norm &&
             strcmp(r->kv_len, like->kv_len) == 0 && strcmp(r->window, like->window) == 0));
}

static size_t count_densities(const struct scr_row *rows, size_t n, const struct scr_row *like)
{
    size_t count = 0;

    for (size_t i = 0; i < n; i++) {
        bool seen = !speaks(&rows[i], like);

        for (size_t j = 0; j < i && !seen; j++)
            seen = speaks(&rows[j], like) && rows[j].tile_density == rows[i].tile_density;
        count += !seen;
    }
    return count;
}

/* The row of a device to speak for: of the comparable set with the most densities. */
static const struct scr_row *spokesman(const struct scr_row *rows, size_t n, const char *device)
{
    const struct scr_row *best = NULL;
    size_t most = 0;

    for (size_t i = 0; i < n; i++) {
        bool seen = !speaks(&rows[i], NULL) || strcmp(rows[i].device, device) != 0;
        size_t densities;

        for (size_t j = 0; j < i && !seen; j++)
            seen = speaks(&rows[j], &rows[i]);
        if (seen)
            continue;
        densities = count_densities(rows, n, &rows[i]);
        if (densities > most) {
            most = densities;
            best = &rows[i];
        }
    }
    return best;
}

/* One measured density: the better of its ways to skip. */
struct point {
    double density, speedup;
    enum scr_outcome outcome;
};

static int better_outcome(enum scr_outcome o)
{
    return o == SCR_OUTCOME_WINS            ? 3
           : o == SCR_OUTCOME_NO_DIFFERENCE ? 2
           : o == SCR_OUTCOME_FEW_SAMPLES   ? 1
                                            : 0;
}

static int by_density(const void *pa, const void *pb)
{
    const struct point *a = pa, *b = pb;

    return (a->density > b->density) - (a->density < b->density);
}

/* points: room for n. Two ways to skip the same data are one point. */
static size_t collect(const struct scr_row *rows, size_t n, const struct scr_row *like,
                      struct point *points)
{
    size_t count = 0;

    for (size_t i = 0; i < n; i++) {
        const struct scr_row *r = &rows[i];
        struct point p = {.density = r->tile_density, .speedup = r->speedup_vs_masked};
        bool seen = !speaks(r, like);

        for (size_t j = 0; j < i && !seen; j++)
            seen = speaks(&rows[j], like) && strcmp(rows[j].data_hash, r->data_hash) == 0;
        if (seen)
            continue;
        p.outcome = scr_row_outcome(rows, n, r);
        for (size_t j = i + 1; j < n; j++) {
            enum scr_outcome o;

            if (!speaks(&rows[j], like) || strcmp(rows[j].data_hash, r->data_hash) != 0)
                continue;
            o = scr_row_outcome(rows, n, &rows[j]);
            if (better_outcome(o) > better_outcome(p.outcome) ||
                (o == p.outcome && rows[j].speedup_vs_masked > p.speedup)) {
                p.outcome = o;
                p.speedup = rows[j].speedup_vs_masked;
            }
        }
        points[count++] = p;
    }
    qsort(points, count, sizeof *points, by_density);
    return count;
}

/* What n > 0 points, by rising density, let one say. */
static void claim(const struct point *p, size_t n, char *out, size_t size)
{
    size_t wins = 0, loses = 0, few = 0, below = 0, distinct = 0;
    const struct point *best = NULL, *fastest = &p[0];

    for (size_t i = 0; i < n; i++) {
        /* Where every tile is alive nothing is skipped: a gain there has another reason. */
        bool won = p[i].outcome == SCR_OUTCOME_WINS && p[i].density < 1;

        wins += won;
        loses += p[i].outcome == SCR_OUTCOME_LOSES;
        few += p[i].outcome == SCR_OUTCOME_FEW_SAMPLES;
        /* An empty workload makes a poor headline. */
        if (won && (best == NULL || best->density == 0 ||
                    (p[i].density > 0 && p[i].speedup > best->speedup)))
            best = &p[i];
        if (p[i].speedup > fastest->speedup)
            fastest = &p[i];
    }
    /* Points of one density stand or fall together. */
    while (below < n && p[below].density < 1) {
        size_t end = below;
        bool all = true;

        for (; end < n && p[end].density == p[below].density; end++)
            all &= p[end].outcome == SCR_OUTCOME_WINS;
        if (!all)
            break;
        below = end;
        distinct++;
    }
    if (distinct >= 2) {
        snprintf(out, size,
                 "tile-skip beats masked-dense from tile density %.3g down; at %.3g it is %.2fx",
                 p[below - 1].density, best->density, best->speedup);
    } else if (wins > 0) {
        snprintf(out, size, "tile-skip beats masked-dense at tile density %.3g (%.2fx)%s",
                 best->density, best->speedup,
                 n == 1                           ? ", the only one measured"
                 : wins == n                      ? ""
                 : distinct == 1 && wins == below ? ", at no higher one measured"
                                                  : ", but not at every other one measured");
    } else if (loses == n) {
        snprintf(out, size,
                 "tile-skip loses to masked-dense at every tile density measured; its best is "
                 "%.2fx at %.3g",
                 fastest->speedup, fastest->density);
    } else if (loses > 0) {
        snprintf(
            out, size,
            "tile-skip does not beat masked-dense: it loses on %zu of %zu data sets, and on the "
            "others no gain by skipping can be told",
            loses, n);
    } else if (p[0].density >= 1) {
        snprintf(out, size, "no difference can be told: every tile measured is alive");
    } else {
        snprintf(out, size, "no difference can be told: %s",
                 few == n ? "too few samples for an interval"
                 : few > 0
                     ? "the intervals meet, the medians are within 3 %, or samples are too few"
                     : "the intervals meet or the medians are within 3 %");
    }
}

static int device_rank(const struct scr_row *r)
{
    if (strcmp(r->backend, "cuda") == 0)
        return 0;
    if (strcmp(r->backend, "opencl") == 0)
        return r->on_cpu ? 2 : 1;
    return 3;
}

/* The best device not yet spoken of: of those after `last` the first by rank, then by row. */
static const struct scr_row *next_device(const struct scr_row *rows, size_t n,
                                         const struct scr_row *last)
{
    const struct scr_row *best = NULL;

    for (size_t i = 0; i < n; i++) {
        bool first = true;

        if (!speaks(&rows[i], NULL))
            continue;
        for (size_t j = 0; j < i && first; j++)
            first = !speaks(&rows[j], NULL) || strcmp(rows[j].device, rows[i].device) != 0;
        if (!first)
            continue;
        if (last != NULL && (device_rank(&rows[i]) < device_rank(last) ||
                             (device_rank(&rows[i]) == device_rank(last) && &rows[i] <= last)))
            continue;
        if (best == NULL || device_rank(&rows[i]) < device_rank(best))
            best = &rows[i];
    }
    return best;
}

static size_t with_status(const struct scr_row *rows, size_t n, const char *status)
{
    size_t count = 0;

    for (size_t i = 0; i < n; i++)
        count += strcmp(rows[i].status, status) == 0;
    return count;
}

int scr_verdict(const struct scr_row *rows, size_t n, char *out, size_t size)
{
    size_t wrong = with_status(rows, n, "wrong");
    struct point *points;

    out[0] = '\0';
    for (size_t i = 0; i < n && wrong > 0; i++) {
        if (strcmp(rows[i].status, "wrong") == 0) {
            snprintf(out, size, "%zu row%s WRONG, the first: %s\n  %s", wrong,
                     wrong == 1 ? "" : "s", rows[i].reason, rows[i].repro);
            return SCR_OK;
        }
    }
    if (with_status(rows, n, "ok") == 0) {
        snprintf(out, size, "no row was measured");
        return SCR_OK;
    }
    points = malloc(n * sizeof *points);
    if (points == NULL)
        return SCR_ERR_NO_MEMORY;
    for (const struct scr_row *d = next_device(rows, n, NULL); d != NULL;
         d = next_device(rows, n, d)) {
        const struct scr_row *like = spokesman(rows, n, d->device);
        char said[200];

        claim(points, collect(rows, n, like, points), said, sizeof said);
        append(out, size, "%s%s (%s %s, %s, dk %.0f, dv %.0f, tile %.0fx%.0f, seq %.0f%s)",
               out[0] != '\0' ? "\n" : "", said, like->device, like->device_name, like->dtype,
               like->dk, like->dv, like->tile_q, like->tile_k, like->seq_q,
               is_trace(like) ? ", the trace's own windows" : "");
    }
    free(points);
    if (out[0] == '\0')
        snprintf(out, size,
                 "no difference can be told: no row compares tile-skip with masked-dense with the "
                 "window off");
    return SCR_OK;
}
