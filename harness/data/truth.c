/* SPDX-License-Identifier: Apache-2.0 */
#include "truth.h"

#include "parallel.h"
#include "philox.h"
#include "ref/convert.h"
#include "ref/oracle.h"
#include "workload.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A task converts keys and values of its head anew, so a head has few of them. */
enum { TASKS_A_HEAD = 16, MIN_BLOCKS_A_TASK = 16 };

/* A head whose tolerance must be widened by more than this proves nothing. */
static const double MAX_WIDENING = 100;
/*
 * A row may be off by so many tolerances of a head: rounding of P differs by row, most where few
 * pairs are alive. Rounding near tau may be so many times what is expected of it: there are many
 * rows, and one of them has the largest error.
 */
static const double ROW_TOLERANCES = 4;
static const double ROW_ROUNDINGS = 4;

struct scr_truth {
    scr_problem problem;
    int threads;
    size_t heads;      /* batch * heads_q */
    size_t row_blocks; /* of 16 rows a head */
    size_t key_blocks;
    uint8_t *blocks;               /* [heads, row_blocks, key_blocks], flags of oracle.h */
    struct scr_oracle_stats *head; /* [heads]; norms over the checked rows */
    size_t *slot;                  /* [heads, row_blocks]: place in o, or NOT_CHECKED */
    size_t slots;
    double *o;                   /* [slots, 16, dv] */
    struct scr_oracle_row *rows; /* [slots, 16] */
};

#define NOT_CHECKED SIZE_MAX

struct job {
    struct scr_truth *t;
    const struct scr_dataset *d;
    size_t tasks_a_head;
    size_t blocks_a_task;
    struct scr_oracle_stats *part; /* [heads, tasks_a_head] */
    bool failed;
};

static size_t block_rows(const scr_problem *p, size_t block)
{
    size_t left = (size_t)p->len_q - block * SCR_BLOCK;

    return left < SCR_BLOCK ? left : SCR_BLOCK;
}

/* Admissible pairs of one head: a sum of key ranges, without looking at a vector. */
static double count_pairs(const struct scr_dataset *d, int b, int h)
{
    const scr_problem *p = &d->spec.problem;
    double keys = d->kv_len != NULL && d->kv_len[b] < p->len_k ? d->kv_len[b] : p->len_k;
    double reach = ceil((double)d->w[h]) - 1;
    double sum = 0;

    for (int i = 0; i < p->len_q; i++) {
        double position = (double)scr_problem_q_pos0(p) + i;
        double begin = fmax(0, position - reach);
        double end = fmin(keys, p->causal ? position + 1 : position + reach + 1);

        sum += fmax(0, end - begin);
    }
    return sum;
}

bool scr_truth_checks(uint64_t seed, size_t i, size_t n_blocks, double share)
{
    size_t block = i % n_blocks;

    return block == 0 || block == n_blocks - 1 ||
           scr_philox_uniform(seed, SCR_STREAM_SAMPLE, i) < share;
}

/* Chooses the blocks of rows that are compared and gives each its place in o. */
static void choose_rows(struct scr_truth *t, const struct scr_dataset *d, uint64_t max_pairs)
{
    double total = 0;
    double share;

    for (size_t head = 0; head < t->heads; head++)
        total += count_pairs(d, (int)(head / (size_t)t->problem.heads_q),
                             (int)(head % (size_t)t->problem.heads_q));
    share = total > (double)max_pairs ? (double)max_pairs / total : 1;
    for (size_t i = 0; i < t->heads * t->row_blocks; i++) {
        bool chosen = scr_truth_checks(d->spec.seed, i, t->row_blocks, share);

        t->slot[i] = chosen ? t->slots++ : NOT_CHECKED;
    }
}

static void add_stats(struct scr_oracle_stats *to, const struct scr_oracle_stats *from)
{
    to->pairs_admissible += from->pairs_admissible;
    to->pairs_live += from->pairs_live;
    to->pairs_near_tau += from->pairs_near_tau;
    to->norm2 += from->norm2;
    to->rounding2 += from->rounding2;
    to->rounding4 += from->rounding4;
    to->drift2 += from->drift2;
}

