/* SPDX-License-Identifier: Apache-2.0 */
#include "dataset.h"

#include "philox.h"
#include "workload.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WINDOW_WORKLOAD_TOKENS = 256 };

int scr_dataset_shape(const struct scr_workload *w, int max_len, scr_problem *p, char *why,
                      size_t why_size)
{
    return w->kind == SCR_WORKLOAD_TRACE ? scr_trace_shape(w->path, max_len, p, why, why_size)
                                         : SCR_OK;
}

static int check_spec(const struct scr_dataset_spec *s, char *why, size_t why_size)
{
    const char *reason = NULL;

    if (scr_problem_validate(&s->problem, &reason) == SCR_OK) {
        if (s->r != 0 && !(s->r >= 0x1p-100 && s->r <= 0x1p100))
            reason = "r must be above 0 and finite";
        else if (s->window.kind == SCR_WINDOW_VALUE && !(s->window.value > 0))
            reason = "the window must be above 0";
        else if (s->kv_missing < 0 || s->kv_missing > s->problem.len_k)
            reason = "kv_len must be from 0 to kv";
        else if (s->workload.kind == SCR_WORKLOAD_ENDS && s->workload.density < 0)
            reason = "ends is two workloads: ends:0 and ends:1";
        else if (s->one_head && s->workload.kind != SCR_WORKLOAD_TRACE)
            reason = "only a trace has heads of its own to choose from";
        else if (s->workload.kind == SCR_WORKLOAD_ENDS && s->workload.density == 0 && s->r != 0 &&
                 s->r < 0.55)
            reason = "ends:0 needs r of at least 0.55: with r up to 0.5 every pair is alive";
    }
    if (reason == NULL)
        return SCR_OK;
    snprintf(why, why_size, "%s", reason);
    return SCR_ERR_INVALID;
}

void scr_dataset_settle(struct scr_dataset_spec *s)
{
    if (s->workload.kind == SCR_WORKLOAD_TRACE)
        return;
    if (s->r == 0)
        s->r = scr_workload_is_planted(&s->workload) ? 16 : 2;
    if (s->window.kind != SCR_WINDOW_AUTO)
        return;
    if (s->workload.kind == SCR_WORKLOAD_WINDOW)
        s->window = (struct scr_window){SCR_WINDOW_VALUE, WINDOW_WORKLOAD_TOKENS};
    else
        s->window.kind = SCR_WINDOW_INF;
}

/* w[heads_q] of a settled spec, of `heads` in the layer; not where a trace's windows stay. */
static void set_windows(const struct scr_dataset_spec *s, int heads, float *w)
{
    int first = s->one_head ? s->trace_head : 0;

    for (int h = 0; h < s->problem.heads_q; h++) {
        if (s->window.kind == SCR_WINDOW_VALUE)
            w[h] = (float)s->window.value;
        else if (s->window.kind == SCR_WINDOW_INIT)
            w[h] = scr_window_init(first + h, heads);
        else if (s->window.kind == SCR_WINDOW_TRAINED)
            w[h] = scr_window_trained(first + h, heads);
        else
            w[h] = INFINITY;
    }
}

static bool keeps_windows(const struct scr_dataset_spec *s)
{
    return s->workload.kind == SCR_WORKLOAD_TRACE && s->window.kind == SCR_WINDOW_AUTO;
}

int scr_dataset_mean_window(const struct scr_dataset_spec *spec, double *out, char *why,
                            size_t why_size)
{
    const scr_problem *p = &spec->problem;
    int heads = p->heads_q, status = SCR_OK;
    bool windowed = false;
    double sum = 0;
    float *w;

    if (spec->window.kind == SCR_WINDOW_VALUE) {
        *out = fmin(spec->window.value, p->len_k);
        return SCR_OK;
    }
    w = malloc((size_t)heads * sizeof *w);
    if (w == NULL)
        return SCR_ERR_NO_MEMORY;
    /* Where one head is left, the file tells how many there are. */
    if (keeps_windows(spec) || spec->one_head)
        status = scr_trace_windows(spec, &heads, w, why, why_size);
    if (status == SCR_OK && !keeps_windows(spec))
        set_windows(spec, heads, w);
    for (int h = 0; h < p->heads_q && status == SCR_OK; h++) {
        windowed |= !isinf(w[h]);
        sum += fmin(w[h], p->len_k);
    }
    free(w);
    *out = windowed ? sum / p->heads_q : INFINITY;
    return status;
}

/* Ragged: batch 0 keeps all keys; the others have a random number of them, a single batch 3/4. */
static void set_kv_len(struct scr_dataset *d)
{
    const scr_problem *p = &d->spec.problem;

    for (int b = 0; b < p->batch; b++) {
        double u = scr_philox_uniform(d->spec.seed, SCR_STREAM_KV_LEN, (uint64_t)b);

        if (!d->spec.ragged_kv_len)
            d->kv_len[b] = p->len_k - d->spec.kv_missing;
        else if (b == 0 && p->batch > 1)
            d->kv_len[b] = p->len_k;
        else if (p->batch == 1)
            d->kv_len[b] = (int32_t)(((int64_t)p->len_k * 3 + 3) / 4);
        else
            d->kv_len[b] = (int32_t)(u * p->len_k);
    }
}

