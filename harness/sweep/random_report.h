/* SPDX-License-Identifier: Apache-2.0 */
/* What a run of --check --random came to. */
#ifndef SCR_HARNESS_RANDOM_REPORT_H
#define SCR_HARNESS_RANDOM_REPORT_H

#include "devices.h"
#include "options.h"
#include "row.h"

#include <stddef.h>
#include <stdio.h>

/*
 * Prints the seed, how many problems ran and were right, why others did not run, how much the data
 * could show, and how often each kernel of the devices was run.
 */
void scr_random_report(const struct scr_row *rows, size_t n, const struct scr_options *o,
                       const struct scr_devices *devices, FILE *f);

#endif
