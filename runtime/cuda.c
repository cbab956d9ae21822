/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NVIDIA GPUs through the driver API, which is loaded at run time. Each opened device shares the
 * primary context of its GPU with the rest of the process and has a stream of its own; every call
 * makes that context current and restores the caller's.
 */
#include "backend.h"
#include "cuda_api.h"
#include "cuda_compile.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct cuda {
    void *library;
    struct scr_cu_driver api;
    struct scr_nvrtc *nvrtc;
};

struct gpu {
    scr_cu_device ordinal;
    scr_cu_context ctx;
    scr_cu_stream stream;
    scr_cu_event start, end;
};

struct module {
    scr_cu_module module;
    scr_cu_function functions[SCR_MAX_STEPS];
    size_t shared_limit[SCR_MAX_STEPS]; /* dynamic shared memory each may use as it stands */
};

/* What a kernel may use of dynamic shared memory without asking. */
enum { SHARED_DEFAULT = 48 * 1024 };

static const char *error_name(const struct cuda *cuda, scr_cu_result result)
{
    const char *name = NULL;

    if (cuda->api.cuGetErrorName(result, &name) != SCR_CU_SUCCESS || name == NULL)
        return "unknown CUDA error";
    return name;
}

/* Logs a failure with the driver's name for it and gives the status to return. */
static int check(const scr_device *dev, scr_cu_result result, const char *what)
{
    const struct cuda *cuda = dev->backend_ctx;

    if (result == SCR_CU_SUCCESS)
        return SCR_OK;
    scr_log(dev->ctx, SCR_LOG_ERROR, "%s: %s: %s (%d)", dev->info->id, what,
            error_name(cuda, result), result);
    return result == SCR_CU_ERROR_OUT_OF_MEMORY ? SCR_ERR_NO_MEMORY : SCR_ERR_DEVICE;
}

