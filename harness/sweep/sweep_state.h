/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of a sweep share: its state, and the steps that more than one of them takes. */
#ifndef SCR_HARNESS_SWEEP_STATE_H
#define SCR_HARNESS_SWEEP_STATE_H

#include "case.h"
#include "devices.h"
#include "machine.h"
#include "options.h"
#include "peak.h"
#include "progress.h"
#include "row.h"
#include "rows_file.h"
#include "run_folder.h"
#include "supervisor.h"

#include <jansson.h>

#include <signal.h>
#include <stdbool.h>

struct scr_tally {
    size_t ok, wrong, skipped, failed, little;
};

struct scr_sweep {
    const struct scr_options *o;
    struct scr_devices *devices;
    const struct scr_machine *machine;
    const volatile sig_atomic_t *stop;
    bool timed;
    double time_limit_s;
    double start_s;
    struct scr_case_list list;
    bool *done; /* by case: its row is there from an earlier run */
    struct scr_supervisor *supervisor;
    struct scr_supervisor_options supervise; /* how to make more of them */
    struct scr_peak peaks[SCR_MAX_DEVICES];
    struct scr_run_folder folder;
    bool has_folder;
    struct scr_progress progress;
    json_t *peers;        /* scr_peer_json of each */
    json_t *peer_rows;    /* by the repro of each row wanted of them: whether it is there */
    struct scr_row *rows; /* room for `room`, grown as they come */
    size_t n_rows, room;
    size_t n_want;            /* rows that a complete run has */
    struct scr_rows_file old; /* of the run that is resumed */
    struct scr_tally tally[SCR_MAX_DEVICES];
    char why[700];
    int broken;           /* SCR_ERR_* and why: a row could not be kept, so the run ends */
    bool lists_only;      /* --benchmark_list_tests */
    size_t n_over_budget; /* rows not started */
    size_t n_not_run;     /* rows for which no worker could be had */
    char lost[SCR_MAX_DEVICES][300]; /* the first reason of those on a device, or "" */
};

/* sweep.c */

/* Whether a status says that a case was tried and gave no result. */
bool scr_sweep_in_vain(const struct scr_row *row);
bool scr_sweep_over_budget(const struct scr_sweep *s);

/* What sampling may take for each plan of the next row, seconds. */
double scr_sweep_row_limit(const struct scr_sweep *s);

/* Runs a case and relates its row to the ceilings of its device. False: there is no row to keep. */
bool scr_sweep_measure(struct scr_sweep *s, size_t index, struct scr_row *row, bool *little);

/* Says what is about to run. */
void scr_sweep_announce(struct scr_sweep *s, size_t index);

/* Of --random: rows that are to run and that did. */
size_t scr_sweep_to_run(const struct scr_sweep *s);
size_t scr_sweep_ran(const struct scr_sweep *s);

/* Adds a row's status to the tally of the device of c. */
void scr_sweep_count(struct scr_sweep *s, const struct scr_case *c, const struct scr_row *row);

/* Whether the run was stopped before it was through. */
bool scr_sweep_interrupted(const struct scr_sweep *s);

/* Whether an outcome gives a row to keep; else counts why not. */
bool scr_sweep_has_row(struct scr_sweep *s, const struct scr_case *c, enum scr_reply outcome,
                       const struct scr_row *row);

/* Appends a row to the rows. False when memory is exhausted. */
bool scr_sweep_add_row(struct scr_sweep *s, const struct scr_row *row);

/* Counts a row and appends it to the rows and the file; where that fails, s->broken says so. */
void scr_sweep_keep(struct scr_sweep *s, const struct scr_case *c, const struct scr_row *row);

/* sweep_check.c */

/*
 * Runs the cases of --check on the workers that --jobs asks for. SCR_OK, or SCR_ERR_* and a line in
 * s->why: a row could not be kept.
 */
int scr_sweep_check_cases(struct scr_sweep *s);

/*
 * The number of cases from the i-th on that one worker runs in a row, as they share data, or a
 * build of --random.
 */
size_t scr_sweep_chunk(const struct scr_case_list *l, size_t i);

/* sweep_folder.c */

/* Makes the folder of the run, or opens that of the run to be resumed, whose rows it takes over;
 * a run that keeps no files has none. SCR_OK, or SCR_ERR_* with a line in s->why. */
int scr_sweep_open_folder(struct scr_sweep *s, int argc, char **argv);

/* Measures the ceilings of the devices, where an earlier run did not. Contracts as above. */
int scr_sweep_measure_peaks(struct scr_sweep *s);

/* The row that the run to be resumed has for a repro, or NULL. */
const struct scr_row *scr_sweep_find_old(const struct scr_sweep *s, const char *repro);

/* Writes what is derived from the rows. note: how the run ended, or "". */
int scr_sweep_write_files(struct scr_sweep *s, const char *note);

/* sweep_peers.c */

/* Starts the peers and counts the rows that are wanted. SCR_OK, or SCR_ERR_* with a line in s->why.
 */
int scr_sweep_prepare_rows(struct scr_sweep *s);

/* Whether a peer's row with that repro is one of this sweep's. */
bool scr_sweep_wants_peer_row(const struct scr_sweep *s, const char *repro);

/* Removes the files of a peer whose worker was killed. */
void scr_sweep_clean_up_peers(const struct scr_sweep *s);

/* Runs the peers, where case `index` is the last of its data on its device. */
void scr_sweep_run_peers(struct scr_sweep *s, size_t index);

/* sweep_gbench.c */

/* Counts the cases that --benchmark_filter leaves: n_want. SCR_OK, or SCR_ERR_* with s->why. */
int scr_sweep_filter_gbench(struct scr_sweep *s);

/* Whether Google Benchmark is only asked to list cases. */
bool scr_sweep_gbench_lists(const struct scr_options *o);

/* Runs the cases by way of Google Benchmark, which chooses among them and reports. */
int scr_sweep_run_gbench(struct scr_sweep *s);

#endif
