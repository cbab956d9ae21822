/* SPDX-License-Identifier: Apache-2.0 */
/* What the tuner does with records and tables once they are there: a function a mode. */
#ifndef SCR_TUNER_TOOLS_H
#define SCR_TUNER_TOOLS_H

#include "../runtime/table.h" /* not the harness's */
#include "record.h"
#include "tuner_options.h"

#include <stdio.h>

/* The modes. Each complains on stderr and returns the program's exit status. */
int scr_merge_run(const struct scr_tuner_options *o);
int scr_make_table_run(const struct scr_tuner_options *o);
int scr_show_run(const struct scr_tuner_options *o);
int scr_ask_run(const struct scr_tuner_options *o);
int scr_stale_run(const struct scr_tuner_options *o);
int scr_export_run(const struct scr_tuner_options *o);

/*
 * Reads the records of all files; a line that is none is left out, with a line on stderr. `from` of
 * a record that has none becomes the name of its file without folders.
 * Returns an exit status: SCR_EXIT_FINE, or SCR_EXIT_USAGE where a file cannot be read.
 */
int scr_records_read_files(const struct scr_tuner_options *o, struct scr_records *out);

/*
 * Puts records in their order, which does not depend on the one they came in, and makes equal ones
 * one, whose `from` is the union. SCR_OK or SCR_ERR_NO_MEMORY.
 */
int scr_records_unite(struct scr_records *records);

/*
 * A context with the lookup tables in force and no driver; what is wrong with a table is told on
 * stderr. SCR_OK or SCR_ERR_NO_MEMORY.
 */
int scr_tuner_open_tables(scr_context **out);

/* What --show says last, and --tune: how much faster, on which shapes. One line, no newline. */
int scr_records_verdict(const struct scr_records *records, char *out, size_t size);

/* The winners that count, the newest of each device, shape, kernel and skip, sorted; owned. */
struct scr_winners {
    const struct scr_record **items; /* in the caller's records */
    size_t n;
};
int scr_winners_find(const struct scr_records *records, struct scr_winners *out);
void scr_winners_clear(struct scr_winners *w);

/* Order of device, and of shape, as tables know them; 0: the same. */
int scr_record_compare_device(const struct scr_record *a, const struct scr_record *b);
int scr_record_compare_shape(const struct scr_record *a, const struct scr_record *b);
int scr_config_compare(const scr_config *a, const scr_config *b);

/* Whether this build has another source or space of the record's kernel, or none. */
bool scr_record_is_stale(const struct scr_record *r);

/*
 * The table's entries of records: one a winner, and those for unknown density and window. The order
 * of the records has no effect. n_stale: winners left out. SCR_OK or SCR_ERR_NO_MEMORY.
 */
int scr_table_from_records(const struct scr_records *records, struct scr_table *out,
                           size_t *n_stale);

/* The whole text of a table; owned by the caller. NULL: memory is exhausted, or a line too long. */
char *scr_table_text(const struct scr_table *t, size_t *size);

/*
 * Writes a file beside its place, syncs it and renames it; path NULL or "-": standard output.
 * SCR_OK, or SCR_ERR_INVALID with one line in why.
 */
int scr_write_whole(const char *path, const char *text, size_t size, char *why, size_t why_size);

/* The T4 document of records. A new reference, or NULL when memory is exhausted. */
json_t *scr_t4_from_records(const struct scr_records *records);

/* "12.3 us" */
void scr_format_ns(double ns, char *out, size_t size);
/* "TILE_Q=64 TILE_K=32", before it the variant. */
void scr_format_config(const scr_config *c, char *out, size_t size);

#endif