#define CHECK(dev, call, ...)                                                                      \
    check((dev), ((const struct cuda *)(dev)->backend_ctx)->api.call(__VA_ARGS__), #call)

static int enter(const scr_device *dev)
{
    const struct gpu *gpu = dev->impl;

    return CHECK(dev, cuCtxPushCurrent, gpu->ctx);
}

static void leave(const scr_device *dev)
{
    scr_cu_context ours;

    CHECK(dev, cuCtxPopCurrent, &ours);
}

static bool find_functions(struct cuda *cuda, const char **missing)
{
#define FIND(name, symbol, parameters)                                                             \
    *(void **)&cuda->api.name = dlsym(cuda->library, symbol);                                      \
    if (cuda->api.name == NULL) {                                                                  \
        *missing = symbol;                                                                         \
        return false;                                                                              \
    }
    SCR_CU_FUNCTIONS(FIND)
#undef FIND
    return true;
}

/* Version of the kernel driver, "580.65.06", or "" where the system does not tell. */
static void read_driver_version(char *text, size_t size)
{
    FILE *f = fopen("/sys/module/nvidia/version", "r");

    text[0] = '\0';
    if (f == NULL)
        return;
    if (fgets(text, (int)size, f) == NULL)
        text[0] = '\0';
    text[strcspn(text, "\n")] = '\0';
    fclose(f);
}

static void describe_driver(const struct cuda *cuda, char *text, size_t size)
{
    char driver[32];
    int version = 0;
    int major, minor;

    read_driver_version(driver, sizeof driver);
    cuda->api.cuDriverGetVersion(&version);
    scr_nvrtc_get_version(cuda->nvrtc, &major, &minor);
    snprintf(text, size, "%s%sCUDA %d.%d, NVRTC %d.%d", driver, driver[0] != '\0' ? ", " : "",
             version / 1000, version % 1000 / 10, major, minor);
}

static int attribute(const struct cuda *cuda, scr_cu_device gpu, int which)
{
    int value = 0;

    if (cuda->api.cuDeviceGetAttribute(&value, which, gpu) != SCR_CU_SUCCESS)
        return 0;
    return value;
}

static int add_device(scr_context *ctx, const struct cuda *cuda, int ordinal)
{
    scr_device_info info = {0};
    scr_cu_device gpu;
    scr_cu_result result = cuda->api.cuDeviceGet(&gpu, ordinal);

    snprintf(info.id, sizeof info.id, "cuda:%d", ordinal);
    if (result != SCR_CU_SUCCESS) {
        scr_log(ctx, SCR_LOG_WARNING, "%s: cuDeviceGet: %s", info.id, error_name(cuda, result));
        return SCR_OK;
    }
    if (attribute(cuda, gpu, SCR_CU_ATTRIBUTE_COMPUTE_MODE) == SCR_CU_COMPUTEMODE_PROHIBITED) {
        scr_log(ctx, SCR_LOG_WARNING, "%s: its compute mode prohibits use", info.id);
        return SCR_OK;
    }
    snprintf(info.backend, sizeof info.backend, "cuda");
    snprintf(info.vendor, sizeof info.vendor, "NVIDIA");
    snprintf(info.platform, sizeof info.platform, "CUDA");
    if (cuda->api.cuDeviceGetName(info.name, sizeof info.name, gpu) != SCR_CU_SUCCESS)
        info.name[0] = '\0';
    if (cuda->api.cuDeviceGetPCIBusId(info.pci, sizeof info.pci, gpu) != SCR_CU_SUCCESS)
        info.pci[0] = '\0';
    if (cuda->api.cuDeviceTotalMem(&info.global_mem, gpu) != SCR_CU_SUCCESS)
        info.global_mem = 0;
    describe_driver(cuda, info.driver, sizeof info.driver);
    info.sm = 10 * attribute(cuda, gpu, SCR_CU_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR) +
              attribute(cuda, gpu, SCR_CU_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
    snprintf(info.arch, sizeof info.arch, "sm_%d", (int)info.sm);
    info.has_fp16 = true;
    info.has_subgroups = true;
    info.compute_units = attribute(cuda, gpu, SCR_CU_ATTRIBUTE_MULTIPROCESSOR_COUNT);
    info.max_group_size = attribute(cuda, gpu, SCR_CU_ATTRIBUTE_MAX_THREADS_PER_BLOCK);
    info.max_alloc = info.global_mem;
    info.local_mem =
        (size_t)attribute(cuda, gpu, SCR_CU_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN);
    info.cache_bytes = (size_t)attribute(cuda, gpu, SCR_CU_ATTRIBUTE_L2_CACHE_SIZE);
    return scr_context_add_device(ctx, &info);
}

static void cuda_unload(void *backend_ctx)
{
    struct cuda *cuda = backend_ctx;

    if (cuda == NULL)
        return;
    scr_nvrtc_unload(&cuda->nvrtc);
    if (cuda->library != NULL)
        dlclose(cuda->library);
    free(cuda);
}

static int cuda_load(scr_context *ctx, void **backend_ctx, char *note, size_t note_size)
{
    struct cuda *cuda = calloc(1, sizeof *cuda);
    const char *missing = "";
    scr_cu_result result;
    size_t before = scr_context_device_count(ctx);
    int n = 0;
    int status = SCR_OK;

    *backend_ctx = NULL;
    if (cuda == NULL)
        return SCR_ERR_NO_MEMORY;
    /* The driver keeps threads and handlers of its own, so it stays mapped once loaded. */
    cuda->library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (cuda->library == NULL) {
        snprintf(note, note_size, "libcuda.so.1 not found: no NVIDIA driver");
        goto none;
    }
    if (!find_functions(cuda, &missing)) {
        snprintf(note, note_size, "the NVIDIA driver is too old: it lacks %s", missing);
        goto none;
    }
    result = cuda->api.cuInit(0);
    if (result == SCR_CU_SUCCESS)
        result = cuda->api.cuDeviceGetCount(&n);
    if (result != SCR_CU_SUCCESS || n == 0) {
        snprintf(note, note_size, "no usable NVIDIA GPU%s%s", result != SCR_CU_SUCCESS ? ": " : "",
                 result != SCR_CU_SUCCESS ? error_name(cuda, result) : "");
        goto none;
    }
    status = scr_nvrtc_load(&cuda->nvrtc, note, note_size);
    if (status != SCR_OK) {
        status = status == SCR_ERR_NOT_FOUND ? SCR_OK : status;
        goto none;
    }
    for (int i = 0; i < n && status == SCR_OK; i++)
        status = add_device(ctx, cuda, i);
    if (status != SCR_OK)
        goto none;
    if (scr_context_device_count(ctx) == before)
        snprintf(note, note_size, "no NVIDIA GPU may be used");
    *backend_ctx = cuda;
    return SCR_OK;
none:
    cuda_unload(cuda);
    return status;
}

/* Frees what open made, in the reverse order; the context is current. */
static void destroy_queue(scr_device *dev)
{
    struct gpu *gpu = dev->impl;

    if (gpu->end != NULL)
        CHECK(dev, cuEventDestroy, gpu->end);
    if (gpu->start != NULL)
        CHECK(dev, cuEventDestroy, gpu->start);
    if (gpu->stream != NULL)
        CHECK(dev, cuStreamDestroy, gpu->stream);
}

static int cuda_open(scr_device *dev)
{
    struct gpu *gpu = calloc(1, sizeof *gpu);
    int status;

    if (gpu == NULL)
        return SCR_ERR_NO_MEMORY;
    dev->impl = gpu;
    status = CHECK(dev, cuDeviceGet, &gpu->ordinal, atoi(strchr(dev->info->id, ':') + 1));
    if (status != SCR_OK)
        goto no_context;
    status = CHECK(dev, cuDevicePrimaryCtxRetain, &gpu->ctx, gpu->ordinal);
    if (status != SCR_OK)
        goto no_context;
    status = enter(dev);
    if (status != SCR_OK)
        goto no_queue;
    status = CHECK(dev, cuStreamCreate, &gpu->stream, SCR_CU_STREAM_NON_BLOCKING);
    if (status == SCR_OK)
        status = CHECK(dev, cuEventCreate, &gpu->start, SCR_CU_EVENT_DEFAULT);
    if (status == SCR_OK)
        status = CHECK(dev, cuEventCreate, &gpu->end, SCR_CU_EVENT_DEFAULT);
    if (status != SCR_OK)
        destroy_queue(dev);
    leave(dev);
    if (status == SCR_OK)
        return SCR_OK;
no_queue:
    CHECK(dev, cuDevicePrimaryCtxRelease, gpu->ordinal);
no_context:
    free(gpu);
    dev->impl = NULL;
    return status;
}

static void cuda_close(scr_device *dev)
{
    struct gpu *gpu = dev->impl;

    if (enter(dev) == SCR_OK) {
        CHECK(dev, cuStreamSynchronize, gpu->stream);
        destroy_queue(dev);
        leave(dev);
    }
    CHECK(dev, cuDevicePrimaryCtxRelease, gpu->ordinal);
    free(gpu);
    dev->impl = NULL;
}

static int cuda_synchronize(scr_device *dev)
{
    const struct gpu *gpu = dev->impl;
    int status = enter(dev);

    if (status != SCR_OK)
        return status;
    status = CHECK(dev, cuStreamSynchronize, gpu->stream);
    leave(dev);
    return status;
}

static scr_cu_pointer pointer_of(const scr_buffer *buf)
{
    return buf != NULL ? (scr_cu_pointer)(uintptr_t)buf->impl : 0;
}

static int cuda_buffer_create(scr_buffer *buf)
{
    scr_cu_pointer ptr = 0;
    int status = enter(buf->dev);

    if (status != SCR_OK)
        return status;
    status = CHECK(buf->dev, cuMemAlloc, &ptr, buf->bytes);
    leave(buf->dev);
    buf->impl = (void *)(uintptr_t)ptr;
    return status;
}

static void cuda_buffer_destroy(scr_buffer *buf)
{
    if (enter(buf->dev) != SCR_OK)
        return;
    CHECK(buf->dev, cuMemFree, pointer_of(buf));
    leave(buf->dev);
}

static int cuda_buffer_write(scr_buffer *buf, size_t offset, const void *host, size_t bytes)
{
    const struct gpu *gpu = buf->dev->impl;
    int status = enter(buf->dev);

    if (status != SCR_OK)
        return status;
    status = CHECK(buf->dev, cuMemcpyHtoDAsync, pointer_of(buf) + offset, host, bytes, gpu->stream);
    if (status == SCR_OK)
        status = CHECK(buf->dev, cuStreamSynchronize, gpu->stream);
    leave(buf->dev);
    return status;
}

static int cuda_buffer_read(scr_buffer *buf, size_t offset, void *host, size_t bytes)
{
    const struct gpu *gpu = buf->dev->impl;
    int status = enter(buf->dev);

    if (status != SCR_OK)
        return status;
    status = CHECK(buf->dev, cuMemcpyDtoHAsync, host, pointer_of(buf) + offset, bytes, gpu->stream);
    if (status == SCR_OK)
        status = CHECK(buf->dev, cuStreamSynchronize, gpu->stream);
    leave(buf->dev);
    return status;
}

static int cuda_buffer_fill(scr_buffer *buf, size_t offset, uint8_t byte, size_t bytes)
{
    const struct gpu *gpu = buf->dev->impl;
    int status = enter(buf->dev);

    if (status != SCR_OK)
        return status;
    status = CHECK(buf->dev, cuMemsetD8Async, pointer_of(buf) + offset, byte, bytes, gpu->stream);
    leave(buf->dev);
    return status;
}

static int load_module(scr_device *dev, const struct scr_kernel_decl *decl,
                       const struct scr_cuda_image *image, struct module *m)
{
    char log[4096] = "";
    int options[] = {SCR_CU_JIT_ERROR_LOG_BUFFER, SCR_CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
    void *values[] = {log, (void *)(uintptr_t)sizeof log};
    int status = enter(dev);

    if (status != SCR_OK)
        return status;
    status = CHECK(dev, cuModuleLoadDataEx, &m->module, image->data, 2, options, values);
    if (status != SCR_OK && log[0] != '\0')
        scr_log(dev->ctx, SCR_LOG_ERROR, "%.*s", (int)sizeof log, log);
    for (int i = 0; status == SCR_OK && i < decl->n_steps; i++) {
        status = CHECK(dev, cuModuleGetFunction, &m->functions[i], m->module, decl->steps[i].entry);
        m->shared_limit[i] = SHARED_DEFAULT;
    }
    if (status != SCR_OK && m->module != NULL)
        CHECK(dev, cuModuleUnload, m->module);
    leave(dev);
    return status;
}

static int cuda_program_create(struct scr_program *prog, const char *const *defines)
{
    scr_device *dev = prog->dev;
    const struct cuda *cuda = dev->backend_ctx;
    struct scr_cuda_image image;
    struct module *m = calloc(1, sizeof *m);
    int status;

    if (m == NULL)
        return SCR_ERR_NO_MEMORY;
    status = scr_cuda_compile(cuda->nvrtc, prog->decl, defines, dev->info->sm, false, &image);
    if (status == SCR_ERR_UNSUPPORTED)
        scr_log(dev->ctx, SCR_LOG_ERROR, "%s: this NVRTC does not know %s", dev->info->id,
                dev->info->arch);
    else if (status != SCR_OK)
        scr_log(dev->ctx, SCR_LOG_ERROR, "%s: %s does not compile:\n%s", dev->info->id,
                prog->decl->file, image.log != NULL ? image.log : "out of memory");
    else if (image.log[0] != '\0')
        scr_log(dev->ctx, SCR_LOG_DEBUG, "%s: %s:\n%s", dev->info->id, prog->decl->file, image.log);
    if (status == SCR_OK)
        status = load_module(dev, prog->decl, &image, m);
    scr_cuda_image_clear(&image);
    if (status != SCR_OK) {
        free(m);
        return status;
    }
    prog->impl = m;
    return SCR_OK;
}

static void cuda_program_destroy(struct scr_program *prog)
{
    struct module *m = prog->impl;

    if (enter(prog->dev) == SCR_OK) {
        /* A run may still be under way. */
        const struct gpu *gpu = prog->dev->impl;

        CHECK(prog->dev, cuStreamSynchronize, gpu->stream);
        CHECK(prog->dev, cuModuleUnload, m->module);
        leave(prog->dev);
    }
    free(m);
    prog->impl = NULL;
}

static int launch(scr_device *dev, struct module *m, const struct scr_launch *l, void **parameters)
{
    const struct gpu *gpu = dev->impl;

    if (l->local_bytes > m->shared_limit[l->step]) {
        int status =
            CHECK(dev, cuFuncSetAttribute, m->functions[l->step],
                  SCR_CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, (int)l->local_bytes);

        if (status != SCR_OK)
            return status;
        m->shared_limit[l->step] = l->local_bytes;
    }
    return CHECK(dev, cuLaunchKernel, m->functions[l->step], (unsigned)l->groups[0],
                 (unsigned)l->groups[1], (unsigned)l->groups[2], (unsigned)l->group[0],
                 (unsigned)l->group[1], (unsigned)l->group[2], (unsigned)l->local_bytes,
                 gpu->stream, parameters, NULL);
}

static int cuda_run(struct scr_program *prog, const struct scr_run *run, double *ns)
{
    scr_device *dev = prog->dev;
    const struct gpu *gpu = dev->impl;
    const scr_args *args = run->args;
    scr_cu_pointer q = pointer_of(args->q), k = pointer_of(args->k), v = pointer_of(args->v);
    scr_cu_pointer r = pointer_of(args->r), w = pointer_of(args->w);
    scr_cu_pointer kv_len = pointer_of(args->kv_len);
    scr_cu_pointer o = pointer_of(args->o) + args->o_offset;
    scr_cu_pointer workspace = pointer_of(run->workspace);
    scr_cu_pointer counters = pointer_of(run->counters);
    struct scr_shape shape = run->shape;
    void *parameters[] = {&q, &k, &v, &r, &w, &kv_len, &o, &workspace, &counters, &shape};
    float milliseconds = 0.0f;
    int status = enter(dev);

    if (status != SCR_OK)
        return status;
    if (ns != NULL)
        status = CHECK(dev, cuEventRecord, gpu->start, gpu->stream);
    for (int i = 0; status == SCR_OK && i < run->n_launches; i++)
        status = launch(dev, prog->impl, &run->launches[i], parameters);
    if (ns != NULL && status == SCR_OK) {
        status = CHECK(dev, cuEventRecord, gpu->end, gpu->stream);
        if (status == SCR_OK)
            status = CHECK(dev, cuEventSynchronize, gpu->end);
        if (status == SCR_OK)
            status = CHECK(dev, cuEventElapsedTime, &milliseconds, gpu->start, gpu->end);
        if (status == SCR_OK)
            *ns = (double)milliseconds * 1e6;
    }
    leave(dev);
    return status;
}

const struct scr_backend scr_backend_cuda = {
    .name = "cuda",
    .load = cuda_load,
    .unload = cuda_unload,
    .open = cuda_open,
    .close = cuda_close,
    .synchronize = cuda_synchronize,
    .buffer_create = cuda_buffer_create,
    .buffer_destroy = cuda_buffer_destroy,
    .buffer_write = cuda_buffer_write,
    .buffer_read = cuda_buffer_read,
    .buffer_fill = cuda_buffer_fill,
    .program_create = cuda_program_create,
    .program_destroy = cuda_program_destroy,
    .run = cuda_run,
};
