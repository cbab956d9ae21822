/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCR_HARNESS_COMPARE_PRINT_H
#define SCR_HARNESS_COMPARE_PRINT_H

#include "compare.h"
#include "rows_file.h"

#include <stdio.h>

/*
 * The verdict in its first line, then what was compared, each device, the rows slowest first, and
 * what could not be compared. Text fits 100 columns and leaves out, of a long comparison, rows
 * without a difference; Markdown has all.
 * Returns SCR_OK, or SCR_ERR_DEVICE where the stream fails.
 */
int scr_compare_print(const struct scr_compare_options *o, const struct scr_rows_file *base,
                      const struct scr_rows_file *now, const struct scr_comparison *c, FILE *f);

#endif
