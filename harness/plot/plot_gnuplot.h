/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCR_HARNESS_PLOT_GNUPLOT_H
#define SCR_HARNESS_PLOT_GNUPLOT_H

#include <stddef.h>

/*
 * Runs `gnuplot NAME.gp` in the folder dir and waits for it.
 * Returns SCR_OK; SCR_ERR_NOT_FOUND (no gnuplot in PATH); SCR_ERR_INVALID (it failed; why has the
 * first line of what it said); SCR_ERR_NO_MEMORY.
 */
int scr_gnuplot_run(const char *dir, const char *name, char *why, size_t why_size);

#endif
