/* SPDX-License-Identifier: Apache-2.0 */
/* Records made up for tests. */
#ifndef SCR_TESTS_RECORDS_FIXTURE_H
#define SCR_TESTS_RECORDS_FIXTURE_H

#include "tools.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A record of tile-skip on a device of backend ref; its hashes are 0. */
static inline struct scr_record fixture_record(enum scr_record_kind kind)
{
    struct scr_record r = {
        .kind = kind,
        .device = {.id = "ref:0",
                   .backend = "ref",
                   .name = "Model 3 CPU @ 2.0GHz",
                   .vendor = "Acme",
                   .platform = "C",
                   .driver = "C11",
                   .arch = "x86-64",
                   .is_cpu = true,
                   .has_fp16 = true,
                   .compute_units = 8,
                   .max_group_size = 1,
                   .global_mem = (size_t)16 << 30,
                   .max_alloc = (size_t)16 << 30,
                   .cache_bytes = 32 << 20},
        .host = "bench-1",
        .program = "0.1.0 (b2cd541)",
        .when = "2026-01-31T23:59:59Z",
        .shape = {.dtype = SCR_BF16,
                  .dtype_out = SCR_F32,
                  .dk = 64,
                  .dv = 64,
                  .causal = true,
                  .batch = 1,
                  .heads = 8,
                  .kv_heads = 8,
                  .len_q = 1024,
                  .len_k = 1024,
                  .window = INFINITY,
                  .density = 0.1,
                  .words = "-a workload=planted:0.1x64 -a seq=1024 -a kv=1024"},
        .config = {.kernel = "tile-skip", .variant = "c", .skip = SCR_SKIP_TILE},
        .status = "ok",
        .ns = 1234567.5,
        .lo = 1200000,
        .hi = 1260000.25,
        .n = 31,
        .timer = "wall",
        .cache = "cold",
        .stop = "interval",
        .registers = NAN,
        .spill_bytes = NAN,
        .local_bytes = 0,
        .gain = NAN,
        .gain_lo = NAN,
        .gain_hi = NAN,
        .n_space = NAN,
        .n_tried = NAN,
        .regret = NAN,
    };

    scr_config_set(&r.config, "TILE_Q", 64);
    scr_config_set(&r.config, "TILE_K", 32);
    if (kind == SCR_RECORD_WINNER) {
        r.baseline = r.config;
        scr_config_set(&r.baseline, "TILE_Q", 32);
        r.gain = 1.25;
        r.gain_lo = 1.21;
        r.gain_hi = 1.3;
        r.best = true;
        r.n_space = 20;
        r.n_tried = 16;
        r.regret = 0.0125;
        snprintf(r.strategy, sizeof r.strategy, "local");
        r.seed = 1;
        r.n_verified = 2;
        snprintf(r.verified[0], sizeof r.verified[0], "one row");
        snprintf(r.verified[1], sizeof r.verified[1], "nothing alive");
    }
    return r;
}

/* Makes the record one of this build's kernel. false: there is no such variant. */
static inline bool fixture_refresh(struct scr_record *r)
{
    const scr_config *c = &r->config;

    r->source = scr_source_hash(r->device.backend, c->kernel, c->variant);
    r->space = scr_space_hash(r->device.backend, c->kernel, c->variant);
    return r->source != 0;
}

/* Numbers for tests, the same everywhere. */
static inline uint32_t fixture_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}

#endif
