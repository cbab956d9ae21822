/* SPDX-License-Identifier: Apache-2.0 */
#include "compare.h"

#include "compare_print.h"
#include "rows_file.h"
#include "sweep.h"
#include "timer.h"

#include <screening/error.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The constants of struct scr_shift's comment. */
enum { MIN_GROUP = 5 };
#define FEW_SAMPLES_SE  0.05
#define BUSY            2.0 /* times slower that others make a row */
#define MIN_SCATTER     0.03
#define MIN_DRIFT       0.01
#define SIDE_CHANCE     0.01
#define OWN_QUANTILE    1.959964 /* of a 95 % interval */
#define ERROR_OF_MEDIAN 1.2533   /* standard error of a median of n, times sqrt(n) / sigma */

/* A pair whose times are compared, on the logarithmic scale. */
struct item {
    struct scr_compared *pair;
    double x, x_min;
    double se;        /* within */
    double busy;      /* what others may have done to one of the runs or both */
    double disturbed; /* the medians above the fastest samples, of both runs */
    double centre;    /* median x of its group */
    double wider;     /* what makes up for a median that follows the item itself */
    double log_ns;    /* duration */
    double scatter;   /* of rows of that duration */
};

/* A group is a device, or a kernel on it; any of its rows stands for it. */
static bool same_group(const struct scr_row *a, const struct scr_row *b, bool whole_device)
{
    return strcmp(a->device, b->device) == 0 &&
           (whole_device || (strcmp(a->kernel, b->kernel) == 0 && strcmp(a->peer, b->peer) == 0));
}

/* z that a standard normal number exceeds with chance p < 1/2. */
static double normal_quantile(double p)
{
    double lo = 0, hi = 40;

    for (int i = 0; i < 80; i++) {
        double z = (lo + hi) / 2;

        if (0.5 * erfc(z / sqrt(2)) > p)
            lo = z;
        else
            hi = z;
    }
    return lo;
}

static double error_of_median(const struct scr_row *r)
{
    if (!(r->n_samples >= SCR_MIN_SAMPLES) || !(r->t_ci_lo_ns > 0) || !isfinite(r->t_ci_hi_ns))
        return FEW_SAMPLES_SE;
    return log(r->t_ci_hi_ns / r->t_ci_lo_ns) / (2 * OWN_QUANTILE);
}

/* How far the median lies above the fastest sample. */
static double disturbance(const struct scr_row *r)
{
    return r->t_min_ns > 0 && r->t_min_ns < r->t_median_ns ? log(r->t_median_ns / r->t_min_ns) : 0;
}

static bool in_vain(const struct scr_row *r)
{
    static const char *const words[] = {"compile", "oom", "failed", "timeout", "crashed"};

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(r->status, words[i]) == 0)
            return true;
    }
    return false;
}

static bool is(const struct scr_row *r, const char *status)
{
    return strcmp(r->status, status) == 0;
}

static bool differ(const char *a, const char *b)
{
    return a[0] != '\0' && b[0] != '\0' && strcmp(a, b) != 0;
}

/* Why the times of two rows that are ok say nothing about each other, or "". */
static void say_why(const struct scr_row *a, const struct scr_row *b, char *why, size_t size)
{
    bool held_a = scr_row_has_flag(a, "throttled"), held_b = scr_row_has_flag(b, "throttled");

    why[0] = '\0';
    if (differ(a->data_hash, b->data_hash))
        snprintf(why, size, "the data differ");
    else if (differ(a->cache, b->cache))
        snprintf(why, size, "%s cache in BASE, %s in NEW", a->cache, b->cache);
    else if (!(a->t_median_ns > 0) || !(b->t_median_ns > 0))
        snprintf(why, size, "not timed");
    else if (differ(a->timer, b->timer))
        snprintf(why, size, "timed by %s in BASE, by %s in NEW", a->timer, b->timer);
    else if (held_a != held_b)
        snprintf(why, size, "the clock was held down in %s", held_a ? "BASE" : "NEW");
}

