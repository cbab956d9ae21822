/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of functions that a backend fills in. runtime/context.c and runtime/plan.c validate
 * everything once, so a backend may assume that its arguments keep the contracts below; it returns
 * SCR_OK or SCR_ERR_* and puts the driver's own words into the log.
 *
 * A backend NAME defines `const struct scr_backend scr_backend_NAME` in NAME.c, and what is more
 * than a file's worth in NAME_*.c; context.c has one line for it.
 */
#ifndef SCR_RUNTIME_BACKEND_H
#define SCR_RUNTIME_BACKEND_H

#include "decl.h"
#include "shape.h"

#include <screening/screening.h>

#include <pthread.h>

/* Sends one message to the context's callback; printf format, any length. */
#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
void scr_log(const scr_context *ctx, int level, const char *format, ...);

/* Adds a device during enumerate(); copies *info. SCR_OK or SCR_ERR_NO_MEMORY. */
int scr_context_add_device(scr_context *ctx, const scr_device_info *info);

struct scr_device {
    scr_context *ctx;
    const struct scr_backend *backend;
    const scr_device_info *info;  /* owned by the context */
    void *backend_ctx;            /* what load() returned */
    void *impl;                   /* the backend's own */
    pthread_mutex_t mutex;        /* guards programs, and what a backend keeps in them */
    pthread_cond_t built;         /* a program of the list is built, or given up */
    struct scr_program *programs; /* compiled so far, newest first; kept until the device closes */
    scr_device_info attached;     /* info of a device that the context does not list */
    struct scr_device_index *index; /* the tables' for that one, else NULL */
};

struct scr_buffer {
    scr_device *dev;
    size_t bytes;
    void *impl; /* cl_mem, CUdeviceptr cast to a pointer, or host memory */
};

/* What a kernel gets for a buffer, as in scr_pointers. */
static inline void *scr_buffer_memory(const scr_buffer *buf)
{
    return buf != NULL ? buf->impl : NULL;
}

/* One compiled kernel: all steps of its declaration. */
struct scr_program {
    scr_device *dev;
    const struct scr_kernel_decl *decl;
    void *impl;
    char *key;     /* the defines it was compiled with */
    bool building; /* in the list, but its maker is at it still: not for use */
    struct scr_program *next;
};

/* One step of a run. */
struct scr_launch {
    int step;         /* index into decl->steps */
    size_t groups[3]; /* work-groups (blocks) per dimension, each >= 1 */
    size_t group[3];  /* work-items (threads) per work-group */
    size_t local_bytes;
};

/* One tensor map of a run, as the declaration has it. */
struct scr_run_map {
    char tensor;
    int box_rows;
};

/*
 * A flag of scr_plan_create for tests alone: tile-skip leaves out tiles whose largest weight is
 * below 1/16 but not 0, as with a threshold that slipped. What a check of results is worth can be
 * seen from whether it notices. Kernels get it as the macro SCR_FAULT_SKIP=1, which no other build
 * has.
 */
#define SCR_PLAN_FAULT_SKIP (1u << 31)

/* Everything that one run needs; valid during the call. What is NULL in args is given to the kernel
 * as a null pointer. */
struct scr_run {
    const scr_problem *problem;
    const scr_config *config;
    const scr_pointers *args;
    void *queue;           /* as in scr_plan_enqueue; NULL: the device's */
    void *state;           /* of plan_create */
    scr_buffer *workspace; /* or NULL */
    scr_buffer *counters;  /* or NULL; run zeroes them first, in order */
    struct scr_shape shape;
    bool fault_skip; /* for kernels that are compiled in; others have it in their defines */
    int n_launches;
    struct scr_launch launches[SCR_MAX_STEPS];
    int n_maps;
    struct scr_run_map maps[SCR_MAX_TENSOR_MAPS];
};

struct scr_backend {
    const char *name;

    /*
     * Loads the driver and calls scr_context_add_device for each device. Where there is none it
     * returns SCR_OK and writes the reason to note. *backend_ctx is passed to the other functions.
     */
    int (*load)(scr_context *ctx, void **backend_ctx, char *note, size_t note_size);
    void (*unload)(void *backend_ctx);

    /* What the addresses of q, k, v and o must be a multiple of; 0 where they are no addresses. */
    size_t alignment;

    /* dev has ctx, info and backend_ctx set; open sets dev->impl. close waits for the queue. */
    int (*open)(scr_device *dev);
    /*
     * open in the caller's context and queue, or NULL where there is no such thing. dev->info is
     * NULL if the id named only the backend: attach sets it, to one of the context's or, having
     * filled that in, to &dev->attached.
     */
    int (*attach)(scr_device *dev, const scr_native *native);
    void (*close)(scr_device *dev);
    int (*synchronize)(scr_device *dev);

    /* buf has dev and bytes set; create sets buf->impl. SCR_ERR_NO_MEMORY when it does not fit. */
    int (*buffer_create)(scr_buffer *buf);
    void (*buffer_destroy)(scr_buffer *buf);
    /* In order with runs. write and read block until the host memory is free for use. */
    int (*buffer_write)(scr_buffer *buf, size_t offset, const void *host, size_t bytes);
    int (*buffer_read)(scr_buffer *buf, size_t offset, void *host, size_t bytes);
    int (*buffer_fill)(scr_buffer *buf, size_t offset, uint8_t byte, size_t bytes);

    /*
     * Compiles decl->source; several threads may do so at once, for different programs. `defines`
     * is a NULL-terminated list of "NAME=value"; the backend may add its own (feature macros). Sets
     * prog->impl.
     */
    int (*program_create)(struct scr_program *prog, const char *const *defines);
    void (*program_destroy)(struct scr_program *prog);

    /*
     * What a plan or a probe needs beside the program that it may share: all that two threads must
     * not use at once, and all that running would else have to make. run has its launches set;
     * plan_create sets run->state, and leaves it NULL where it fails. NULL members: nothing needed.
     */
    int (*plan_create)(struct scr_program *prog, struct scr_run *run);
    void (*plan_destroy)(struct scr_program *prog, struct scr_run *run);
    /* Fills in what is known; *out is zeroed. NULL: nothing. */
    void (*plan_get_resources)(struct scr_program *prog, const struct scr_run *run,
                               scr_resources *out);

    /*
     * Enqueues the launches in order, arguments as in kernels/shape.h. args->o_offset is added to
     * o. With ns (run->queue is NULL then): waits and stores the device's time from the first start
     * to the last end, or a negative number where the device cannot tell. With counters on a queue
     * that is not the device's: waits, so that the device's may read them.
     */
    int (*run)(struct scr_program *prog, const struct scr_run *run, double *ns);

    /*
     * Around calls of run without ns, of one plan and on the device's queue: end waits and stores
     * the time from the start of the first to the end of the last as run does. It follows each
     * begin, also where a run failed. NULL: a run ends when it returns, and its own times add up.
     */
    int (*time_begin)(struct scr_program *prog, const struct scr_run *run);
    int (*time_end)(struct scr_program *prog, const struct scr_run *run, double *ns);
};

extern const struct scr_backend scr_backend_ref;
extern const struct scr_backend scr_backend_opencl;
extern const struct scr_backend scr_backend_cuda;

#endif
