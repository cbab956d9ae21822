/* SPDX-License-Identifier: Apache-2.0 */
#include "softmax_truth.h"

#include "parallel.h"
#include "ref/convert.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 16, MAX_DIM = 128 };

/* As in truth.c: a wrong row must not drown in its head. */
static const double ROW_TOLERANCES = 4;

#define NOT_CHECKED SIZE_MAX

struct scr_softmax_truth {
    scr_problem problem;
    int threads;
    int32_t *keys;        /* [batch]: those that exist */
    size_t heads, blocks; /* batch * heads_q; blocks of rows of a head */
    size_t *slot;         /* [heads, blocks]: place in o, or NOT_CHECKED */
    size_t *block_of;     /* [slots]: head * blocks + block */
    size_t slots;
    double *o;     /* [slots, BLOCK, dv] */
    double *size2; /* [slots, BLOCK]: what errors of a row are relative to, squared */
};

/* Keys that row i of batch b sees: [0, n). */
static int64_t keys_seen(const struct scr_softmax_truth *t, size_t b, size_t i)
{
    int64_t keys = t->keys[b];
    int64_t position = (int64_t)scr_problem_q_pos0(&t->problem) + (int64_t)i;

    if (t->problem.causal && position + 1 < keys)
        keys = position + 1;
    return keys > 0 ? keys : 0;
}

static size_t block_rows(const struct scr_softmax_truth *t, size_t block)
{
    size_t left = (size_t)t->problem.len_q - block * BLOCK;

    return left < BLOCK ? left : BLOCK;
}

static void choose_rows(struct scr_softmax_truth *t, uint64_t seed, uint64_t max_pairs)
{
    double total = 0;
    double share;

    for (size_t b = 0; b < (size_t)t->problem.batch; b++) {
        for (size_t i = 0; i < (size_t)t->problem.len_q; i++)
            total += (double)keys_seen(t, b, i) * t->problem.heads_q;
    }
    share = total > (double)max_pairs ? (double)max_pairs / total : 1;
    for (size_t i = 0; i < t->heads * t->blocks; i++) {
        bool chosen = scr_truth_checks(seed, i, t->blocks, share);

        t->slot[i] = chosen ? t->slots++ : NOT_CHECKED;
    }
}

struct job {
    struct scr_softmax_truth *t;
    const struct scr_dataset *d;
    bool failed;
};

/* The rows of one slot: two passes over the keys, each key converted once for all rows. */
static void compute_block(void *user, size_t slot)
{
    struct job *job = user;
    struct scr_softmax_truth *t = job->t;
    const scr_problem *p = &t->problem;
    size_t head = t->block_of[slot] / t->blocks, block = t->block_of[slot] % t->blocks;
    size_t b = head / (size_t)p->heads_q, h = head % (size_t)p->heads_q;
    size_t head_kv = b * (size_t)p->heads_kv + h / (size_t)(p->heads_q / p->heads_kv);
    size_t element = scr_dtype_bytes(p->dtype);
    size_t dk = (size_t)p->dk, dv = (size_t)p->dv, rows = block_rows(t, block);
    size_t first = head * (size_t)p->len_q + block * BLOCK;
    size_t keys = (size_t)keys_seen(t, b, block * BLOCK + rows - 1);
    const char *k = (const char *)job->d->k + head_kv * (size_t)p->len_k * dk * element;
    const char *v = (const char *)job->d->v + head_kv * (size_t)p->len_k * dv * element;
    double *o = t->o + slot * BLOCK * dv, *size2 = t->size2 + slot * BLOCK;
    double *s = malloc((keys * BLOCK + 1) * sizeof *s);
    double q[BLOCK * MAX_DIM], vector[MAX_DIM];
    double most[BLOCK], sum[BLOCK] = {0};
    int64_t seen[BLOCK];

    if (s == NULL) {
        job->failed = true;
        return;
    }
    scr_load_f64(q, (const char *)job->d->q + first * dk * element, p->dtype, rows * dk);
    for (size_t i = 0; i < rows; i++) {
        seen[i] = keys_seen(t, b, block * BLOCK + i);
        most[i] = -INFINITY;
    }
    for (size_t j = 0; j < keys; j++) {
        scr_load_f64(vector, k + j * dk * element, p->dtype, dk);
        for (size_t i = 0; i < rows; i++) {
            double dot = 0;

            for (size_t c = 0; c < dk; c++)
                dot += q[i * dk + c] * vector[c];
            s[j * BLOCK + i] = dot / sqrt((double)dk);
            if ((int64_t)j < seen[i])
                most[i] = fmax(most[i], s[j * BLOCK + i]);
        }
    }
    for (size_t j = 0; j < keys; j++) {
        double norm2 = 0;

        scr_load_f64(vector, v + j * dv * element, p->dtype, dv);
        for (size_t c = 0; c < dv; c++)
            norm2 += vector[c] * vector[c];
        for (size_t i = 0; i < rows; i++) {
            double weight;

            if ((int64_t)j >= seen[i])
                continue;
            weight = exp(s[j * BLOCK + i] - most[i]);
            sum[i] += weight;
            size2[i] += weight * weight * norm2;
            for (size_t c = 0; c < dv; c++)
                o[i * dv + c] += weight * vector[c];
        }
    }
    for (size_t i = 0; i < rows; i++) {
        double norm2 = 0;

        if (seen[i] == 0)
            continue;
        for (size_t c = 0; c < dv; c++) {
            o[i * dv + c] /= sum[i];
            norm2 += o[i * dv + c] * o[i * dv + c];
        }
        size2[i] = fmax(size2[i] / (sum[i] * sum[i]), norm2);
    }
    free(s);
}

