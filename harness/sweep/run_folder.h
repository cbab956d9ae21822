/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The folder of a run: run.json (what was asked for and where it ran), rows.jsonl as the run goes.
 * Whenever the program is killed, run.json is whole and rows.jsonl ends at most in one unfinished
 * line.
 */
#ifndef SCR_HARNESS_RUN_FOLDER_H
#define SCR_HARNESS_RUN_FOLDER_H

#include "devices.h"
#include "machine.h"
#include "rows_file.h"

#include <jansson.h>

#include <stddef.h>
#include <stdio.h>

struct scr_run_folder {
    char dir[600];
    FILE *rows;     /* rows.jsonl, to append to; locked against a second program */
    json_t *header; /* what run.json holds; change it, then save */
};

/*
 * Makes the folder, or takes an empty one. dir NULL: results/<UTC>-<host> below the current folder.
 * Close it in any case.
 * Returns SCR_OK, or SCR_ERR_INVALID with one line in why.
 */
int scr_run_folder_create(struct scr_run_folder *f, const char *dir, const struct scr_machine *m,
                          char *why, size_t why_size);

/*
 * Opens the folder of a run that did not end, to go on with it: reads its rows and cuts off an
 * unfinished line.
 *
 * rows  receives the rows; clear in any case
 * Returns SCR_OK, or SCR_ERR_INVALID with one line in why (no such run; another program is writing
 * there; files that cannot be read).
 */
int scr_run_folder_reopen(struct scr_run_folder *f, const char *dir, struct scr_rows_file *rows,
                          char *why, size_t why_size);

/* The command line of the run in a folder: an array of strings in its run.json, or NULL and why. */
json_t *scr_run_folder_command(const char *dir, char *why, size_t why_size);

/*
 * Fills the header: version, commit, compiler, machine, devices, start, and `options` (kept by the
 * caller). SCR_OK or SCR_ERR_NO_MEMORY.
 */
int scr_run_folder_describe(struct scr_run_folder *f, const struct scr_machine *m,
                            const struct scr_devices *devices, json_t *options);

/* Writes run.json by way of a temporary file. SCR_OK, or SCR_ERR_INVALID with one line in why. */
int scr_run_folder_save(const struct scr_run_folder *f, char *why, size_t why_size);

/* The time of day as run.json has it, a new JSON string. */
json_t *scr_run_folder_now(void);

void scr_run_folder_close(struct scr_run_folder *f);

#endif
