/* SPDX-License-Identifier: Apache-2.0 */
#include "verdict.h"

#include "text.h"
#include "timer.h"

#include <screening/error.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Half of an interval, of the median, that says little. */
static const double WIDE = 0.05;

/* A line a window: more are counted. */
enum { MAX_WINDOWS = 4 };

static bool is_trace(const struct scr_row *r)
{
    return strncmp(r->workload, "trace:", 6) == 0;
}

enum scr_outcome scr_row_outcome(const struct scr_row *r)
{
    double lo = r->speedup_vs_masked_lo, hi = r->speedup_vs_masked_hi;

    if (!isfinite(lo) || !isfinite(hi))
        return SCR_OUTCOME_NO_INTERVAL;
    return lo > 1 ? SCR_OUTCOME_WINS : hi < 1 ? SCR_OUTCOME_LOSES : SCR_OUTCOME_UNDECIDED;
}

bool scr_row_has_window(const struct scr_row *r)
{
    return r->window[0] != '\0' && strcmp(r->window, "inf") != 0;
}

bool scr_row_is_wide(const struct scr_row *r)
{
    return strcmp(r->status, "ok") == 0 && isfinite(r->t_median_ns) &&
           (r->n_samples < SCR_MIN_SAMPLES ||
            !(r->t_ci_hi_ns - r->t_ci_lo_ns <= 2 * WIDE * r->t_median_ns));
}

/* The tile is the table's or the kernel's own choice for these data, not one that was asked for. */
static bool chose_tile(const struct scr_row *r)
{
    return r->choice[0] != '\0' && strcmp(r->choice, "given") != 0;
}

/* Rows of one tile go together, and those that have each the best known for their data. */
static bool same_tile(const struct scr_row *a, const struct scr_row *b)
{
    return (chose_tile(a) && chose_tile(b)) ||
           (chose_tile(a) == chose_tile(b) && a->tile_q == b->tile_q && a->tile_k == b->tile_k);
}

/*
 * A skipping row whose speedup says something about tile density alone: without a window, which is
 * a gain of its own. like: only rows that compare with it.
 */
static bool speaks(const struct scr_row *r, const struct scr_row *like)
{
    return strcmp(r->status, "ok") == 0 && r->peer[0] == '\0' &&
           strcmp(r->kernel, "tile-skip") == 0 && strcmp(r->skip, "none") != 0 &&
           isfinite(r->speedup_vs_masked) && isfinite(r->tile_density) &&
           strcmp(r->window, "inf") == 0 && !is_trace(r) &&
           (like == NULL ||
            (strcmp(r->device, like->device) == 0 && strcmp(r->dtype, like->dtype) == 0 &&
             strcmp(r->dtype_out, like->dtype_out) == 0 && r->dk == like->dk && r->dv == like->dv &&
             r->batch == like->batch && r->heads == like->heads && r->kv_heads == like->kv_heads &&
             r->seq_q == like->seq_q && r->seq_k == like->seq_k && same_tile(r, like) &&
             r->causal == like->causal && r->norm == like->norm &&
             strcmp(r->kv_len, like->kv_len) == 0 && strcmp(r->window, like->window) == 0 &&
             strcmp(r->cache, like->cache) == 0));
}

/* *n_rows: rows that compare with like. */
static size_t count_densities(const struct scr_row *rows, size_t n, const struct scr_row *like,
                              size_t *n_rows)
{
    size_t count = 0;

    *n_rows = 0;
    for (size_t i = 0; i < n; i++) {
        bool seen = !speaks(&rows[i], like);

        *n_rows += !seen;
        for (size_t j = 0; j < i && !seen; j++)
            seen = speaks(&rows[j], like) && rows[j].tile_density == rows[i].tile_density;
        count += !seen;
    }
    return count;
}

/* The row of a device to speak for: of the comparable set with the most densities, the longest
 * sequences, the most rows. */