int scr_softmax_truth_create(const struct scr_dataset *data, int threads, uint64_t max_pairs,
                             struct scr_softmax_truth **out)
{
    const scr_problem *p = &data->spec.problem;
    struct scr_softmax_truth *t = calloc(1, sizeof *t);
    struct job job = {.t = t, .d = data};
    int status = SCR_ERR_NO_MEMORY;

    *out = NULL;
    if (t == NULL)
        return status;
    t->problem = *p;
    t->threads = threads;
    t->heads = (size_t)p->batch * (size_t)p->heads_q;
    t->blocks = ((size_t)p->len_q + BLOCK - 1) / BLOCK;
    t->keys = malloc((size_t)p->batch * sizeof *t->keys);
    t->slot = malloc(t->heads * t->blocks * sizeof *t->slot);
    if (t->keys == NULL || t->slot == NULL)
        goto done;
    for (int b = 0; b < p->batch; b++)
        t->keys[b] =
            data->kv_len != NULL && data->kv_len[b] < p->len_k ? data->kv_len[b] : p->len_k;
    choose_rows(t, data->spec.seed, max_pairs);
    t->block_of = malloc(t->slots * sizeof *t->block_of);
    t->o = calloc(t->slots * BLOCK * (size_t)p->dv, sizeof *t->o);
    t->size2 = calloc(t->slots * BLOCK, sizeof *t->size2);
    if (t->block_of == NULL || t->o == NULL || t->size2 == NULL)
        goto done;
    for (size_t i = 0; i < t->heads * t->blocks; i++) {
        if (t->slot[i] != NOT_CHECKED)
            t->block_of[t->slot[i]] = i;
    }
    scr_parallel_for(threads, t->slots, compute_block, &job);
    if (!job.failed)
        status = SCR_OK;
done:
    if (status == SCR_OK)
        *out = t;
    else
        scr_softmax_truth_destroy(&t);
    return status;
}

void scr_softmax_truth_destroy(struct scr_softmax_truth **pt)
{
    struct scr_softmax_truth *t = *pt;

    if (t == NULL)
        return;
    free(t->keys);
    free(t->slot);
    free(t->block_of);
    free(t->o);
    free(t->size2);
    free(t);
    *pt = NULL;
}

/* What was found about one head. */
struct head_verdict {
    double rel_err; /* -1: not finite, or a row is off */
    uint64_t rows_checked;
    char reason[200];
};

struct judgement {
    const struct scr_softmax_truth *t;
    const char *o;
    scr_dtype o_type;
    double tol;
    struct head_verdict *heads;
};

/* row: in the head, or -1 for all of it */
#if defined(__GNUC__)
__attribute__((format(printf, 5, 6)))
#endif
static void
fail(const struct judgement *j, size_t head, int64_t row, struct head_verdict *v,
     const char *format, ...)
{
    size_t heads_q = (size_t)j->t->problem.heads_q;
    char text[100], place[40] = "";
    va_list ap;

    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    if (row >= 0)
        snprintf(place, sizeof place, "row %lld of ", (long long)row);
    snprintf(v->reason, sizeof v->reason, "%shead %zu of batch %zu: %s", place, head % heads_q,
             head / heads_q, text);
    v->rel_err = -1;
}

