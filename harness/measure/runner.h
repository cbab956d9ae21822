/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One case on one device: does it fit, is it right, how did it skip, how long does it take. Uses
 * nothing but its arguments.
 */
#ifndef SCR_HARNESS_RUNNER_H
#define SCR_HARNESS_RUNNER_H

#include "bench.h"
#include "case.h"
#include "devices.h"
#include "row.h"
#include "sampler.h"
#include "timer.h"
#include "truth.h"

#include <stdbool.h>
#include <stdint.h>

/* What a case runs on. */
struct scr_runner {
    struct scr_bench *bench; /* dev and data set */
    const struct scr_truth *truth;
    struct scr_log_sink *log; /* that of the device's context */
    size_t host_memory;       /* bytes of this machine, the bound for CPU devices */
    struct scr_faults faults;
    scr_beat_fn beat; /* or NULL */
    void *user;
};

/* A kernel that ran and was right; destroy the plan. */
struct scr_checked {
    scr_plan *plan;     /* NULL: the row says why */
    uint64_t hash;      /* of its output, which is also in the bench */
    bool proves_little; /* every head's reference is zero or hopelessly ill-conditioned */
};

/*
 * Runs a case once on poisoned output and holds it to the reference; of tile-skip also a counting
 * build to the densities. Fills in what is known of data, memory, errors and counts. Anything that
 * goes wrong becomes the row's status and reason; else the status is "ok".
 *
 * row     initialised
 * copies  of the data that the bench shall hold at least
 */
void scr_runner_check(const struct scr_runner *r, const struct scr_case *c, size_t copies,
                      struct scr_row *row, struct scr_checked *out);

/*
 * Holds the counts of one head to its densities. Without a skip every tile that is visited has its
 * value product; with one, the tiles that have a live pair, and no other: f32 rounding next to tau
 * decides for the few between sure and maybe. False when the row got a status.
 */
bool scr_runner_judge_counts(const struct scr_case *c, size_t head, const scr_counts *n,
                             const struct scr_densities *d, struct scr_row *row);

/* Status and reason from SCR_ERR_* and what the driver said. */
void scr_runner_fail(const struct scr_runner *r, int status, struct scr_row *row);

/*
 * Samples a plan, beside others on the same data, and fills in its times. Others are plans[1..n-1].
 * After the first visit plan 0 must repeat its bits on up to eight copies of the data. Where the
 * sampler gave it up, alone, the row's stop is "slow", and that is left out.
 *
 * s        set up as sampler.h says but for its plans
 * contest  receives the samples; clear it in any case
 * Returns false where the row got a status.
 */
bool scr_runner_time(const struct scr_runner *r, struct scr_sampler *s, scr_plan *const *plans,
                     size_t n, double limit_s, uint64_t hash, struct scr_contest *contest,
                     struct scr_row *row);

/*
 * Whether a plan gives the output of that hash into several of the copies that the bench has, and
 * writes nothing else. False where the row got a status.
 */
bool scr_runner_repeats(const struct scr_runner *r, scr_plan *plan, size_t copies, uint64_t hash,
                        struct scr_row *row);

/* Bytes of device memory that a case needs: copies of its data and the kernel's workspace. */
double scr_case_memory(const struct scr_case *c, size_t copies);

/* "2.7 GB" (powers of ten). */
void scr_format_bytes(double bytes, char *out, size_t size);

#endif