/* Everything but the times. */
static void classify(struct scr_compared *p)
{
    const struct scr_row *a = p->rows.base, *b = p->rows.now;

    p->change = SCR_CHANGE_UNKNOWN;
    p->shift = (struct scr_shift){NAN, NAN, NAN, NAN};
    if (is(b, "wrong") && !is(a, "wrong")) {
        p->change = SCR_CHANGE_WRONG;
    } else if (is(a, "ok") && in_vain(b)) {
        p->change = SCR_CHANGE_BROKEN;
    } else if (is(b, "ok") && (in_vain(a) || is(a, "wrong"))) {
        p->change = SCR_CHANGE_MENDED;
    } else if (is(a, "ok") && is(b, "ok")) {
        say_why(a, b, p->why, sizeof p->why);
        if (p->why[0] == '\0')
            p->change = SCR_CHANGE_NONE;
    } else if (strcmp(a->status, b->status) == 0) {
        snprintf(p->why, sizeof p->why, "%s in both", a->status);
    } else {
        snprintf(p->why, sizeof p->why, "%s in BASE, %s in NEW", a->status, b->status);
    }
}

static struct item item_of(struct scr_compared *p)
{
    const struct scr_row *a = p->rows.base, *b = p->rows.now;
    double min = b->t_min_ns / a->t_min_ns;
    double disturbed = hypot(disturbance(a), disturbance(b));

    return (struct item){
        .pair = p,
        .x = log(b->t_median_ns / a->t_median_ns),
        .x_min = min > 0 ? log(min) : NAN,
        .busy = scr_row_has_flag(a, "busy") || scr_row_has_flag(b, "busy") ? log(BUSY) : 0,
        .disturbed = disturbed,
        .log_ns = (log(a->t_median_ns) + log(b->t_median_ns)) / 2,
        .se = hypot(hypot(error_of_median(a), error_of_median(b)), disturbed / 2),
    };
}

static enum scr_change judge(double x, double x_min, double se, double quantile, double max_regress,
                             struct scr_shift *shift)
{
    double least = fmin(x, x_min); /* x where the minimum is not known */

    *shift = (struct scr_shift){exp(x), exp(x - quantile * se), exp(x + quantile * se), exp(x_min)};
    if (x + quantile * se < 0)
        return SCR_CHANGE_FASTER;
    if (x - quantile * se <= 0)
        return SCR_CHANGE_NONE;
    if (least - quantile * se > 0 && least - OWN_QUANTILE * se > log1p(max_regress))
        return SCR_CHANGE_REGRESSION;
    return SCR_CHANGE_SLOWER;
}

struct analysis {
    struct scr_comparison *c;
    struct item *items;
    size_t n;
    double *scratch; /* room for n */
    double quantile;
};

enum value { TIME, MIN_TIME, DISTURBANCE };

static double value_of(const struct item *item, enum value value)
{
    switch (value) {
    case TIME:
        return item->x;
    case MIN_TIME:
        return item->x_min;
    default:
        return item->disturbed;
    }
}

/* The median over the items of a group, and their number; numbers not known are left out. */
static double group_median(const struct analysis *a, const struct scr_row *like, bool whole_device,
                           enum value value, size_t *n)
{
    *n = 0;
    for (size_t i = 0; i < a->n; i++) {
        double x = value_of(&a->items[i], value);

        if (same_group(a->items[i].pair->rows.now, like, whole_device) && isfinite(x))
            a->scratch[(*n)++] = x;
    }
    return scr_median(a->scratch, *n);
}

/* From the distance of each item of a device from the median of its group. */
static void estimate_scatter(const struct analysis *a, struct scr_compared_device *d,
                             struct scr_scatter_row *rows)
{
    size_t n;
    double disturbed = group_median(a, d->now, true, DISTURBANCE, &n);

    d->n = 0;
    for (size_t i = 0; i < a->n; i++) {
        const struct item *item = &a->items[i];

        if (same_group(item->pair->rows.now, d->now, true))
            rows[d->n++] = (struct scr_scatter_row){
                item->log_ns, fabs(item->x - item->centre) * item->wider, item->se};
    }
    scr_scatter_estimate(rows, d->n, fmax(MIN_SCATTER, disturbed), a->scratch, &d->scatter);
    for (size_t i = 0; i < a->n; i++) {
        struct item *item = &a->items[i];

        if (same_group(item->pair->rows.now, d->now, true))
            item->scatter = scr_scatter_at(&d->scatter, item->log_ns);
    }
}

