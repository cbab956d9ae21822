/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One result. A row is one line of rows.jsonl, the source of truth; CSV and tables are derived from
 * it. A new column is a field here and a line in the table of row.c.
 */
#ifndef SCR_HARNESS_ROW_H
#define SCR_HARNESS_ROW_H

#include "case.h"

#include <jansson.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { SCR_ROW_TEXT = 2048 };

/* Numbers are double, NaN where a value is unknown or has no meaning; written as null. */
struct scr_row {
    char status[16]; /* ok wrong unsupported skipped compile oom failed */
    char reason[200];
    char backend[16], device[32], device_name[128];
    bool on_cpu; /* of the device; no column */
    char kernel[20], variant[20], params[200];
    char dtype[8], dtype_out[8];
    double batch, heads, kv_heads, seq_q, seq_k, dk, dv;
    bool causal, norm;
    double q_pos0;
    char kv_len[8]; /* none full ragged */
    double tile_q, tile_k;
    char skip[8];
    double r; /* NaN: differs by head (a trace's own) */
    char window[32];
    char workload[540];
    uint64_t seed;
    char data_hash[20];
    char timer[8]; /* event wall, "" untimed */
    char cache[8]; /* warm */
    char stop[12];
    double t_median_ns, t_ci_lo_ns, t_ci_hi_ns, t_min_ns, t_q1_ns, t_q3_ns, n_samples;
    double pairs_admissible, pairs_live, pairs_near_tau, pair_density;
    double tiles_admissible, tiles_live, tile_density;
    double qk_tiles, pv_tiles, pv_slices;
    double qk_executed, pv_executed; /* over tiles_admissible; tile-skip only */
    double speedup_vs_masked, vs_no_skip, speedup_vs_dense;
    double rel_err, tol, rows_checked, rows, heads_zero, heads_ill;
    double mem_peak_bytes; /* predicted: buffers and workspace */
    double workspace_bytes;
    char repro[SCR_ROW_TEXT];
};

/* Fills in what the case says; every result is NaN or "". */
void scr_row_init(struct scr_row *row, const struct scr_case *c);

/* Sets status and reason (first line only); printf format. */
#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
void scr_row_status(struct scr_row *row, const char *status, const char *format, ...);

/* A new JSON object, or NULL when memory is exhausted. */
json_t *scr_row_json(const struct scr_row *row);

/* One line each; return false when the stream fails. */
bool scr_row_write_jsonl(const struct scr_row *row, FILE *f);
bool scr_row_write_csv_header(FILE *f);
bool scr_row_write_csv(const struct scr_row *row, FILE *f);

#endif
