/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCREENING_PLAN_H
#define SCREENING_PLAN_H

#include <screening/device.h>
#include <screening/export.h>
#include <screening/problem.h>

#include <stdbool.h>
#include <stdint.h>

SCR_BEGIN_DECLS

/** What the tile-skip kernel leaves out. `dense` and `masked-dense` know SCR_SKIP_NONE only. */
typedef enum scr_skip {
    SCR_SKIP_NONE = 0,  /**< every tile that meets the window is computed whole */
    SCR_SKIP_TILE = 1,  /**< the value product of a tile without a live pair */
    SCR_SKIP_SLICE = 2, /**< also that of a slice (a few keys) of a tile */
} scr_skip;

/** "none", "tile", "slice". Static storage. */
SCR_API const char *scr_skip_name(scr_skip skip);

#define SCR_MAX_PARAMS 12

/** A compile-time parameter of a kernel, by the name its declaration gives it ("TILE_Q"). */
typedef struct scr_param {
    char name[20];
    int32_t value;
} scr_param;

/** A kernel and its compile-time parameters. */
typedef struct scr_config {
    char kernel[20];  /**< "dense", "masked-dense", "tile-skip" */
    char variant[20]; /**< the implementation, "mma"; "" lets scr_config_resolve choose */
    scr_skip skip;
    int32_t n_params; /**< parameters set below; those missing are filled by scr_config_resolve */
    scr_param params[SCR_MAX_PARAMS];
} scr_config;

/** Returns the value of a parameter, or fallback where the configuration does not have it. */
SCR_API int32_t scr_config_get(const scr_config *c, const char *name, int32_t fallback);

/** Sets or adds a parameter. SCR_OK, or SCR_ERR_INVALID when the name is too long or c is full. */
SCR_API int scr_config_set(scr_config *c, const char *name, int32_t value);

/**
 * Completes a configuration for a device and a problem: chooses the variant and gives every
 * parameter that is not set the value nearest to its default with which all constraints hold.
 *
 * @param info  the device
 * @param p     a valid problem
 * @param c     in: kernel, skip and any parameters; out: the complete configuration
 * @param why   if not NULL, receives one line when the call fails
 * @param why_size  bytes at why
 * @return SCR_OK; SCR_ERR_NOT_FOUND (no such kernel, variant or parameter on this backend);
 *         SCR_ERR_UNSUPPORTED (no values fit the device, the problem and those given)
 */
SCR_API int scr_config_resolve(const scr_device_info *info, const scr_problem *p, scr_config *c,
                               char *why, size_t why_size);

/** Called for one configuration; a return other than 0 ends the enumeration. */
typedef int (*scr_config_fn)(void *user, const scr_config *c);

/**
 * Calls fn for every configuration of a kernel that fits: each combination of values of the
 * parameters listed in `free_params` (comma list, "TILE_Q,TILE_K"; NULL for all), the others
 * completed as scr_config_resolve does.
 *
 * @return SCR_OK, what fn returned, or SCR_ERR_NOT_FOUND
 */
SCR_API int scr_config_enumerate(const scr_device_info *info, const scr_problem *p,
                                 const scr_config *partial, const char *free_params,
                                 scr_config_fn fn, void *user);

/** A compiled kernel for one problem on one device. Belongs to its device. */
typedef struct scr_plan scr_plan;

/** Flags of scr_plan_create. */
enum scr_plan_flags {
    /** Count executed tiles (scr_plan_counts). Slower: never time such a plan. */
    SCR_PLAN_COUNT = 1,
};

/** Device memory of one call; shapes in scr_problem. kv_len is NULL unless has_kv_len. */
typedef struct scr_args {
    scr_buffer *q, *k, *v, *r, *w, *kv_len, *o;
    size_t o_offset; /**< bytes from the start of o to the first element written, multiple of 16 */
} scr_args;

/** What a counting plan executed in one run, one element a (batch, query head). */
typedef struct scr_counts {
    uint32_t qk;        /**< tiles whose q k^T ran */
    uint32_t pv;        /**< tiles of which at least a slice of the value product ran */
    uint32_t pv_slices; /**< slices whose value product ran (skip = slice), else as pv; what a slice
                             is, the kernel decides: compare within one kernel only */
    uint32_t reserved;
} scr_counts;

/**
 * Compiles a kernel for a problem.
 *
 * @param p      the problem; copied
 * @param c      the configuration; incomplete ones are resolved first; copied
 * @param flags  of enum scr_plan_flags
 * @return SCR_OK, SCR_ERR_INVALID, SCR_ERR_UNSUPPORTED, SCR_ERR_NOT_FOUND, SCR_ERR_COMPILE,
 *         SCR_ERR_NO_MEMORY (the workspace does not fit), SCR_ERR_DEVICE
 */
