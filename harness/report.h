/* SPDX-License-Identifier: Apache-2.0 */
/* The results folder: rows.jsonl as the run goes, and what is derived from it at the end. */
#ifndef SCR_HARNESS_REPORT_H
#define SCR_HARNESS_REPORT_H

#include "devices.h"
#include "machine.h"
#include "row.h"

#include <jansson.h>

#include <stddef.h>

struct scr_report {
    char dir[600];
    FILE *rows; /* rows.jsonl */
};

/*
 * Makes the folder and opens rows.jsonl. dir NULL: results/<UTC>-<host> below the current folder.
 * A folder that holds something is refused.
 * Returns SCR_OK, or SCR_ERR_INVALID with one line in why.
 */
int scr_report_open(struct scr_report *r, const char *dir, const struct scr_machine *m, char *why,
                    size_t why_size);

/* Writes run.json: machine, devices, compiler, commit, start time, and `options` (kept by caller).
 */
int scr_report_header(const struct scr_report *r, const struct scr_machine *m,
                      const struct scr_devices *devices, json_t *options, char *why,
                      size_t why_size);

/*
 * Adds to run.json how the run ended ("end": "complete" or "interrupted"), its number of rows and
 * the finish time. A run that was killed has none of them. Contracts as for open.
 */
int scr_report_end(const struct scr_report *r, bool interrupted, size_t n_rows, char *why,
                   size_t why_size);

/*
 * Writes rows.csv and report.md, by way of temporary files. Contracts as for open.
 * note  a line for the report's head, or ""
 */
int scr_report_derive(const struct scr_report *r, const struct scr_machine *m,
                      const struct scr_devices *devices, const struct scr_row *rows, size_t n,
                      const char *note, char *why, size_t why_size);

void scr_report_close(struct scr_report *r);

#endif
