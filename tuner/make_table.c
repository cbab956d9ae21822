/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lookup table of the winners among records. What it becomes depends on which records
 * there are, not on their order. Beside an entry a winner there are two kinds for callers who know
 * less: of shapes that differ in density only, and of those that differ in density and window, the
 * configuration that is the best compromise.
 */
#include "tools.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int add(struct scr_table *t, const struct scr_table_entry *e)
{
    /* Room for a power of two. */
    if ((t->n & (t->n - 1)) == 0) {
        size_t room = t->n == 0 ? 1 : 2 * t->n;
        struct scr_table_entry *grown = realloc(t->entries, room * sizeof *grown);

        if (grown == NULL)
            return SCR_ERR_NO_MEMORY;
        t->entries = grown;
    }
    t->entries[t->n++] = *e;
    return SCR_OK;
}

static struct scr_table_entry entry_of(const struct scr_record *r)
{
    const struct scr_shape_key *s = &r->shape;
    struct scr_table_entry e = {
        .is_cpu = r->device.is_cpu,
        .units = r->device.compute_units,
        .config = r->config,
        .source = r->source,
        .space = r->space,
        .dtype = s->dtype,
        .dk = s->dk,
        .dv = s->dv,
        .causal = s->causal,
        .len_q = s->len_q,
        .len_k = s->len_k,
        .heads =
            (int32_t)((int64_t)s->batch * s->heads > INT32_MAX ? INT32_MAX : s->batch * s->heads),
        .window = s->window,
        .density = s->density,
        .ns = r->ns,
        .best = r->best,
        .from = scr_record_id(r),
    };

    snprintf(e.backend, sizeof e.backend, "%s", r->device.backend);
    snprintf(e.name, sizeof e.name, "%s", r->device.name);
    snprintf(e.vendor, sizeof e.vendor, "%s", r->device.vendor);
    snprintf(e.arch, sizeof e.arch, "%s", r->device.arch);
    return e;
}

/* Compromises. */

/*
 * A time that was measured: what a configuration takes for a shape. Those of one configuration,
 * device and shape are neighbours, the best known first: of a final, else the newest.
 */
static int compare_times(const void *pa, const void *pb)
{
    const struct scr_record *a = *(const struct scr_record *const *)pa;
    const struct scr_record *b = *(const struct scr_record *const *)pb;
    int order = scr_record_compare_device(a, b);

    if (order == 0)
        order = scr_record_compare_shape(a, b);
    if (order == 0)
        order = scr_config_compare(&a->config, &b->config);
    if (order == 0)
        order = (b->kind == SCR_RECORD_WINNER) - (a->kind == SCR_RECORD_WINNER);
    if (order == 0)
        order = strcmp(b->when, a->when);
    if (order == 0)
        order = (a->ns > b->ns) - (a->ns < b->ns);
    return order;
}

struct times {
    const struct scr_record **items;
    size_t n;
};

static int find_times(const struct scr_records *records, struct times *out)
{
    *out = (struct times){.items = malloc((records->n + 1) * sizeof(struct scr_record *))};
    if (out->items == NULL)
        return SCR_ERR_NO_MEMORY;
    for (size_t i = 0; i < records->n; i++) {
        const struct scr_record *r = &records->items[i];

        if (r->kind != SCR_RECORD_VERIFIED && strcmp(r->status, "ok") == 0 && r->ns > 0 &&
            isfinite(r->ns) && !scr_record_is_stale(r))
            out->items[out->n++] = r;
    }
    qsort(out->items, out->n, sizeof(struct scr_record *), compare_times);
    return SCR_OK;
}

/* NaN: not measured. */
static double time_of(const struct times *t, const struct scr_record *shape, const scr_config *c)
{
    size_t lo = 0, hi = t->n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int order = scr_record_compare_device(t->items[mid], shape);

        if (order == 0)
            order = scr_record_compare_shape(t->items[mid], shape);
        if (order == 0)
            order = scr_config_compare(&t->items[mid]->config, c);
        if (order < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo == t->n || scr_record_compare_device(t->items[lo], shape) != 0 ||
        scr_record_compare_shape(t->items[lo], shape) != 0 ||
        scr_config_compare(&t->items[lo]->config, c) != 0)
        return NAN;
    return t->items[lo]->ns;
}