static double *load_head(const void *tensor, scr_dtype type, size_t head, size_t rows, size_t dim)
{
    size_t n = rows * dim;
    double *x = malloc(n * sizeof *x);

    if (x != NULL)
        scr_load_f64(x, (const char *)tensor + head * n * scr_dtype_bytes(type), type, n);
    return x;
}

/* The square of the largest |x| of n rows. */
static double most_norm2(const double *x, size_t rows, size_t dim)
{
    double most = 0;

    for (size_t i = 0; i < rows; i++) {
        double sum = 0;

        for (size_t c = 0; c < dim; c++)
            sum += x[i * dim + c] * x[i * dim + c];
        most = fmax(most, sum);
    }
    return most;
}

static size_t keys_of(const struct scr_dataset *d, size_t b)
{
    int32_t keys = d->spec.problem.len_k;

    if (d->kv_len != NULL && d->kv_len[b] < keys)
        keys = d->kv_len[b] > 0 ? d->kv_len[b] : 0;
    return (size_t)keys;
}

/* blocks_a_task blocks of rows of one head, given to the oracle as a problem of one head. */
static void compute_rows(void *user, size_t task)
{
    struct job *job = user;
    struct scr_truth *t = job->t;
    const struct scr_dataset *d = job->d;
    const scr_problem *p = &t->problem;
    size_t head = task / job->tasks_a_head;
    size_t b = head / (size_t)p->heads_q;
    size_t h = head % (size_t)p->heads_q;
    size_t head_kv = b * (size_t)p->heads_kv + h / (size_t)(p->heads_q / p->heads_kv);
    size_t first = task % job->tasks_a_head * job->blocks_a_task;
    scr_problem one = *p;
    double *q = load_head(d->q, p->dtype, head, (size_t)p->len_q, (size_t)p->dk);
    double *k = load_head(d->k, p->dtype, head_kv, (size_t)p->len_k, (size_t)p->dk);
    double *v = load_head(d->v, p->dtype, head_kv, (size_t)p->len_k, (size_t)p->dv);
    struct scr_oracle_input in = {
        .problem = &one,
        .q = q,
        .k = k,
        .v = v,
        .r = d->r + h,
        .w = d->w + h,
        .kv_len = d->kv_len != NULL ? d->kv_len + b : NULL,
    };

    one.batch = one.heads_q = one.heads_kv = 1;
    if (q == NULL || k == NULL || v == NULL) {
        __atomic_store_n(&job->failed, true, __ATOMIC_RELAXED);
    } else {
        in.size = sqrt(most_norm2(q, (size_t)p->len_q, (size_t)p->dk) *
                       most_norm2(k, keys_of(d, b), (size_t)p->dk));
        for (size_t i = first; i < first + job->blocks_a_task && i < t->row_blocks; i++) {
            size_t slot = t->slot[head * t->row_blocks + i];
            bool checked = slot != NOT_CHECKED;

            scr_oracle_rows(&in, 0, 0, (int)(i * SCR_BLOCK), (int)block_rows(p, i),
                            checked ? t->o + slot * SCR_BLOCK * (size_t)p->dv : NULL,
                            checked ? t->rows + slot * SCR_BLOCK : NULL, &job->part[task],
                            t->blocks + head * t->row_blocks * t->key_blocks);
        }
    }
    free(q);
    free(k);
    free(v);
}

int scr_truth_create(const struct scr_dataset *data, int threads, uint64_t max_pairs,
                     struct scr_truth **out)
{
    const scr_problem *p = &data->spec.problem;
    struct scr_truth *t = calloc(1, sizeof *t);
    struct job job = {.t = t, .d = data};
    int status = SCR_ERR_NO_MEMORY;