/* Judges one row; err2 and size2 add up over a head. False when the head has failed. */
static bool judge_row(const struct judgement *j, size_t head, size_t i, double *err2, double *size2,
                      struct head_verdict *v)
{
    const struct scr_softmax_truth *t = j->t;
    size_t dv = (size_t)t->problem.dv;
    size_t slot = t->slot[head * t->blocks + i / BLOCK];
    size_t at = (head * (size_t)t->problem.len_q + i) * dv * scr_dtype_bytes(j->o_type);
    /* Half the spacing of the subnormal numbers of f16. */
    double rounding = j->o_type == SCR_F16 ? 0x1p-25 * sqrt((double)dv) : 0;
    double row2 = 0, bound;
    double o[MAX_DIM];
    const double *ref;

    if (keys_seen(t, head / (size_t)t->problem.heads_q, i) == 0)
        return true;
    scr_load_f64(o, j->o + at, j->o_type, dv);
    for (size_t c = 0; c < dv; c++) {
        if (!isfinite(o[c])) {
            fail(j, head, (int64_t)i, v, "%s",
                 isnan(o[c]) ? "NaN: not written or not a number" : "infinite");
            return false;
        }
    }
    if (slot == NOT_CHECKED)
        return true;
    ref = t->o + (slot * BLOCK + i % BLOCK) * dv;
    for (size_t c = 0; c < dv; c++)
        row2 += (o[c] - ref[c]) * (o[c] - ref[c]);
    bound = ROW_TOLERANCES * j->tol * sqrt(t->size2[slot * BLOCK + i % BLOCK]) + rounding;
    v->rows_checked++;
    *err2 += row2;
    *size2 += t->size2[slot * BLOCK + i % BLOCK];
    if (sqrt(row2) <= bound)
        return true;
    fail(j, head, (int64_t)i, v, "|o - softmax| is %.3g, above %.3g", sqrt(row2), bound);
    return false;
}

static void judge_head(void *user, size_t head)
{
    const struct judgement *j = user;
    struct head_verdict *v = &j->heads[head];
    double err2 = 0, size2 = 0;

    for (size_t i = 0; i < (size_t)j->t->problem.len_q; i++) {
        if (!judge_row(j, head, i, &err2, &size2, v))
            return;
    }
    v->rel_err = size2 > 0 ? sqrt(err2 / size2) : err2 > 0 ? INFINITY : 0;
    if (v->rel_err > j->tol) {
        double found = v->rel_err;

        fail(j, head, -1, v, "relative error %.3g is above %.3g", found, j->tol);
        v->rel_err = found;
    }
}

void scr_softmax_truth_judge(const struct scr_softmax_truth *t, const void *o, scr_dtype o_type,
                             struct scr_verdict *out)
{
    struct judgement j = {
        .t = t, .o = o, .o_type = o_type, .tol = scr_truth_tolerance(t->problem.dtype)};
    size_t worst = 0;

    *out = (struct scr_verdict){
        .tol = j.tol,
        .tol_base = j.tol,
        .rel_err = -1,
        .heads = (int)t->heads,
        .rows = (uint64_t)t->heads * (uint64_t)t->problem.len_q,
    };
    j.heads = calloc(t->heads, sizeof *j.heads);
    if (j.heads == NULL) {
        snprintf(out->reason, sizeof out->reason, "out of memory while checking");
        return;
    }
    scr_parallel_for(t->threads, t->heads, judge_head, &j);
    for (size_t head = 0; head < t->heads; head++) {
        const struct head_verdict *v = &j.heads[head], *w = &j.heads[worst];

        out->rows_checked += v->rows_checked;
        out->heads_zero += v->rows_checked == 0;
        if (w->rel_err >= 0 && (v->rel_err < 0 || v->rel_err > w->rel_err))
            worst = head;
    }
    out->rel_err = j.heads[worst].rel_err;
    out->pass = j.heads[worst].reason[0] == '\0';
    snprintf(out->reason, sizeof out->reason, "%s", j.heads[worst].reason);
    free(j.heads);
}
