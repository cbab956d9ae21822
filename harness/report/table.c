/* SPDX-License-Identifier: Apache-2.0 */
#include "table.h"

#include "html.h"
#include "text.h"
#include "timer.h"
#include "verdict.h"

#include <screening/error.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { MIN_WIDTH = 80, MAX_WIDTH = 120, BRIEF_WIDTH = 180, CELL = 208 };

/* Writes the cell of a row; "" where it has none. */
typedef void (*cell_fn)(const struct scr_row *r, char *out);

#define TEXT_CELL(field)                                                                           \
    static void cell_##field(const struct scr_row *r, char *out)                                   \
    {                                                                                              \
        snprintf(out, CELL, "%.*s", CELL - 1, r->field);                                           \
    }
TEXT_CELL(device)
TEXT_CELL(dtype)
TEXT_CELL(variant)
TEXT_CELL(kv_len)
TEXT_CELL(window)
TEXT_CELL(status)
TEXT_CELL(timer)
TEXT_CELL(cache)
TEXT_CELL(peer)
TEXT_CELL(stop)
TEXT_CELL(bound)
TEXT_CELL(masked_params)

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
NUMBER_CELL(head, r->trace_head, "%.0f")
NUMBER_CELL(ideal, r->pct_ideal, "%.0f")
NUMBER_CELL(roofline, r->pct_roofline, "%.1f")
NUMBER_CELL(time, 1e-6 * r->t_median_ns,
            r->n_samples < SCR_MIN_SAMPLES ? r->t_median_ns < 1e6 ? "~%.4f" : "~%.3f"
            : r->t_median_ns < 1e6         ? "%.4f"
                                           : "%.3f")
NUMBER_CELL(ci, 50 * (r->t_ci_hi_ns - r->t_ci_lo_ns) / r->t_median_ns, "%.1f")
NUMBER_CELL(masked, 1e-6 * r->t_masked_ns, r->t_masked_ns < 1e6 ? "%.4f" : "%.3f")
NUMBER_CELL(error, r->rel_err, "%.1e")

/* A ratio and its interval. */
static void cell_ratio(double x, double lo, double hi, char *out)
{
    if (!isfinite(x))
        *out = '\0';
    else if (!isfinite(lo) || !isfinite(hi))
        snprintf(out, CELL, "~%.2f", x);
    else if (lo <= 1 && hi >= 1)
        snprintf(out, CELL, "no difference");
    else
        snprintf(out, CELL, hi < 10 ? "%.2f %.2f-%.2f" : "%.1f %.1f-%.1f", x, lo, hi);
}

