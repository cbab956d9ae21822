/* SPDX-License-Identifier: Apache-2.0 */
/* What is derived from the rows of a run: rows.csv, report.md and report.html. */
#ifndef SCR_HARNESS_REPORT_WRITE_H
#define SCR_HARNESS_REPORT_WRITE_H

#include "plot.h"
#include "row.h"

#include <stddef.h>

/*
 * Writes DIR/rows.csv, DIR/report.md and DIR/report.html from DIR/run.json, the rows and the
 * pictures of DIR/plots, by way of temporary files. Of run.json every part may be missing; what it
 * does not tell is not in the report. "note" in it, a line, comes first: how a run ended that did
 * not do everything.
 *
 * plots  what scr_plot_dir drew, or NULL
 * why    receives one line on failure
 * Returns SCR_OK; SCR_ERR_INVALID (no run.json, or a file cannot be written); SCR_ERR_NO_MEMORY.
 */
int scr_report_write(const char *dir, const struct scr_row *rows, size_t n,
                     const struct scr_plot_summary *plots, char *why, size_t why_size);

#endif
