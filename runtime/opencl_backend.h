/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the OpenCL backend share. */
#ifndef SCR_RUNTIME_OPENCL_BACKEND_H
#define SCR_RUNTIME_OPENCL_BACKEND_H

#include "backend.h"
#include "opencl_api.h"

/* One device that was listed. */
struct cl_found {
    char id[32];
    cl_platform_id platform;
    cl_device_id device;
};

struct cl_backend {
    void *loader;
    struct opencl_api cl;
    struct cl_found *found;
    size_t n_found;
};

/* struct scr_device's impl. */
struct cl_dev {
    const struct opencl_api *cl;
    cl_device_id device;
    cl_context context;
    cl_command_queue queue;
    bool profiling;
};

/* struct scr_program's impl. */
struct cl_prog {
    cl_program program;
    cl_kernel kernels[SCR_MAX_STEPS];
};

/* The SCR_ERR_* of a driver's error. */
int scr_cl_status(cl_int error);
/* Logs a failed call and returns its status. */
int scr_cl_failed(const scr_device *dev, const char *call, cl_int error);

/* opencl_devices.c: which devices there are. Text is cut to size, "" where the driver has none. */
void scr_cl_device_text(const struct opencl_api *cl, cl_device_id d, cl_device_info what, char *out,
                        size_t size);
/* Everything but the id; *info is zeroed. */
void scr_cl_describe(const struct opencl_api *cl, cl_platform_id p, cl_device_id d,
                     scr_device_info *info);
int scr_cl_load(scr_context *ctx, void **backend_ctx, char *note, size_t note_size);
void scr_cl_unload(void *backend_ctx);

/* opencl_open.c: contexts and queues, the library's own or the caller's. */
cl_command_queue_properties scr_cl_queue_properties(const struct cl_dev *d, cl_command_queue queue);
int scr_cl_open(scr_device *dev);
int scr_cl_attach(scr_device *dev, const scr_native *native);
void scr_cl_close(scr_device *dev);

/* opencl_program.c: compiling, and the compile cache. */
int scr_cl_program_create(struct scr_program *prog, const char *const *defines);
void scr_cl_program_destroy(struct scr_program *prog);

/* opencl_run.c: what a plan has, and its launches. */
int scr_cl_plan_create(struct scr_program *prog, struct scr_run *run);
void scr_cl_plan_destroy(struct scr_program *prog, struct scr_run *run);
void scr_cl_plan_get_resources(struct scr_program *prog, const struct scr_run *run,
                               scr_resources *out);
int scr_cl_run(struct scr_program *prog, const struct scr_run *run, double *ns);
int scr_cl_time_begin(struct scr_program *prog, const struct scr_run *run);
int scr_cl_time_end(struct scr_program *prog, const struct scr_run *run, double *ns);

#endif