#define RATIO_CELL(name, field)                                                                    \
    static void cell_##name(const struct scr_row *r, char *out)                                    \
    {                                                                                              \
        cell_ratio(r->field, r->field##_lo, r->field##_hi, out);                                   \
    }
RATIO_CELL(vs_masked, speedup_vs_masked)
RATIO_CELL(vs_none, vs_no_skip)
RATIO_CELL(vs_dense, speedup_vs_dense)
RATIO_CELL(vs_softmax, vs_softmax)
RATIO_CELL(vs_framework, vs_framework)

static void append_percent(double share, char *out)
{
    if (share > 0 && share < 0.001)
        scr_append(out, CELL, "<0.1");
    else
        scr_append(out, CELL, "%.3g", 100 * share);
}

/* What was really computed, of the admissible tiles. */
static void cell_executed(const struct scr_row *r, char *out)
{
    *out = '\0';
    if (!isfinite(r->qk_executed) || !isfinite(r->pv_executed))
        return;
    append_percent(r->qk_executed, out);
    scr_append(out, CELL, "/");
    append_percent(r->pv_executed, out);
}

/* Flags as letters, to save width. */
static const struct {
    char letter;
    const char *word;
} letters[] = {
    {'m', "events-missing"}, {'r', "events-reversed"}, {'e', "events-off"}, {'C', "not-cold"},
    {'F', "near-floor"},     {'T', "throttled"},       {'I', "over-ideal"}, {'R', "over-roofline"},
    {'A', "apart"},          {'H', "host-bound"},      {'U', "unsteady"},   {'B', "busy"},
    {'W', "wide-interval"},
};
enum { N_LETTERS = sizeof letters / sizeof letters[0] };

/* W is no flag of the row: its columns tell. */
static bool has_letter(const struct scr_row *r, int i)
{
    return letters[i].letter == 'W' ? scr_row_is_wide(r) : scr_row_has_flag(r, letters[i].word);
}

static void cell_letters(const struct scr_row *r, char *out)
{
    for (int i = 0; i < N_LETTERS; i++) {
        if (has_letter(r, i))
            *out++ = letters[i].letter;
    }
    *out = '\0';
}

static void cell_words(const struct scr_row *r, char *out)
{
    *out = '\0';
    for (int i = 0; i < N_LETTERS; i++) {
        if (has_letter(r, i))
            scr_append(out, CELL, "%s%s", *out != '\0' ? "," : "", letters[i].word);
    }
}

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

/* With the way it skips. Another operator is named as one. */
static void cell_kernel(const struct scr_row *r, char *out)
{
    snprintf(out, CELL, "%s", r->kernel);
    if (r->peer[0] == '\0' && strcmp(r->kernel, "tile-skip") == 0)
        scr_append(out, CELL, " %s", r->skip);
    if (r->op[0] != '\0' && strcmp(r->op, "screening") != 0)
        scr_append(out, CELL, " (%s)", r->op);
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

static const struct column {
    const char *header;
    cell_fn cell;
    bool right; /* aligned */
    bool key;   /* a figure; shown where any row has it */
    int weight; /* the lightest columns are left out first when the table is too wide; 0: never in
                   text, which is narrow */
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
    {"by", cell_peer, false, false, 40},
    {"head", cell_head, true, false, 91},
    {"variant", cell_variant, false, false, 15},
    {"tile", cell_tile, false, false, 70},
    {"timer", cell_timer, false, false, 25},
    {"cache", cell_cache, false, false, 84},
    {"pairs%", cell_pairs, true, true, 62},
    {"tiles%", cell_tiles, true, true, 88},
    {"qk/pv%", cell_executed, true, true, 66},
    {"time ms", cell_time, true, true, 99},
    {"+-%", cell_ci, true, true, 74},
    {"stop", cell_stop, false, true, 0},
    {"vs masked, 95%", cell_vs_masked, true, true, 97},
    {"ideal%", cell_ideal, true, true, 72},
    {"roof%", cell_roofline, true, true, 68},
    {"bound by", cell_bound, false, true, 0},
    {"vs no skip", cell_vs_none, true, true, 35},
    {"vs dense", cell_vs_dense, true, true, 22},
    {"vs softmax (another operator)", cell_vs_softmax, true, true, 24},
    {"vs framework", cell_vs_framework, true, true, 23},
    {"masked-dense ms", cell_masked, true, true, 0},
    {"masked-dense with", cell_masked_params, false, true, 0},
    {"error", cell_error, true, true, 28},
    {"checked", cell_checked, true, true, 10},
    {"flags", cell_letters, false, true, 87},
    {"flags", cell_words, false, true, 0},
    {"status", cell_status, false, false, 100},
};
enum { N_COLUMNS = sizeof columns / sizeof columns[0] };

struct layout {
    bool shown[N_COLUMNS];
    bool same[N_COLUMNS]; /* one value in all rows, stated above */
    size_t width[N_COLUMNS];
};

static bool is_markdown(enum scr_table_style style)
{
    return style == SCR_TABLE_BRIEF || style == SCR_TABLE_MARKDOWN;
}

/* Whether width is short, and flags are letters. */
static bool is_narrow(enum scr_table_style style)
{
    return style == SCR_TABLE_TEXT || style == SCR_TABLE_BRIEF;
}

static bool belongs(int c, enum scr_table_style style)
{
    if (is_narrow(style))
        return columns[c].weight > 0;
    return columns[c].cell != cell_letters;
}

static void measure(const struct scr_row *rows, size_t n, enum scr_table_style style,
                    struct layout *l)
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
        l->shown[c] = belongs(c, style) && (columns[c].key ? any : any && !same);
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
    const char *tag = row == NULL ? "th" : "td";
    bool first = true;

    fputs(style == SCR_TABLE_HTML ? "<tr>" : "", f);
    for (int c = 0; c < N_COLUMNS; c++) {
        char cell[CELL];

        if (!l->shown[c])
            continue;
        if (row == NULL)
            snprintf(cell, sizeof cell, "%s", columns[c].header);
        else
            columns[c].cell(row, cell);
        if (style == SCR_TABLE_HTML) {
            fprintf(f, columns[c].right ? "<%s class=\"n\">" : "<%s>", tag);
            scr_html_text(cell, f);
            fprintf(f, "</%s>", tag);
        } else if (is_markdown(style))
            fprintf(f, "| %s ", cell);
        else
            fprintf(f, "%s%*s", first ? "" : "  ",
                    columns[c].right ? (int)l->width[c] : -(int)l->width[c], cell);
        first = false;
    }
    fputs(style == SCR_TABLE_HTML ? "</tr>\n" : is_markdown(style) ? "|\n" : "\n", f);
}

bool scr_row_has_result(const struct scr_row *r)
{
    return strcmp(r->status, "ok") == 0 || strcmp(r->status, "wrong") == 0;
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
        scr_append(line, sizeof line, "%s%s %s",
                   line[0] != '\0' ? ", " : "All rows: ", columns[c].header, cell);
    }
    if (line[0] == '\0')
        return;
    if (style == SCR_TABLE_TEXT) {
        scr_print_wrapped(line, f);
    } else if (style == SCR_TABLE_HTML) {
        fputs("<p>", f);
        scr_html_text(line, f);
        fputs("</p>", f);
    } else {
        fprintf(f, "%s\n", line);
    }
    fputc('\n', f);
}