SCR_API int scr_plan_create(scr_device *dev, const scr_problem *p, const scr_config *c,
                            unsigned flags, scr_plan **out);
SCR_API void scr_plan_destroy(scr_plan **plan);

/** The complete configuration of a plan. Lives with the plan. */
SCR_API const scr_config *scr_plan_config(const scr_plan *plan);

/** Bytes of device memory the plan holds beside the caller's buffers. */
SCR_API size_t scr_plan_workspace_bytes(const scr_plan *plan);

/** The same before a plan is made: what it would hold. 0 where the configuration is refused. */
SCR_API size_t scr_config_workspace_bytes(const scr_device_info *info, const scr_problem *p,
                                          const scr_config *c);

/**
 * Runs the operator once.
 *
 * @param args  buffers on the plan's device, of the sizes that the problem implies
 * @param ns    NULL: enqueue and return. Else: wait, and receive the device's own time from the
 *              start of the first to the end of the last kernel, in nanoseconds; negative if the
 *              device could not tell: -1 where it has no time, less where its clock ran backwards.
 *              OpenCL makes events for it: without it a run allocates nothing, as scr_plan_enqueue
 * @return SCR_OK, SCR_ERR_INVALID, SCR_ERR_DEVICE, SCR_ERR_NO_MEMORY (drivers may allocate late)
 */
SCR_API int scr_plan_run(scr_plan *plan, const scr_args *args, double *ns);

/**
 * Runs the operator once on each of args[0..n-1], in order and back to back, and waits. What
 * scr_plan_counts tells of is the last run.
 *
 * @param n   >= 1
 * @param ns  not NULL. The device's own time from the start of the first to the end of the last
 *            kernel of all runs, in nanoseconds, with what lies between them (ref, whose runs end
 *            when they return: their sum); negative as in scr_plan_run. By the host's clock this
 *            call takes one launch and one wait more
 * @return as scr_plan_run. With SCR_ERR_INVALID nothing ran; after any other failure *ns means
 *         nothing, and what was enqueued may still run
 */
SCR_API int scr_plan_run_batch(scr_plan *plan, const scr_args *args, size_t n, double *ns);

/** The same as struct scr_args for memory that the caller has: what the device calls a pointer. */
typedef struct scr_pointers {
    /**
     * CUDA: CUdeviceptr, those of q, k, v and o multiples of 16; OpenCL: cl_mem, those made with
     * CL_MEM_USE_HOST_PTR or as sub-buffers aligned to 16 bytes, too; ref: host memory, aligned for
     * its elements. Shapes in scr_problem.
     */
    const void *q, *k, *v, *r, *w, *kv_len;
    void *o;
    size_t o_offset; /**< as in struct scr_args */
} scr_pointers;

/**
 * Enqueues one run on the caller's memory and queue and returns; ref: when it is done. Sizes cannot
 * be checked here: memory that is too small is undefined behaviour. Allocates nothing, does no I/O
 * and takes no lock (but that of ref's threads; drivers do as they like). A counting plan
 * (SCR_PLAN_COUNT) waits on a queue that is not the device's.
 *
 * @param args   memory of the plan's device
 * @param queue  CUstream or cl_command_queue of the device's context; NULL: the device's own.
 *               CUDA's default stream is CU_STREAM_LEGACY or CU_STREAM_PER_THREAD here. An OpenCL
 *               queue that is out of order gets a barrier before and after. Runs of one plan on
 *               several queues must not overlap where the plan has a workspace; all must have ended
 *               when it is destroyed
 * @return SCR_OK, SCR_ERR_INVALID (a pointer is missing or not aligned), SCR_ERR_DEVICE,
 *         SCR_ERR_NO_MEMORY
 */
SCR_API int scr_plan_enqueue(scr_plan *plan, const scr_pointers *args, void *queue);

/**
 * What a compiled kernel takes of the device; over its steps, the largest. The sizes of work-groups
 * are those of the step that comes nearest to what it could have, among those of which that is
 * known.
 */
typedef struct scr_resources {
    int32_t registers;   /**< a thread; 0: unknown */
    int32_t spill_bytes; /**< a thread, of private memory outside registers; 0: none or unknown */
    int32_t group_size;  /**< work-items of a work-group as launched */
    int32_t max_group;   /**< that this step could have as compiled; 0: unknown */
    size_t local_bytes;  /**< a work-group, of local (shared) memory */
} scr_resources;

/** Fills in what is known of a plan. */
SCR_API void scr_plan_get_resources(const scr_plan *plan, scr_resources *out);

/**
 * What the last run of a counting plan executed; waits for it.
 *
 * @param counts  batch * heads_q elements
 * @return SCR_OK, SCR_ERR_INVALID (not a counting plan, or never run), SCR_ERR_DEVICE
 */
SCR_API int scr_plan_counts(scr_plan *plan, scr_counts *counts);

SCR_END_DECLS

#endif
