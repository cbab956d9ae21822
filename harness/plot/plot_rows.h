/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of a sweep as the plots need them. */
#ifndef SCR_HARNESS_PLOT_ROWS_H
#define SCR_HARNESS_PLOT_ROWS_H

#include <jansson.h>
#include <stddef.h>

/* Strings are "" and numbers NaN where the row has none or one of another type. */
struct scr_plot_row {
    json_t *json; /* owns the strings */
    const char *status, *device, *device_name, *kernel, *dtype, *skip, *workload;
    char window[24], r[24]; /* as text: a number, "inf", "init"; null is "own" */
    double batch, heads, kv_heads, seq_q, seq_k, dk, dv, tile_q, tile_k;
    int causal; /* 0 or 1 */
    double t_median_ns, t_ci_lo_ns, t_ci_hi_ns, speedup_vs_masked;
    double pairs_admissible, pairs_live, tiles_admissible, tiles_live;
};

struct scr_plot_rows {
    size_t n;
    struct scr_plot_row *row;
};

/*
 * Reads a rows.jsonl. Empty lines, and a last line without its newline that cannot be read, are
 * passed over.
 * Returns SCR_OK, SCR_ERR_INVALID (why names file and line) or SCR_ERR_NO_MEMORY; *out is empty
 * unless SCR_OK.
 */
int scr_plot_rows_read(const char *path, struct scr_plot_rows *out, char *why, size_t why_size);
void scr_plot_rows_free(struct scr_plot_rows *rows);

#endif
