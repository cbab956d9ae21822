/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The synthetic workloads. iid: every vector is a direction drawn uniformly. The others are topic
 * models: a query or key is its topic's direction plus noise of fixed length sigma in a uniform
 * direction, normalised. With sigma^2 <= 0.36 / r two vectors of one topic have
 * 1 - s <= 2 sigma^2, so 1 - r (1 - s) >= 0.28: they always pass, whatever the dims.
 *
 *   planted  n topics; a query matches a key where their topics agree (struct scr_topics). Runs of
 *            `run` positions, aligned at multiples of it, share a topic; queries and keys draw
 *            theirs independently.
 *   shuffled the vectors of planted with the same seed, in another order: the queries of each head
 *            and the keys of each head by a permutation of their own; a value moves with its key.
 *            Over all pairs the density is that of planted exactly, but hardly a tile stays empty.
 *            A causal mask or a window now admits other pairs; as topics do not depend on the
 *            position, its share of them that live is the same on average, not to the pair.
 *   skewed   two planted models side by side, heavy and light, whose topics never match. Heavy are
 *            0.9 of the key runs and h = max(0.1, D) of the query runs; these lie evenly spaced in
 *            the even heads (from a seeded place on), none in the odd ones. The densities within
 *            the models are D / h and D / (1 - h), so of all pairs 0.9 D live on heavy queries and
 *            0.1 D on light ones: D in all, nine tenths of it on a tenth of the rows while
 *            D <= 0.1. D <= 0.5 keeps both densities at most 1. As with planted, what is measured
 *            comes near D where live pairs of runs are many; it does not where the heads' windows
 *            differ, as heads then weigh differently.
 *   window, ends:1  one topic
 *   ends:0          one topic, keys around its opposite
 *
 * The bytes must not depend on the machine: the numbers come from + - * / and sqrt alone, which
 * IEEE 754 rounds in one way, with contraction into fma switched off; of libm only functions that
 * are exact are called.
 */
#include "workload.h"

#include "parallel.h"
#include "philox.h"
#include "ref/convert.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(__GNUC__)
#pragma GCC optimize("fp-contract=off")
#endif

enum {
    MAX_DIM = 128,
    ROWS_A_TASK = 256,
    /*
     * Up to so many topics, a direction within MAX_TOPIC_COS of an earlier one is drawn again, up
     * to so many times. In 16 dims that keeps 512 topics apart; with more of them, and with r well
     * below 16, topics may touch, and the measured density is what counts.
     */
    MAX_APART = 512,
    MAX_ATTEMPTS = 64,
};
#define MAX_TOPIC_COS 0.8
#define HEAVY_QUERIES 0.1
#define HEAVY_KEYS    0.9

struct job {
    struct scr_dataset *d;
    double sigma;
    double key_sign;          /* -1: keys stand opposite to the queries */
    struct scr_topics topics; /* skewed: those of heavy runs */
    struct scr_topics light;  /* skewed: those of light runs, numbered after the others; else n 0 */
    double heavy_q;           /* skewed: share of the query runs of an even head */
    int64_t n_topics;
    double *directions; /* [batch, heads_kv, n_topics, dk], or NULL: drawn where needed */
    /* shuffled: the row of its head that a drawn row becomes, [batch, heads, len]; else NULL */
    uint32_t *place_q, *place_k;
};

/* ln x for x in (0, 1), within a few units of 1e-16. */
static double natural_log(double x)
{
    const double ln2 = 0.69314718055994530942;
    const double sqrt_half = 0.70710678118654752440;
    int exponent;
    double m = frexp(x, &exponent); /* exact: x = m 2^exponent */
    double t, t2, sum = 0;

    if (m < sqrt_half) {
        m *= 2;
        exponent--;
    }
    t = (m - 1) / (m + 1);
    t2 = t * t;
    for (int n = 21; n >= 1; n -= 2)
        sum = sum * t2 + 1.0 / n;
    return 2 * t * sum + exponent * ln2;
}

/* e^x for x in [0, 10], within a few units of 1e-16 of itself. */
static double exponential(double x)
{
    const double ln2 = 0.69314718055994530942;
    int exponent = (int)(x / ln2 + 0.5);
    double a = x - exponent * ln2;
    double sum = 1;

    for (int n = 18; n >= 1; n--)
        sum = 1 + sum * a / n;
    return ldexp(sum, exponent); /* exact */
}

float scr_window_init(int h, int heads)
{
    const double ln255 = 5.54126354515842614625;

    if (h == 0)
        return 2;
    return (float)(exponential(ln255 * h / (heads - 1)) + 1);
}

