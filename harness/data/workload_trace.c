/* SPDX-License-Identifier: Apache-2.0 */
/* Recorded q, k, v, r, w from a safetensors file, checked for what the operator asks of them. */
#include "workload.h"

#include "ref/convert.h"
#include "safetensors.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct trace {
    struct scr_safetensors *file;
    const struct scr_tensor *q, *k, *v, *r, *w;
    const char *path;
    char *why;
    size_t why_size;
};

#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
static int
refuse(const struct trace *t, const char *format, ...)
{
    char text[160];
    va_list ap;

    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    scr_path_message(t->path, text, t->why, t->why_size);
    return SCR_ERR_INVALID;
}

/* Sizes of a tensor seen as [batch, heads, length, dim]. */
struct extent {
    int64_t batch, heads, length, dim;
};

static struct extent extent_of(const struct scr_tensor *t)
{
    const int64_t *d = t->dims + t->n_dims - 3;

    return (struct extent){t->n_dims == 4 ? t->dims[0] : 1, d[0], d[1], d[2]};
}

static int find(const struct trace *t, const char *name, const struct scr_tensor **out)
{
    const char *other = scr_safetensors_left_out(t->file, name);

    *out = scr_safetensors_find(t->file, name);
    if (*out != NULL)
        return SCR_OK;
    return other != NULL
               ? refuse(t, "tensor '%s' is of type %s; expected F32, F16 or BF16", name, other)
               : refuse(t, "no tensor '%s'", name);
}

/* Everything about the shapes that does not depend on the data. */
static int check_shapes(const struct trace *t)
{
    const struct scr_tensor *const vectors[] = {t->q, t->k, t->v};
    const struct scr_tensor *const scalars[] = {t->r, t->w};
    struct extent q, k, v;

    for (int i = 0; i < 3; i++) {
        if (vectors[i]->n_dims != 3 && vectors[i]->n_dims != 4)
            return refuse(t, "%s has %d dimensions; expected [H,T,d] or [B,H,T,d]",
                          vectors[i]->name, vectors[i]->n_dims);
        if (vectors[i]->n_dims != t->q->n_dims)
            return refuse(t, "q and %s differ in their number of dimensions", vectors[i]->name);
    }
    q = extent_of(t->q);
    k = extent_of(t->k);
    v = extent_of(t->v);
    for (int i = 0; i < 3; i++) {
        for (int j = 0; j < vectors[i]->n_dims; j++) {
            if (vectors[i]->dims[j] < 1 || vectors[i]->dims[j] > INT32_MAX)
                return refuse(t, "%s has a dimension of %lld", vectors[i]->name,
                              (long long)vectors[i]->dims[j]);
        }
    }
    if (k.batch != q.batch || v.batch != q.batch)
        return refuse(t, "q, k and v differ in batch");
    if (k.heads != v.heads || q.heads % k.heads != 0)
        return refuse(t, "q, k, v have %lld, %lld, %lld heads; k and v need the same, dividing q's",
                      (long long)q.heads, (long long)k.heads, (long long)v.heads);
    if (k.length != v.length)
        return refuse(t, "k has %lld tokens, v has %lld", (long long)k.length, (long long)v.length);
    if (q.dim != k.dim)
        return refuse(t, "q has head dim %lld, k has %lld", (long long)q.dim, (long long)k.dim);
    for (int i = 0; i < 2; i++) {
        if (scalars[i]->n_dims != 1 || scalars[i]->dims[0] != q.heads)
            return refuse(t, "%s must have shape [%lld], one value a query head", scalars[i]->name,
                          (long long)q.heads);
    }
    return SCR_OK;
}

static int trace_open(const char *path, struct trace *t, char *why, size_t why_size)
{
    int status;

    *t = (struct trace){.path = path, .why = why, .why_size = why_size};
    status = scr_safetensors_open(path, &t->file, why, why_size);
    if (status == SCR_OK)
        status = find(t, "q", &t->q);
    if (status == SCR_OK)
        status = find(t, "k", &t->k);
    if (status == SCR_OK)
        status = find(t, "v", &t->v);
    if (status == SCR_OK)
        status = find(t, "r", &t->r);
    if (status == SCR_OK)
        status = find(t, "w", &t->w);
    if (status == SCR_OK)
        status = check_shapes(t);
    if (status != SCR_OK)
        scr_safetensors_close(&t->file);
    return status;
}

int scr_trace_shape(const char *path, int max_len, scr_problem *p, char *why, size_t why_size)
{
    struct trace t;
    const char *invalid = "";
    scr_problem shaped = *p;
    struct extent q, k;
    int status = trace_open(path, &t, why, why_size);

    if (status != SCR_OK)
        return status;
    q = extent_of(t.q);
    k = extent_of(t.k);
    shaped.batch = (int32_t)q.batch;
    shaped.heads_q = (int32_t)q.heads;
    shaped.heads_kv = (int32_t)k.heads;
    shaped.len_q = (int32_t)(max_len > 0 && max_len < q.length ? max_len : q.length);
    shaped.len_k = (int32_t)(max_len > 0 && max_len < k.length ? max_len : k.length);
    shaped.dk = (int32_t)q.dim;
    shaped.dv = (int32_t)extent_of(t.v).dim;
    if (scr_problem_validate(&shaped, &invalid) != SCR_OK)
        status = refuse(&t, "%s", invalid);
    else
        *p = shaped;
    scr_safetensors_close(&t.file);
    return status;
}

