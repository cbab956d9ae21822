/* SPDX-License-Identifier: Apache-2.0 */
/* --eval: one file of q, k, v, r, w through the kernels; o for comparison elsewhere. */
#ifndef SCR_HARNESS_EVAL_H
#define SCR_HARNESS_EVAL_H

#include "devices.h"
#include "machine.h"
#include "options.h"

/*
 * Runs every kernel asked for on every chosen device and prints a line each; writes the output of
 * the first that was right, else of the first that ran, as f32, of the rank of q, and says whose it
 * is. With dry_run lists the configurations and writes nothing.
 * Returns the exit status: 1 when an output is beyond its tolerance, 2 for files that cannot be
 * used, 5 when something failed.
 */
int scr_eval_run(const struct scr_options *o, struct scr_devices *devices,
                 const struct scr_machine *machine);

#endif
