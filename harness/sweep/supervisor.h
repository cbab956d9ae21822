/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps a worker process (worker.h) at work: starts it, asks, waits, and replaces it when it dies.
 */
#ifndef SCR_HARNESS_SUPERVISOR_H
#define SCR_HARNESS_SUPERVISOR_H

#include "case.h"
#include "machine.h"
#include "peak.h"
#include "row.h"

#include <jansson.h>

#include <stdbool.h>

struct scr_supervisor;

struct scr_supervisor_options {
    char *const *argv;    /* of this program; the worker gets it too */
    const char *backends; /* those that the worker may load */
    const struct scr_machine *machine;
    const char *folder; /* of the run, for the files of peers; NULL: no peers */
    const struct scr_case_list *list;
    double timeout_s; /* a step that takes longer is given up */
};

/* Borrows what the options point to. Starts nothing yet. SCR_OK or SCR_ERR_NO_MEMORY. */
int scr_supervisor_create(const struct scr_supervisor_options *options,
                          struct scr_supervisor **out);
/* Ends the worker. */
void scr_supervisor_destroy(struct scr_supervisor **s);

/*
 * Runs a case and receives its row. A worker that dies or is given up makes the row "crashed" or
 * "timeout"; one that cannot be started makes it "failed".
 */
void scr_supervisor_run(struct scr_supervisor *s, size_t index, double time_limit_s,
                        struct scr_row *row, bool *proves_little);

/*
 * Measures the ceilings of a device and tells the worker's successors its floor. Where that fails
 * all of *out is NaN and why has one line.
 * bound  receives where the worker's thread is bound, one line
 */
void scr_supervisor_peak(struct scr_supervisor *s, int device_order, double time_limit_s,
                         struct scr_peak *out, char *bound, size_t bound_size, char *why,
                         size_t why_size);

/*
 * Starts the worker, and with it the peers. SCR_OK, or SCR_ERR_DEVICE with one line in why.
 * kernels  receives an array of the names of each peer's kernels, owned by the caller
 */
int scr_supervisor_start(struct scr_supervisor *s, json_t **kernels, char *why, size_t why_size);

/* Runs a peer's kernel on the data and device of a case; as scr_engine_run_peer. */
void scr_supervisor_run_peer(struct scr_supervisor *s, int peer, int kernel, size_t index,
                             bool init_only, double time_limit_s, struct scr_row *row);

/* The floor of a device as an earlier run measured it. */
void scr_supervisor_set_floor(struct scr_supervisor *s, int device_order, double floor_wall_ns);

#endif
