/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A dataset on a device: inputs, and outputs between guard bands. There may be several copies of
 * all of it, so that runs which take turns among them find none in the cache.
 */
#ifndef SCR_HARNESS_BENCH_H
#define SCR_HARNESS_BENCH_H

#include "dataset.h"

#include <screening/screening.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SCR_MAX_COPIES = 1024 };

struct scr_bench_copy {
    scr_buffer *q, *k, *v, *o;
};

/* Zero-initialise, set dev and data. */
struct scr_bench {
    scr_device *dev;
    const struct scr_dataset *data;
    scr_buffer *r, *w, *kv_len;
    struct scr_bench_copy *copies;
    size_t n_copies;
    size_t next;    /* copy that the next timed run takes */
    size_t o_bytes; /* of one copy, without the guard bands */
    uint8_t *host;  /* o as read back, guard bands included */
};

/*
 * Makes sure that there are at least n copies; those that are there stay.
 * Returns SCR_OK or SCR_ERR_*; after a failure the bench is empty.
 */
int scr_bench_prepare(struct scr_bench *b, size_t n);
void scr_bench_clear(struct scr_bench *b);

scr_args scr_bench_args(const struct scr_bench *b, size_t copy);

/* Fills o with NaNs and the guard bands with a pattern. */
int scr_bench_poison(struct scr_bench *b, size_t copy);

/* What a faulty kernel does, for tests: writes to the last row of o, to the byte behind o, to q. */
enum scr_spoil { SCR_SPOIL_ROW, SCR_SPOIL_BEHIND, SCR_SPOIL_QUERIES };
int scr_bench_spoil(struct scr_bench *b, size_t copy, enum scr_spoil what);

/* Reads o of a copy into b->host. */
int scr_bench_read(struct scr_bench *b, size_t copy);

/* Of what was read last: o (o_bytes long), its hash, and which guard band was written to:
 * "before", "behind" or NULL. */
const void *scr_bench_output(const struct scr_bench *b);
uint64_t scr_bench_hash(const struct scr_bench *b);
const char *scr_bench_overrun(const struct scr_bench *b);

/* Bytes of one copy: q, k, v and o without guard bands. */
double scr_bench_copy_bytes(const scr_problem *p);

/* Bytes of device memory that n copies take, with all that belongs to them. */
double scr_bench_memory(const scr_problem *p, size_t n);

/* Keys of each key head of a batch that a query can see, summed: within the windows, or in the
 * causal range alone. An upper bound where key lengths are shorter. */
double scr_bench_keys(const struct scr_dataset *d, bool windowed);

/*
 * Bytes of one copy that every kernel reads or writes: q, o, and k within the windows. A kernel
 * that finds nothing alive reads no values.
 */
double scr_bench_touched_bytes(const struct scr_dataset *d);

/* Copies of which that is over twice a cache of that size in all; at most SCR_MAX_COPIES. */
size_t scr_bench_cold_copies(const struct scr_dataset *d, size_t cache_bytes);

#endif
