/* SPDX-License-Identifier: Apache-2.0 */
/* The cases of --check --random N. */
#ifndef SCR_HARNESS_RANDOM_LIST_H
#define SCR_HARNESS_RANDOM_LIST_H

#include "case.h"
#include "devices.h"
#include "options.h"

/*
 * Fills an empty list with the first n_random problems that random_draw.h draws by the seed of the
 * options, and with some more, n_spare, to run in place of those that turn out to be unsupported.
 * Contracts as of scr_enumerate, which calls it.
 */
int scr_random_list(const struct scr_options *o, const struct scr_devices *devices,
                    struct scr_case_list *list, char *why, size_t why_size);

#endif