static const struct scr_row *spokesman(const struct scr_row *rows, size_t n, const char *device)
{
    const struct scr_row *best = NULL;
    size_t most = 0, most_rows = 0;

    for (size_t i = 0; i < n; i++) {
        bool seen = !speaks(&rows[i], NULL) || strcmp(rows[i].device, device) != 0;
        size_t densities, n_rows;

        for (size_t j = 0; j < i && !seen; j++)
            seen = speaks(&rows[j], &rows[i]);
        if (seen)
            continue;
        densities = count_densities(rows, n, &rows[i], &n_rows);
        if (best == NULL || densities > most ||
            (densities == most && (rows[i].seq_k > best->seq_k ||
                                   (rows[i].seq_k == best->seq_k && n_rows > most_rows)))) {
            most = densities;
            most_rows = n_rows;
            best = &rows[i];
        }
    }
    return best;
}

/* One measured density: the better of its ways to skip. */
struct point {
    double density, speedup, lo, hi; /* lo, hi: of the speedup, NaN without interval */
    enum scr_outcome outcome;
    const char *skip;
};

static int better_outcome(enum scr_outcome o)
{
    return o == SCR_OUTCOME_WINS          ? 3
           : o == SCR_OUTCOME_UNDECIDED   ? 2
           : o == SCR_OUTCOME_NO_INTERVAL ? 1
                                          : 0;
}

static int by_density(const void *pa, const void *pb)
{
    const struct point *a = pa, *b = pb;

    return (a->density > b->density) - (a->density < b->density);
}

static struct point point_of(const struct scr_row *r)
{
    return (struct point){r->tile_density,         r->speedup_vs_masked, r->speedup_vs_masked_lo,
                          r->speedup_vs_masked_hi, scr_row_outcome(r),   r->skip};
}

/* points: room for n. Two ways to skip the same data are one point. */
static size_t collect(const struct scr_row *rows, size_t n, const struct scr_row *like,
                      struct point *points)
{
    size_t count = 0;

    for (size_t i = 0; i < n; i++) {
        const struct scr_row *r = &rows[i];
        struct point p = point_of(r);
        bool seen = !speaks(r, like);

        for (size_t j = 0; j < i && !seen; j++)
            seen = speaks(&rows[j], like) && strcmp(rows[j].data_hash, r->data_hash) == 0;
        if (seen)
            continue;
        for (size_t j = i + 1; j < n; j++) {
            enum scr_outcome o;

            if (!speaks(&rows[j], like) || strcmp(rows[j].data_hash, r->data_hash) != 0)
                continue;
            o = scr_row_outcome(&rows[j]);
            if (better_outcome(o) > better_outcome(p.outcome) ||
                (o == p.outcome && rows[j].speedup_vs_masked > p.speedup))
                p = point_of(&rows[j]);
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
        few += p[i].outcome == SCR_OUTCOME_NO_INTERVAL;
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
                 "tile-skip beats masked-dense from tile density %.3g down; at %.3g it is %.2fx "
                 "(%.2f-%.2f, skip=%s)",
                 p[below - 1].density, best->density, best->speedup, best->lo, best->hi,
                 best->skip);
        for (size_t i = below; i < n; i++) {
            if (p[i].outcome != SCR_OUTCOME_LOSES)
                continue;
            scr_append(out, size, "; skipping breaks even between %.3g and %.3g",
                       p[below - 1].density, p[i].density);
            break;
        }
    } else if (wins > 0) {
        snprintf(out, size,
                 "tile-skip beats masked-dense at tile density %.3g: %.2fx (%.2f-%.2f, skip=%s)%s",
                 best->density, best->speedup, best->lo, best->hi, best->skip,
                 n == 1      ? ", the only density measured at this tile and length"
                 : wins == n ? ""
                 : distinct == 1 && wins == below ? ", at no higher one measured"
                                                  : ", but not at every other one measured");
    } else if (loses == n) {
        snprintf(out, size,
                 "tile-skip loses to masked-dense at every tile density measured; its best is "
                 "%.2fx (%.2f-%.2f, skip=%s) at %.3g",
                 fastest->speedup, fastest->lo, fastest->hi, fastest->skip, fastest->density);
    } else if (loses > 0) {
        snprintf(
            out, size,
            "tile-skip does not beat masked-dense: it loses on %zu of %zu data sets, and on the "
            "others no gain by skipping can be told",
            loses, n);
    } else if (p[0].density >= 1) {
        snprintf(out, size, "no verdict: every tile measured is alive, there is nothing to skip");
    } else if (few == n) {
        snprintf(out, size, "no verdict: no ratio has an interval, as of too few samples");
    } else {
        snprintf(out, size, "no difference can be told: %s",
                 few > 0 ? "the intervals hold 1, or samples are too few" : "the intervals hold 1");
    }
}