static void spoil_rows(void *tensor, size_t head, size_t len, size_t first, size_t row_bytes)
{
    memset((char *)tensor + (head * len + first) * row_bytes, 0xff, (len - first) * row_bytes);
}

/* What stands where no key is must not matter, so it is what would matter most. */
static void spoil_missing_keys(struct scr_dataset *d)
{
    const scr_problem *p = &d->spec.problem;
    size_t element = scr_dtype_bytes(p->dtype);
    size_t len = (size_t)p->len_k;

    for (size_t head = 0; head < (size_t)p->batch * (size_t)p->heads_kv; head++) {
        size_t keys = (size_t)d->kv_len[head / (size_t)p->heads_kv];

        spoil_rows(d->k, head, len, keys, (size_t)p->dk * element);
        spoil_rows(d->v, head, len, keys, (size_t)p->dv * element);
    }
}

/* FNV-1a over 8-byte words, with a shift that brings high bits down. */
static uint64_t hash_bytes(uint64_t h, const void *data, size_t n)
{
    const unsigned char *bytes = data;

    for (size_t i = 0; i < n; i += 8) {
        uint64_t word = 0;

        memcpy(&word, bytes + i, n - i < 8 ? n - i : 8);
        h = (h ^ word) * 0x100000001b3u;
        h ^= h >> 32;
    }
    return (h ^ n) * 0x100000001b3u;
}

static uint64_t hash_dataset(const struct scr_dataset *d)
{
    size_t heads = (size_t)d->spec.problem.heads_q;
    uint64_t h = 0xcbf29ce484222325u;

    h = hash_bytes(h, d->q, d->q_bytes);
    h = hash_bytes(h, d->k, d->k_bytes);
    h = hash_bytes(h, d->v, d->v_bytes);
    h = hash_bytes(h, d->r, heads * sizeof *d->r);
    h = hash_bytes(h, d->w, heads * sizeof *d->w);
    if (d->kv_len != NULL)
        h = hash_bytes(h, d->kv_len, (size_t)d->spec.problem.batch * sizeof *d->kv_len);
    return h;
}

static int allocate(struct scr_dataset *d)
{
    const scr_problem *p = &d->spec.problem;
    size_t element = scr_dtype_bytes(p->dtype);
    size_t rows_q = (size_t)p->batch * (size_t)p->heads_q * (size_t)p->len_q;
    size_t rows_kv = (size_t)p->batch * (size_t)p->heads_kv * (size_t)p->len_k;

    d->q_bytes = rows_q * (size_t)p->dk * element;
    d->k_bytes = rows_kv * (size_t)p->dk * element;
    d->v_bytes = rows_kv * (size_t)p->dv * element;
    d->q = malloc(d->q_bytes);
    d->k = malloc(d->k_bytes);
    d->v = malloc(d->v_bytes);
    d->r = malloc((size_t)p->heads_q * sizeof *d->r);
    d->w = malloc((size_t)p->heads_q * sizeof *d->w);
    if (p->has_kv_len)
        d->kv_len = malloc((size_t)p->batch * sizeof *d->kv_len);
    if (d->q == NULL || d->k == NULL || d->v == NULL || d->r == NULL || d->w == NULL ||
        (p->has_kv_len && d->kv_len == NULL))
        return SCR_ERR_NO_MEMORY;
    return SCR_OK;
}

int scr_dataset_create(const struct scr_dataset_spec *spec, int threads, struct scr_dataset **out,
                       char *why, size_t why_size)
{
    bool is_trace = spec->workload.kind == SCR_WORKLOAD_TRACE;
    int heads = spec->problem.heads_q;
    struct scr_dataset *d;
    int status;

    *out = NULL;
    status = check_spec(spec, why, why_size);
    if (status != SCR_OK)
        return status;
    d = calloc(1, sizeof *d);
    if (d == NULL)
        return SCR_ERR_NO_MEMORY;
    d->spec = *spec;
    scr_dataset_settle(&d->spec);
    status = allocate(d);
    if (status == SCR_OK)
        status = is_trace ? scr_trace_load(d, &heads, why, why_size)
                          : scr_workload_draw(d, d->spec.r, threads);
    if (status != SCR_OK) {
        scr_dataset_destroy(&d);
        return status;
    }
    for (int h = 0; h < spec->problem.heads_q && (!is_trace || spec->r != 0); h++)
        d->r[h] = (float)d->spec.r;
    if (!keeps_windows(&d->spec))
        set_windows(&d->spec, heads, d->w);
    if (d->kv_len != NULL) {
        set_kv_len(d);
        spoil_missing_keys(d);
    }
    d->hash = hash_dataset(d);
    *out = d;
    return SCR_OK;
}

void scr_dataset_destroy(struct scr_dataset **pd)
{
    struct scr_dataset *d = *pd;

    if (d == NULL)
        return;
    free(d->q);
    free(d->k);
    free(d->v);
    free(d->r);
    free(d->w);
    free(d->kv_len);
    free(d);
    *pd = NULL;
}
