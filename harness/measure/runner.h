/* SPDX-License-Identifier: Apache-2.0 */
/* Runs one case on one device: right first, then how it skipped, then how long it takes. */
#ifndef SCR_HARNESS_RUNNER_H
#define SCR_HARNESS_RUNNER_H

#include "case.h"
#include "devices.h"
#include "row.h"
#include "truth.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * A dataset on a device: inputs uploaded once, and an output with guard bands around it. Made by
 * the first case that needs it.
 */
struct scr_bench {
    scr_device *dev;
    const struct scr_dataset *data;
    scr_buffer *q, *k, *v, *r, *w, *kv_len, *o;
    size_t o_bytes; /* without the guard bands */
    uint8_t *host;  /* o as read back, guard bands included */
    bool ready;
};

void scr_bench_clear(struct scr_bench *b);

/* The output last read back, o_bytes long; valid while the bench is ready. */
const void *scr_bench_output(const struct scr_bench *b);

struct scr_run_options {
    double time_limit_s; /* 0: check only */
    size_t host_memory;  /* bytes of this machine, the bound for CPU devices */
};

/* What a run leaves behind besides its row. */
struct scr_run_outcome {
    bool has_output; /* the kernel ran and wrote a right output, each time */
    uint64_t output_hash;
    bool proves_little; /* every head's reference is zero or hopelessly ill-conditioned */
};

/*
 * Runs a case and fills in its row (already initialised). Failures of any kind become the row's
 * status and reason. Uses nothing but its arguments, so it can run in a process of its own.
 *
 * b      bench with dev and data set
 * log    that of the device's context
 */
void scr_case_run(const struct scr_case *c, struct scr_bench *b, const struct scr_truth *truth,
                  const struct scr_run_options *options, struct scr_log_sink *log,
                  struct scr_row *row, struct scr_run_outcome *out);

/* Bytes of device memory that a case needs: its buffers and the kernel's workspace. */
double scr_case_memory(const struct scr_case *c);

/* "2.7 GB" (powers of ten). */
void scr_format_bytes(double bytes, char *out, size_t size);

#endif
