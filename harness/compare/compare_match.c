/* SPDX-License-Identifier: Apache-2.0 */
#include "compare_match.h"

#include <screening/error.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* How much of a row must be equal; each holds the one before. */
enum depth { PROBLEM, CONFIG, CACHE };

struct entry {
    const struct scr_row *row;
    const struct scr_row *partner;
    bool other_config;
    bool repeated;
};

static int compare_numbers(double a, double b)
{
    if (isnan(a) || isnan(b))
        return !isnan(a) - !isnan(b);
    return (a > b) - (a < b);
}

/* The workload, of a trace without its folder. */
static const char *workload_of(const struct scr_row *r)
{
    const char *slash = strncmp(r->workload, "trace:", 6) == 0 ? strrchr(r->workload, '/') : NULL;

    return slash != NULL ? slash + 1 : r->workload + (strncmp(r->workload, "trace:", 6) == 0) * 6;
}

/*
 * What was asked for of window or sharpness, from the command: the columns of a trace's own are
 * known only where its data came to be read. Without a command, the column.
 */
static void asked(const struct scr_row *r, const char *word, const char *column, char out[40])
{
    const char *at = strstr(r->repro, word);

    if (at != NULL) {
        at += strlen(word);
        column = at;
    }
    snprintf(out, 40, "%.*s", (int)strcspn(column, " "), column);
}

static int compare_asked(const struct scr_row *a, const struct scr_row *b)
{
    char asked_a[40], asked_b[40], r_a[40], r_b[40];
    int cmp;

    asked(a, " -a window=", a->window, asked_a);
    asked(b, " -a window=", b->window, asked_b);
    cmp = strcmp(asked_a, asked_b);
    if (cmp != 0)
        return cmp;
    snprintf(r_a, sizeof r_a, "%.9g", a->r);
    snprintf(r_b, sizeof r_b, "%.9g", b->r);
    asked(a, " -a r=", r_a, asked_a);
    asked(b, " -a r=", r_b, asked_b);
    return strcmp(asked_a, asked_b);
}

static int compare_problems(const struct scr_row *a, const struct scr_row *b)
{
    const char *const texts[][2] = {
        {a->device, b->device},       {a->peer, b->peer},     {a->op, b->op},
        {a->kernel, b->kernel},       {a->skip, b->skip},     {a->dtype, b->dtype},
        {a->dtype_out, b->dtype_out}, {a->kv_len, b->kv_len}, {workload_of(a), workload_of(b)},
    };
    const double numbers[][2] = {
        {a->batch, b->batch},   {a->heads, b->heads},           {a->kv_heads, b->kv_heads},
        {a->seq_q, b->seq_q},   {a->seq_k, b->seq_k},           {a->dk, b->dk},
        {a->dv, b->dv},         {a->causal, b->causal},         {a->norm, b->norm},
        {a->q_pos0, b->q_pos0}, {a->trace_head, b->trace_head},
    };

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        int cmp = strcmp(texts[i][0], texts[i][1]);

        if (cmp != 0)
            return cmp;
    }
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        int cmp = compare_numbers(numbers[i][0], numbers[i][1]);

        if (cmp != 0)
            return cmp;
    }
    if (a->seed != b->seed)
        return a->seed > b->seed ? 1 : -1;
    return compare_asked(a, b);
}

static int compare_configs(const struct scr_row *a, const struct scr_row *b)
{
    int cmp = strcmp(a->variant, b->variant);

    if (cmp == 0)
        cmp = compare_numbers(a->tile_q, b->tile_q);
    if (cmp == 0)
        cmp = compare_numbers(a->tile_k, b->tile_k);
    return cmp != 0 ? cmp : strcmp(a->params, b->params);
}

static int compare_to(const struct scr_row *a, const struct scr_row *b, enum depth depth)
{
    int cmp = compare_problems(a, b);

    if (cmp == 0 && depth >= CONFIG)
        cmp = compare_configs(a, b);
    if (cmp == 0 && depth >= CACHE)
        cmp = strcmp(a->cache, b->cache);
    return cmp;
}

static int by_identity(const void *pa, const void *pb)
{
    const struct entry *a = pa, *b = pb;
    int cmp = compare_to(a->row, b->row, CACHE);

    return cmp != 0 ? cmp : (a->row > b->row) - (a->row < b->row);
}

