/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where candidates are tried: compiled by several processes at once, run by one, which is killed
 * and replaced when a candidate hangs, crashes or corrupts it. Uses the harness's data, reference,
 * checks and sampler. One lab has one device.
 */
#ifndef SCR_TUNER_LAB_H
#define SCR_TUNER_LAB_H

#include "case.h"
#include "devices.h"
#include "options.h" /* the harness's faults */
#include "record.h"
#include "timer.h"

#include <screening/screening.h>

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>

struct scr_lab;

struct scr_machine;

struct scr_lab_options {
    /* Of this program; workers get it too, with --worker BACKENDS at its end, make the same list of
     * shapes and call scr_lab_worker. */
    char *const *argv;
    const char *backends;               /* that workers load */
    const struct scr_case_list *shapes; /* tile-skip on the lab's device; see scr_lab_shapes */
    size_t n_tuned;                     /* the first ones are tuned, the others verify */
    const struct scr_machine *machine;  /* whose topology workers are told; or NULL */
    int n_compilers;                    /* processes that compile at once */
    double timeout_s;                   /* of a step */
    const volatile sig_atomic_t *stop;  /* or NULL */
    double end_s; /* by scr_clock_s: no step is waited for beyond it; 0 none */
};

/* What came of a trial. */
struct scr_trial {
    char status[16], reason[200]; /* as in a record */
    double ns, lo, hi, n;         /* NaN: untimed; lo and hi also with fewer than six samples */
    char timer[8], cache[8];
    char stop[12]; /* as in a row; "slow": given up, ns is but a rough time */
    scr_resources resources;
    double pair_density; /* of the shape's data, NaN unknown */
};

/*
 * Borrows what the options point to, and starts nothing yet. Ignores SIGPIPE from here on. Its
 * workers end with the thread that uses it. SCR_OK or SCR_ERR_NO_MEMORY.
 */
int scr_lab_create(const struct scr_lab_options *o, struct scr_lab **out);
void scr_lab_destroy(struct scr_lab **lab);

/* Changes the options' end_s. */
void scr_lab_set_end(struct scr_lab *lab, double end_s);

/* After SCR_ERR_DEVICE one line that says why; "" where a stop was wanted. Lives with the lab. */
const char *scr_lab_why(const struct scr_lab *lab);

/*
 * Compiles configurations of a shape side by side, into the compile cache and for their resources;
 * out[i] has status "ok", "compile", "oom", "timeout", "crashed", "unsupported", "skipped" where
 * its workspace cannot fit, or "pruned" where the compiled kernel cannot be launched or spills too
 * much. Nothing is launched, but by OpenCL on one row. Returns SCR_OK, or SCR_ERR_DEVICE where no
 * process can be had or a stop is wanted; what was not done is then "skipped".
 */
int scr_lab_compile(struct scr_lab *lab, size_t shape, const scr_config *configs, size_t n,
                    struct scr_trial *out);

/*
 * Runs a configuration once on a shape (tuned or verifying) and holds it to the reference; of
 * tile-skip also a counting build to the densities, and the bits to those of skip = none.
 *
 * What is wrong, failed or crashed in a process that others ran in before is tried again in a new
 * one, as they may have done harm there. Returns as scr_lab_compile; so do the following.
 */
int scr_lab_check(struct scr_lab *lab, size_t shape, const scr_config *config,
                  struct scr_trial *out);

/*
 * Runs a configuration once and holds it to the reference (no counts, no other builds), then
 * samples it for about limit_s; stops after a few samples once it is surely slower than 1.3 times
 * best_ns, after two runs beyond three times (stop "slow"). best_ns: INFINITY where none is known.
 */
int scr_lab_time(struct scr_lab *lab, size_t shape, const scr_config *config, double limit_s,
                 double best_ns, struct scr_trial *out);

/*
 * Checks configurations as scr_lab_time does, then samples those that are right in turn, for about
 * limit_s each. ratio[i] is time of configs[0] over that of configs[i], with its interval; NaN
 * where one of the two is not "ok". n is at most SCR_MAX_CONTESTANTS.
 */
int scr_lab_race(struct scr_lab *lab, size_t shape, const scr_config *configs, size_t n,
                 double limit_s, struct scr_trial *out, struct scr_ratio *ratio);

/*
 * The worker's side: serves until standard input ends. Returns the exit status: SCR_EXIT_USAGE, and
 * says so, where nobody asks.
 * faults  of single configurations, see CONTRIBUTING; "case" is the shape
 */
int scr_lab_worker(const struct scr_case_list *shapes, struct scr_devices *devices,
                   const struct scr_faults *faults);

#endif