    *out = NULL;
    if (t == NULL)
        return status;
    t->problem = *p;
    t->threads = threads;
    t->heads = (size_t)p->batch * (size_t)p->heads_q;
    t->row_blocks = ((size_t)p->len_q + SCR_BLOCK - 1) / SCR_BLOCK;
    t->key_blocks = ((size_t)p->len_k + SCR_BLOCK - 1) / SCR_BLOCK;
    job.blocks_a_task = (t->row_blocks + TASKS_A_HEAD - 1) / TASKS_A_HEAD;
    if (job.blocks_a_task < MIN_BLOCKS_A_TASK)
        job.blocks_a_task = MIN_BLOCKS_A_TASK;
    job.tasks_a_head = (t->row_blocks + job.blocks_a_task - 1) / job.blocks_a_task;
    job.part = calloc(t->heads * job.tasks_a_head, sizeof *job.part);
    t->head = calloc(t->heads, sizeof *t->head);
    t->slot = malloc(t->heads * t->row_blocks * sizeof *t->slot);
    t->blocks = calloc(t->heads * t->row_blocks, t->key_blocks);
    if (job.part == NULL || t->head == NULL || t->slot == NULL || t->blocks == NULL)
        goto done;
    choose_rows(t, data, max_pairs);
    t->o = malloc(t->slots * SCR_BLOCK * (size_t)p->dv * sizeof *t->o);
    t->rows = malloc(t->slots * SCR_BLOCK * sizeof *t->rows);
    if (t->o == NULL || t->rows == NULL)
        goto done;
    scr_parallel_for(threads, t->heads * job.tasks_a_head, compute_rows, &job);
    if (job.failed)
        goto done;
    /* In order, so that the sums do not depend on the threads. */
    for (size_t i = 0; i < t->heads * job.tasks_a_head; i++)
        add_stats(&t->head[i / job.tasks_a_head], &job.part[i]);
    status = SCR_OK;
done:
    free(job.part);
    if (status == SCR_OK)
        *out = t;
    else
        scr_truth_destroy(&t);
    return status;
}

void scr_truth_destroy(struct scr_truth **pt)
{
    struct scr_truth *t = *pt;

    if (t == NULL)
        return;
    free(t->blocks);
    free(t->head);
    free(t->slot);
    free(t->o);
    free(t->rows);
    free(t);
    *pt = NULL;
}

double scr_truth_memory(const scr_problem *p, int threads)
{
    double heads = (double)p->batch * p->heads_q;
    double row_blocks = ceil((double)p->len_q / SCR_BLOCK);
    double key_blocks = ceil((double)p->len_k / SCR_BLOCK);
    double head_q = (double)p->len_q * p->dk;
    double head_kv = (double)p->len_k * (p->dk + p->dv);
    double rows = SCR_BLOCK * (p->dv * sizeof(double) + sizeof(struct scr_oracle_row));
    double data = heads * head_q + (double)p->batch * p->heads_kv * head_kv;

    return data * (double)scr_dtype_bytes(p->dtype) +
           heads * row_blocks * (key_blocks + sizeof(size_t) + rows) +
           threads * (head_q + head_kv) * sizeof(double);
}