/* The items of a group lie about its median; kernels come after their device. */
static void set_centre(const struct analysis *a, const struct scr_compared_group *g)
{
    size_t n;
    double centre = group_median(a, g->like, g->whole_device, TIME, &n);

    for (size_t i = 0; i < a->n; i++) {
        struct item *item = &a->items[i];

        if (!same_group(item->pair->rows.now, g->like, g->whole_device))
            continue;
        item->centre = centre;
        item->wider = sqrt((double)n / (double)(n - 1));
    }
}

static double drift_of(double scatter)
{
    return fmax(MIN_DRIFT, scatter / 3);
}

static double error_of(const struct item *item)
{
    return hypot(hypot(item->se, item->busy), hypot(item->scatter, drift_of(item->scatter)));
}

/*
 * The rows that scatter least say most of where the median lies, but where there are few of them
 * not all: hence the geometric mean.
 */
static void judge_group(const struct analysis *a, struct scr_compared_group *g)
{
    size_t n;
    double x_min = group_median(a, g->like, g->whole_device, MIN_TIME, &n);
    double x = group_median(a, g->like, g->whole_device, TIME, &n);
    double se = 0, scatter = 0, busy = 0;

    for (size_t i = 0; i < a->n; i++) {
        const struct item *item = &a->items[i];

        if (!same_group(item->pair->rows.now, g->like, g->whole_device))
            continue;
        busy += item->busy / (double)n;
        se += log(hypot(item->se, item->scatter)) / (double)n;
        scatter += log(item->scatter) / (double)n;
    }
    se = ERROR_OF_MEDIAN * exp(se) / sqrt((double)n);
    se = hypot(se, hypot(busy, drift_of(exp(scatter))));
    g->change = judge(x, x_min, se, a->quantile, a->c->max_regress, &g->shift);
}

/* How many times slower a row of the middle of a class must be. */
static double found_in(const struct analysis *a, const struct scr_compared_device *d, size_t class)
{
    size_t n = 0;
    struct item typical = {.scatter = d->scatter.classes[class].scatter};
    double error;

    for (size_t i = 0; i < a->n; i++) {
        const struct item *item = &a->items[i];

        if (same_group(item->pair->rows.now, d->now, true) &&
            scr_scatter_class_of(&d->scatter, item->log_ns) == class)
            a->scratch[n++] = hypot(item->se, item->busy);
    }
    typical.se = scr_median(a->scratch, n);
    error = error_of(&typical);
    return exp(fmax(a->quantile * error, log1p(a->c->max_regress) + OWN_QUANTILE * error));
}

static void judge_device(const struct analysis *a, struct scr_compared_device *d)
{
    for (size_t i = 0; i < a->n; i++) {
        const struct item *item = &a->items[i];

        if (!same_group(item->pair->rows.now, d->now, true))
            continue;
        item->pair->change = judge(item->x, item->x_min, error_of(item), a->quantile,
                                   a->c->max_regress, &item->pair->shift);
        if (item->pair->change == SCR_CHANGE_NONE)
            d->n_agree[scr_scatter_class_of(&d->scatter, item->log_ns)]++;
    }
    for (size_t i = 0; i < a->c->n_groups; i++) {
        if (same_group(a->c->groups[i].like, d->now, true))
            judge_group(a, &a->c->groups[i]);
    }
    for (size_t i = 0; i < d->scatter.n_classes; i++)
        d->found[i] = found_in(a, d, i);
}

static void find_devices(struct analysis *a)
{
    struct scr_comparison *c = a->c;

    for (size_t i = 0; i < a->n; i++) {
        const struct scr_match *rows = &a->items[i].pair->rows;
        bool seen = false;

        for (size_t j = 0; j < c->n_devices && !seen; j++)
            seen = same_group(c->devices[j].now, rows->now, true);
        if (!seen)
            c->devices[c->n_devices++] =
                (struct scr_compared_device){.base = rows->base, .now = rows->now};
    }
}