static int by_place(const void *pa, const void *pb)
{
    const struct entry *a = pa, *b = pb;

    return (a->row > b->row) - (a->row < b->row);
}

/* Sorted by identity; of rows that are the same the last remains. NULL: out of memory. */
static struct entry *sorted(const struct scr_row *rows, size_t n, size_t *n_repeated)
{
    struct entry *e = calloc(n + 1, sizeof *e);

    if (e == NULL)
        return NULL;
    for (size_t i = 0; i < n; i++)
        e[i].row = &rows[i];
    qsort(e, n, sizeof *e, by_identity);
    for (size_t i = 0; i + 1 < n; i++) {
        e[i].repeated = compare_to(e[i].row, e[i + 1].row, CACHE) == 0;
        *n_repeated += e[i].repeated;
    }
    return e;
}

static bool is_free(const struct entry *e)
{
    return e->partner == NULL && !e->repeated;
}

/* The end of the run of entries equal to e[first]; *n_free: how many of them are free. */
static size_t end_of_run(const struct entry *e, size_t n, size_t first, enum depth depth,
                         size_t *n_free, size_t *last_free)
{
    size_t i = first;

    *n_free = 0;
    for (; i < n && compare_to(e[first].row, e[i].row, depth) == 0; i++) {
        if (is_free(&e[i])) {
            (*n_free)++;
            *last_free = i;
        }
    }
    return i;
}

/* Makes a pair where either side has exactly one free entry. */
static void join(struct entry *a, size_t n_a, struct entry *b, size_t n_b, enum depth depth)
{
    size_t i = 0, j = 0;

    while (i < n_a && j < n_b) {
        int cmp = compare_to(a[i].row, b[j].row, depth);
        size_t free_a = 0, free_b = 0, at_a = 0, at_b = 0;
        size_t end_a = cmp <= 0 ? end_of_run(a, n_a, i, depth, &free_a, &at_a) : i;
        size_t end_b = cmp >= 0 ? end_of_run(b, n_b, j, depth, &free_b, &at_b) : j;

        if (cmp == 0 && free_a == 1 && free_b == 1) {
            a[at_a].partner = b[at_b].row;
            b[at_b].partner = a[at_a].row;
            b[at_b].other_config = compare_configs(a[at_a].row, b[at_b].row) != 0;
        }
        i = end_a;
        j = end_b;
    }
}

static int collect(struct entry *base, size_t n_base, struct entry *now, size_t n_now,
                   struct scr_matches *out)
{
    out->pairs = calloc(n_now + 1, sizeof *out->pairs);
    out->only_base = calloc(n_base + 1, sizeof *out->only_base);
    out->only_now = calloc(n_now + 1, sizeof *out->only_now);
    if (out->pairs == NULL || out->only_base == NULL || out->only_now == NULL)
        return SCR_ERR_NO_MEMORY;
    qsort(base, n_base, sizeof *base, by_place);
    qsort(now, n_now, sizeof *now, by_place);
    for (size_t i = 0; i < n_base; i++) {
        if (is_free(&base[i]))
            out->only_base[out->n_only_base++] = base[i].row;
    }
    for (size_t i = 0; i < n_now; i++) {
        if (is_free(&now[i]))
            out->only_now[out->n_only_now++] = now[i].row;
        else if (!now[i].repeated)
            out->pairs[out->n++] =
                (struct scr_match){now[i].partner, now[i].row, now[i].other_config};
    }
    return SCR_OK;
}

int scr_match_rows(const struct scr_row *base, size_t n_base, const struct scr_row *now,
                   size_t n_now, struct scr_matches *out)
{
    struct entry *a, *b;
    int status = SCR_ERR_NO_MEMORY;

    *out = (struct scr_matches){0};
    a = sorted(base, n_base, &out->n_repeated);
    b = sorted(now, n_now, &out->n_repeated);
    if (a != NULL && b != NULL) {
        join(a, n_base, b, n_now, CACHE);
        join(a, n_base, b, n_now, CONFIG);
        join(a, n_base, b, n_now, PROBLEM);
        status = collect(a, n_base, b, n_now, out);
    }
    free(a);
    free(b);
    return status;
}

void scr_matches_clear(struct scr_matches *m)
{
    free(m->pairs);
    free(m->only_base);
    free(m->only_now);
    *m = (struct scr_matches){0};
}
