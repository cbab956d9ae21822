/* SPDX-License-Identifier: Apache-2.0 */
/* How far a run is: one line rewritten in place on a terminal, plain lines now and then elsewhere.
 */
#ifndef SCR_HARNESS_PROGRESS_H
#define SCR_HARNESS_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct scr_progress {
    FILE *f;
    bool terminal;
    int columns;
    size_t total;
    size_t first;   /* finished when the first row of this run was */
    size_t begun;   /* finished when the run began */
    double first_s; /* the time then */
    double last_line_s;
};

/* done: what an earlier run has of the total. */
void scr_progress_start(struct scr_progress *p, FILE *f, size_t done, size_t total);
/* What is about to run, `done` being finished. */
void scr_progress_show(struct scr_progress *p, size_t done, const char *what);
/* Clears the line on a terminal, so that other text can be printed. */
void scr_progress_hide(struct scr_progress *p);

#endif
