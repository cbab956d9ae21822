/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Input data: the synthetic workloads and recorded traces, as bytes ready for a device. Every
 * value is drawn from a counter-based generator keyed by (seed, tensor, index), so one seed gives
 * the same bytes on every backend, machine and number of threads.
 */
#ifndef SCR_HARNESS_DATASET_H
#define SCR_HARNESS_DATASET_H

#include <screening/error.h>
#include <screening/problem.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum scr_workload_kind {
    SCR_WORKLOAD_IID,      /* independent unit vectors */
    SCR_WORKLOAD_PLANTED,  /* pairs match at a given density, in runs of a given length */
    SCR_WORKLOAD_SHUFFLED, /* planted, the tokens of each head in random order */
    SCR_WORKLOAD_SKEWED,   /* planted, but most live pairs lie on few queries and half the heads */
    SCR_WORKLOAD_WINDOW,   /* every pair inside the window alive */
    SCR_WORKLOAD_ENDS,     /* nothing alive (density 0) or everything (density 1) */
    SCR_WORKLOAD_TRACE,    /* recorded q, k, v, r, w from a safetensors file */
};

/*
 * As written on the command line: iid, planted:0.1, planted:0.1x64, shuffled:0.1x64,
 * skewed:0.1x64, window, ends:0, trace:FILE.
 */
struct scr_workload {
    enum scr_workload_kind kind;
    /* planted, shuffled: wanted pair density in [1e-6, 1]; skewed: in [1e-6, 0.5], above which the
     * pairs leave no room to be uneven; ends: 0, 1, or -1 for both */
    double density;
    int run;        /* planted, shuffled (before it), skewed: tokens in a row that share matches */
    char path[512]; /* trace */
};

/*
 * Reads the notation above. planted without a density is planted:0.1x64, without a run length
 * planted:Dx64, and so for shuffled and skewed; ends without a number is two workloads: its density
 * is -1, and the axis parser expands it (scr_dataset_create refuses it).
 *
 * why  receives one clear line on failure
 * Returns SCR_OK or SCR_ERR_INVALID.
 */
int scr_workload_parse(const char *text, struct scr_workload *out, char *why, size_t why_size);

/* Writes the canonical notation, "planted:0.1x64"; parse(name(w)) gives w back. */
void scr_workload_name(const struct scr_workload *w, char *out, size_t size);

enum scr_window_kind {
    SCR_WINDOW_AUTO,  /* the workload's own: window 256; a trace's w; else inf */
    SCR_WINDOW_VALUE, /* the same for all heads */
    SCR_WINDOW_INF,
    SCR_WINDOW_INIT,    /* w_h = exp(linspace(0, ln 255, heads)) + 1, that is 2 to 256 */
    SCR_WINDOW_TRAINED, /* many short ones and a few long: see scr_window_trained */
};

struct scr_window {
    enum scr_window_kind kind;
    double value;
};

/* "auto", "inf", "init", "trained" or a number > 0; contracts as for workloads. */
int scr_window_parse(const char *text, struct scr_window *out, char *why, size_t why_size);
void scr_window_name(const struct scr_window *w, char *out, size_t size);

/* Everything that decides the bytes of a dataset. */
struct scr_dataset_spec {
    scr_problem problem;
    struct scr_workload workload;
    struct scr_window window;
    double r;           /* 0: the workload's own: 2; planted, shuffled, skewed 16; a trace's r */
    bool ragged_kv_len; /* has_kv_len: lengths differ by batch, else all len_k - kv_missing */
    int kv_missing;
    /* Of a trace query head trace_head alone, with the key head that it shares: heads_q and
     * heads_kv are 1. Its r and window are those that it has in the whole layer. */
    bool one_head;
    int trace_head;
    uint64_t seed;
};

/*
 * Rows of k and v from kv_len[b] on are keys that do not exist: all their bytes are 0xff, a NaN in
 * every storage type, so that whoever lets one into a sum is found out.
 */
struct scr_dataset {
    struct scr_dataset_spec spec;
    void *q, *k, *v; /* in problem.dtype, contiguous */
    float *r, *w;
    int32_t *kv_len; /* NULL unless has_kv_len */
    size_t q_bytes, k_bytes, v_bytes;
    uint64_t hash; /* of all bytes above */
};

/*
 * Fills in the shape that a trace file has (heads, lengths, dims, batch) and leaves dtype, masks
 * and norm as they are. max_len > 0 keeps the first max_len tokens only. Other workloads: no
 * change.
 *
 * Returns SCR_OK, or SCR_ERR_INVALID with one line in why (unreadable or malformed file).
 */
int scr_dataset_shape(const struct scr_workload *w, int max_len, scr_problem *p, char *why,
                      size_t why_size);

/* Replaces an r of 0 and an automatic window by what they come to; a trace keeps its own. */
void scr_dataset_settle(struct scr_dataset_spec *spec);

/*
 * Mean over the heads of min(w, len_k), tokens, of a settled spec: what lookup tables know of a
 * window. INFINITY where no head has one. Where a trace keeps its own only its w is read.
 *
 * Returns SCR_OK, SCR_ERR_INVALID (the trace; why has one line) or SCR_ERR_NO_MEMORY.
 */
int scr_dataset_mean_window(const struct scr_dataset_spec *spec, double *out, char *why,
                            size_t why_size);

/*
 * Draws or loads the data on `threads` threads.
 * Returns SCR_OK, SCR_ERR_INVALID (why has one line) or SCR_ERR_NO_MEMORY.
 */
int scr_dataset_create(const struct scr_dataset_spec *spec, int threads, struct scr_dataset **out,
                       char *why, size_t why_size);
void scr_dataset_destroy(struct scr_dataset **d);

#endif
