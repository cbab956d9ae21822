/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCREENING_DEVICE_H
#define SCREENING_DEVICE_H

#include <screening/error.h>
#include <screening/export.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

SCR_BEGIN_DECLS

/** Holds the backends that could be loaded and the devices that they found. */
typedef struct scr_context scr_context;
/** One opened device with one in-order queue. Threads may share it. */
typedef struct scr_device scr_device;
/** A piece of the device's memory. Belongs to its device and must be destroyed before it. */
typedef struct scr_buffer scr_buffer;

/** What is known of a device before it is opened. Strings are never NULL; unknown numbers are 0. */
typedef struct scr_device_info {
    char id[32];         /**< "ref:0", "opencl:P.D" (platform, device), "cuda:N" */
    char backend[16];    /**< "ref", "opencl", "cuda" */
    char name[128];      /**< as the driver gives it */
    char vendor[64];     /**< likewise */
    char platform[128];  /**< OpenCL: platform name; CUDA: "CUDA"; ref: "C" */
    char driver[128];    /**< driver and, where there is one, compiler version */
    char arch[32];       /**< "sm_90" for CUDA; else the best the driver tells, may be "" */
    bool is_cpu;         /**< runs on the host's processors */
    bool has_fp16;       /**< native half arithmetic (OpenCL: cl_khr_fp16) */
    bool has_subgroups;  /**< OpenCL: cl_khr_subgroups; true for CUDA */
    bool has_warpgroups; /**< CUDA: Hopper, and driver and NVRTC know its warpgroup products */
    /** CUDA compute capability times ten (90), also of NVIDIA's OpenCL devices; 0 elsewhere */
    int32_t sm;
    int32_t compute_units;  /**< SMs, compute units or host threads */
    int32_t max_group_size; /**< work-items (threads) a work-group (block) may have */
    size_t global_mem;      /**< bytes of device memory */
    size_t max_alloc;       /**< bytes one buffer may have */
    size_t local_mem;       /**< bytes of local (shared) memory one work-group may use */
    size_t cache_bytes;     /**< last-level cache */
    char pci[16];           /**< "0000:65:00.0", or "" */
} scr_device_info;

/** How a context is made. Zero-initialise, then set what is wanted. */
typedef struct scr_context_options {
    scr_log_fn log;       /**< receives messages; NULL drops them */
    void *log_user;       /**< passed to log */
    const char *backends; /**< comma list of backends to load ("ref,opencl"); NULL means all */
    /**
     * The only lookup table: a file; "" for none. NULL: the tables that screening/tuning.h lists.
     * A file that cannot be read, or lines of it, cost themselves and a warning in the log.
     */
    const char *table;
    /**
     * Folder of the compile cache, made when it is first written to; "" for none. NULL:
     * $SCR_CACHE_DIR (empty: none), $XDG_CACHE_HOME/screening, ~/.cache/screening, whichever is
     * set first. A folder that every user may write to is not used. PoCL keeps compiled kernels
     * itself: its own are kept here only where the folder is given.
     */
    const char *cache_dir;
    /**
     * Makes devices appear with less than they have, as smaller ones do, to see which kernels those
     * get: a comma list of local=BYTES, group=ITEMS (of a work-group), fp16=0, subgroups=0 and sm=0
     * (of OpenCL devices: no inline PTX), such as "local=16K,group=64". Names of devices say so;
     * nothing is added to what a device has. NULL or "": none.
     */
    const char *limits;
} scr_context_options;

/**
 * Loads the backends and lists their devices. A backend whose driver is absent is not an error: it
 * adds no device and says why on SCR_LOG_INFO. The ref backend always adds ref:0.
 *
 * @param options  may be NULL
 * @param out      receives the context; NULL on failure
 * @return SCR_OK, SCR_ERR_NO_MEMORY, SCR_ERR_INVALID (out is NULL, or limits are none; the log says
 * why)
 */
