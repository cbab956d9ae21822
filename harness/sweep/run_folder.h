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
    FILE *rows;     /* rows.jsonl, to append to; locked against a second program; NULL: not yet */
    json_t *header; /* what run.json holds; change it, then save */
};

/*
 * Makes the folder, or takes one that is empty or where a run was killed before its first row. dir
 * NULL: results/<UTC>-<host> below the current folder. Fill the header and call _begin next; close
 * it in any case.
 * Returns SCR_OK, or SCR_ERR_INVALID with one line in why.
 */
int scr_run_folder_create(struct scr_run_folder *f, const char *dir, const struct scr_machine *m,
                          char *why, size_t why_size);

/*
 * Writes run.json, then opens rows.jsonl for the first rows: where there is a rows.jsonl, there is
 * all that it takes to go on. SCR_OK, or SCR_ERR_INVALID with one line in why.
 */
int scr_run_folder_begin(struct scr_run_folder *f, char *why, size_t why_size);

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

/*
 * The options of the run in a folder, from its run.json: a new reference, or NULL and why. There is
 * a "command", an array of strings that is not empty, and perhaps a "cwd" where it was given.
 */
json_t *scr_run_folder_options(const char *dir, char *why, size_t why_size);

/*
 * Whether rows measured here would compare with those of the run: same host, CPU, and chosen
 * devices with their drivers. False with one line in why.
 */
bool scr_run_folder_same_machine(const struct scr_run_folder *f, const struct scr_machine *m,
                                 const struct scr_devices *devices, char *why, size_t why_size);

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
