/* SPDX-License-Identifier: Apache-2.0 */
/* What is tuned, and what candidates must be right on: cases of tile-skip on one device, a shape
 * each. */
#ifndef SCR_TUNER_LAB_SHAPES_H
#define SCR_TUNER_LAB_SHAPES_H

#include "case.h"
#include "record.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * The shapes of the axes, without repetitions, or where none is given a dozen that suits the
 * device; then for each type and dims among them the shapes that verify: tails, one row, nothing
 * and everything screened, ragged keys, bidirectional. The same for the same arguments.
 *
 * out      zero but for its program; cleared by the caller in any case
 * n_tuned  receives how many of them are to be tuned
 * why      receives one line on failure
 * Returns SCR_OK, SCR_ERR_INVALID (an axis that the tuner chooses; no shape is left) or
 * SCR_ERR_NO_MEMORY.
 */
int scr_lab_shapes(const struct scr_axes *axes, const scr_device_info *device, uint64_t seed,
                   struct scr_case_list *out, size_t *n_tuned, char *why, size_t why_size);

/* Whether a kernel that is compiled for shape `tuned` is compiled alike for shape `other`. */
bool scr_lab_shape_verifies(const struct scr_case *tuned, const struct scr_case *other);

/* Fits a line of struct scr_record's verified: "ends:1 130 x 130". */
void scr_lab_shape_name(const struct scr_case *c, char *out, size_t size);

/*
 * The shape as a record has it; pair_density as measured, NaN unknown. Reads the data of a trace
 * for its windows. SCR_OK, or SCR_ERR_* with one line in why.
 */
int scr_lab_shape_key(const struct scr_case *c, double pair_density, struct scr_shape_key *out,
                      char *why, size_t why_size);

/* Two digits; of nothing alive a tiny number; 0 for NaN. */
double scr_lab_round_density(double pair_density);

#endif
