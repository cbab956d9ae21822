/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tuning records: one JSON line a measurement, appended and synced when it is done. They are the
 * source of truth; tables are made from them. screening-records(5) has the format.
 */
#ifndef SCR_TUNER_RECORD_H
#define SCR_TUNER_RECORD_H

#include <jansson.h>
#include <screening/screening.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SCR_RECORD_VERSION = 1, SCR_RECORD_SHAPES = 16, SCR_RECORD_TEXT = 600 };

/* How records are written: for json_dumps. */
#define SCR_RECORD_DUMP JSON_REAL_PRECISION(9)

enum scr_record_kind {
    SCR_RECORD_CANDIDATE, /* one configuration on one shape: its time, or why it has none */
    SCR_RECORD_VERIFIED,  /* one configuration on the verification shapes: ok or wrong */
    SCR_RECORD_WINNER,    /* the outcome of the final for a shape, kernel and skip */
};

/* The shape that was tuned. A mirror of what a table's entry has, and what it was measured on. */
struct scr_shape_key {
    scr_dtype dtype, dtype_out;
    int32_t dk, dv;
    bool causal;
    int32_t batch, heads, kv_heads, len_q, len_k;
    double window;   /* mean over the heads of min(w, len_k); INFINITY none */
    double density;  /* of pairs, two digits; 0 unknown */
    char words[600]; /* the harness's axes that make the data: "-a workload=... -a seq=..." */
};

/* Numbers are NaN where unknown, written as null. Times in nanoseconds. */
struct scr_record {
    enum scr_record_kind kind;
    scr_device_info device;
    char host[64], program[64]; /* where, and by which version and commit */
    char when[24];              /* UTC, 2026-01-31T23:59:59Z */
    uint64_t source, space;     /* hashes, see runtime/table.h */
    struct scr_shape_key shape;
    scr_config config;
    char status[16];  /* ok wrong unsupported skipped compile oom failed timeout crashed pruned */
    char reason[200]; /* of the status; pruned: "registers", "local memory", "spills: 128 bytes" */
    double ns, lo, hi, n;
    char timer[8], cache[8], stop[12];
    double registers, spill_bytes, local_bytes;
    /* WINNER only */
    scr_config baseline;             /* the built-in default */
    double gain, gain_lo, gain_hi;   /* baseline's time / this one's, interleaved */
    bool best;                       /* the fastest of all kernels and skips of the shape */
    double n_space, n_tried, regret; /* regret: time over the exhaustive winner's, - 1 */
    char strategy[12];
    uint64_t seed;
    char verified[SCR_RECORD_SHAPES][80]; /* names of the shapes it was right on */
    int n_verified;
    char from[200]; /* comma list of files that it was merged from, sorted; not part of the id */
};

/*
 * A new reference, or NULL when memory is exhausted. Numbers get nine digits; parameters go by
 * name; a trace in shape.words is named without its folders.
 */
json_t *scr_record_json(const struct scr_record *r);

/*
 * Reads a record of this or an older version; what is not known is ignored, what is missing NaN or
 * "". why: one line where it is none. SCR_OK or SCR_ERR_INVALID.
 */
int scr_record_from_json(const json_t *json, struct scr_record *out, char *why, size_t why_size);

/* Hash of all that is written but `from`: equal records are one. 0: memory is exhausted. */
uint64_t scr_record_id(const struct scr_record *r);

/*
 * Whether two records are of the same device and driver, kernel source, shape and configuration;
 * one may have been written and read.
 */
bool scr_record_same_trial(const struct scr_record *a, const struct scr_record *b);

struct scr_records {
    struct scr_record *items;
    size_t n, room;
    size_t n_bad; /* lines that are no record: damaged, or of a later version */
    char first_bad[200];
};

/*
 * Appends the records of a file. A last line without a newline is not a record yet, and counted as
 * bad. SCR_OK, SCR_ERR_NOT_FOUND, SCR_ERR_INVALID (it cannot be read; why) or SCR_ERR_NO_MEMORY.
 */
int scr_records_read(const char *path, struct scr_records *out, char *why, size_t why_size);

/* Told of each line that is no record, counted from 1. */
typedef void (*scr_bad_line_fn)(void *user, const char *path, size_t line, const char *why);

/* The same; bad may be NULL. */
int scr_records_read_noting(const char *path, struct scr_records *out, scr_bad_line_fn bad,
                            void *user, char *why, size_t why_size);

int scr_records_add(struct scr_records *records, const struct scr_record *r);
void scr_records_clear(struct scr_records *records);

/* A file that records are appended to, by several processes at once. */
struct scr_record_file;

/* Creates it where it is missing; ends a last line that was cut. */
int scr_record_file_open(const char *path, struct scr_record_file **out, char *why,
                         size_t why_size);
/*
 * All n by one write and one fsync: a disk that is full takes none of them, and a kill seldom leaves
 * a part. SCR_OK; SCR_ERR_INVALID (errno says why), SCR_ERR_NO_MEMORY.
 */
int scr_record_file_append(struct scr_record_file *f, const struct scr_record *r, size_t n);
void scr_record_file_close(struct scr_record_file **f);

#endif
