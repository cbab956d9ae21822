/* SPDX-License-Identifier: Apache-2.0 */
/* Pictures of a sweep: data and gnuplot scripts from rows.jsonl, then SVG and PNG by gnuplot. */
#ifndef SCR_HARNESS_PLOT_H
#define SCR_HARNESS_PLOT_H

#include <stddef.h>

enum {
    SCR_PLOT_MAX_DEVICES = 16, /* devices with pictures of their own, in the order of the rows */
    SCR_PLOT_MAX = 6 * SCR_PLOT_MAX_DEVICES + 2,
};

struct scr_plot_summary {
    int n_drawn;
    char drawn[SCR_PLOT_MAX][80]; /* "seq_latency-cuda_0": base name of .dat, .gp, .svg and .png */
    char title[SCR_PLOT_MAX][64]; /* of each drawn */
    int n_left_out;
    char left_out[SCR_PLOT_MAX][160]; /* "roofline-cuda_0: needs ..." */
};

/*
 * Reads DIR/rows.jsonl and writes below DIR/plots, for each plot that has rows, NAME.dat, NAME.gp
 * and, by running gnuplot on that script, NAME.svg and NAME.png. Only rows with status "ok" are
 * drawn. A last line without its newline is passed over: a sweep that was killed leaves one. The
 * ceilings of the roofline come from "peaks" of DIR/run.json. A plot without rows is left out,
 * which is no failure.
 *
 * summary  may be NULL; else receives the plots that have data and script, and those left out. The
 *          pictures themselves exist only when this returns SCR_OK
 * why      receives one line on failure
 * Returns SCR_OK; SCR_ERR_INVALID (no rows.jsonl, a line that is no JSON object, DIR/plots cannot
 * be written, gnuplot refused a script); SCR_ERR_NOT_FOUND (gnuplot is not installed: data and
 * scripts are there all the same); SCR_ERR_NO_MEMORY.
 */
int scr_plot_dir(const char *dir, struct scr_plot_summary *summary, char *why, size_t why_size);

#endif
