/* SPDX-License-Identifier: Apache-2.0 */
/* --sweep and --check: every configuration of a product of axes, each verified, then timed. */
#ifndef SCR_HARNESS_SWEEP_H
#define SCR_HARNESS_SWEEP_H

#include "devices.h"
#include "machine.h"
#include "options.h"

#include <signal.h>

/* Exit statuses of the program. */
enum {
    SCR_EXIT_FINE = 0,
    SCR_EXIT_WRONG = 1,
    SCR_EXIT_USAGE = 2,
    SCR_EXIT_NO_DEVICE = 3,
    /* 4: compare.h */
    SCR_EXIT_SOME_FAILED = 5,
    SCR_EXIT_INTERRUPTED = 130,
};

/*
 * Runs on the devices chosen. Prints results to stdout, progress and complaints to stderr.
 *
 * argc, argv  as the program got them, kept in run.json
 * stop        set by a signal handler: the row that runs is finished, files are written
 * Returns the exit status.
 */
int scr_sweep_run(const struct scr_options *o, struct scr_devices *devices,
                  const struct scr_machine *machine, int argc, char **argv,
                  const volatile sig_atomic_t *stop);

#endif
