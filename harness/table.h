/* SPDX-License-Identifier: Apache-2.0 */
/* Rows for people: an aligned table, a Markdown table, and lines that say what they show. */
#ifndef SCR_HARNESS_TABLE_H
#define SCR_HARNESS_TABLE_H

#include "row.h"

#include <stddef.h>
#include <stdio.h>

enum scr_table_style {
    SCR_TABLE_TEXT, /* 80 to 120 columns wide, as the terminal; the least important are left out */
    SCR_TABLE_MARKDOWN, /* every column */
};

/*
 * What is the same in all rows stands in a line above the table; columns are what differs and the
 * key figures, their units in the header. A time of too few samples for an interval has a ~. Rows
 * without a result follow the table, counted by status and reason.
 * Returns SCR_OK or SCR_ERR_NO_MEMORY.
 */
int scr_table_print(const struct scr_row *rows, size_t n, enum scr_table_style style, FILE *f);

/* Whether the kernel of the row gave an output, right or wrong. */
bool scr_row_has_result(const struct scr_row *r);

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

/* Prints lines broken at blanks to the width of a text table; indented ones stay whole. */
void scr_print_wrapped(const char *text, FILE *f);

#endif