float scr_window_trained(int h, int heads)
{
    /* Part of the heads, and ln of the tokens that their windows are below; 2 and 16384 are not
       measured, but bounds. */
    static const double part[] = {0, 0.5, 0.6, 8 / 9.0, 1};
    static const double ln_tokens[] = {0.69314718055994530942, 2.48490664978800031023,
                                       2.99573227355399099344, 4.86753445045558241787,
                                       9.70406052783923432416};
    double u = (h + 0.5) / heads;
    int i = 0;

    while (u > part[i + 1])
        i++;
    /* The division stands between product and sum: a machine that fuses these must get the same. */
    return (float)exponential(ln_tokens[i] + (u - part[i]) * (ln_tokens[i + 1] - ln_tokens[i]) /
                                                 (part[i + 1] - part[i]));
}

/* Cosine and sine of 2 pi u, u in (0, 1), by their series within an eighth of a turn. */
static void turn(double u, double *cosine, double *sine)
{
    const double two_pi = 6.28318530717958647693;
    int quarter = (int)(u * 4 + 0.5);
    double a = (u - quarter * 0.25) * two_pi;
    double a2 = a * a;
    double c = 0, s = 0;

    for (int n = 16; n >= 2; n -= 2) {
        c = (1 + c) * (-a2 / (n * (n - 1)));
        s = (1 + s) * (-a2 / (n * (n + 1)));
    }
    c = 1 + c;
    s = a * (1 + s);
    *cosine = quarter == 1 ? -s : quarter == 2 ? -c : quarter == 3 ? s : c;
    *sine = quarter == 1 ? c : quarter == 2 ? -s : quarter == 3 ? -c : s;
}

static void normalise(double *x, int n)
{
    double sum = 0;

    for (int i = 0; i < n; i++)
        sum += x[i] * x[i];
    sum = sqrt(sum);
    for (int i = 0; i < n; i++)
        x[i] /= sum;
}

/* A uniform direction in n dims: independent normal numbers (Box-Muller), normalised. */
static void draw_direction(uint64_t seed, uint32_t stream, uint64_t index, uint32_t attempt,
                           double *out, int n)
{
    for (int i = 0; i < n; i += 2) {
        uint32_t counter[4] = {(uint32_t)index, (uint32_t)(index >> 32),
                               attempt << 8 | (uint32_t)(i / 2), stream};
        uint32_t words[4];
        double radius, c, s;

        scr_philox(seed, counter, words);
        radius = sqrt(-2 * natural_log(scr_philox_unit(words[0], words[1])));
        turn(scr_philox_unit(words[2], words[3]), &c, &s);
        out[i] = radius * c;
        out[i + 1] = radius * s;
    }
    normalise(out, n);
}

struct scr_topics scr_topics_for(double density)
{
    struct scr_topics t;

    t.n = (int64_t)ceil(1 / density - 1e-9);
    if (t.n <= 1)
        return (struct scr_topics){.n = 1, .first = 1};
    t.first = (double)(t.n - 1) * fmax(0, (double)t.n * density - 1);
    t.first = (1 + sqrt(t.first)) / (double)t.n;
    return t;
}

static uint64_t pair_index(uint64_t head, uint64_t index)
{
    return head << 32 | index;
}

static bool near_earlier(const double *directions, int64_t topic, int n)
{
    const double *x = directions + topic * n;

    for (int64_t t = 0; t < topic; t++) {
        double s = 0;

        for (int i = 0; i < n; i++)
            s += x[i] * directions[t * n + i];
        if (s > MAX_TOPIC_COS)
            return true;
    }
    return false;
}

static void draw_topics(void *user, size_t head)
{
    const struct job *job = user;
    int dk = job->d->spec.problem.dk;
    double *directions = job->directions + (int64_t)head * job->n_topics * dk;

    for (int64_t t = 0; t < job->n_topics; t++) {
        for (uint32_t attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
            draw_direction(job->d->spec.seed, SCR_STREAM_TOPIC, pair_index(head, (uint64_t)t),
                           attempt, directions + t * dk, dk);
            if (!near_earlier(directions, t, dk))
                break;
        }
    }
}

/* Whether a run is heavy: a share of the runs of its head, evenly spaced. */
static bool is_heavy(const struct job *job, uint32_t stream, uint64_t head, int64_t run)
{
    const struct scr_dataset_spec *spec = &job->d->spec;
    double share = HEAVY_KEYS;
    double phase;

    if (stream == SCR_STREAM_TOPIC_Q)
        share = head % (uint64_t)spec->problem.heads_q % 2 == 0 ? job->heavy_q : 0;
    phase = scr_philox_uniform(spec->seed, SCR_STREAM_HEAVY, pair_index(head, stream));
    return floor((double)(run + 1) * share + phase) > floor((double)run * share + phase);
}

