/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the CUDA backend share. Each opened device shares the primary context of its
 * GPU with the rest of the process and has a stream of its own, or works in a context and stream
 * that it was attached to; every call makes that context current and restores the caller's.
 */
#ifndef SCR_RUNTIME_CUDA_BACKEND_H
#define SCR_RUNTIME_CUDA_BACKEND_H

#include "backend.h"
#include "cuda_api.h"
#include "cuda_compile.h"

struct cuda {
    void *library;
    struct scr_cu_driver api;
    struct scr_nvrtc *nvrtc;
};

struct gpu {
    scr_cu_device ordinal;
    scr_cu_context ctx;
    scr_cu_stream stream;
    bool foreign_ctx, foreign_stream; /* the caller's: not ours to release */
};

struct module {
    scr_cu_module module;
    scr_cu_function functions[SCR_MAX_STEPS];
    /* Dynamic shared memory that each may use as it stands; scr_device's mutex guards it. */
    size_t shared_limit[SCR_MAX_STEPS];
};

const char *scr_cuda_error_name(const struct cuda *cuda, scr_cu_result result);
/* Logs a failure with the driver's name for it and gives the status to return. */
int scr_cuda_check(const scr_device *dev, scr_cu_result result, const char *what);

#define CHECK(dev, call, ...)                                                                      \
    scr_cuda_check((dev), ((const struct cuda *)(dev)->backend_ctx)->api.call(__VA_ARGS__), #call)

/* Make the device's context current, and the one before it again. */
int scr_cuda_enter(const scr_device *dev);
void scr_cuda_leave(const scr_device *dev);

/* cuda_devices.c: which devices there are. */
int scr_cuda_load(scr_context *ctx, void **backend_ctx, char *note, size_t note_size);
void scr_cuda_unload(void *backend_ctx);

/* cuda_open.c: contexts and streams, the library's own or the caller's. */
int scr_cuda_open(scr_device *dev);
int scr_cuda_attach(scr_device *dev, const scr_native *native);
void scr_cuda_close(scr_device *dev);

/* cuda_program.c: compiling, and the compile cache. */
int scr_cuda_program_create(struct scr_program *prog, const char *const *defines);
void scr_cuda_program_destroy(struct scr_program *prog);

/* cuda_run.c: what a plan has, and its launches. */
int scr_cuda_plan_create(struct scr_program *prog, struct scr_run *run);
void scr_cuda_plan_destroy(struct scr_program *prog, struct scr_run *run);
void scr_cuda_plan_get_resources(struct scr_program *prog, const struct scr_run *run,
                                 scr_resources *out);
int scr_cuda_run(struct scr_program *prog, const struct scr_run *run, double *ns);
int scr_cuda_time_begin(struct scr_program *prog, const struct scr_run *run);
int scr_cuda_time_end(struct scr_program *prog, const struct scr_run *run, double *ns);

#endif
