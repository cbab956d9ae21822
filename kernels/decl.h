/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a kernel file declares about itself. kernels/generate.py turns the `@` lines of each kernel
 * file (CONTRIBUTING.md has their grammar) into one struct scr_kernel_decl; expressions become C
 * functions of struct scr_decl_env. Harness, tuner, runtime and tests read nothing else.
 */
#ifndef SCR_KERNELS_DECL_H
#define SCR_KERNELS_DECL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    SCR_MAX_TUNABLES = 12,
    SCR_MAX_TUNABLE_VALUES = 12,
    SCR_MAX_STEPS = 4,
    SCR_MAX_TENSOR_MAPS = 4,
};

/* What an expression may name, besides the kernel's own tunables. */
struct scr_decl_env {
    /* the problem */
    long BATCH, HEADS_Q, HEADS_KV, LEN_Q, LEN_K, DK, DV;
    long DTYPE; /* SCR_F32 0, SCR_F16 1, SCR_BF16 2 */
    long DTYPE_BYTES;
    long CAUSAL; /* 0 or 1 */
    long SKIP;   /* enum scr_skip */
    /* the device */
    long SM;             /* CUDA compute capability times ten, 0 elsewhere */
    long IS_CPU;         /* 0 or 1 */
    long UNITS;          /* compute units */
    long LOCAL_MEM;      /* bytes a work-group may use */
    long MAX_GROUP;      /* work-items a work-group may have */
    long HAS_FP16;       /* 0 or 1 */
    long HAS_SUBGROUPS;  /* 0 or 1 */
    long HAS_WARPGROUPS; /* 0 or 1: CUDA's warpgroup products and bulk tensor copies */
    /* values of the kernel's tunables, in the order of its declaration */
    long tunable[SCR_MAX_TUNABLES];
};

/* Functions an expression may call, there without the prefix. */
static inline long scr_ceil_div(long a, long b)
{
    return (a + b - 1) / b;
}

static inline long scr_round_up(long a, long b)
{
    return scr_ceil_div(a, b) * b;
}

static inline long scr_max(long a, long b)
{
    return a > b ? a : b;
}

static inline long scr_min(long a, long b)
{
    return a < b ? a : b;
}

struct scr_tunable {
    const char *name; /* also the macro that the kernel sees */
    const char *help;
    int value_default;
    int n_values;
    int values[SCR_MAX_TUNABLE_VALUES]; /* ascending, value_default among them */
};

/* One launch. A kernel is one or more steps, run in order. */
struct scr_kernel_step {
    const char *entry; /* function name in the source */
    void (*groups)(const struct scr_decl_env *env, size_t out[3]);
    void (*group)(const struct scr_decl_env *env, size_t out[3]);
    size_t (*local_bytes)(const struct scr_decl_env *env); /* CUDA: dynamic shared memory */
};

/*
 * A CUDA tensor map that the entries get after the shape, in the order of the declaration: `tensor`
 * as rows of its head dim in [batch x heads][length], read in boxes of box_rows rows by 64
 * elements, or by the head dim where that is less, swizzled by their width in bytes. Rows past the
 * end of a head are zeros.
 */
struct scr_tensor_map {
    char tensor;                                        /* 'q', 'k' or 'v' */
    size_t (*box_rows)(const struct scr_decl_env *env); /* 1 to 256 */
};

/*
 * The C kernels of the ref backend. Pointers are host memory laid out as in screening/problem.h;
 * `counters` is NULL unless counting. `parallel_for` runs body(user, i) for i in [0, n) on the
 * backend's threads and returns when all are done.
 */
struct scr_host_call {
    const struct scr_problem *problem;
    const struct scr_config *config;
    const void *q, *k, *v;
    const float *r, *w;
    const int32_t *kv_len;
    void *o;
    void *workspace;
    struct scr_counts *counters;
    float live_root; /* a tile whose largest weight is at most its square is skipped: 0, or more in
                        tests that want to see such a fault noticed */
    void (*parallel_for)(void *pool, size_t n, void (*body)(void *user, size_t i), void *user);
    void *pool;
};
typedef void (*scr_host_kernel)(const struct scr_host_call *call);

struct scr_kernel_decl {
    const char *backend; /* "ref", "opencl", "cuda" */
    const char *kernel;  /* "dense", "masked-dense", "tile-skip"; "probe-..." of a probe */
    const char *variant; /* "mma", "simt", "portable" ... */
    const char *summary; /* one line */
    const char *file;    /* path below kernels/ */
    const char *source;  /* complete source with includes resolved; NULL for ref */
    uint64_t source_hash;
    const char *target; /* CUDA: the one target it is compiled for, "sm_90a"; NULL: the device's */
    scr_host_kernel host; /* ref only */
    int n_tunables;
    struct scr_tunable tunables[SCR_MAX_TUNABLES];
    bool (*supports)(const struct scr_decl_env *env);    /* problem and device, tunables not read */
    bool (*valid)(const struct scr_decl_env *env);       /* constraints among the tunables */
    size_t (*workspace)(const struct scr_decl_env *env); /* bytes of device memory */
    size_t (*work)(const struct scr_decl_env *env);      /* probes: FLOP or bytes; else NULL */
    int n_steps;
    struct scr_kernel_step steps[SCR_MAX_STEPS];
    int n_tensor_maps;
    struct scr_tensor_map tensor_maps[SCR_MAX_TENSOR_MAPS];
};

/* In order of preference: the first supported variant of a kernel is the default one. */
extern const struct scr_kernel_decl scr_kernel_decls[];
extern const size_t scr_kernel_decl_count;

/* The same of the probes (screening/probe.h), whose LEN_K is how often they repeat. */
extern const struct scr_kernel_decl scr_probe_decls[];
extern const size_t scr_probe_decl_count;

#endif