static void add_group(struct analysis *a, const struct scr_row *like, bool whole_device)
{
    struct scr_comparison *c = a->c;
    size_t n, n_device;

    for (size_t i = 0; i < c->n_groups; i++) {
        if (c->groups[i].whole_device == whole_device &&
            same_group(c->groups[i].like, like, whole_device))
            return;
    }
    group_median(a, like, true, TIME, &n_device);
    group_median(a, like, whole_device, TIME, &n);
    if (n >= MIN_GROUP && (whole_device || n < n_device))
        c->groups[c->n_groups++] =
            (struct scr_compared_group){.like = like, .whole_device = whole_device, .n = n};
}

static void find_groups(struct analysis *a)
{
    for (size_t d = 0; d < a->c->n_devices; d++) {
        const struct scr_row *device = a->c->devices[d].now;

        add_group(a, device, true);
        for (size_t i = 0; i < a->n; i++) {
            if (same_group(a->items[i].pair->rows.now, device, true))
                add_group(a, a->items[i].pair->rows.now, false);
        }
    }
}

static int analyse(struct scr_comparison *c)
{
    struct analysis a = {.c = c};
    size_t room = c->n_pairs + 1;
    struct scr_scatter_row *rows = malloc(room * sizeof *rows);
    int status = SCR_ERR_NO_MEMORY;

    a.items = malloc(room * sizeof *a.items);
    a.scratch = malloc(room * sizeof *a.scratch);
    c->devices = calloc(room, sizeof *c->devices);
    c->groups = calloc(2 * room, sizeof *c->groups);
    if (rows == NULL || a.items == NULL || a.scratch == NULL || c->devices == NULL ||
        c->groups == NULL)
        goto out;
    for (size_t i = 0; i < c->n_pairs; i++) {
        if (c->pairs[i].change != SCR_CHANGE_NONE)
            continue;
        a.items[a.n] = item_of(&c->pairs[i]);
        c->n_busy += a.items[a.n++].busy > 0;
    }
    c->n_timed = a.n;
    find_devices(&a);
    find_groups(&a);
    for (size_t i = 0; i < c->n_groups; i++)
        set_centre(&a, &c->groups[i]);
    a.quantile = normal_quantile(SIDE_CHANCE / (double)(a.n + c->n_groups + 1));
    for (size_t i = 0; i < c->n_devices; i++) {
        estimate_scatter(&a, &c->devices[i], rows);
        judge_device(&a, &c->devices[i]);
    }
    status = SCR_OK;
out:
    free(rows);
    free(a.items);
    free(a.scratch);
    return status;
}

/* Slowest first, what has no ratio last, else as in NEW. */
static int by_ratio(const void *pa, const void *pb)
{
    const struct scr_compared *a = pa, *b = pb;
    double x = isfinite(a->shift.ratio) ? a->shift.ratio : -1;
    double y = isfinite(b->shift.ratio) ? b->shift.ratio : -1;

    if (x != y)
        return x > y ? -1 : 1;
    return (a->rows.now > b->rows.now) - (a->rows.now < b->rows.now);
}

int scr_compare_rows(const struct scr_row *base, size_t n_base, const struct scr_row *now,
                     size_t n_now, double max_regress, struct scr_comparison *out)
{
    int status;

    *out = (struct scr_comparison){.max_regress = max_regress};
    status = scr_match_rows(base, n_base, now, n_now, &out->matches);
    if (status != SCR_OK)
        return status;
    out->n_pairs = out->matches.n;
    out->pairs = calloc(out->n_pairs + 1, sizeof *out->pairs);
    if (out->pairs == NULL)
        return SCR_ERR_NO_MEMORY;
    for (size_t i = 0; i < out->n_pairs; i++) {
        out->pairs[i].rows = out->matches.pairs[i];
        classify(&out->pairs[i]);
    }
    for (size_t i = 0; i < out->matches.n_only_now; i++)
        out->n_wrong_only_now += is(out->matches.only_now[i], "wrong");
    status = analyse(out);
    if (status == SCR_OK)
        qsort(out->pairs, out->n_pairs, sizeof *out->pairs, by_ratio);
    return status;
}