/* Same device and shape, but for density and, where any_window, for window. */
static bool same_group(const struct scr_record *a, const struct scr_record *b, bool any_window)
{
    struct scr_record x = *a;

    x.shape.density = b->shape.density;
    if (any_window)
        x.shape.window = b->shape.window;
    return scr_record_compare_device(&x, b) == 0 && scr_record_compare_shape(&x, b) == 0;
}

static bool same_kernel(const struct scr_record *a, const struct scr_record *b)
{
    return strcmp(a->config.kernel, b->config.kernel) == 0 && a->config.skip == b->config.skip;
}

/* How good a configuration is over shapes. */
struct score {
    size_t covered;  /* shapes that it was measured on */
    double loss;     /* mean of log(its time / the best) over them */
    double log_time; /* mean of log(its time) */
};

static bool is_better(const struct score *a, const struct score *b)
{
    return a->covered != b->covered ? a->covered > b->covered : a->loss < b->loss - 1e-12;
}

/*
 * shapes: winners of a group, those of one shape neighbours; the best time of a shape is that of
 * its fastest winner.
 */
static struct score score_of(const struct times *t, const struct scr_record **shapes, size_t n,
                             const scr_config *c)
{
    struct score s = {0};

    for (size_t i = 0, next; i < n; i = next) {
        double best = INFINITY, ns = time_of(t, shapes[i], c);

        for (next = i; next < n && scr_record_compare_shape(shapes[next], shapes[i]) == 0; next++)
            best = fmin(best, shapes[next]->ns);
        if (isnan(ns))
            continue;
        s.covered++;
        s.loss += log(ns / best);
        s.log_time += log(ns);
    }
    if (s.covered > 0) {
        s.loss /= (double)s.covered;
        s.log_time /= (double)s.covered;
    }
    return s;
}

/* A configuration and the winner by whose record it is known. */
struct pick {
    const struct scr_record *record;
    const scr_config *config;
};

/* Takes a configuration where it is a better compromise; of equals the first in their order. */
static void consider(const struct times *t, const struct scr_record **shapes, size_t n,
                     struct pick pick, struct pick *best, struct score *of_best)
{
    struct score s = score_of(t, shapes, n, pick.config);
    int order = best->config != NULL ? scr_config_compare(pick.config, best->config) : -1;

    if (s.covered == 0 || order == 0 ||
        (best->config != NULL && !is_better(&s, of_best) && (is_better(of_best, &s) || order > 0)))
        return;
    *best = pick;
    *of_best = s;
}

/*
 * The best compromise among the winners' configurations and, for more than one shape, the default,
 * which every shape has a time of; on a shape alone the winner has beaten it side by side. n > 0
 * winners of one kernel and skip.
 */
static struct pick compromise(const struct times *t, const struct scr_record **shapes, size_t n,
                              struct score *out)
{
    bool alone = scr_record_compare_shape(shapes[0], shapes[n - 1]) == 0;
    struct pick best = {0};

    *out = (struct score){0};
    for (size_t i = 0; i < n; i++) {
        const struct scr_record *r = shapes[i];

        consider(t, shapes, n, (struct pick){r, &r->config}, &best, out);
        if (!alone && strcmp(r->baseline.kernel, r->config.kernel) == 0 &&
            strcmp(r->baseline.variant, r->config.variant) == 0 &&
            r->baseline.skip == r->config.skip)
            consider(t, shapes, n, (struct pick){r, &r->baseline}, &best, out);
    }
    return best;
}

