/* SPDX-License-Identifier: Apache-2.0 */
/* Rows for people: a table as aligned text, in Markdown and in HTML. */
#ifndef SCR_HARNESS_TABLE_H
#define SCR_HARNESS_TABLE_H

#include "row.h"

#include <stddef.h>
#include <stdio.h>

enum scr_table_style {
    SCR_TABLE_TEXT,  /* 80 to 120 columns wide, as the terminal; the least important are left out */
    SCR_TABLE_BRIEF, /* Markdown of the columns that 180 characters of text have */
    SCR_TABLE_MARKDOWN, /* every column */
    SCR_TABLE_HTML,     /* every column */
};

/*
 * What is the same in all rows stands in a line above the table; columns are what differs and the
 * key figures, their units in the header. A time or ratio without an interval has a ~; a ratio
 * whose interval holds 1 is "no difference". Only rows with a result; nothing is printed where
 * there is none. Returns SCR_OK or SCR_ERR_NO_MEMORY.
 */
int scr_table_print_results(const struct scr_row *rows, size_t n, enum scr_table_style style,
                            FILE *f);

/*
 * Rows without a result, counted by status and reason; nothing where there is none. Markdown and
 * HTML name the command of the first of each too.
 */
void scr_table_print_rest(const struct scr_row *rows, size_t n, enum scr_table_style style,
                          FILE *f);

/* Both, one below the other; for TEXT and MARKDOWN. Returns SCR_OK or SCR_ERR_NO_MEMORY. */
int scr_table_print(const struct scr_row *rows, size_t n, enum scr_table_style style, FILE *f);

/* Whether the kernel of the row gave an output, right or wrong. */
bool scr_row_has_result(const struct scr_row *r);

/* Prints lines broken at blanks to the width of a text table; indented ones stay whole. */
void scr_print_wrapped(const char *text, FILE *f);

#endif
