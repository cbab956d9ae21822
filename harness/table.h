/* SPDX-License-Identifier: Apache-2.0 */
/* Rows for people: an aligned table and a Markdown table. */
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

/* Prints lines broken at blanks to the width of a text table; indented ones stay whole. */
void scr_print_wrapped(const char *text, FILE *f);

#endif
