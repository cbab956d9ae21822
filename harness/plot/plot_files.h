/* SPDX-License-Identifier: Apache-2.0 */
/* The two files of a picture: its data, and the gnuplot script that draws them. */
#ifndef SCR_HARNESS_PLOT_FILES_H
#define SCR_HARNESS_PLOT_FILES_H

#include "plot_choose.h"

#include <stddef.h>

/*
 * Writes DIR/NAME.dat, one index block a series, and DIR/NAME.gp: the picture's values, then
 * plots/style.gp and the script of its kind.
 * Returns SCR_OK or SCR_ERR_INVALID (a file cannot be written; why has one line).
 */
int scr_plot_files_write(const char *dir, const char *name, const struct scr_plot_picture *picture,
                         char *why, size_t why_size);

#endif
