/* SPDX-License-Identifier: Apache-2.0 */
/* Times of one configuration: when to stop sampling, and what the samples say. */
#ifndef SCR_HARNESS_TIMER_H
#define SCR_HARNESS_TIMER_H

#include <stdbool.h>
#include <stddef.h>

/* Fewer samples give no interval of the median. */
enum { SCR_MIN_SAMPLES = 6 };

/* All in nanoseconds; NaN where there are too few samples to say. */
struct scr_time_stats {
    size_t n;
    double median, ci_lo, ci_hi; /* interval of the median that holds it in 95 % of series */
    double min, q1, q3;
};

/*
 * Sorts the samples and describes them. The interval comes from order statistics (the binomial
 * distribution of the rank of the median), so it assumes nothing of the shape of the noise; below
 * six samples no such interval reaches 95 % and its ends are NaN.
 */
void scr_time_describe(double *samples, size_t n, struct scr_time_stats *out);

/* One sample in nanoseconds; SCR_OK or SCR_ERR_*. */
typedef int (*scr_sample_fn)(void *user, double *ns);

enum { SCR_MAX_SAMPLES = 2000 };

struct scr_time_result {
    struct scr_time_stats stats;
    const char *stop; /* why sampling ended: "interval", "time" or "count"; static storage */
};

/*
 * Samples until the interval is within 1 % of the median on both sides, the time limit is reached
 * (after six samples, or four times the limit), or SCR_MAX_SAMPLES are taken.
 * Returns what the first failing call of fn returned, SCR_ERR_NO_MEMORY or SCR_OK.
 */
int scr_time_sample(scr_sample_fn fn, void *user, double limit_s, struct scr_time_result *out);

/* Seconds on a clock that only goes forward. */
double scr_clock_s(void);

#endif
