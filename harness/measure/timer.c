/* SPDX-License-Identifier: Apache-2.0 */
#include "timer.h"

#include "philox.h"

#include <screening/error.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* A lucky streak of samples is not trusted before so many rounds and seconds. */
enum { LEAST_ROUNDS = 20 };
static const double LEAST_S = 0.05;

enum { FEW_PAIRS = 20 };

/* Medians of two visits that are further apart. */
static const double UNSTEADY = 1.3;

double scr_clock_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int ascending(const void *pa, const void *pb)
{
    double a = *(const double *)pa, b = *(const double *)pb;

    return (a > b) - (a < b);
}

/* Quantile of sorted samples by linear interpolation. */
static double quantile(const double *sorted, size_t n, double q)
{
    double at = q * (double)(n - 1);
    size_t i = (size_t)at;

    return i + 1 < n ? sorted[i] + (at - (double)i) * (sorted[i + 1] - sorted[i]) : sorted[n - 1];
}

double scr_median(double *x, size_t n)
{
    size_t known = 0;

    for (size_t i = 0; i < n; i++) {
        if (!isnan(x[i]))
            x[known++] = x[i];
    }
    if (known == 0)
        return NAN;
    qsort(x, known, sizeof *x, ascending);
    return quantile(x, known, 0.5);
}

/*
 * The largest l for which the interval from the l-th lowest to the l-th highest of n samples
 * (l = 0: the outermost) holds the median with probability >= 0.95: P(Bin(n, 1/2) <= l) <= 0.025.
 * Below six samples not even l = 0 does, and -1 is returned.
 */
static int interval_rank(size_t n)
{
    double tail = 0;
    int l = -1;

    for (;;) {
        double k = l + 1;

        tail += exp(lgamma((double)n + 1) - lgamma(k + 1) - lgamma((double)n - k + 1) -
                    (double)n * log(2));
        if (tail > 0.025)
            return l;
        l++;
    }
}

/*
 * How alike neighbouring samples are: the correlation, 0 to 0.95, of being above the median in one
 * sample and in the next. Signs, so that an outlier counts no more than any other.
 */
static double likeness(const double *samples, size_t n, double median)
{
    double same = 0, known = 0;

    for (size_t i = 0; i + 1 < n; i++) {
        double a = samples[i] - median, b = samples[i + 1] - median;

        if (a == 0 || b == 0)
            continue;
        same += (a > 0) == (b > 0) ? 1 : -1;
        known++;
    }
    return known > 0 ? fmin(fmax(same / known, 0), 0.95) : 0;
}

/* Widens the rank of an interval for samples that are alike: n of them tell what fewer would. */
static int widened(int l, size_t n, double alike)
{
    double half = 0.5 * (double)n - (l + 1);

    return (int)floor(0.5 * (double)n - half * sqrt((1 + alike) / (1 - alike))) - 1;
}

void scr_time_describe(double *samples, size_t n, struct scr_time_stats *out)
{
    double *in_time = malloc((n + 1) * sizeof *in_time);
    double alike = 0;
    int l;

    *out = (struct scr_time_stats){n, NAN, NAN, NAN, NAN, NAN, NAN, 0};
    if (in_time != NULL)
        memcpy(in_time, samples, n * sizeof *samples);
    if (n == 0)
        goto done;
    qsort(samples, n, sizeof *samples, ascending);
    out->median = quantile(samples, n, 0.5);
    if (in_time != NULL)
        alike = likeness(in_time, n, out->median);
    out->min = samples[0];
    out->q1 = quantile(samples, n, 0.25);
    out->q3 = quantile(samples, n, 0.75);
    for (size_t i = 0; i < n; i++) {
        double reach = 1.5 * (out->q3 - out->q1);

        out->n_outliers += samples[i] < out->q1 - reach || samples[i] > out->q3 + reach;
    }
    l = interval_rank(n);
    if (l >= 0) {
        l = widened(l, n, alike);
        out->ci_lo = samples[l > 0 ? l : 0];
        out->ci_hi = samples[n - 1 - (size_t)(l > 0 ? l : 0)];
    }
done:
    free(in_time);
}

static bool within(const struct scr_time_stats *s, double part)
{
    return s->ci_hi <= (1 + part) * s->median && s->ci_lo >= (1 - part) * s->median;
}

/* The samples of a contestant without the rounds it sat out, into out; their number. */
static size_t gather(const struct scr_contest *c, size_t who, size_t begin, size_t end, double *out)
{
    const double *ns = c->ns + who * SCR_MAX_SAMPLES;
    size_t n = 0;

    for (size_t i = begin; i < end; i++) {
        if (!isnan(ns[i]))
            out[n++] = ns[i];
    }
    return n;
}

