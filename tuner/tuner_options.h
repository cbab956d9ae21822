/* SPDX-License-Identifier: Apache-2.0 */
/* The tuner's command line. */
#ifndef SCR_TUNER_OPTIONS_H
#define SCR_TUNER_OPTIONS_H

#include "axes.h"
#include "faults.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define SCR_DEFAULT_RECORDS "tuning.jsonl"

enum scr_tuner_mode {
    SCR_TUNER_NONE,
    SCR_TUNER_TUNE,
    SCR_TUNER_SHOW,
    SCR_TUNER_MERGE,
    SCR_TUNER_TABLE,
    SCR_TUNER_LOOKUP,
    SCR_TUNER_STALE,
    SCR_TUNER_EXPORT,
    SCR_TUNER_AHEAD,
    SCR_TUNER_HELP,
    SCR_TUNER_VERSION,
};

enum { SCR_TUNER_STARTS = 16 };

/* Parameters that a user knows to be good. */
struct scr_tuner_start {
    int n_params;
    scr_param params[SCR_MAX_PARAMS];
};

/* Strings point into argv. */
struct scr_tuner_options {
    enum scr_tuner_mode mode;
    const char *device;   /* --device: ids, backends or all; or NULL */
    struct scr_axes axes; /* -a: of the shapes to tune, or to look up */
    int strategy; /* enum scr_strategy; -1: exhaustive where the space is small, else local */
    int tries;    /* --tries: candidates of a kernel at most; 0: as the strategy has it */
    struct scr_tuner_start starts[SCR_TUNER_STARTS]; /* --start */
    int n_starts;
    double budget_s;          /* --budget: of the whole run; 0: none */
    double time_limit_s;      /* --time-limit: of sampling a candidate; 0: the default */
    double timeout_s;         /* --timeout: of a step of a candidate; 0: the default */
    uint64_t seed;            /* of data and search, <= INT64_MAX; default 1 */
    const char *records;      /* --records; never NULL with --tune */
    bool resume;              /* what the records have is not measured again */
    int shard, n_shards;      /* --shard K/N: 1 <= K <= N; 1/1 unless given */
    int jobs;                 /* processes that compile at once; 0: as many as there are cores */
    struct scr_faults faults; /* --inject */
    const char *worker;       /* --worker: the backends to load, or NULL: this is no worker */
    const char *ahead;        /* --compile-ahead: the folder */
    const char *arch;         /* --arch; never NULL with --compile-ahead */
    const char *out;          /* -o, or NULL; "-" is the standard output */
    const char **files;       /* the other words; owned */
    int n_files;
};

/*
 * Reads the command line.
 * why  receives one line that names the option and says what was expected
 * Returns SCR_OK, SCR_ERR_INVALID or SCR_ERR_NO_MEMORY. Clear it in any case.
 */
int scr_tuner_options_parse(int argc, char **argv, struct scr_tuner_options *o, char *why,
                            size_t why_size);
void scr_tuner_options_clear(struct scr_tuner_options *o);

void scr_tuner_help(FILE *f);

#endif