/* A row of tile-skip that was compared with masked-dense: of a whole layer, where it is a trace. */
static bool is_compared(const struct scr_row *r)
{
    return strcmp(r->status, "ok") == 0 && r->peer[0] == '\0' &&
           strcmp(r->kernel, "tile-skip") == 0 && isnan(r->trace_head) &&
           isfinite(r->speedup_vs_masked);
}

static bool gains_by_window(const struct scr_row *r)
{
    return is_compared(r) && strcmp(r->skip, "none") != 0 && (is_trace(r) || scr_row_has_window(r));
}

/* One problem, but for its length where that is asked. */
static bool same_problem(const struct scr_row *a, const struct scr_row *b, bool any_length)
{
    return strcmp(a->workload, b->workload) == 0 && strcmp(a->device, b->device) == 0 &&
           strcmp(a->dtype, b->dtype) == 0 && strcmp(a->cache, b->cache) == 0 &&
           strcmp(a->window, b->window) == 0 && a->dk == b->dk && a->dv == b->dv &&
           a->heads == b->heads && a->causal == b->causal &&
           (any_length || (a->seq_q == b->seq_q && a->seq_k == b->seq_k));
}

/* Whether a speaks for its problem rather than b: longer, faster, first. */
static bool speaks_rather(const struct scr_row *a, const struct scr_row *b)
{
    if (a->seq_k != b->seq_k)
        return a->seq_k > b->seq_k;
    return a->t_median_ns != b->t_median_ns ? a->t_median_ns < b->t_median_ns : a < b;
}

/* Whether r speaks for its problem: every length of a trace, the longest of the others. */
static bool speaks_for_problem(const struct scr_row *rows, size_t n, const struct scr_row *r)
{
    if (!gains_by_window(r))
        return false;
    for (size_t j = 0; j < n; j++) {
        if (&rows[j] != r && gains_by_window(&rows[j]) && same_problem(r, &rows[j], !is_trace(r)) &&
            speaks_rather(&rows[j], r))
            return false;
    }
    return true;
}

/* What the same kernel and tile gain over masked-dense with skip=none; NaN unknown. */
static double gain_without_skipping(const struct scr_row *rows, size_t n, const struct scr_row *r)
{
    for (size_t i = 0; i < n; i++) {
        const struct scr_row *none = &rows[i];

        if (is_compared(none) && strcmp(none->skip, "none") == 0 && same_problem(r, none, false) &&
            r->tile_q == none->tile_q && r->tile_k == none->tile_k &&
            strcmp(r->variant, none->variant) == 0 && strcmp(r->params, none->params) == 0)
            return none->speedup_vs_masked;
    }
    return r->speedup_vs_masked / r->vs_no_skip;
}

