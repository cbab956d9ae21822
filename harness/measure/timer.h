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
    size_t n_outliers; /* beyond 1.5 times the range of the quartiles; they are counted, not left
                          out */
};

/*
 * Sorts the samples, given in the order in which they were taken, and describes them. The interval
 * comes from order statistics (the binomial distribution of the rank of the median), so it assumes
 * nothing of the shape of the noise; where neighbours in time are alike it is widened to that of as
 * many independent samples as tell the same, at most to the range of the samples. Below six samples
 * no such interval reaches 95 % and its ends are NaN.
 */
void scr_time_describe(double *samples, size_t n, struct scr_time_stats *out);

/* Sorts what is a number among n values to the front; the median of those, NaN where there is none.
 */
double scr_median(double *x, size_t n);

/* One sample in nanoseconds; SCR_OK or SCR_ERR_*. */
typedef int (*scr_sample_fn)(void *user, double *ns);

enum { SCR_MAX_SAMPLES = 2000, SCR_MAX_VISITS = 4 };

struct scr_time_result {
    struct scr_time_stats stats;
    const char *stop; /* why sampling ended: "interval", "time" or "count"; static storage */
};

/*
 * Samples until the interval is within 1 % of the median on both sides (not before 20 samples and
 * 50 ms, or half the limit), the time limit is reached (after six samples, or four times the
 * limit), or SCR_MAX_SAMPLES are taken.
 * Returns what the first failing call of fn returned, SCR_ERR_NO_MEMORY or SCR_OK.
 */
int scr_time_sample(scr_sample_fn fn, void *user, double limit_s, struct scr_time_result *out);

/*
 * The least of up to `most` samples, in nanoseconds. After two, so that one that is held up does
 * not count, none is taken any more when those before have taken enough_ns together. Returns SCR_OK
 * or what the first failing call of fn returned; *least says nothing then.
 */
int scr_time_least(scr_sample_fn fn, void *user, int most, double enough_ns, double *least);

/*
 * Several variants measured side by side, A B C A B C: what slows one sample down slows its
 * neighbours, so their ratio keeps its value where their times drift.
 */
struct scr_contest {
    size_t n;         /* contestants */
    size_t rounds;    /* taken */
    double *ns;       /* [contestant * SCR_MAX_SAMPLES + round]; NaN: sat out; owned */
    const char *stop; /* as in scr_time_result */

    size_t n_visits;              /* stretches of rounds, with other work or a pause between them */
    size_t begin[SCR_MAX_VISITS]; /* first round of each */
    double sampled_s;             /* in all visits */
    double *spent;                /* seconds, by contestant; owned */
};

/* One sample of a contestant; SCR_OK or SCR_ERR_*. */
typedef int (*scr_contest_fn)(void *user, size_t who, double *ns);

/*
 * Samples in rounds by the rule of scr_time_sample, applied to contestant 0; the others' intervals
 * need only be within 2 %. One that has taken more than twice the time of contestant 0 sits rounds
 * out, but not its first six. The time limit is for each contestant.
 * Clear it in any case. Returns as scr_time_sample.
 */
int scr_contest_run(scr_contest_fn fn, void *user, size_t n, double limit_s,
                    struct scr_contest *out);

/* A contest without rounds. SCR_OK or SCR_ERR_NO_MEMORY; clear it in any case. */
int scr_contest_open(size_t n, struct scr_contest *out);

/*
 * One of several visits, so that what slows the device down for a moment does not get all samples.
 * It adds to the rounds that are there until the rule of scr_time_sample holds for all of them; of
 * the times and numbers in that rule each of `planned` visits has its equal part, and so has any
 * that comes in addition. Before a narrow interval ends it, it has as many rounds as earlier ones
 * had on average.
 * Returns as scr_contest_run; SCR_ERR_INVALID for more visits than SCR_MAX_VISITS.
 */
int scr_contest_visit(scr_contest_fn fn, void *user, size_t planned, double limit_s,
                      struct scr_contest *c);

/*
 * Whether the visits disagree on a contestant: the medians of two of them are 1.3 times apart, and
 * the quartiles of these do not overlap.
 */
bool scr_contest_is_unsteady(const struct scr_contest *c, size_t who);
void scr_contest_clear(struct scr_contest *c);

/* Statistics of one contestant. SCR_OK or SCR_ERR_NO_MEMORY. */
int scr_contest_describe(const struct scr_contest *c, size_t who, struct scr_time_stats *out);

/* A quotient with its 95 % interval; NaN where too few samples say nothing. */
struct scr_ratio {
    double value, lo, hi;
};

/*
 * median(a) / median(b): how many times faster b is. The interval comes from a bootstrap of the
 * rounds in which both ran, in blocks, because neighbouring samples share their noise; with fewer
 * than 20 such rounds, where a bootstrap is too narrow, it is that of the median of their ratios.
 * Seeded, so the same samples give the same interval. SCR_OK or SCR_ERR_NO_MEMORY.
 */
int scr_contest_ratio(const struct scr_contest *c, size_t a, size_t b, struct scr_ratio *out);

/* Seconds on a clock that only goes forward. */
double scr_clock_s(void);

#endif
