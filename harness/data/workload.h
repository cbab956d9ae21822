/* SPDX-License-Identifier: Apache-2.0 */
/* What dataset.c is made of: drawing a synthetic workload, loading a trace. */
#ifndef SCR_HARNESS_WORKLOAD_H
#define SCR_HARNESS_WORKLOAD_H

#include "dataset.h"

/* Keys of the generator: one a tensor, so that no two share numbers. */
enum scr_stream {
    SCR_STREAM_Q,
    SCR_STREAM_K,
    SCR_STREAM_V,
    SCR_STREAM_TOPIC,   /* directions of topics */
    SCR_STREAM_TOPIC_Q, /* topic of each run of queries */
    SCR_STREAM_TOPIC_K,
    SCR_STREAM_KV_LEN,
    SCR_STREAM_SAMPLE, /* rows that truth.c computes */
    SCR_STREAM_SHUFFLE_Q,
    SCR_STREAM_SHUFFLE_K,
    SCR_STREAM_HEAVY, /* where heavy runs lie in a head */
};

/*
 * How a planted density is reached: the chance that a query's topic equals a key's is
 * first^2 + (1 - first)^2 / (n - 1).
 */
struct scr_topics {
    int64_t n;    /* ceil(1 / density) */
    double first; /* share of topic 0; the others share the rest equally */
};

struct scr_topics scr_topics_for(double density);

/* planted and what is made from it: the workloads that have a density and a run. */
bool scr_workload_is_planted(const struct scr_workload *w);

/*
 * Fills q, k and v, already allocated, for a workload other than a trace. r is the sharpness that
 * the dataset has, the same for all heads.
 * Returns SCR_OK or SCR_ERR_NO_MEMORY.
 */
int scr_workload_draw(struct scr_dataset *d, double r, int threads);

/* The paper's first window of head h of `heads`, scr_window's "init". */
float scr_window_init(int h, int heads);

/*
 * The window of head h of `heads` in a layer of a trained model, scr_window's "trained": the heads
 * are spread evenly over the distribution that the 320 heads of two small trained models had (half
 * below 12 tokens, 60 % below 20, a ninth above 130), from 2 tokens to 16384.
 */
float scr_window_trained(int h, int heads);

/* The shape of a trace as scr_dataset_shape says. */
int scr_trace_shape(const char *path, int max_len, scr_problem *p, char *why, size_t why_size);

/*
 * Fills q, k, v, r and w, already allocated, from a trace; problem lengths below the file's keep
 * its first tokens, and of one_head only that head is read.
 * *heads receives the number of query heads in the file. Contracts as for scr_dataset_create.
 */
int scr_trace_load(struct scr_dataset *d, int *heads, char *why, size_t why_size);

/* The same, of w[heads_q] alone. */
int scr_trace_windows(const struct scr_dataset_spec *spec, int *heads, float *w, char *why,
                      size_t why_size);

#endif