/* Adds what a row gains over masked-dense, window and threshold together, and the window's part. */
static void append_gain(const struct scr_row *rows, size_t n, const struct scr_row *r, char *out,
                        size_t size)
{
    const char *file = strrchr(r->workload, '/');
    double without = gain_without_skipping(rows, n, r);

    scr_append(out, size, "%s", out[0] != '\0' ? "\n" : "");
    if (is_trace(r))
        scr_append(out, size, "%s, ", file != NULL ? file + 1 : r->workload + strlen("trace:"));
    if (is_trace(r) && strcmp(r->window, "own") == 0)
        scr_append(out, size, "seq %.0f, its own windows: ", r->seq_q);
    else if (is_trace(r))
        scr_append(out, size, "seq %.0f, window %s: ", r->seq_q, r->window);
    else
        scr_append(out, size, "window %s, %s, seq %.0f: ", r->window, r->workload, r->seq_q);
    if (scr_row_outcome(r) == SCR_OUTCOME_WINS || scr_row_outcome(r) == SCR_OUTCOME_LOSES)
        scr_append(out, size, "tile-skip is %.2fx (%.2f-%.2f) as fast as masked-dense",
                   r->speedup_vs_masked, r->speedup_vs_masked_lo, r->speedup_vs_masked_hi);
    else
        scr_append(out, size, "no difference between tile-skip and masked-dense can be told");
    if (isfinite(without) && scr_row_has_window(r))
        scr_append(out, size, "; without skipping %.2fx: that part is the window", without);
    scr_append(out, size, " (%s %s, %s, skip=%s, tile %.0fx%.0f)", r->device, r->device_name,
               r->dtype, r->skip, r->tile_q, r->tile_k);
}

/* Adds a line for each trace, device and type. */
static void describe_traces(const struct scr_row *rows, size_t n, char *out, size_t size)
{
    for (size_t i = 0; i < n; i++) {
        if (is_trace(&rows[i]) && speaks_for_problem(rows, n, &rows[i]))
            append_gain(rows, n, &rows[i], out, size);
    }
}

/* Adds a line for each workload with a window on a device without a verdict. */
static void describe_windows(const struct scr_row *rows, size_t n, char *out, size_t size)
{
    size_t lines = 0;

    for (size_t i = 0; i < n; i++) {
        if (is_trace(&rows[i]) || spokesman(rows, n, rows[i].device) != NULL ||
            !speaks_for_problem(rows, n, &rows[i]))
            continue;
        if (lines == 0)
            scr_append(out, size,
                       "%sno verdict on skipping alone: a window is a gain of its own, and no row "
                       "of the device has it off",
                       out[0] != '\0' ? "\n" : "");
        if (lines++ < MAX_WINDOWS)
            append_gain(rows, n, &rows[i], out, size);
    }
    if (lines > MAX_WINDOWS)
        scr_append(out, size, "\nand %zu more with a window: see the table", lines - MAX_WINDOWS);
}

