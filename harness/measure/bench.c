/* SPDX-License-Identifier: Apache-2.0 */
#include "bench.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    GUARD_BYTES = 4096, /* before and after o */
    GUARD = 0xa5,
    POISON = 0xff, /* a NaN in every storage type */
};

static size_t output_bytes(const scr_problem *p)
{
    return (size_t)p->batch * (size_t)p->heads_q * (size_t)p->len_q * (size_t)p->dv *
           scr_dtype_bytes(p->dtype_out);
}

double scr_bench_copy_bytes(const scr_problem *p)
{
    double in = (double)scr_dtype_bytes(p->dtype);
    double rows_q = (double)p->batch * p->heads_q * p->len_q;
    double rows_k = (double)p->batch * p->heads_kv * p->len_k;

    return rows_q * p->dk * in + rows_k * (p->dk + p->dv) * in + (double)output_bytes(p);
}

double scr_bench_memory(const scr_problem *p, size_t n)
{
    return (double)n * (scr_bench_copy_bytes(p) + 2.0 * GUARD_BYTES) + 8.0 * p->heads_q +
           (p->has_kv_len ? 4.0 * p->batch : 0);
}

double scr_bench_keys(const struct scr_dataset *d, bool windowed)
{
    const scr_problem *p = &d->spec.problem;
    int group = p->heads_q / p->heads_kv;
    double first = scr_problem_q_pos0(p), last = first + p->len_q - 1;
    double keys = 0;

    for (int g = 0; g < p->heads_kv; g++) {
        double reach = windowed ? 0 : INFINITY;
        double from, to;

        for (int h = g * group; h < (g + 1) * group; h++)
            reach = fmax(reach, d->w[h]);
        from = fmax(0, ceil(first - reach));
        to = fmin(p->len_k - 1.0, p->causal ? last : floor(last + reach));
        keys += fmax(0, to - from + 1);
    }
    return keys * p->batch;
}

double scr_bench_touched_bytes(const struct scr_dataset *d)
{
    const scr_problem *p = &d->spec.problem;
    double in = (double)scr_dtype_bytes(p->dtype);
    double rows_q = (double)p->batch * p->heads_q * p->len_q;

    return rows_q * p->dk * in + scr_bench_keys(d, true) * p->dk * in + (double)output_bytes(p);
}

size_t scr_bench_cold_copies(const struct scr_dataset *d, size_t cache_bytes)
{
    double n = 2.0 * (double)cache_bytes / scr_bench_touched_bytes(d);

    return n < SCR_MAX_COPIES - 1 ? (size_t)n + 1 : SCR_MAX_COPIES;
}

static int upload(scr_device *dev, const void *host, size_t bytes, scr_buffer **out)
{
    int status = scr_buffer_create(dev, bytes, out);

    return status != SCR_OK ? status : scr_buffer_write(*out, 0, host, bytes);
}

static int add_copy(struct scr_bench *b)
{
    const struct scr_dataset *d = b->data;
    struct scr_bench_copy *c = &b->copies[b->n_copies];
    int status;

    b->n_copies++;
    status = upload(b->dev, d->q, d->q_bytes, &c->q);
    if (status == SCR_OK)
        status = upload(b->dev, d->k, d->k_bytes, &c->k);
    if (status == SCR_OK)
        status = upload(b->dev, d->v, d->v_bytes, &c->v);
    if (status == SCR_OK)
        status = scr_buffer_create(b->dev, b->o_bytes + 2 * (size_t)GUARD_BYTES, &c->o);
    return status;
}

/* What all copies share. */
static int add_common(struct scr_bench *b)
{
    const struct scr_dataset *d = b->data;
    const scr_problem *p = &d->spec.problem;
    int status;

    b->o_bytes = output_bytes(p);
    b->host = malloc(b->o_bytes + 2 * (size_t)GUARD_BYTES);
    b->copies = calloc(SCR_MAX_COPIES, sizeof *b->copies);
    if (b->host == NULL || b->copies == NULL)
        return SCR_ERR_NO_MEMORY;
    status = upload(b->dev, d->r, (size_t)p->heads_q * sizeof *d->r, &b->r);
    if (status == SCR_OK)
        status = upload(b->dev, d->w, (size_t)p->heads_q * sizeof *d->w, &b->w);
    if (status == SCR_OK && d->kv_len != NULL)
        status = upload(b->dev, d->kv_len, (size_t)p->batch * sizeof *d->kv_len, &b->kv_len);
    return status;
}

