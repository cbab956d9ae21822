/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One sample of a plan's time: which clock it comes from, which copy of the data it runs on, and
 * what the device's own clock did meanwhile. Several plans on the same data can be sampled in turn.
 */
#ifndef SCR_HARNESS_SAMPLER_H
#define SCR_HARNESS_SAMPLER_H

#include "bench.h"
#include "calm.h"
#include "faults.h"
#include "nvml.h"
#include "row.h"

#include <stdbool.h>
#include <stddef.h>

/* Told before each step that may take long: "reference", "check", "tune", "sample". */
typedef void (*scr_beat_fn)(void *user, const char *step);

enum { SCR_MAX_CONTESTANTS = 36, SCR_MAX_CLOCK_SAMPLES = 128 };

struct scr_sampler {
    /* Set by the caller; the rest is zero. */
    struct scr_bench *bench;
    size_t copies;         /* of the data, taken in turn */
    bool cold;             /* they are too many for the cache */
    bool no_events;        /* the device has none worth asking */
    double floor_wall_ns;  /* a run of the empty kernel by the host's clock; NaN unknown */
    struct scr_nvml *nvml; /* or NULL */
    struct scr_faults faults;
    size_t at;         /* the case, for faults */
    bool no_check;     /* wall is set already: the clock of what this is compared with */
    double give_up_ns; /* plan 0 alone is given up when six samples and all are above; 0 never */
    size_t visits;     /* that samples are spread over; 0: one */
    struct scr_calm *calm; /* of a device that is the processors, or NULL */

    scr_beat_fn beat; /* told now and then while plans run, or NULL */
    void *user;

    bool wall;        /* chosen: the host's clock, runs back to back */
    const char *flag; /* why that was chosen against events: a word of a row's flags, or NULL */
    double t_wall_ns, t_event_ns; /* of one of the runs of plan 0, back to back, that both clocks
                                   * timed at once */
    size_t n_bad;                 /* events of samples that could not be used */
    size_t n_good;                /* samples of plan 0 */
    double least_ns;              /* of those */
    size_t n_plans;
    scr_plan *plans[SCR_MAX_CONTESTANTS];
    int batch[SCR_MAX_CONTESTANTS]; /* runs a sample, by the host's clock */
    double start_s, last_clock_s, last_beat_s;
    size_t n_samples, n_unseen; /* of plan 0: all, since the device's clock was looked at */
    size_t n_throttled;
    double limit_s;
    bool calm_before; /* the visit: others left the processors alone */
    size_t n_before;  /* samples before it */
    size_t n_visited; /* samples of visits */
    size_t n_calm;    /* of those: of visits before and after which it was calm */
    bool slowed;      /* by SCR_INJECT_VISIT */
    size_t n_clock;
    double clock_mhz[SCR_MAX_CLOCK_SAMPLES], temperature_c[SCR_MAX_CLOCK_SAMPLES],
        power_w[SCR_MAX_CLOCK_SAMPLES];
};

/*
 * Warms up and decides for a clock: device events if they are there, run forward and agree with the
 * host's clock, as below; looked at three times before they are dismissed.
 *
 * limit_s  about what the caller means to spend on samples of one plan: slow plans are run but a
 *          few times
 * Returns SCR_OK or what a run returned.
 */
int scr_sampler_start(struct scr_sampler *s, scr_plan *const *plans, size_t n, double limit_s);

/*
 * Whether the device's and the host's clock can have measured the same runs, back to back: the
 * events lie inside the host's time, but for 2 % by which the clocks may run apart, and are no more
 * than 5 % shorter, beside one launch and one wait for the end; runs below 50 us have 100 us for
 * these.
 *
 * event, wall  ns of all the runs
 * launch_ns    what a launch and a wait take
 */
bool scr_clocks_agree(double event, double wall, int runs, double launch_ns);

/*
 * The same of runs that are timed one by one, as samples are, each with a launch and a wait of
 * 100 us at most. Nor can they take less than half of `batch`, which is what the events of as many
 * runs back to back took; less than 15 % of it where these are below 50 us and the host needs over
 * 80 % of it to queue them (`queued`, ns of all), so that the device waited for the host.
 */
bool scr_single_runs_agree(double event, double wall, double batch, double queued, int runs);

/*
 * Before each visit of a contest: waits until others leave the processors alone, and warms up each
 * plan as the start does, unless it is the first and they are warm. SCR_OK or what a run returned.
 */
int scr_sampler_visit(struct scr_sampler *s, bool first);

/* After each visit: looks again whether others leave the processors alone. */
void scr_sampler_leave(struct scr_sampler *s);

/* All visits so far do not count. */
void scr_sampler_restart(struct scr_sampler *s);

/*
 * Whether no more than half of the samples come from visits that were calm at both ends. Of more
 * than half the median is one that others left alone, or slower by no more than those scatter.
 */
bool scr_sampler_was_disturbed(const struct scr_sampler *s);

/* After the last of the planned visits: whether it is worth another, as they were disturbed and now
 * it is calm. */
bool scr_sampler_wants_more(struct scr_sampler *s);

/* A sample of plan `who`; of the type scr_contest_fn, user is the sampler. */
int scr_sampler_take(void *user, size_t who, double *ns);

/* Whether plan 0 is to be given up. */
bool scr_sampler_hopeless(const struct scr_sampler *s);

/* Writes timer, cross-check, clocks and flags into the row. */
void scr_sampler_report(struct scr_sampler *s, struct scr_row *row);

#endif
