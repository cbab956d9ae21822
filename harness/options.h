/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCR_HARNESS_OPTIONS_H
#define SCR_HARNESS_OPTIONS_H

#include "axes.h"
#include "faults.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum { SCR_MAX_CASE_FILES = 16, SCR_MAX_PEERS = 8, SCR_MAX_GBENCH_WORDS = 32 };
enum { SCR_MAX_RANDOM = 50000, SCR_MAX_JOBS = 64 };

enum scr_mode {
    SCR_MODE_SWEEP,
    SCR_MODE_CHECK,
    SCR_MODE_EVAL,
    SCR_MODE_RESUME,
    SCR_MODE_COMPARE,
    SCR_MODE_PEAK,
    SCR_MODE_PLOT,
    SCR_MODE_LIST_DEVICES,
    SCR_MODE_HELP,
    SCR_MODE_VERSION,
};

enum scr_format {
    SCR_FORMAT_TABLE = 1,
    SCR_FORMAT_CSV = 2,
    SCR_FORMAT_JSON = 4,
    SCR_FORMAT_MD = 8,
};

/* Strings point into argv. */
struct scr_options {
    enum scr_mode mode;
    bool help_axes; /* --help axes */
    bool dry_run;
    bool strict;        /* of --check: what did not run, or proves little, is a failure */
    int n_random;       /* --random: problems of --check; 0: those of a preset or of files */
    int jobs;           /* --jobs: worker processes of --check */
    const char *device; /* --device, or NULL */
    const char *limits; /* --limit, or NULL */
    const char *preset; /* --preset, or NULL */
    const char *cases[SCR_MAX_CASE_FILES]; /* --cases */
    int n_cases;
    const char *out; /* --out, or NULL */
    const char *eval_in, *eval_out;
    const char *plot_dir;
    const char *resume_dir;
    const char *compare_base, *compare_new;
    double max_regress;  /* of --compare: a part, 0.05 */
    bool warm;           /* --cache warm */
    double time_limit_s; /* --time-limit: of sampling a plan; 0: the preset's */
    double timeout_s;    /* a step that takes longer is given up; --resume: 0 or given */
    const char *peers[SCR_MAX_PEERS]; /* --peer */
    int n_peers;
    const char *peer_kernel; /* --peer-kernel: of all kernels of the peers this one; or NULL */
    const char *gbench[SCR_MAX_GBENCH_WORDS]; /* --benchmark_* */
    int n_gbench;
    const char *worker;       /* --worker: the backends to load, or NULL: this is no worker */
    struct scr_faults faults; /* --inject */
    unsigned formats;         /* of enum scr_format */
    uint64_t seed;
    double budget_s; /* 0: none */
    struct scr_axes axes;
};

/*
 * Reads the command line.
 * why  receives one line that names the option and says what was expected
 * Returns SCR_OK, SCR_ERR_INVALID or SCR_ERR_NO_MEMORY. Clear it in any case.
 */
int scr_options_parse(int argc, char **argv, struct scr_options *o, char *why, size_t why_size);
void scr_options_clear(struct scr_options *o);

/* "90", "90s", "5m", "1.5h" in seconds, > 0. */
bool scr_parse_duration(const char *text, double *seconds);

/* "5%" or "0.05" as a part, >= 0. */
bool scr_parse_part(const char *text, double *part);

#endif