/* Flags of all blocks of one tile together. */
static unsigned tile_flags(const uint8_t *blocks, size_t stride, size_t rows, size_t keys)
{
    unsigned flags = 0;

    for (size_t i = 0; i < rows; i++) {
        for (size_t j = 0; j < keys; j++)
            flags |= blocks[i * stride + j];
    }
    return flags;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static void count_tiles(const struct scr_truth *t, size_t head, size_t rows, size_t keys,
                        struct scr_densities *out)
{
    const uint8_t *blocks = t->blocks + head * t->row_blocks * t->key_blocks;

    for (size_t i = 0; i < t->row_blocks; i += rows) {
        for (size_t j = 0; j < t->key_blocks; j += keys) {
            unsigned flags =
                tile_flags(blocks + i * t->key_blocks + j, t->key_blocks,
                           smaller(rows, t->row_blocks - i), smaller(keys, t->key_blocks - j));

            out->tiles_admissible += (flags & SCR_BLOCK_ADMISSIBLE) != 0;
            out->tiles_live += (flags & SCR_BLOCK_LIVE) != 0;
            out->tiles_sure += (flags & SCR_BLOCK_SURE) != 0;
            out->tiles_maybe += (flags & SCR_BLOCK_MAYBE) != 0;
        }
    }
}

static void add_densities(const struct scr_truth *t, size_t head, int tile_q, int tile_k,
                          struct scr_densities *out)
{
    out->pairs_admissible += t->head[head].pairs_admissible;
    out->pairs_live += t->head[head].pairs_live;
    out->pairs_near_tau += t->head[head].pairs_near_tau;
    if (tile_q >= SCR_BLOCK && tile_k >= SCR_BLOCK)
        count_tiles(t, head, (size_t)tile_q / SCR_BLOCK, (size_t)tile_k / SCR_BLOCK, out);
}

void scr_truth_head_densities(const struct scr_truth *t, size_t head, int tile_q, int tile_k,
                              struct scr_densities *out)
{
    *out = (struct scr_densities){0};
    add_densities(t, head, tile_q, tile_k, out);
}

void scr_truth_densities(const struct scr_truth *t, int tile_q, int tile_k,
                         struct scr_densities *out)
{
    *out = (struct scr_densities){0};
    for (size_t head = 0; head < t->heads; head++)
        add_densities(t, head, tile_q, tile_k, out);
}

/* What was found about one head. */
struct head_verdict {
    bool pass, zero, ill, hopeless;
    double rel_err, tol;
    uint64_t rows_checked;
    char reason[200];
};

struct judgement {
    const struct scr_truth *t;
    const char *o;
    double tol_base;
    struct head_verdict *heads;
};

#define WHOLE_HEAD SIZE_MAX

/* row: in the head, or WHOLE_HEAD */
#if defined(__GNUC__)
__attribute__((format(printf, 5, 6)))
#endif
static void
fail(const struct scr_truth *t, size_t head, size_t row, struct head_verdict *v, const char *format,
     ...)
{
    size_t heads_q = (size_t)t->problem.heads_q;
    char text[80];
    char place[32] = "";
    char batch[32] = "";
    va_list ap;

    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    if (row != WHOLE_HEAD)
        snprintf(place, sizeof place, "row %zu of ", row);
    if (t->problem.batch > 1)
        snprintf(batch, sizeof batch, " of batch %zu", head / heads_q);
    snprintf(v->reason, sizeof v->reason, "%shead %zu%s: %s", place, head % heads_q, batch, text);
    v->pass = false;
}

/* Half the spacing of the subnormal numbers of a type that has them among common values. */
static double half_spacing(scr_dtype type)
{
    return type == SCR_F16 ? 0x1p-25 : 0;
}

/* Judges one row whose float64 values are known; returns the square of its error. */
static double judge_row(const struct judgement *j, size_t head, size_t row, const float *o,
                        const double *ref, const struct scr_oracle_row *known,
                        struct head_verdict *v)
{
    size_t dv = (size_t)j->t->problem.dv;
    double size = sqrt(fmax(known->norm2, known->terms2));
    double err2 = 0, most = 0, bound;

    for (size_t d = 0; d < dv; d++) {
        double e = (double)o[d] - ref[d];

        err2 += e * e;
        most = fmax(most, fabs((double)o[d]));
    }
    /* Kernels may hold P in the type of the input, and rows of tiny weights are subnormal there. */
    bound = ROW_TOLERANCES * j->tol_base * size + ROW_ROUNDINGS * sqrt(known->rounding2) +
            sqrt(known->drift2) + ROW_ROUNDINGS * half_spacing(j->t->problem.dtype) +
            sqrt((double)dv) * half_spacing(j->t->problem.dtype_out);
    if (!v->pass)
        return err2;
    if (!known->maybe && most > 0)
        fail(j->t, head, row, v, "all its keys are screened, the output holds %.3g", most);
    else if (known->maybe && sqrt(err2) > bound)
        fail(j->t, head, row, v, "|o - ref| is %.3g, above %.3g; |ref| is %.3g", sqrt(err2), bound,
             sqrt(known->norm2));
    return err2;
}

/* Judges a block of rows; err2 adds up over a head. False where a number is not finite. */
static bool judge_block(const struct judgement *j, size_t head, size_t block, double *err2,
                        struct head_verdict *v)
{
    const struct scr_truth *t = j->t;
    const scr_problem *p = &t->problem;
    size_t dv = (size_t)p->dv;
    size_t slot = t->slot[head * t->row_blocks + block];
    size_t n = block_rows(p, block);
    size_t first = head * (size_t)p->len_q + block * SCR_BLOCK;
    float row[128];

    for (size_t i = 0; i < n; i++) {
        scr_load_f32(row, j->o + (first + i) * dv * scr_dtype_bytes(p->dtype_out), p->dtype_out,
                     dv);
        for (size_t d = 0; d < dv; d++) {
            if (!isfinite(row[d])) {
                fail(t, head, block * SCR_BLOCK + i, v, "%s",
                     isnan(row[d]) ? "NaN: not written or not a number" : "infinite");
                return false;
            }
        }
        if (slot != NOT_CHECKED) {
            size_t at = slot * SCR_BLOCK + i;

            *err2 +=
                judge_row(j, head, block * SCR_BLOCK + i, row, t->o + at * dv, &t->rows[at], v);
            v->rows_checked++;
        }
    }
    return true;
}

/*
 * Square of the error over a head that no kernel can be blamed for: f32 rounding next to tau, and
 * the store of elements so small that they are subnormal in f16. Over many pairs the error comes to
 * what is expected; where one pair alone makes the head, it may be as large as that of a row.
 */
static double excused2(const struct scr_truth *t, size_t head, uint64_t rows)
{
    double elements = (double)rows * t->problem.dv;

    return t->head[head].rounding2 +
           (ROW_ROUNDINGS * ROW_ROUNDINGS - 1) * sqrt(t->head[head].rounding4) +
           elements * half_spacing(t->problem.dtype_out) * half_spacing(t->problem.dtype_out);
}

static void judge_head(void *user, size_t head)
{
    const struct judgement *j = user;
    const struct scr_truth *t = j->t;
    struct head_verdict *v = &j->heads[head];
    double norm2 = t->head[head].norm2;
    double err2 = 0;
    double excused;

    *v = (struct head_verdict){.pass = true, .tol = j->tol_base};
    for (size_t block = 0; block < t->row_blocks; block++) {
        if (!judge_block(j, head, block, &err2, v)) {
            v->rel_err = -1;
            return;
        }
    }
    if (norm2 == 0) {
        v->zero = true;
        v->ill = t->head[head].pairs_near_tau > 0;
        v->rel_err = v->pass ? 0 : -1;
        return;
    }
    /* What matrix units cut off adds to rounding of P: both are of the same sign in many pairs. */
    excused = fmax(j->tol_base, sqrt(excused2(t, head, v->rows_checked) / norm2)) +
              sqrt(t->head[head].drift2 / norm2);
    v->hopeless = excused > MAX_WIDENING * j->tol_base;
    v->rel_err = sqrt(err2 / norm2);
    /* The tolerance is widened for those alone that need it. */
    if (v->rel_err > j->tol_base) {
        v->tol = excused;
        v->ill = v->tol > j->tol_base;
    }
    if (v->pass && !(v->rel_err <= v->tol))
        fail(t, head, WHOLE_HEAD, v, "relative error %.3g is above %.3g", v->rel_err, v->tol);
}

/*
 * a is nearer to failing than b: failed without an error to name, or with more of its tolerance. A
 * head that proves nothing is not what an output is known by.
 */
static bool worse(const struct head_verdict *a, const struct head_verdict *b)
{
    if (a->pass != b->pass)
        return b->pass;
    if ((a->rel_err < 0) != (b->rel_err < 0))
        return a->rel_err < 0;
    if (a->pass && a->hopeless != b->hopeless)
        return b->hopeless;
    return a->rel_err / a->tol > b->rel_err / b->tol;
}

double scr_truth_tolerance(scr_dtype type)
{
    return type == SCR_F32 ? 1e-5 : type == SCR_F16 ? 1e-3 : 8e-3;
}

void scr_truth_judge(const struct scr_truth *t, const void *o, struct scr_verdict *out)
{
    struct judgement j = {.t = t, .o = o, .tol_base = scr_truth_tolerance(t->problem.dtype)};
    size_t worst = 0;

    *out = (struct scr_verdict){
        .tol = j.tol_base,
        .tol_base = j.tol_base,
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
        const struct head_verdict *v = &j.heads[head];

        out->rows_checked += v->rows_checked;
        out->heads_zero += v->zero;
        out->heads_ill += v->ill;
        out->heads_hopeless += v->hopeless;
        if (worse(v, &j.heads[worst]))
            worst = head;
    }
    out->pass = j.heads[worst].pass;
    out->rel_err = j.heads[worst].rel_err;
    out->tol = j.heads[worst].tol;
    snprintf(out->reason, sizeof out->reason, "%s", j.heads[worst].reason);
    free(j.heads);
}
