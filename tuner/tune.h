/* SPDX-License-Identifier: Apache-2.0 */
/* --tune: for each shape the fastest configuration of each kernel, and of all. */
#ifndef SCR_TUNER_TUNE_H
#define SCR_TUNER_TUNE_H

#include "tuner_options.h"

/*
 * Tunes, or serves as a worker where the options say so. Several devices are tuned by a process
 * each: GPUs that are alike side by side, each a part of the shapes, others one after the other.
 *
 * argc, argv  as the program got them; processes that this one starts get them too
 * Returns the program's exit status; complaints go to stderr.
 */
int scr_tune_run(const struct scr_tuner_options *o, int argc, char **argv);

#endif
