/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs the cases of a list one by one and gives each its row: data and reference of the group that
 * a case belongs to, the baselines that it is compared with, the check and the times. It keeps what
 * the next case can use, so cases run quickest in the order of the list, but may come in any.
 */
#ifndef SCR_HARNESS_ENGINE_H
#define SCR_HARNESS_ENGINE_H

#include "machine.h"
#include "runner.h"

#include <stdbool.h>

struct scr_engine_options {
    bool timed; /* else checked only */
    bool warm;  /* measure with a warm cache */
    struct scr_faults faults;
    const char *folder; /* for the files that peers read and write; NULL: there are no peers */
    scr_beat_fn beat;   /* or NULL */
    void *user;
};

struct scr_engine;

/* Borrows all its arguments but the options. SCR_OK or SCR_ERR_NO_MEMORY. */
int scr_engine_create(const struct scr_case_list *list, struct scr_devices *devices,
                      const struct scr_machine *machine, const struct scr_engine_options *options,
                      struct scr_engine **out);
void scr_engine_destroy(struct scr_engine **e);

/* A run of the empty kernel on a device by the host's clock, ns; NaN, and unknown until it is
 * set. */
void scr_engine_set_floor(struct scr_engine *e, int device_order, double floor_wall_ns);

/*
 * Runs case `index` of the list; whatever goes wrong is in the row.
 *
 * time_limit_s   about what sampling may take, for each of the plans that are compared
 * proves_little  the check could hardly have failed
 */
void scr_engine_run(struct scr_engine *e, size_t index, double time_limit_s, struct scr_row *row,
                    bool *proves_little);

/* How a configuration is tried. */
struct scr_try {
    bool thorough;  /* also hold a counting build to the densities, and the bits to skip = none */
    double limit_s; /* of sampling; 0: it is not timed */
    double best_ns; /* it may end early where it is surely slower than 1.3 times that; INFINITY */
};

/*
 * Tries a configuration of the caller's, who need not be in the list, on the data and device of
 * case `index`: checks it as scr_engine_run does, then samples it alone. What takes over three
 * times best_ns in two runs is not sampled: its time is the shorter of the two, its stop "slow", as
 * of one that the sampler gave up. resources  receives what is known of the compiled kernel; zeros
 * where it did not compile
 */
void scr_engine_try(struct scr_engine *e, size_t index, const scr_config *config,
                    const struct scr_try *how, struct scr_row *row, scr_resources *resources);

/*
 * Checks configurations, each once and not thoroughly, and samples them side by side. Those that
 * fail, or do not repeat their bits afterwards, have no times and no ratio.
 *
 * n        at most SCR_MAX_CONTESTANTS
 * limit_s  for each
 * rows     n
 * ratio    n: time of configs[0] over that of configs[i], with its interval
 * Returns SCR_OK, or SCR_ERR_*: the race as a whole failed, and every row says so.
 */
int scr_engine_race(struct scr_engine *e, size_t index, const scr_config *configs, size_t n,
                    double limit_s, struct scr_row *rows, struct scr_ratio *ratio);

struct scr_peer;

/*
 * Has a peer run one of its kernels on the data and device of case `index`; as scr_engine_run.
 */
void scr_engine_run_peer(struct scr_engine *e, struct scr_peer *peer, int kernel, size_t index,
                         double time_limit_s, struct scr_row *row);

#endif