/* Adds an entry a kernel and skip for a group; the best of them over the whole group is flagged. */
static int add_group(struct scr_table *t, const struct times *times,
                     const struct scr_record **group, size_t n, bool any_window)
{
    const struct scr_record **of_kernel = malloc(n * sizeof(struct scr_record *));
    bool *done = calloc(n, sizeof *done);
    struct score best = {0};
    size_t best_entry = 0;
    int status = of_kernel != NULL && done != NULL ? SCR_OK : SCR_ERR_NO_MEMORY;

    for (size_t i = 0; i < n && status == SCR_OK; i++) {
        struct pick pick;
        struct scr_table_entry e;
        struct score own, overall;
        size_t m = 0;

        if (done[i])
            continue;
        for (size_t j = i; j < n; j++) {
            if (same_kernel(group[i], group[j])) {
                of_kernel[m++] = group[j];
                done[j] = true;
            }
        }
        pick = compromise(times, of_kernel, m, &own);
        overall = score_of(times, group, n, pick.config);
        e = entry_of(pick.record);
        e.config = *pick.config;
        e.density = 0;
        if (any_window)
            e.window = 0;
        e.ns = exp(own.log_time);
        e.best = false;
        status = add(t, &e);
        if (status == SCR_OK && (best.covered == 0 || is_better(&overall, &best))) {
            best = overall;
            best_entry = t->n - 1;
        }
    }
    if (status == SCR_OK)
        t->entries[best_entry].best = true;
    free(of_kernel);
    free(done);
    return status;
}

static int compare_groups_windowless(const void *pa, const void *pb)
{
    const struct scr_record *a = *(const struct scr_record *const *)pa;
    const struct scr_record *b = *(const struct scr_record *const *)pb;
    struct scr_record x = *a, y = *b;
    int order;

    x.shape.window = y.shape.window = x.shape.density = y.shape.density = 0;
    order = scr_record_compare_device(&x, &y);
    if (order == 0)
        order = scr_record_compare_shape(&x, &y);
    if (order == 0)
        order = scr_record_compare_shape(a, b);
    if (order == 0)
        order = scr_config_compare(&a->config, &b->config);
    return order;
}

static int add_groups(struct scr_table *t, const struct times *times,
                      const struct scr_record **winners, size_t n, bool any_window)
{
    int status = SCR_OK;

    for (size_t i = 0, next; i < n && status == SCR_OK; i = next) {
        for (next = i; next < n && same_group(winners[i], winners[next], any_window);)
            next++;
        status = add_group(t, times, winners + i, next - i, any_window);
    }
    return status;
}

static int compare_entries(const void *a, const void *b)
{
    return scr_table_entry_compare(a, b);
}

/* A winner that lacks what a line has to say costs itself. */
static bool can_be_entry(const struct scr_record *r)
{
    struct scr_table_entry e = entry_of(r);
    char line[SCR_TABLE_LINE];

    return scr_table_entry_format(&e, line, sizeof line) > 0;
}

int scr_table_from_records(const struct scr_records *records, struct scr_table *out,
                           size_t *n_stale)
{
    struct scr_records fresh = {0};
    struct scr_winners winners = {0};
    struct times times = {0};
    int status = SCR_OK;

    *n_stale = 0;
    for (size_t i = 0; i < records->n && status == SCR_OK; i++) {
        const struct scr_record *r = &records->items[i];

        if (r->kind != SCR_RECORD_WINNER)
            continue;
        if (scr_record_is_stale(r))
            (*n_stale)++;
        else if (can_be_entry(r))
            status = scr_records_add(&fresh, r);
    }
    if (status == SCR_OK)
        status = scr_winners_find(&fresh, &winners);
    if (status == SCR_OK)
        status = find_times(records, &times);
    for (size_t i = 0; i < winners.n && status == SCR_OK; i++) {
        struct scr_table_entry e = entry_of(winners.items[i]);

        if (e.density > 0 && e.window > 0)
            status = add(out, &e);
    }
    if (status == SCR_OK)
        status = add_groups(out, &times, winners.items, winners.n, false);
    if (winners.n > 0)
        qsort(winners.items, winners.n, sizeof(struct scr_record *), compare_groups_windowless);
    if (status == SCR_OK)
        status = add_groups(out, &times, winners.items, winners.n, true);
    if (status == SCR_OK && out->n > 0)
        qsort(out->entries, out->n, sizeof *out->entries, compare_entries);
    free(times.items);
    scr_winners_clear(&winners);
    scr_records_clear(&fresh);
    return status;
}
