/* SPDX-License-Identifier: Apache-2.0 */
/* Rows for people: an aligned table, a Markdown table, and one line that says what they show. */
#ifndef SCR_HARNESS_TABLE_H
#define SCR_HARNESS_TABLE_H

#include "row.h"

#include <stddef.h>
#include <stdio.h>

enum scr_table_style {
    SCR_TABLE_TEXT,     /* at most 120 columns wide; less important columns are left out */
    SCR_TABLE_MARKDOWN, /* every column */
};

/*
 * What is the same in all rows stands in a line above the table; columns are what differs and the
 * key figures, their units in the header.
 * Returns SCR_OK or SCR_ERR_NO_MEMORY.
 */
int scr_table_print(const struct scr_row *rows, size_t n, enum scr_table_style style, FILE *f);

/* One line, computed from the rows; says so when they show nothing or are wrong. */
void scr_verdict_line(const struct scr_row *rows, size_t n, char *out, size_t size);

#endif
