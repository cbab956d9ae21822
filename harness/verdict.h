/* SPDX-License-Identifier: Apache-2.0 */
/* What a set of rows shows, in a line a device. */
#ifndef SCR_HARNESS_VERDICT_H
#define SCR_HARNESS_VERDICT_H

#include "row.h"

#include <stddef.h>

/* A row against the fastest masked-dense on the same data and device. */
enum scr_outcome {
    SCR_OUTCOME_WINS,          /* the intervals are apart and the ratio is at least 1.03 */
    SCR_OUTCOME_LOSES,         /* the intervals are apart and the ratio is at most 0.97 */
    SCR_OUTCOME_NO_DIFFERENCE, /* neither */
    SCR_OUTCOME_FEW_SAMPLES,   /* one of the two has no interval, or there is no baseline */
};
enum scr_outcome scr_row_outcome(const struct scr_row *rows, size_t n, const struct scr_row *r);

/*
 * What the rows show: a line a device, the best device first; or that they are wrong (and, in a
 * second line indented by two blanks, the command of the first), or that they show nothing. No
 * newline at the end.
 * Returns SCR_OK or SCR_ERR_NO_MEMORY (out is "").
 */
int scr_verdict(const struct scr_row *rows, size_t n, char *out, size_t size);

#endif