/* Whether every contestant's interval is narrow enough. */
static bool settled(const struct scr_contest *c, double *scratch)
{
    for (size_t who = 0; who < c->n; who++) {
        struct scr_time_stats stats;

        scr_time_describe(scratch, gather(c, who, 0, c->rounds, scratch), &stats);
        if (!within(&stats, who == 0 ? 0.01 : 0.02))
            return false;
    }
    return true;
}

int scr_contest_open(size_t n, struct scr_contest *out)
{
    *out = (struct scr_contest){.n = n, .stop = "count"};
    out->ns = malloc(n * SCR_MAX_SAMPLES * sizeof *out->ns);
    out->spent = calloc(n, sizeof *out->spent);
    return out->ns != NULL && out->spent != NULL ? SCR_OK : SCR_ERR_NO_MEMORY;
}

/* A sample of each contestant. */
static int run_round(scr_contest_fn fn, void *user, struct scr_contest *c)
{
    size_t round = c->rounds;
    int status = SCR_OK;

    for (size_t i = 0; i < c->n && status == SCR_OK; i++) {
        size_t who = (i + round) % c->n; /* nobody always follows the same one */
        double *ns = &c->ns[who * SCR_MAX_SAMPLES + round];
        double before = scr_clock_s();

        *ns = NAN;
        if (round >= SCR_MIN_SAMPLES && c->spent[who] > 2 * c->spent[0])
            continue;
        status = fn(user, who, ns);
        c->spent[who] += scr_clock_s() - before;
    }
    c->rounds += status == SCR_OK;
    return status;
}

int scr_contest_visit(scr_contest_fn fn, void *user, size_t planned, double limit_s,
                      struct scr_contest *c)
{
    double *scratch = malloc(SCR_MAX_SAMPLES * sizeof *scratch);
    size_t visits = c->n_visits + 1, begin = c->rounds;
    double part = (double)visits / (double)planned;
    double limit = part * limit_s * (double)c->n;
    double least_s = fmin(part * LEAST_S, 0.5 * limit);
    size_t most = part < 1 ? (size_t)(part * SCR_MAX_SAMPLES) : SCR_MAX_SAMPLES;
    size_t least = begin + (SCR_MIN_SAMPLES + planned - 1) / planned;
    size_t next_look = visits > 1 ? begin + begin / (visits - 1) : 0;
    double start = scr_clock_s(), before = c->sampled_s;
    int status = SCR_OK;

    if (visits > SCR_MAX_VISITS || scratch == NULL)
        status = visits > SCR_MAX_VISITS ? SCR_ERR_INVALID : SCR_ERR_NO_MEMORY;
    else
        c->begin[c->n_visits++] = begin;
    c->stop = "count";
    next_look = next_look > LEAST_ROUNDS ? next_look : LEAST_ROUNDS;
    while (status == SCR_OK && c->rounds < most) {
        status = run_round(fn, user, c);
        c->sampled_s = before + (scr_clock_s() - start);
        if (status != SCR_OK)
            break;
        if ((c->sampled_s > limit && c->rounds >= least) || c->sampled_s > 4 * limit) {
            c->stop = "time";
            break;
        }
        if (c->rounds >= next_look && c->sampled_s >= least_s) {
            if (settled(c, scratch)) {
                c->stop = "interval";
                break;
            }
            /* Looking at every sample would stop too often on a lucky streak. */
            next_look = c->rounds + 1 + c->rounds / 8;
        }
    }
    free(scratch);
    return status;
}

int scr_contest_run(scr_contest_fn fn, void *user, size_t n, double limit_s,
                    struct scr_contest *out)
{
    int status = scr_contest_open(n, out);

    return status == SCR_OK ? scr_contest_visit(fn, user, 1, limit_s, out) : status;
}

void scr_contest_clear(struct scr_contest *c)
{
    free(c->ns);
    free(c->spent);
    *c = (struct scr_contest){0};
}

bool scr_contest_is_unsteady(const struct scr_contest *c, size_t who)
{
    struct scr_time_stats fast = {0}, slow = {0};

    for (size_t i = 0; i < c->n_visits; i++) {
        size_t end = i + 1 < c->n_visits ? c->begin[i + 1] : c->rounds;
        double samples[SCR_MAX_SAMPLES];
        struct scr_time_stats t;

        scr_time_describe(samples, gather(c, who, c->begin[i], end, samples), &t);
        if (t.n > 0 && (fast.n == 0 || t.median < fast.median))
            fast = t;
        if (t.n > 0 && (slow.n == 0 || t.median > slow.median))
            slow = t;
    }
    return fast.n > 0 && slow.median > UNSTEADY * fast.median && slow.q1 > fast.q3;
}