void scr_comparison_clear(struct scr_comparison *c)
{
    scr_matches_clear(&c->matches);
    free(c->pairs);
    free(c->groups);
    free(c->devices);
    *c = (struct scr_comparison){0};
}

size_t scr_comparison_count(const struct scr_comparison *c, enum scr_change change)
{
    size_t n = 0;

    for (size_t i = 0; i < c->n_pairs; i++)
        n += c->pairs[i].change == change;
    return n;
}

int scr_comparison_status(const struct scr_comparison *c)
{
    bool slower = scr_comparison_count(c, SCR_CHANGE_REGRESSION) > 0 ||
                  scr_comparison_count(c, SCR_CHANGE_BROKEN) > 0;

    for (size_t i = 0; i < c->n_groups; i++)
        slower |= c->groups[i].change == SCR_CHANGE_REGRESSION;
    if (scr_comparison_count(c, SCR_CHANGE_WRONG) > 0 || c->n_wrong_only_now > 0)
        return SCR_EXIT_WRONG;
    if (slower)
        return SCR_EXIT_SLOWER;
    if (c->n_timed == 0)
        return SCR_EXIT_USAGE;
    return c->unfinished && c->matches.n_only_base > 0 ? SCR_EXIT_SOME_FAILED : SCR_EXIT_FINE;
}

void scr_compare_header_read(const char *path, struct scr_compare_header *out)
{
    const char *name = strrchr(path, '/');
    size_t folder = name != NULL ? (size_t)(name - path) + 1 : 0;
    char header[4200];
    const char *text;
    json_t *json;

    *out = (struct scr_compare_header){.commit = ""};
    snprintf(header, sizeof header, "%.4096s/run.json", path);
    json = json_load_file(header, 0, NULL);
    if (json == NULL) {
        snprintf(header, sizeof header, "%.*srun.json", (int)folder, path);
        json = json_load_file(header, 0, NULL);
    }
    if (json == NULL)
        return;
    text = json_string_value(json_object_get(json, "commit"));
    snprintf(out->commit, sizeof out->commit, "%s", text != NULL ? text : "");
    text = json_string_value(json_object_get(json, "end"));
    snprintf(out->end, sizeof out->end, "%s", text != NULL ? text : "not at all");
    json_decref(json);
}

/* The first reason why nothing was compared. */
static void say_nothing_compared(const struct scr_compare_options *o,
                                 const struct scr_comparison *c, char *why, size_t why_size)
{
    if (c->n_pairs == 0)
        snprintf(why, why_size, "%s and %s have no row in common", o->base, o->now);
    else if (c->pairs[0].why[0] != '\0')
        snprintf(why, why_size, "no times can be compared; the first row: %s", c->pairs[0].why);
    else
        snprintf(why, why_size, "no times can be compared");
}

int scr_compare_run(const struct scr_compare_options *o, FILE *out, char *why, size_t why_size)
{
    struct scr_rows_file base = {0}, now = {0};
    struct scr_comparison c = {0};
    struct scr_compare_header header;
    int result = SCR_EXIT_USAGE;
    int status;

    why[0] = '\0';
    if (scr_rows_file_read(o->base, &base, why, why_size) != SCR_OK ||
        scr_rows_file_read(o->now, &now, why, why_size) != SCR_OK)
        goto out;
    status = scr_compare_rows(base.rows, base.n, now.rows, now.n, o->max_regress, &c);
    scr_compare_header_read(o->now, &header);
    c.unfinished = header.end[0] != '\0' && strcmp(header.end, "complete") != 0;
    if (status == SCR_OK)
        status = scr_compare_print(o, &base, &now, &c, out);
    if (status != SCR_OK) {
        snprintf(why, why_size, "%s",
                 status == SCR_ERR_NO_MEMORY ? "out of memory" : "the output cannot be written");
        goto out;
    }
    result = scr_comparison_status(&c);
    if (result == SCR_EXIT_USAGE)
        say_nothing_compared(o, &c, why, why_size);
out:
    scr_comparison_clear(&c);
    scr_rows_file_clear(&base);
    scr_rows_file_clear(&now);
    return result;
}
