/* SPDX-License-Identifier: Apache-2.0 */
/* A small f32 problem with its data and, pair by pair in double, its result. */
#ifndef SCR_TESTS_PLAN_FIXTURE_H
#define SCR_TESTS_PLAN_FIXTURE_H

#include <screening/screening.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct plan_fixture {
    scr_problem p;
    float *q, *k, *v, *r, *w;
    int32_t *kv_len; /* NULL unless p.has_kv_len */
    double *want;
    size_t n_q, n_k, n_v, n_o; /* elements */
};

static inline float plan_fixture_draw(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (float)(*seed >> 8) * 0x1p-23f - 1.0f;
}

static inline float *plan_fixture_unit_rows(size_t rows, size_t dim, uint32_t *seed)
{
    float *x = calloc(rows * dim, sizeof *x);

    for (size_t i = 0; x != NULL && i < rows; i++) {
        double norm2 = 0.0;

        for (size_t j = 0; j < dim; j++) {
            x[i * dim + j] = plan_fixture_draw(seed);
            norm2 += (double)x[i * dim + j] * x[i * dim + j];
        }
        for (size_t j = 0; j < dim; j++)
            x[i * dim + j] /= (float)sqrt(norm2);
    }
    return x;
}

/* One row of o, as screening/problem.h defines it. */
static inline void plan_fixture_row(const struct plan_fixture *f, int b, int h, int i, double *o)
{
    const scr_problem *p = &f->p;
    int hk = h / (p->heads_q / p->heads_kv);
    const float *q = f->q + ((size_t)(b * p->heads_q + h) * p->len_q + i) * p->dk;
    double position = scr_problem_q_pos0(p) + i;
    int n = p->has_kv_len ? f->kv_len[b] : p->len_k;

    memset(o, 0, (size_t)p->dv * sizeof *o);
    for (int j = 0; j < n; j++) {
        const float *k = f->k + ((size_t)(b * p->heads_kv + hk) * p->len_k + j) * p->dk;
        const float *v = f->v + ((size_t)(b * p->heads_kv + hk) * p->len_k + j) * p->dv;
        double d = fabs(j - position), s = 0.0, x;

        if (d >= f->w[h] || (p->causal && j > position))
            continue;
        for (int c = 0; c < p->dk; c++)
            s += (double)q[c] * k[c];
        x = fmax(0.0, 1.0 - f->r[h] * (1.0 - s));
        x *= x * (1.0 + cos(3.14159265358979323846 * d / f->w[h])) / 2.0;
        for (int c = 0; c < p->dv; c++)
            o[c] += x * v[c];
    }
}

static inline void plan_fixture_free(struct plan_fixture *f)
{
    free(f->q);
    free(f->k);
    free(f->v);
    free(f->r);
    free(f->w);
    free(f->kv_len);
    free(f->want);
    memset(f, 0, sizeof *f);
}

/* False where memory is exhausted. */
static inline bool plan_fixture_make(struct plan_fixture *f, const scr_problem *p)
{
    size_t rows_q = (size_t)p->batch * p->heads_q * p->len_q;
    size_t rows_k = (size_t)p->batch * p->heads_kv * p->len_k;
    uint32_t seed = (uint32_t)(p->len_q * 977 + p->len_k);

    *f = (struct plan_fixture){.p = *p,
                               .n_q = rows_q * p->dk,
                               .n_k = rows_k * p->dk,
                               .n_v = rows_k * p->dv,
                               .n_o = rows_q * p->dv};
    f->q = plan_fixture_unit_rows(rows_q, p->dk, &seed);
    f->k = plan_fixture_unit_rows(rows_k, p->dk, &seed);
    f->v = plan_fixture_unit_rows(rows_k, p->dv, &seed);
    f->r = calloc(p->heads_q, sizeof *f->r);
    f->w = calloc(p->heads_q, sizeof *f->w);
    f->kv_len = p->has_kv_len ? calloc(p->batch, sizeof *f->kv_len) : NULL;
    f->want = calloc(f->n_o, sizeof *f->want);
    if (f->q == NULL || f->k == NULL || f->v == NULL || f->r == NULL || f->w == NULL ||
        f->want == NULL || (p->has_kv_len && f->kv_len == NULL)) {
        plan_fixture_free(f);
        return false;
    }
    for (int h = 0; h < p->heads_q; h++) {
        f->r[h] = 0.9f + 0.2f * (float)h;
        f->w[h] = h % 2 == 0 ? INFINITY : 9.5f;
    }
    for (int b = 0; b < p->batch && p->has_kv_len; b++)
        f->kv_len[b] = p->len_k - 3 * b - 1;
    for (size_t row = 0; row < rows_q; row++) {
        int i = (int)(row % p->len_q), bh = (int)(row / p->len_q);

        plan_fixture_row(f, bh / p->heads_q, bh % p->heads_q, i, f->want + row * p->dv);
    }
    return true;
}

