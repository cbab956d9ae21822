/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lookup tables in memory: parsing lines, and writing them (for the tuner). screening-table(5) has
 * the format; screening/tuning.h what a lookup does.
 */
#ifndef SCR_RUNTIME_TABLE_H
#define SCR_RUNTIME_TABLE_H

#include "hash.h"

#include <screening/tuning.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* SCR_TABLE_LINE: bytes that hold any line. */
enum { SCR_TABLE_VERSION = 1, SCR_TABLE_LINE = 2048 };

/* One line: the fastest configuration of a kernel and skip for a device and a shape. */
struct scr_table_entry {
    /* device, as in scr_device_info */
    char backend[16], name[128], vendor[64], arch[32];
    bool is_cpu;
    int32_t units;
    /* kernel; params by name, complete when written */
    scr_config config;
    uint64_t source, space; /* hashes of the kernel's source and of its space (scr_space_hash) */
    /* shape */
    scr_dtype dtype;
    int32_t dk, dv;
    bool causal;
    int32_t len_q, len_k;
    int32_t heads;  /* batch * heads_q */
    double window;  /* as in scr_hint; INFINITY none, 0 entry for an unknown one */
    double density; /* pairs, as in scr_hint; 0 entry for an unknown one */
    /* what was measured */
    double ns;     /* median */
    bool best;     /* the fastest of all kernels and skips for the shape */
    uint64_t from; /* hash of the record that it was made from */
    /* set when read */
    scr_table_source origin;
    int32_t line;
};

/*
 * Reads one line without its newline, ended by its checksum. Whatever the text, reads nothing
 * beyond n bytes.
 *
 * why  receives one line where it is refused
 *
 * SCR_OK or SCR_ERR_INVALID.
 */
int scr_table_entry_parse(const char *text, size_t n, struct scr_table_entry *out, char *why,
                          size_t why_size);

/*
 * Writes the line, with its checksum and a newline; numbers with nine digits. The length, or 0
 * where it does not fit or could not be read again.
 */
size_t scr_table_entry_format(const struct scr_table_entry *e, char *out, size_t size);

/* The order of a table's lines. */
int scr_table_entry_compare(const struct scr_table_entry *a, const struct scr_table_entry *b);

struct scr_table {
    struct scr_table_entry *entries;
    size_t n;
    size_t n_bad; /* lines refused */
    char first_bad[200];
    bool cut; /* the last line, which counts the others, is missing or disagrees */
};

/*
 * Reads a whole table from memory; lines that are refused are counted. Zero-initialise *out before
 * the first: tables add up. SCR_OK; SCR_ERR_INVALID where the first line is not that of a table of
 * a known version; SCR_ERR_NO_MEMORY.
 */
int scr_table_parse(const char *text, size_t n, scr_table_source origin, struct scr_table *out);
void scr_table_clear(struct scr_table *t);

/*
 * First and last line of a table: "screening-table 1\n", and the one with the number and the
 * checksum (scr_hash) of all lines between them that are neither empty nor comments, newlines
 * included.
 */
size_t scr_table_head(char *out, size_t size);
size_t scr_table_tail(size_t n_entries, uint64_t checksum, char *out, size_t size);

/*
 * Hash of the names and values that a kernel's tunables have; 0: no such kernel. Constraints and
 * defaults are part of the source.
 */
uint64_t scr_space_hash(const char *backend, const char *kernel, const char *variant);

/* Hash of the source of a kernel as built here; 0: no such kernel. */
uint64_t scr_source_hash(const char *backend, const char *kernel, const char *variant);

/* The table that was built in. */
extern const char scr_builtin_table[];
extern const size_t scr_builtin_table_size;

#endif
