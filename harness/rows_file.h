/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of an earlier run, read back from its rows.jsonl. */
#ifndef SCR_HARNESS_ROWS_FILE_H
#define SCR_HARNESS_ROWS_FILE_H

#include "row.h"

#include <stddef.h>

struct scr_rows_file {
    struct scr_row *rows; /* in the order of the file; owned */
    size_t n;
    size_t valid_bytes; /* where the whole lines end */
    size_t cut_bytes;   /* of an unfinished last line behind them; 0: there is none */
    size_t n_repeated;  /* rows whose repro an earlier row has; they are among the rows */
    size_t repeated;    /* index of the first of them */
};

/*
 * Reads a rows.jsonl, or the one in a directory. Empty lines are passed over. A last line without
 * its newline is what a killed run leaves: it is no row, and whoever goes on with the file cuts it
 * at valid_bytes. Any other line that is not a row is an error.
 *
 * why  receives one line on failure, with the line's number
 * Returns SCR_OK, SCR_ERR_NOT_FOUND (no such file), SCR_ERR_INVALID or SCR_ERR_NO_MEMORY. Clear it
 * in any case.
 */
int scr_rows_file_read(const char *path, struct scr_rows_file *out, char *why, size_t why_size);
void scr_rows_file_clear(struct scr_rows_file *f);

#endif