/* Adds a line where the baseline is slower than tile-skip that skips nothing. */
static void describe_baseline(const struct scr_row *rows, size_t n, char *out, size_t size)
{
    size_t compared = 0, beaten = 0;
    double most = 0;

    for (size_t i = 0; i < n; i++) {
        const struct scr_row *r = &rows[i];

        if (!is_compared(r) || strcmp(r->skip, "none") != 0 || scr_row_has_window(r))
            continue;
        compared++;
        if (scr_row_outcome(r) != SCR_OUTCOME_WINS)
            continue;
        beaten++;
        most = fmax(most, r->speedup_vs_masked);
    }
    if (beaten > 0)
        scr_append(out, size,
                   "\nA weak baseline: with the window off, tile-skip that skips nothing "
                   "(skip=none) beats the best masked-dense in %zu of %zu rows, by up to %.2fx; "
                   "that much of a speedup there is not from skipping.",
                   beaten, compared, most);
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

static const struct {
    const char *flag, *said; /* flag NULL: a wide interval, which the columns tell */
} doubts[] = {
    {"throttled", "with the clock held down"},
    {"not-cold", "with caches that could not be made cold"},
    {"near-floor", "shorter than three empty kernels"},
    {"unsteady", "slower at one moment than at another"},
    {"busy", "with the processors slow or used by others"},
    {"events-off", "whose device events and wall time disagree"},
    {"host-bound", "with what the host takes to start a kernel"},
    {"over-ideal", "above 100 % of ideal"},
    {"over-roofline", "above the measured ceilings"},
    {NULL, "with an interval wider than +-5 % or fewer than 6 samples"},
    {"apart", "compared with a baseline that was not timed beside them"},
};

/* Adds a line on what is to be known of the times; nothing where they are as they should be. */
static void describe_times(const struct scr_row *rows, size_t n, char *out, size_t size)
{
    size_t timed = 0, warm = 0;
    bool any = false;

    for (size_t i = 0; i < n; i++) {
        bool is_timed = strcmp(rows[i].status, "ok") == 0 && isfinite(rows[i].t_median_ns);

        timed += is_timed;
        warm += is_timed && strcmp(rows[i].cache, "warm") == 0;
    }
    if (warm > 0 && warm == timed)
        scr_append(out, size, "\nAll times are of warm caches.");
    else if (warm > 0)
        scr_append(out, size, "\n%zu of %zu rows were timed with warm caches.", warm, timed);
    for (size_t d = 0; d < sizeof doubts / sizeof doubts[0]; d++) {
        size_t count = 0;

        for (size_t i = 0; i < n; i++)
            count += doubts[d].flag == NULL ? scr_row_is_wide(&rows[i])
                                            : strcmp(rows[i].status, "ok") == 0 &&
                                                  scr_row_has_flag(&rows[i], doubts[d].flag);
        if (count == 0)
            continue;
        if (!any)
            scr_append(out, size, "\nTo be taken with care, of %zu timed rows: ", timed);
        scr_append(out, size, "%s%zu %s", any ? ", " : "", count, doubts[d].said);
        any = true;
    }
    scr_append(out, size, "%s", any ? "." : "");
}

/* Adds a line that names the kernels of another operator. */
static void describe_others(const struct scr_row *rows, size_t n, char *out, size_t size)
{
    bool any = false;

    for (size_t i = 0; i < n; i++) {
        bool seen = strcmp(rows[i].status, "ok") != 0 || strcmp(rows[i].op, "softmax") != 0;

        for (size_t j = 0; j < i && !seen; j++)
            seen = strcmp(rows[j].op, "softmax") == 0 && strcmp(rows[j].status, "ok") == 0 &&
                   strcmp(rows[j].kernel, rows[i].kernel) == 0;
        if (seen)
            continue;
        scr_append(out, size, "%s%s",
                   any ? ", " : "\nAnother operator, softmax attention: ", rows[i].kernel);
        any = true;
    }
    scr_append(out, size, "%s", any ? "; no verdict rests on it." : "");
}

/* Whether all rows that compare with like have its tile. */
static bool one_tile(const struct scr_row *rows, size_t n, const struct scr_row *like)
{
    for (size_t i = 0; i < n; i++) {
        if (speaks(&rows[i], like) &&
            (rows[i].tile_q != like->tile_q || rows[i].tile_k != like->tile_k))
            return false;
    }
    return true;
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
        char said[400];

        claim(points, collect(rows, n, like, points), said, sizeof said);
        scr_append(out, size, "%s%s (%s %s, %s, dk %.0f, dv %.0f, ", out[0] != '\0' ? "\n" : "",
                   said, like->device, like->device_name, like->dtype, like->dk, like->dv);
        if (one_tile(rows, n, like))
            scr_append(out, size, "tile %.0fx%.0f", like->tile_q, like->tile_k);
        else
            scr_append(out, size, "tiles by the table");
        scr_append(out, size, ", seq %.0f)", like->seq_q);
    }
    free(points);
    describe_traces(rows, n, out, size);
    describe_windows(rows, n, out, size);
    if (out[0] == '\0')
        snprintf(out, size,
                 "no verdict: no row compares tile-skip with masked-dense with the window off");
    describe_baseline(rows, n, out, size);
    describe_times(rows, n, out, size);
    describe_others(rows, n, out, size);
    return SCR_OK;
}