/* What the letters mean that the rows have. */
static void print_letters(const struct scr_row *rows, size_t n, enum scr_table_style style, FILE *f)
{
    const char *begin = is_markdown(style) ? "\nFlags: " : "Flags: ";
    bool any = false;

    for (int i = 0; i < N_LETTERS; i++) {
        bool used = false;

        for (size_t r = 0; r < n && !used; r++)
            used = has_letter(&rows[r], i);
        if (used)
            fprintf(f, "%s%c %s", any ? ", " : begin, letters[i].letter, letters[i].word);
        any |= used;
    }
    fputs(any ? "\n" : "", f);
}

static void print_note(const char *text, enum scr_table_style style, FILE *f)
{
    if (style == SCR_TABLE_TEXT)
        scr_print_wrapped(text, f);
    else
        fprintf(f, style == SCR_TABLE_HTML ? "<p>%s</p>\n" : "\n%s\n", text);
}

/* What a reader must know of the columns shown. */
static void print_notes(const struct scr_row *rows, size_t n, const struct layout *l,
                        enum scr_table_style style, FILE *f)
{
    bool no_roof = false;

    for (size_t i = 0; i < n; i++)
        no_roof |= strcmp(rows[i].skip, "slice") == 0 && isnan(rows[i].pct_roofline);
    for (int c = 0; c < N_COLUMNS; c++) {
        if (l->shown[c] && columns[c].cell == cell_vs_masked)
            print_note(
                "vs masked: against the fastest masked-dense of its tiles and the lookup table, "
                "timed beside the row; rows of masked-dense have the tile shown.",
                style, f);
        if (l->shown[c] && columns[c].cell == cell_roofline && no_roof)
            print_note("roof%: blank for skip=slice, where only the kernel knows how much of a "
                       "tile it computes.",
                       style, f);
    }
}

static void print_table(const struct scr_row *rows, size_t n, enum scr_table_style style, FILE *f)
{
    struct layout l;

    measure(rows, n, style, &l);
    print_common(&rows[0], &l, style, f);
    if (is_narrow(style))
        narrow(&l, style == SCR_TABLE_TEXT ? text_width(f) : BRIEF_WIDTH);
    fputs(style == SCR_TABLE_HTML ? "<div class=\"wide\"><table>\n<thead>" : "", f);
    print_cells(NULL, &l, style, f);
    fputs(style == SCR_TABLE_HTML ? "</thead>\n<tbody>\n" : "", f);
    if (is_markdown(style)) {
        for (int c = 0; c < N_COLUMNS; c++) {
            if (l.shown[c])
                fputs(columns[c].right ? "|---:" : "|---", f);
        }
        fputs("|\n", f);
    }
    for (size_t i = 0; i < n; i++)
        print_cells(&rows[i], &l, style, f);
    fputs(style == SCR_TABLE_HTML ? "</tbody></table></div>\n" : "", f);
    print_notes(rows, n, &l, style, f);
    if (is_narrow(style))
        print_letters(rows, n, style, f);
}

static void print_html_rest(const struct scr_row *r, size_t count, FILE *f)
{
    fprintf(f, "<li>%zu row%s %s: ", count, count == 1 ? "" : "s", r->status);
    scr_html_text(r->reason, f);
    fputs("<br><code>", f);
    scr_html_text(r->repro, f);
    fputs("</code></li>\n", f);
}

void scr_table_print_rest(const struct scr_row *rows, size_t n, enum scr_table_style style, FILE *f)
{
    bool any = false;

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
        if (style == SCR_TABLE_HTML) {
            fputs(any ? "" : "<ul>\n", f);
            print_html_rest(r, count, f);
            any = true;
        } else if (style == SCR_TABLE_MARKDOWN)
            fprintf(f, "- %zu row%s %s: %s\n  `%s`\n", count, count == 1 ? "" : "s", r->status,
                    r->reason, r->repro);
        else
            fprintf(f, "%zu row%s %s: %s\n", count, count == 1 ? "" : "s", r->status, r->reason);
    }
    fputs(any ? "</ul>\n" : "", f);
}

int scr_table_print_results(const struct scr_row *rows, size_t n, enum scr_table_style style,
                            FILE *f)
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
    return SCR_OK;
}

int scr_table_print(const struct scr_row *rows, size_t n, enum scr_table_style style, FILE *f)
{
    int status = scr_table_print_results(rows, n, style, f);
    size_t rest = 0;

    for (size_t i = 0; i < n; i++)
        rest += !scr_row_has_result(&rows[i]);
    if (status != SCR_OK || rest == 0)
        return status;
    fputs(rest < n ? "\n" : "", f);
    if (style == SCR_TABLE_MARKDOWN)
        fputs("## Rows without a result\n\n", f);
    scr_table_print_rest(rows, n, style, f);
    return SCR_OK;
}
