/* SPDX-License-Identifier: Apache-2.0 */
/* The gnuplot scripts of this folder, compiled in by embed.py. */
#ifndef SCR_PLOTS_SCRIPTS_H
#define SCR_PLOTS_SCRIPTS_H

#include <stddef.h>

struct scr_plot_script {
    const char *name; /* file name without .gp */
    const char *text;
};

extern const struct scr_plot_script scr_plot_scripts[];
extern const size_t scr_plot_script_count;

#endif
