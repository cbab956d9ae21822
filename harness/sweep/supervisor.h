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

#include <signal.h>
#include <stdbool.h>

struct scr_supervisor;

struct scr_supervisor_options {
    char *const *argv;    /* of this program; the worker gets it too */
    const char *backends; /* those that the worker may load */
    const struct scr_machine *machine;
    const char *folder; /* of the run, for the files of peers; NULL: no peers */
    const struct scr_case_list *list;
    double timeout_s;                  /* a step that takes longer is given up */
    const volatile sig_atomic_t *stop; /* raised: no more than a few seconds are waited; or NULL */
    double end_s; /* of the time budget by scr_clock_s, at which the same holds; 0: none */
};

/* What came of a request. */
enum scr_reply {
    SCR_REPLY_DONE,
    SCR_REPLY_STOPPED,   /* *stop was raised and the answer did not come soon */
    SCR_REPLY_LATE,      /* the time budget ended and the answer did not come soon */
    SCR_REPLY_NO_WORKER, /* none starts, or the device is given up; another run may do better */
};

/*
 * Borrows what the options point to. Starts nothing yet. This process collects orphans from here
 * on (PR_SET_CHILD_SUBREAPER), to end what the peers of a worker that died have started. SCR_OK or
 * SCR_ERR_NO_MEMORY.
 */
int scr_supervisor_create(const struct scr_supervisor_options *options,
                          struct scr_supervisor **out);
/* Ends the worker. */
void scr_supervisor_destroy(struct scr_supervisor **s);

/*
 * Runs a case and receives its row. A worker that dies or is given up makes the row "crashed" or
 * "timeout"; one that answers something else makes it "failed". Where the outcome is not
 * SCR_REPLY_DONE the row is not to be kept; its reason says why.
 */
enum scr_reply scr_supervisor_run(struct scr_supervisor *s, size_t index, double time_limit_s,
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
 * Starts the worker, and with it the peers: all of them must start this once. Later ones start when
 * they are asked. SCR_OK, or SCR_ERR_DEVICE with one line in why.
 * peers  receives an array of what scr_peer_json says of each, owned by the caller
 */
int scr_supervisor_start(struct scr_supervisor *s, json_t **peers, char *why, size_t why_size);

/*
 * Runs a peer's kernel on the data and device of a case. Contracts as of scr_supervisor_run.
 * row  is given as scr_peer_row_identify makes it
 */
enum scr_reply scr_supervisor_run_peer(struct scr_supervisor *s, int peer, int kernel, size_t index,
                                       double time_limit_s, struct scr_row *row);

/* The floor of a device as an earlier run measured it. */
void scr_supervisor_set_floor(struct scr_supervisor *s, int device_order,
                              const struct scr_peak *peak);

#endif