/* Heads first to first + n - 1 of every batch. */
struct heads {
    int64_t first, n;
};

/* The first `length` rows of each of the heads, checked to be finite, converted to `type`. */
static int load_vectors(const struct trace *t, const struct scr_tensor *from, struct heads heads,
                        int64_t length, scr_dtype type, void *to)
{
    struct extent e = extent_of(from);
    size_t n = (size_t)e.dim;
    size_t row_bytes = n * scr_dtype_bytes(from->dtype);
    char *aligned = malloc(row_bytes);
    float *row = malloc(n * sizeof *row);
    char *next = to;
    int status = SCR_OK;

    if (aligned == NULL || row == NULL)
        status = SCR_ERR_NO_MEMORY;
    for (int64_t at = 0; at < e.batch * heads.n && status == SCR_OK; at++) {
        int64_t head = at / heads.n * e.heads + heads.first + at % heads.n;

        for (int64_t i = 0; i < length && status == SCR_OK; i++) {
            memcpy(aligned, (const char *)from->data + (size_t)(head * e.length + i) * row_bytes,
                   row_bytes);
            scr_load_f32(row, aligned, from->dtype, n);
            scr_store_f32(next, row, type, n);
            /* Read back: a finite number may overflow a narrower type. */
            scr_load_f32(row, next, type, n);
            next += n * scr_dtype_bytes(type);
            for (size_t d = 0; d < n && status == SCR_OK; d++) {
                if (!isfinite(row[d]))
                    status = refuse(t, "%s holds a NaN or an infinity, in token %lld of head %lld",
                                    from->name, (long long)i, (long long)(head % e.heads));
            }
        }
    }
    free(aligned);
    free(row);
    return status;
}

static int load_scalars(const struct trace *t, const struct scr_tensor *from, struct heads heads,
                        bool allow_inf, float *to)
{
    size_t size = scr_dtype_bytes(from->dtype);

    for (int64_t i = 0; i < heads.n; i++) {
        int64_t head = heads.first + i;
        float storage; /* one element of any type, aligned */

        memcpy(&storage, (const char *)from->data + (size_t)head * size, size);
        scr_load_f32(&to[i], &storage, from->dtype, 1);
        if (!(to[i] > 0) || (isinf(to[i]) && !allow_inf))
            return refuse(t, "%s of head %lld is %g; it must be above 0%s", from->name,
                          (long long)head, (double)to[i], allow_inf ? " or +inf" : " and finite");
    }
    return SCR_OK;
}

/* The heads of the file that a spec has; refused where the file is of another shape. */
static int choose_heads(const struct trace *t, const struct scr_dataset_spec *spec,
                        struct heads *of_q, struct heads *of_kv)
{
    const scr_problem *p = &spec->problem;
    const struct extent q = extent_of(t->q), k = extent_of(t->k);

    *of_q = (struct heads){0, q.heads};
    *of_kv = (struct heads){0, k.heads};
    if (spec->one_head) {
        *of_q = (struct heads){spec->trace_head, 1};
        *of_kv = (struct heads){spec->trace_head / (q.heads / k.heads), 1};
    }
    if (spec->one_head && (spec->trace_head < 0 || spec->trace_head >= q.heads))
        return refuse(t, "no head %d; its heads are 0 to %lld", spec->trace_head,
                      (long long)q.heads - 1);
    if (q.batch != p->batch || of_q->n != p->heads_q || of_kv->n != p->heads_kv || q.dim != p->dk ||
        extent_of(t->v).dim != p->dv || q.length < p->len_q || k.length < p->len_k)
        return refuse(t, "the shape asked for is not the file's");
    return SCR_OK;
}

int scr_trace_windows(const struct scr_dataset_spec *spec, int *heads, float *w, char *why,
                      size_t why_size)
{
    struct heads of_q, of_kv;
    struct trace t;
    int status = trace_open(spec->workload.path, &t, why, why_size);

    if (status != SCR_OK)
        return status;
    *heads = (int)extent_of(t.q).heads;
    status = choose_heads(&t, spec, &of_q, &of_kv);
    if (status == SCR_OK)
        status = load_scalars(&t, t.w, of_q, true, w);
    scr_safetensors_close(&t.file);
    return status;
}

int scr_trace_load(struct scr_dataset *d, int *heads, char *why, size_t why_size)
{
    const scr_problem *p = &d->spec.problem;
    struct heads of_q, of_kv;
    struct trace t;
    int status = trace_open(d->spec.workload.path, &t, why, why_size);

    if (status != SCR_OK)
        return status;
    *heads = (int)extent_of(t.q).heads;
    status = choose_heads(&t, &d->spec, &of_q, &of_kv);
    if (status == SCR_OK)
        status = load_vectors(&t, t.q, of_q, p->len_q, p->dtype, d->q);
    if (status == SCR_OK)
        status = load_vectors(&t, t.k, of_kv, p->len_k, p->dtype, d->k);
    if (status == SCR_OK)
        status = load_vectors(&t, t.v, of_kv, p->len_k, p->dtype, d->v);
    if (status == SCR_OK)
        status = load_scalars(&t, t.r, of_q, false, d->r);
    if (status == SCR_OK)
        status = load_scalars(&t, t.w, of_q, true, d->w);
    scr_safetensors_close(&t.file);
    return status;
}