int scr_contest_describe(const struct scr_contest *c, size_t who, struct scr_time_stats *out)
{
    double *samples = malloc(SCR_MAX_SAMPLES * sizeof *samples);

    if (samples == NULL)
        return SCR_ERR_NO_MEMORY;
    scr_time_describe(samples, gather(c, who, 0, c->rounds, samples), out);
    free(samples);
    return SCR_OK;
}

/* The middle one of n values, the lower of two; reorders them (Hoare's selection). */
static double middle(double *x, size_t n)
{
    size_t k = (n - 1) / 2, lo = 0, hi = n - 1;

    while (lo < hi) {
        double pivot = x[lo + (hi - lo) / 2];
        size_t i = lo, j = hi;

        while (i <= j) {
            while (x[i] < pivot)
                i++;
            while (x[j] > pivot)
                j--;
            if (i <= j) {
                double swap = x[i];

                x[i++] = x[j];
                x[j] = swap;
                if (j == 0)
                    break;
                j--;
            }
        }
        if (k <= j)
            hi = j;
        else if (k >= i)
            lo = i;
        else
            break;
    }
    return x[k];
}

int scr_contest_ratio(const struct scr_contest *c, size_t a, size_t b, struct scr_ratio *out)
{
    enum { RESAMPLES = 400, STREAM = 77 };
    double *pairs = malloc(4 * SCR_MAX_SAMPLES * sizeof *pairs);
    double *other, *x, *y;
    double ratios[RESAMPLES];
    uint64_t draw = 0;
    size_t n = 0, block;

    *out = (struct scr_ratio){NAN, NAN, NAN};
    if (pairs == NULL)
        return SCR_ERR_NO_MEMORY;
    other = pairs + SCR_MAX_SAMPLES;
    x = other + SCR_MAX_SAMPLES;
    y = x + SCR_MAX_SAMPLES;
    for (size_t i = 0; i < c->rounds; i++) {
        double ta = c->ns[a * SCR_MAX_SAMPLES + i], tb = c->ns[b * SCR_MAX_SAMPLES + i];

        if (isnan(ta) || isnan(tb))
            continue;
        pairs[n] = ta;
        other[n++] = tb;
    }
    if (n > 0) {
        memcpy(x, pairs, n * sizeof *x);
        memcpy(y, other, n * sizeof *y);
        out->value = middle(x, n) / middle(y, n);
    }
    if (n < SCR_MIN_SAMPLES)
        goto out;
    if (n < FEW_PAIRS) {
        struct scr_time_stats stats;

        for (size_t i = 0; i < n; i++)
            x[i] = pairs[i] / other[i];
        scr_time_describe(x, n, &stats);
        out->lo = fmin(stats.ci_lo, out->value);
        out->hi = fmax(stats.ci_hi, out->value);
        goto out;
    }
    block = (size_t)ceil(cbrt((double)n));
    for (int r = 0; r < RESAMPLES; r++) {
        for (size_t i = 0; i < n; i += block) {
            size_t from = (size_t)(scr_philox_uniform(0, STREAM, draw++) * (double)n);

            for (size_t j = i; j < i + block && j < n; j++) {
                x[j] = pairs[(from + j - i) % n];
                y[j] = other[(from + j - i) % n];
            }
        }
        ratios[r] = middle(x, n) / middle(y, n);
    }
    qsort(ratios, RESAMPLES, sizeof ratios[0], ascending);
    out->lo = quantile(ratios, RESAMPLES, 0.025);
    out->hi = quantile(ratios, RESAMPLES, 0.975);
out:
    free(pairs);
    return SCR_OK;
}

struct solo {
    scr_sample_fn fn;
    void *user;
};

static int sample_solo(void *user, size_t who, double *ns)
{
    const struct solo *s = user;

    (void)who;
    return s->fn(s->user, ns);
}

int scr_time_sample(scr_sample_fn fn, void *user, double limit_s, struct scr_time_result *out)
{
    struct solo solo = {fn, user};
    struct scr_contest c;
    int status = scr_contest_run(sample_solo, &solo, 1, limit_s, &c);

    if (status == SCR_OK)
        status = scr_contest_describe(&c, 0, &out->stats);
    out->stop = c.stop;
    scr_contest_clear(&c);
    return status;
}

int scr_time_least(scr_sample_fn fn, void *user, int most, double enough_ns, double *least)
{
    double spent = 0;

    *least = INFINITY;
    for (int i = 0; i < most && (i < 2 || spent < enough_ns); i++) {
        double ns;
        int status = fn(user, &ns);

        if (status != SCR_OK)
            return status;
        *least = fmin(*least, ns);
        spent += ns;
    }
    return SCR_OK;
}
