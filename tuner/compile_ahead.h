/* SPDX-License-Identifier: Apache-2.0 */
/* --compile-ahead: CUDA kernels for machines without NVRTC. */
#ifndef SCR_TUNER_COMPILE_AHEAD_H
#define SCR_TUNER_COMPILE_AHEAD_H

#include "tuner_options.h"

/*
 * Compiles, for the architecture of --arch, what the entries of a table name and the defaults of
 * all types and dims, into the folder of --compile-ahead. Complains on stderr; the program's exit
 * status.
 */
int scr_compile_ahead_run(const struct scr_tuner_options *o);

#endif
