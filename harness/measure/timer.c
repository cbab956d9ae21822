/* SPDX-License-Identifier: Apache-2.0 */
#include "timer.h"

#include <screening/error.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

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

void scr_time_describe(double *samples, size_t n, struct scr_time_stats *out)
{
    int l;

    *out = (struct scr_time_stats){n, NAN, NAN, NAN, NAN, NAN, NAN};
    if (n == 0)
        return;
    qsort(samples, n, sizeof *samples, ascending);
    out->median = quantile(samples, n, 0.5);
    out->min = samples[0];
    out->q1 = quantile(samples, n, 0.25);
    out->q3 = quantile(samples, n, 0.75);
    l = interval_rank(n);
    if (l >= 0) {
        out->ci_lo = samples[l];
        out->ci_hi = samples[n - 1 - (size_t)l];
    }
}

int scr_time_sample(scr_sample_fn fn, void *user, double limit_s, struct scr_time_result *out)
{
    double *samples = malloc(2 * SCR_MAX_SAMPLES * sizeof *samples);
    double *sorted = samples + SCR_MAX_SAMPLES;
    double start = scr_clock_s();
    size_t next_look = SCR_MIN_SAMPLES;
    size_t n = 0;
    int status = SCR_OK;

    if (samples == NULL)
        return SCR_ERR_NO_MEMORY;
    out->stop = "count";
    while (n < SCR_MAX_SAMPLES) {
        double spent;

        status = fn(user, &samples[n]);
        if (status != SCR_OK)
            break;
        n++;
        spent = scr_clock_s() - start;
        if ((spent > limit_s && n >= SCR_MIN_SAMPLES) || spent > 4 * limit_s) {
            out->stop = "time";
            break;
        }
        if (n >= next_look) {
            memcpy(sorted, samples, n * sizeof *samples);
            scr_time_describe(sorted, n, &out->stats);
            if (out->stats.ci_hi <= 1.01 * out->stats.median &&
                out->stats.ci_lo >= 0.99 * out->stats.median && n >= 10) {
                out->stop = "interval";
                break;
            }
            /* Looking at every sample would stop too often on a lucky streak. */
            next_look = n + 1 + n / 8;
        }
    }
    scr_time_describe(samples, n, &out->stats);
    free(samples);
    return status;
}