/* The error of an output of f->n_o elements, relative to its size. */
static inline double plan_fixture_error(const struct plan_fixture *f, const float *o)
{
    double error2 = 0.0, norm2 = 0.0;

    for (size_t i = 0; i < f->n_o; i++) {
        error2 += (o[i] - f->want[i]) * (o[i] - f->want[i]);
        norm2 += f->want[i] * f->want[i];
    }
    return sqrt(error2 / norm2);
}

static inline void plan_fixture_drop_args(scr_args *a)
{
    scr_buffer_destroy(&a->q);
    scr_buffer_destroy(&a->k);
    scr_buffer_destroy(&a->v);
    scr_buffer_destroy(&a->r);
    scr_buffer_destroy(&a->w);
    scr_buffer_destroy(&a->kv_len);
    scr_buffer_destroy(&a->o);
}

static inline int plan_fixture_upload(scr_device *dev, scr_buffer **out, const void *data, size_t n)
{
    int status = scr_buffer_create(dev, n * 4, out);

    return status == SCR_OK ? scr_buffer_write(*out, 0, data, n * 4) : status;
}

/* Buffers with the data of f; o is poisoned. */
static inline int plan_fixture_make_args(const struct plan_fixture *f, scr_device *dev, scr_args *a)
{
    int status;

    memset(a, 0, sizeof *a);
    if ((status = plan_fixture_upload(dev, &a->q, f->q, f->n_q)) != SCR_OK ||
        (status = plan_fixture_upload(dev, &a->k, f->k, f->n_k)) != SCR_OK ||
        (status = plan_fixture_upload(dev, &a->v, f->v, f->n_v)) != SCR_OK ||
        (status = plan_fixture_upload(dev, &a->r, f->r, (size_t)f->p.heads_q)) != SCR_OK ||
        (status = plan_fixture_upload(dev, &a->w, f->w, (size_t)f->p.heads_q)) != SCR_OK ||
        (f->p.has_kv_len && (status = plan_fixture_upload(dev, &a->kv_len, f->kv_len,
                                                          (size_t)f->p.batch)) != SCR_OK) ||
        (status = scr_buffer_create(dev, f->n_o * 4, &a->o)) != SCR_OK ||
        (status = scr_buffer_fill(a->o, 0, 0xff, f->n_o * 4)) != SCR_OK)
        plan_fixture_drop_args(a);
    return status;
}

/* What scr_plan_run gives for a configuration on a device, into o[f->n_o]. */
static inline int plan_fixture_run(const struct plan_fixture *f, scr_device *dev,
                                   const scr_config *c, float *o)
{
    scr_plan *plan = NULL;
    scr_args a;
    int status = plan_fixture_make_args(f, dev, &a);

    if (status == SCR_OK)
        status = scr_plan_create(dev, &f->p, c, 0, &plan);
    if (status == SCR_OK)
        status = scr_plan_run(plan, &a, NULL);
    if (status == SCR_OK)
        status = scr_buffer_read(a.o, 0, o, f->n_o * 4);
    scr_plan_destroy(&plan);
    plan_fixture_drop_args(&a);
    return status;
}

static inline void plan_fixture_log(void *user, int level, const char *text)
{
    (void)user;
    if (level <= SCR_LOG_WARNING)
        fprintf(stderr, "%s\n", text);
}

/* Opens the first device of a backend; false where there is none. */
static inline bool plan_fixture_open(const char *backend, scr_context **ctx, scr_device **dev)
{
    const scr_context_options options = {
        .backends = backend, .log = plan_fixture_log, .table = "", .cache_dir = ""};

    *dev = NULL;
    if (scr_context_create(&options, ctx) != SCR_OK)
        return false;
    if (scr_context_device_count(*ctx) != 0 &&
        scr_device_open(*ctx, scr_context_device_info(*ctx, 0)->id, dev) == SCR_OK)
        return true;
    printf("skipped: %s\n", scr_context_backend_note(*ctx, backend));
    scr_context_destroy(ctx);
    return false;
}

#endif
