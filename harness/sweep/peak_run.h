/* SPDX-License-Identifier: Apache-2.0 */
/* --peak: what the chosen devices can do, measured and printed. */
#ifndef SCR_HARNESS_PEAK_RUN_H
#define SCR_HARNESS_PEAK_RUN_H

#include "devices.h"
#include "machine.h"
#include "options.h"

/* argv is this program's, for the worker. Returns the exit status. */
int scr_peak_run(const struct scr_options *o, const struct scr_devices *devices,
                 const struct scr_machine *machine, char *const *argv);

#endif