/* The topic that a number in (0, 1) falls to. */
static int64_t pick_topic(const struct scr_topics *t, double u)
{
    if (u < t->first)
        return 0;
    u = (u - t->first) / (1 - t->first) * (double)(t->n - 1);
    return 1 + (u < (double)(t->n - 1) ? (int64_t)u : t->n - 2);
}

/* The topic of the run that holds a position; head counts over the batch too. */
static int64_t topic_of(const struct job *job, uint32_t stream, uint64_t head, int64_t position)
{
    int64_t length = job->d->spec.workload.run;
    int64_t run;
    double u;

    if (job->n_topics == 1)
        return 0;
    run = (position - (position < 0 ? length - 1 : 0)) / length;
    u = scr_philox_uniform(job->d->spec.seed, stream, pair_index(head, (uint32_t)run));
    if (job->light.n > 0 && !is_heavy(job, stream, head, run))
        return job->topics.n + pick_topic(&job->light, u);
    return pick_topic(&job->topics, u);
}

static void topic_direction(const struct job *job, uint64_t head_kv, int64_t topic, double *out)
{
    int dk = job->d->spec.problem.dk;

    if (job->directions != NULL)
        memcpy(out, job->directions + ((int64_t)head_kv * job->n_topics + topic) * dk,
               sizeof *out * (size_t)dk);
    else
        draw_direction(job->d->spec.seed, SCR_STREAM_TOPIC, pair_index(head_kv, (uint64_t)topic), 0,
                       out, dk);
}

/* Adds x to the direction of its topic and normalises: a query or key of a topic model. */
static void add_topic(const struct job *job, double *x, uint64_t head_kv, int64_t topic,
                      double sign)
{
    int dk = job->d->spec.problem.dk;
    double direction[MAX_DIM];

    topic_direction(job, head_kv, topic, direction);
    for (int i = 0; i < dk; i++)
        x[i] = sign * direction[i] + job->sigma * x[i];
    normalise(x, dk);
}

static void store_row(void *tensor, scr_dtype t, uint64_t row, const double *x, int n)
{
    float f[MAX_DIM];

    for (int i = 0; i < n; i++)
        f[i] = (float)x[i];
    scr_store_f32((char *)tensor + row * (uint64_t)n * scr_dtype_bytes(t), f, t, (size_t)n);
}

/* Where a drawn row goes. */
static uint64_t place_of(const uint32_t *place, uint64_t row, int32_t len)
{
    return place == NULL ? row : row - row % (uint64_t)len + place[row];
}

static void draw_q_row(const struct job *job, uint64_t row)
{
    const struct scr_dataset_spec *spec = &job->d->spec;
    const scr_problem *p = &spec->problem;
    uint64_t head = row / (uint64_t)p->len_q;
    uint64_t head_kv = head / (uint64_t)(p->heads_q / p->heads_kv);
    int64_t position = scr_problem_q_pos0(p) + (int64_t)(row % (uint64_t)p->len_q);
    double x[MAX_DIM];

    draw_direction(spec->seed, SCR_STREAM_Q, row, 0, x, p->dk);
    if (spec->workload.kind != SCR_WORKLOAD_IID)
        add_topic(job, x, head_kv, topic_of(job, SCR_STREAM_TOPIC_Q, head, position), 1);
    store_row(job->d->q, p->dtype, place_of(job->place_q, row, p->len_q), x, p->dk);
}

static void draw_kv_row(const struct job *job, uint64_t row)
{
    const struct scr_dataset_spec *spec = &job->d->spec;
    const scr_problem *p = &spec->problem;
    uint64_t head = row / (uint64_t)p->len_k;
    int64_t position = (int64_t)(row % (uint64_t)p->len_k);
    uint64_t place = place_of(job->place_k, row, p->len_k);
    double x[MAX_DIM];

    draw_direction(spec->seed, SCR_STREAM_K, row, 0, x, p->dk);
    if (spec->workload.kind != SCR_WORKLOAD_IID)
        add_topic(job, x, head, topic_of(job, SCR_STREAM_TOPIC_K, head, position), job->key_sign);
    store_row(job->d->k, p->dtype, place, x, p->dk);
    draw_direction(spec->seed, SCR_STREAM_V, row, 0, x, p->dv);
    store_row(job->d->v, p->dtype, place, x, p->dv);
}

static uint64_t rows_q(const scr_problem *p)
{
    return (uint64_t)p->batch * (uint64_t)p->heads_q * (uint64_t)p->len_q;
}