int scr_bench_prepare(struct scr_bench *b, size_t n)
{
    int status = b->copies == NULL ? add_common(b) : SCR_OK;

    while (status == SCR_OK && b->n_copies < n)
        status = add_copy(b);
    if (status != SCR_OK)
        scr_bench_clear(b);
    return status;
}

void scr_bench_clear(struct scr_bench *b)
{
    for (size_t i = 0; i < b->n_copies; i++) {
        scr_buffer_destroy(&b->copies[i].q);
        scr_buffer_destroy(&b->copies[i].k);
        scr_buffer_destroy(&b->copies[i].v);
        scr_buffer_destroy(&b->copies[i].o);
    }
    scr_buffer_destroy(&b->r);
    scr_buffer_destroy(&b->w);
    scr_buffer_destroy(&b->kv_len);
    free(b->copies);
    free(b->host);
    *b = (struct scr_bench){.dev = b->dev, .data = b->data};
}

scr_args scr_bench_args(const struct scr_bench *b, size_t copy)
{
    const struct scr_bench_copy *c = &b->copies[copy];

    return (scr_args){.q = c->q,
                      .k = c->k,
                      .v = c->v,
                      .r = b->r,
                      .w = b->w,
                      .kv_len = b->kv_len,
                      .o = c->o,
                      .o_offset = GUARD_BYTES};
}

int scr_bench_poison(struct scr_bench *b, size_t copy)
{
    scr_buffer *o = b->copies[copy].o;
    int status = scr_buffer_fill(o, 0, GUARD, GUARD_BYTES);

    if (status == SCR_OK)
        status = scr_buffer_fill(o, GUARD_BYTES, POISON, b->o_bytes);
    if (status == SCR_OK)
        status = scr_buffer_fill(o, GUARD_BYTES + b->o_bytes, GUARD, GUARD_BYTES);
    return status;
}

int scr_bench_spoil(struct scr_bench *b, size_t copy, enum scr_spoil what)
{
    const scr_problem *p = &b->data->spec.problem;
    size_t row = (size_t)p->dv * scr_dtype_bytes(p->dtype_out);
    size_t end = GUARD_BYTES + b->o_bytes;
    const struct scr_bench_copy *c = &b->copies[copy];

    /* 0x3f3f is about 1 in every storage type. */
    if (what == SCR_SPOIL_QUERIES)
        return scr_buffer_fill(c->q, 0, 0x3f, scr_buffer_bytes(c->q));
    if (what == SCR_SPOIL_BEHIND)
        return scr_buffer_fill(c->o, end, 0x3f, 1);
    return scr_buffer_fill(c->o, end - row, 0x3f, row);
}

int scr_bench_read(struct scr_bench *b, size_t copy)
{
    return scr_buffer_read(b->copies[copy].o, 0, b->host, b->o_bytes + 2 * (size_t)GUARD_BYTES);
}

const void *scr_bench_output(const struct scr_bench *b)
{
    return b->host + GUARD_BYTES;
}

/* FNV-1a over 64-bit words, the tail byte by byte: equal bytes, equal hash. */
uint64_t scr_bench_hash(const struct scr_bench *b)
{
    const uint8_t *data = b->host + GUARD_BYTES;
    uint64_t h = 0xcbf29ce484222325u;
    size_t i = 0;

    for (; i + 8 <= b->o_bytes; i += 8) {
        uint64_t word;

        memcpy(&word, data + i, 8);
        h = (h ^ word) * 0x100000001b3u;
        h ^= h >> 29;
    }
    for (; i < b->o_bytes; i++)
        h = (h ^ data[i]) * 0x100000001b3u;
    return h;
}

const char *scr_bench_overrun(const struct scr_bench *b)
{
    for (size_t i = 0; i < GUARD_BYTES; i++) {
        if (b->host[i] != GUARD)
            return "before";
        if (b->host[GUARD_BYTES + b->o_bytes + i] != GUARD)
            return "behind";
    }
    return NULL;
}