SCR_API int scr_context_create(const scr_context_options *options, scr_context **out);
SCR_API void scr_context_destroy(scr_context **ctx);

/** Number of devices found. */
SCR_API size_t scr_context_device_count(const scr_context *ctx);

/** Description of device i, or NULL if i is out of range. Lives as long as the context. */
SCR_API const scr_device_info *scr_context_device_info(const scr_context *ctx, size_t i);

/**
 * Why a backend has no device ("libcuda.so.1 not found"), or what those that it has lack ("only
 * kernels compiled ahead: ..."), or "". Lives with the context.
 */
SCR_API const char *scr_context_backend_note(const scr_context *ctx, const char *backend);

/**
 * Opens a device by its id. The context must outlive it.
 *
 * @return SCR_OK, SCR_ERR_NOT_FOUND, SCR_ERR_DEVICE, SCR_ERR_NO_MEMORY
 */
SCR_API int scr_device_open(scr_context *ctx, const char *id, scr_device **out);
SCR_API void scr_device_close(scr_device **dev);

/** A program's own objects of a device. Members that do not apply are NULL. */
typedef struct scr_native {
    /** OpenCL: cl_context, NULL for the queue's; CUDA: CUcontext, NULL for the primary one */
    void *context;
    void *device; /**< OpenCL: cl_device_id of that context, NULL for the queue's; CUDA: not used */
    /** cl_command_queue (in order), CUstream: takes the device's work; NULL: a new one */
    void *queue;
} scr_native;

/**
 * Opens a device in the caller's own context and queue, so that it takes the caller's pointers or
 * cl_mem (scr_plan_enqueue). CUDA: scr_device_open does, too, for all who use the primary context,
 * as the CUDA runtime and PyTorch do. The caller's objects must outlive the device.
 *
 * @param id  CUDA: "cuda:N", of the context's GPU; OpenCL: "opencl:P.D" or, where it is not known,
 *            "opencl", which takes devices that the context does not list, too
 * @return as scr_device_open; SCR_ERR_INVALID where the objects do not belong together;
 *         SCR_ERR_UNSUPPORTED for ref
 */
SCR_API int scr_device_attach(scr_context *ctx, const char *id, const scr_native *native,
                              scr_device **out);

/** The description of an open device. Lives as long as the device (a listed one's: the context). */
SCR_API const scr_device_info *scr_device_get_info(const scr_device *dev);

/** Waits until everything enqueued on the device has finished. SCR_OK or SCR_ERR_DEVICE. */
SCR_API int scr_device_synchronize(scr_device *dev);

/**
 * Allocates device memory; its content is undefined.
 *
 * @param bytes  size, > 0
 * @return SCR_OK, SCR_ERR_NO_MEMORY, SCR_ERR_INVALID, SCR_ERR_DEVICE
 */
SCR_API int scr_buffer_create(scr_device *dev, size_t bytes, scr_buffer **out);
SCR_API void scr_buffer_destroy(scr_buffer **buf);
SCR_API size_t scr_buffer_bytes(const scr_buffer *buf);

/**
 * Copy between host and device, or set every byte. In order with the runs of the device; the two
 * copies return when the host memory may be reused, scr_buffer_fill may return before it is done.
 *
 * @param offset  first byte of the buffer, offset + bytes <= scr_buffer_bytes(buf)
 * @return SCR_OK, SCR_ERR_INVALID, SCR_ERR_DEVICE, SCR_ERR_NO_MEMORY (drivers may allocate late)
 */
SCR_API int scr_buffer_write(scr_buffer *buf, size_t offset, const void *host, size_t bytes);
SCR_API int scr_buffer_read(scr_buffer *buf, size_t offset, void *host, size_t bytes);
SCR_API int scr_buffer_fill(scr_buffer *buf, size_t offset, uint8_t byte, size_t bytes);

SCR_END_DECLS

#endif
