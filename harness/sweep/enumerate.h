/* SPDX-License-Identifier: Apache-2.0 */
/* From options to the list of cases: presets or files, overridden by the axes given. */
#ifndef SCR_HARNESS_ENUMERATE_H
#define SCR_HARNESS_ENUMERATE_H

#include "case.h"
#include "devices.h"
#include "options.h"

#include <stddef.h>

/*
 * Fills a list, sorted, which is the same for the same options and devices.
 *
 * list          with program set; cleared by the caller in any case
 * time_limit_s  receives what the preset gives the sampling of a row; 0 for --check
 * why           receives one line on failure
 * Returns SCR_OK, SCR_ERR_INVALID (also where no case is left) or SCR_ERR_NO_MEMORY.
 */
int scr_enumerate(const struct scr_options *o, const struct scr_devices *devices,
                  struct scr_case_list *list, double *time_limit_s, char *why, size_t why_size);

/* The preset that the options come to, "none" where they name files. */
const char *scr_enumerate_preset(const struct scr_options *o);

#endif
