/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a row is compared with, on the same data and device: the fastest masked-dense that is known
 * for the shape, the same kernel with nothing skipped, and dense.
 */
#ifndef SCR_HARNESS_BASELINE_H
#define SCR_HARNESS_BASELINE_H

#include "runner.h"

/* A configuration that has run on the data at hand. */
struct scr_known {
    scr_config config;
    bool right;                  /* its output was */
    uint64_t hash;               /* of its output */
    double run_ns;               /* a run, roughly; NaN not timed */
    char why[220];               /* where it is not right */
    struct scr_time_stats times; /* n = 0: not sampled */
    bool wall;                   /* by the host's clock */
    bool busy;                   /* others disturbed the samples; so is a row held to them */
};

/* The best masked-dense for a shape; it outlives the data. */
struct scr_tuned {
    char *shape;
    bool found;
    scr_config config;
};

/* Zero-initialise. */
struct scr_baselines {
    struct scr_known *known;
    size_t n_known;
    struct scr_tuned *tuned;
    size_t n_tuned;
};

void scr_baselines_clear(struct scr_baselines *b);

/*
 * The configurations of masked-dense that race to be the baseline of a case: all its tiles, with
 * the defaults of its other parameters, and what the lookup tables have, where all are tuned.
 * Returns how many.
 */
size_t scr_masked_candidates(const struct scr_case *c, scr_config out[SCR_MAX_CONTESTANTS]);

/* What is known of outputs and times goes with the data and the device. */
void scr_baselines_forget_data(struct scr_baselines *b);

/* The case ran and was right. */
void scr_baselines_know(struct scr_baselines *b, const struct scr_case *c, uint64_t hash);

/*
 * Holds a row that is ok to the output of the same kernel with nothing skipped, which must be the
 * same bits. That is run, untimed, where it has not run yet; when it cannot be had, the row is not
 * verified and so failed.
 */
void scr_baselines_compare_unskipped(struct scr_baselines *b, const struct scr_runner *r,
                                     const struct scr_case *c, uint64_t hash, struct scr_row *row);

/* A case's rivals in a contest. */
enum scr_role { SCR_ROLE_MASKED, SCR_ROLE_NO_SKIP, SCR_ROLE_DENSE, SCR_N_ROLES };

struct scr_rivals {
    size_t n;                         /* plans, the case's own among them */
    scr_plan *plans[1 + SCR_N_ROLES]; /* [0] is the caller's */
    size_t place[SCR_N_ROLES];        /* among the plans; 0: not in the contest */
    bool has[SCR_N_ROLES];            /* there is such a rival */
    scr_config config[SCR_N_ROLES];
};

/*
 * Finds what a case is to be compared with and makes plans of it. A rival that is too slow for the
 * time limit takes no part in the contest.
 *
 * list     dense is a rival only where the list has it for the same data and device
 * sampler  set up, not started
 */
void scr_rivals_find(struct scr_baselines *b, const struct scr_case_list *list,
                     const struct scr_runner *r, const struct scr_case *c,
                     const struct scr_sampler *sampler, double limit_s, struct scr_rivals *out);

/*
 * Samples rivals that took no part, alone, unless that was done, by the clock that the sampler has
 * chosen, in as many visits as the row has planned. Such a rival is known by a few samples; where
 * others disturbed them the row has the flag `busy`, and the rival no more visits.
 */
void scr_rivals_sample_alone(struct scr_baselines *b, const struct scr_runner *r,
                             const struct scr_case *c, const struct scr_sampler *sampler,
                             double limit_s, const struct scr_rivals *rivals);
void scr_rivals_clear(struct scr_rivals *rivals);

/* Fills in the row's speedups from the contest and remembers the case's times. */
void scr_rivals_relate(struct scr_baselines *b, const struct scr_case *c,
                       const struct scr_rivals *rivals, const struct scr_contest *contest,
                       struct scr_row *row);

#endif
