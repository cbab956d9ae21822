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
static size_t gather(const struct scr_contest *c, size_t who, double *out)
{
    const double *ns = c->ns + who * SCR_MAX_SAMPLES;
    size_t n = 0;

    for (size_t i = 0; i < c->rounds; i++) {
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

        scr_time_describe(scratch, gather(c, who, scratch), &stats);
        if (!within(&stats, who == 0 ? 0.01 : 0.02))
            return false;
    }
    return true;
}

int scr_contest_run(scr_contest_fn fn, void *user, size_t n, double limit_s,
                    struct scr_contest *out)
{
    double *spent = calloc(n, sizeof *spent);
    double *scratch = malloc(SCR_MAX_SAMPLES * sizeof *scratch);
    double start = scr_clock_s();
    double limit = limit_s * (double)n;
    double least_s = fmin(LEAST_S, 0.5 * limit);
    size_t next_look = LEAST_ROUNDS;
    int status = SCR_OK;

    *out = (struct scr_contest){.n = n, .stop = "count"};
    out->ns = malloc(n * SCR_MAX_SAMPLES * sizeof *out->ns);
    if (spent == NULL || scratch == NULL || out->ns == NULL)
        status = SCR_ERR_NO_MEMORY;
    while (status == SCR_OK && out->rounds < SCR_MAX_SAMPLES) {
        size_t round = out->rounds;
        double elapsed;

        for (size_t i = 0; i < n && status == SCR_OK; i++) {
            size_t who = (i + round) % n; /* nobody always follows the same one */
            double *ns = &out->ns[who * SCR_MAX_SAMPLES + round];
            double before = scr_clock_s();

            *ns = NAN;
            if (round >= SCR_MIN_SAMPLES && spent[who] > 2 * spent[0])
                continue;
            status = fn(user, who, ns);
            spent[who] += scr_clock_s() - before;
        }
        if (status != SCR_OK)
            break;
        out->rounds++;
        elapsed = scr_clock_s() - start;
        if ((elapsed > limit && out->rounds >= SCR_MIN_SAMPLES) || elapsed > 4 * limit) {
            out->stop = "time";
            break;
        }
        if (out->rounds >= next_look && elapsed >= least_s) {
            if (settled(out, scratch)) {
                out->stop = "interval";
                break;
            }
            /* Looking at every sample would stop too often on a lucky streak. */
            next_look = out->rounds + 1 + out->rounds / 8;
        }
    }
    free(spent);
    free(scratch);
    return status;
}

void scr_contest_clear(struct scr_contest *c)
{
    free(c->ns);
    *c = (struct scr_contest){0};
}

int scr_contest_describe(const struct scr_contest *c, size_t who, struct scr_time_stats *out)
{
    double *samples = malloc(SCR_MAX_SAMPLES * sizeof *samples);

    if (samples == NULL)
        return SCR_ERR_NO_MEMORY;
    scr_time_describe(samples, gather(c, who, samples), out);
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
