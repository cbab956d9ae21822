/* SPDX-License-Identifier: Apache-2.0 */
/* `-a tile=auto`: the configuration of a case from the lookup table, screening/tuning.h. */
#ifndef SCR_HARNESS_CHOICE_H
#define SCR_HARNESS_CHOICE_H

#include "dataset.h"

#include <screening/tuning.h>

#include <stddef.h>

enum { SCR_CHOICE_TEXT = 32 };

/*
 * What is known of the data of a settled spec before it is drawn: the window, of a trace too, as
 * whoever has a model knows it, and the density that a workload is made to have. Returns as
 * scr_dataset_mean_window; where that fails the window is unknown.
 */
int scr_choice_hint(const struct scr_dataset_spec *spec, scr_hint *out, char *why, size_t why_size);

/*
 * Completes config, whose kernel, skip, variant and parameters stay where they are set, by the
 * table, else as scr_config_resolve does. Contracts as there.
 *
 * tables  a context, if only for its tables; NULL: as scr_config_resolve
 * from    receives where it comes from: level and table ("device built-in"), or "default"
 */
int scr_choice_complete(const scr_context *tables, const scr_device_info *device,
                        const scr_problem *p, const scr_hint *hint, scr_config *config, char *why,
                        size_t why_size, char from[SCR_CHOICE_TEXT]);

#endif
