/* SPDX-License-Identifier: Apache-2.0 */
/* What --help prints. */
#ifndef SCR_HARNESS_HELP_H
#define SCR_HARNESS_HELP_H

#include <stdio.h>

/* Modes, options and examples; each of the two fits one screen. */
void scr_help(FILE *f);

/* --help axes: what -a may name. */
void scr_help_axes(FILE *f);

#endif
