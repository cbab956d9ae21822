/* SPDX-License-Identifier: Apache-2.0 */
/* What a set of rows shows, in a line a device. */
#ifndef SCR_HARNESS_VERDICT_H
#define SCR_HARNESS_VERDICT_H

#include "row.h"

#include <stdbool.h>
#include <stddef.h>

/* A row against masked-dense, by the interval of their ratio. */
enum scr_outcome {
    SCR_OUTCOME_WINS,        /* all of it is above 1 */
    SCR_OUTCOME_LOSES,       /* all of it is below 1 */
    SCR_OUTCOME_UNDECIDED,   /* it holds 1: no difference */
    SCR_OUTCOME_NO_INTERVAL, /* too few samples, or no baseline */
};
enum scr_outcome scr_row_outcome(const struct scr_row *r);

/* Whether a window narrows what the queries see, a gain of its own. */
bool scr_row_has_window(const struct scr_row *r);

/* Whether the time has a 95 % interval wider than +-5 % or, of fewer than six samples, none. */
bool scr_row_is_wide(const struct scr_row *r);

/*
 * What the rows show: a line a device, the best device first; a line for each trace and, where no
 * row of a device has the window off, each window; then what is to be known of the times (a weak
 * baseline, warm caches, throttling and the like, rows of another operator); or that they are wrong
 * (and, in a second line indented by two blanks, the command of the first), or that they show
 * nothing. No newline at the end. Returns SCR_OK or SCR_ERR_NO_MEMORY (out is "").
 */
int scr_verdict(const struct scr_row *rows, size_t n, char *out, size_t size);

#endif
