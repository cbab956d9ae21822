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

/*
 * Numbers are double, NaN where a value is unknown or has no meaning; written as null. Times are
 * nanoseconds. _lo and _hi are the ends of a 95 % interval.
 *
 * status  ok           ran, right; the only status with times and speedups
 *         wrong        ran, differs from the reference, or wrote or skipped what it must not
 *         unsupported  the device or kernel cannot do it
 *         skipped      not tried: memory, time budget
 *         compile oom failed timeout crashed  tried in vain
 */
struct scr_row {
    char status[16];
    char reason[200];
    char backend[16], device[32], device_name[128];
    bool on_cpu;     /* the device is the host's processors */
    char peer[40];   /* the program that ran it, "" this one */
    char op[12];     /* screening, or softmax: another operator */
    char kernel[32]; /* dense masked-dense tile-skip, or a name of the peer's */
    char variant[20], params[200];
    char choice[32]; /* where they come from, as in struct scr_case; a peer's: "" */
    char dtype[8], dtype_out[8];
    double batch, heads, kv_heads, seq_q, seq_k, dk, dv;
    bool causal, norm;
    double q_pos0;
    char kv_len[12]; /* none full ragged, or a number */
    double tile_q, tile_k;
    char skip[8];
    double r; /* NaN: differs by head (a trace's own) */
    char window[32];
    char workload[540];
    double trace_head; /* the one query head of the trace that the row has; NaN: all */
    uint64_t seed;
    char data_hash[20];
    char timer[8]; /* event wall, "" untimed */
    char cache[8]; /* cold warm */
    char stop[12]; /* why sampling ended: interval time count */
    /*
     * Words, comma between them: what a reader must know of the times.
     * events-missing events-reversed  device events cannot be used: wall time was taken
     * events-off    events and wall time disagree: wall time was taken
     * not-cold      the working set could not be made cold
     * near-floor    less than three times the empty kernel
     * throttled     the clock was held down while sampling
     * over-ideal over-roofline  above 100 %: what was assumed of the device or baseline is off
     * apart         a comparison was not interleaved
     * host-bound    of a peer that says so: what the host takes to start the kernel is in its times
     * unsteady      the samples of one visit are slower than those of another by more than scatter
     * busy          half of the samples, or of a baseline sampled apart, or more come from visits
     *               before or after which others used the processors, or these were slow
     */
    char flags[120];
    double t_median_ns, t_ci_lo_ns, t_ci_hi_ns, t_min_ns, t_q1_ns, t_q3_ns, n_samples;
    double n_outliers; /* beyond 1.5 quartile ranges; they stay in */
    /* the cross-check, before sampling: one of the same runs, back to back, by the host's clock and
     * by the device's events. Samples by events are timed run by run, and hold the gap between two
     * of them, 2 to 3 us on an H100; by the host's clock short runs are batched */
    double t_wall_ns, t_event_ns;
    double t_floor_ns;                        /* the device's empty kernel, same timer */
    double n_throttled;                       /* samples during which the clock was held down */
    double clock_mhz, temperature_c, power_w; /* medians over the samples */
    double pairs_admissible, pairs_live, pairs_near_tau, pair_density;
    double tiles_admissible, tiles_live, tile_density;
    double qk_tiles, pv_tiles, pv_slices;
    double qk_executed, pv_executed; /* over tiles_admissible; tile-skip only */
    double speedup_vs_masked, speedup_vs_masked_lo, speedup_vs_masked_hi;
    double vs_no_skip, vs_no_skip_lo, vs_no_skip_hi;
    double speedup_vs_dense, speedup_vs_dense_lo, speedup_vs_dense_hi;
    double vs_softmax, vs_softmax_lo, vs_softmax_hi;       /* peers of another operator */
    double vs_framework, vs_framework_lo, vs_framework_hi; /* peers of the same */
    char masked_params[200]; /* the baseline that was tuned for this shape */
    double t_masked_ns;      /* its time, sampled beside this row's */
    double pct_ideal;        /* 100 (live tiles / tiles of masked-dense) t_masked / t */
    double flop;             /* executed */
    double bytes;            /* that must be moved: what it reads and writes, once */
    double flop_per_s;
    double pct_roofline; /* 100 max(flop / peak, bytes / bandwidth) / t */
    char bound[8];       /* which of the two: compute memory */
    double rel_err, tol, rows_checked, rows, heads_zero, heads_ill;
    char output_hash[20];
    double working_set_bytes; /* inputs, output and workspace of a run */
    double cache_copies;      /* data sets that a cold measurement rotates among */
    double mem_peak_bytes;    /* predicted: all buffers and workspace */
    double workspace_bytes;
    char repro[SCR_ROW_TEXT]; /* also what tells rows of a sweep apart */
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

/*
 * The row that an object holds; columns it lacks are NaN or "", so that files of older versions
 * can be read. False where a column has a value of the wrong type or no status.
 */
bool scr_row_from_json(const json_t *object, struct scr_row *row);

struct scr_verdict;

/* Takes over what was found about the output; a status only where that is wrong. */
void scr_row_judge(struct scr_row *row, const struct scr_verdict *v);

/* Takes back all that is known of a time, as of a row that turns out to be wrong. */
void scr_row_forget_times(struct scr_row *row);

/* Adds a word to flags, once. */
void scr_row_flag(struct scr_row *row, const char *word);
bool scr_row_has_flag(const struct scr_row *row, const char *word);

/* One line each; return false when the stream fails. */
bool scr_row_write_jsonl(const struct scr_row *row, FILE *f);
bool scr_row_write_csv_header(FILE *f);
bool scr_row_write_csv(const struct scr_row *row, FILE *f);

#endif