static uint64_t rows_kv(const scr_problem *p)
{
    return (uint64_t)p->batch * (uint64_t)p->heads_kv * (uint64_t)p->len_k;
}

static void draw_rows(void *user, size_t task)
{
    const struct job *job = user;
    uint64_t n_q = rows_q(&job->d->spec.problem);
    uint64_t end = n_q + rows_kv(&job->d->spec.problem);

    for (uint64_t i = task * ROWS_A_TASK; i < (task + 1) * ROWS_A_TASK && i < end; i++) {
        if (i < n_q)
            draw_q_row(job, i);
        else
            draw_kv_row(job, i - n_q);
    }
}

/* A permutation of the rows of one head, all equally likely (Fisher and Yates). */
static void draw_places(uint64_t seed, uint32_t stream, uint64_t head, uint32_t *place, int32_t len)
{
    for (int32_t i = 0; i < len; i++)
        place[i] = (uint32_t)i;
    for (int32_t i = len - 1; i > 0; i--) {
        double u = scr_philox_uniform(seed, stream, pair_index(head, (uint32_t)i));
        int32_t other = (int32_t)(u * (i + 1));
        uint32_t kept = place[i];

        place[i] = place[other];
        place[other] = kept;
    }
}

static void shuffle_head(void *user, size_t task)
{
    const struct job *job = user;
    const scr_problem *p = &job->d->spec.problem;
    size_t heads_q = (size_t)p->batch * (size_t)p->heads_q;
    size_t head = task < heads_q ? task : task - heads_q;

    if (task < heads_q)
        draw_places(job->d->spec.seed, SCR_STREAM_SHUFFLE_Q, head,
                    job->place_q + head * (size_t)p->len_q, p->len_q);
    else
        draw_places(job->d->spec.seed, SCR_STREAM_SHUFFLE_K, head,
                    job->place_k + head * (size_t)p->len_k, p->len_k);
}

static void set_topics(struct job *job)
{
    const struct scr_workload *w = &job->d->spec.workload;
    int heads = job->d->spec.problem.heads_q;
    double heavy = fmax(HEAVY_QUERIES, w->density);

    if (w->kind == SCR_WORKLOAD_SKEWED) {
        job->topics = scr_topics_for(w->density / heavy);
        job->light = scr_topics_for(w->density / (1 - heavy));
        job->heavy_q = heavy * heads / ((heads + 1) / 2);
    } else {
        job->topics = scr_topics_for(scr_workload_is_planted(w) ? w->density : 1);
    }
    job->n_topics = job->topics.n + job->light.n;
}

static double noise(const struct scr_workload *w, double r)
{
    double sigma2 = fmin(0.25, 0.36 / r);

    /* Opposite vectors have s <= -1 + 2 sigma^2; r (1 - s) must stay above 1. */
    if (w->kind == SCR_WORKLOAD_ENDS && w->density == 0)
        sigma2 = fmin(sigma2, 0.5 * (1 - 0.5 / r));
    return sqrt(sigma2);
}

int scr_workload_draw(struct scr_dataset *d, double r, int threads)
{
    const struct scr_workload *w = &d->spec.workload;
    const scr_problem *p = &d->spec.problem;
    struct job job = {
        .d = d,
        .sigma = noise(w, r),
        .key_sign = w->kind == SCR_WORKLOAD_ENDS && w->density == 0 ? -1 : 1,
    };
    size_t heads = (size_t)p->batch * (size_t)p->heads_kv;
    size_t tasks = (size_t)((rows_q(p) + rows_kv(p) + ROWS_A_TASK - 1) / ROWS_A_TASK);
    int status = SCR_ERR_NO_MEMORY;

    set_topics(&job);
    if (w->kind != SCR_WORKLOAD_IID && job.n_topics <= MAX_APART) {
        job.directions = calloc(heads, (size_t)job.n_topics * (size_t)p->dk * sizeof(double));
        if (job.directions == NULL)
            goto out;
        scr_parallel_for(threads, heads, draw_topics, &job);
    }
    if (w->kind == SCR_WORKLOAD_SHUFFLED) {
        job.place_q = calloc(rows_q(p), sizeof *job.place_q);
        job.place_k = calloc(rows_kv(p), sizeof *job.place_k);
        if (job.place_q == NULL || job.place_k == NULL)
            goto out;
        scr_parallel_for(threads, (size_t)p->batch * (size_t)p->heads_q + heads, shuffle_head,
                         &job);
    }
    scr_parallel_for(threads, tasks, draw_rows, &job);
    status = SCR_OK;
out:
    free(job.directions);
    free(job.place_q);
    free(job.place_k);
    return status;
}
