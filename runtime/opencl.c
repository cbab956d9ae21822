/* SPDX-License-Identifier: Apache-2.0 */
/* OpenCL 1.2 and later through the ICD loader, which is loaded at run time. */
#include "backend.h"

#include "opencl_api.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static int status_of(cl_int error)
{
    switch (error) {
    case CL_SUCCESS:
        return SCR_OK;
    case CL_MEM_OBJECT_ALLOCATION_FAILURE:
    case CL_OUT_OF_RESOURCES:
    case CL_OUT_OF_HOST_MEMORY:
    case CL_INVALID_BUFFER_SIZE:
        return SCR_ERR_NO_MEMORY;
    case CL_INVALID_WORK_GROUP_SIZE:
        return SCR_ERR_UNSUPPORTED;
    default:
        return SCR_ERR_DEVICE;
    }
}

/* Logs a failed call and returns its status. */
static int failed(const scr_device *dev, const char *call, cl_int error)
{
    scr_log(dev->ctx, SCR_LOG_ERROR, "%s: %s failed with OpenCL error %d", dev->info->id, call,
            (int)error);
    return status_of(error);
}

static int load_api(struct cl_backend *be, char *note, size_t note_size)
{
    /* Drivers keep threads and exit handlers, so their code stays mapped after dlclose. */
    be->loader = dlopen("libOpenCL.so.1", RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (be->loader == NULL) {
        snprintf(note, note_size, "libOpenCL.so.1 not found");
        return SCR_ERR_NOT_FOUND;
    }
#define LOAD(name)                                                                                 \
    be->cl.name = (__typeof__(be->cl.name))dlsym(be->loader, "cl" #name);                          \
    if (be->cl.name == NULL) {                                                                     \
        snprintf(note, note_size, "libOpenCL.so.1 has no cl" #name);                               \
        return SCR_ERR_NOT_FOUND;                                                                  \
    }
    OPENCL_FUNCTIONS(LOAD)
#undef LOAD
    return SCR_OK;
}

/* Text of a device or platform, cut to size, "" where the driver has none. */
static void device_text(const struct opencl_api *cl, cl_device_id d, cl_device_info what, char *out,
                        size_t size)
{
    size_t n = 0;
    char *text;

    out[0] = '\0';
    if (cl->GetDeviceInfo(d, what, 0, NULL, &n) != CL_SUCCESS || n == 0)
        return;
    text = calloc(1, n + 1);
    if (text == NULL)
        return;
    if (cl->GetDeviceInfo(d, what, n, text, NULL) == CL_SUCCESS)
        snprintf(out, size, "%s", text);
    free(text);
}

static void platform_text(const struct opencl_api *cl, cl_platform_id p, cl_platform_info what,
                          char *out, size_t size)
{
    size_t n = 0;
    char *text;

    out[0] = '\0';
    if (cl->GetPlatformInfo(p, what, 0, NULL, &n) != CL_SUCCESS || n == 0)
        return;
    text = calloc(1, n + 1);
    if (text == NULL)
        return;
    if (cl->GetPlatformInfo(p, what, n, text, NULL) == CL_SUCCESS)
        snprintf(out, size, "%s", text);
    free(text);
}

/* A number of a device, of whichever width the driver gives it; 0 where it has none. */
static uint64_t device_number(const struct opencl_api *cl, cl_device_id d, cl_device_info what)
{
    union {
        uint32_t u32;
        uint64_t u64;
    } value = {.u64 = 0};
    size_t n = 0;

    if (cl->GetDeviceInfo(d, what, sizeof value, &value, &n) != CL_SUCCESS)
        return 0;
    return n == sizeof value.u32 ? value.u32 : value.u64;
}

/* name is one of the words of the device's extensions. */
static bool has_extension(const struct opencl_api *cl, cl_device_id d, const char *name)
{
    char words[16384];
    size_t n = strlen(name);

    device_text(cl, d, CL_DEVICE_EXTENSIONS, words, sizeof words);
    for (const char *s = words; *s != '\0';) {
        size_t len = strcspn(s, " ");

        if (len == n && strncmp(s, name, n) == 0)
            return true;
        s += len;
        s += strspn(s, " ");
    }
    return false;
}

static void find_arch(const struct opencl_api *cl, cl_device_id d, scr_device_info *info)
{
    char version[256];
    const char *target;

    device_text(cl, d, CL_DEVICE_VERSION, version, sizeof version);
    target = strstr(version, "-gnu-");
    if (has_extension(cl, d, "cl_nv_device_attribute_query"))
        snprintf(info->arch, sizeof info->arch, "sm_%u%u",
                 (unsigned)device_number(cl, d, CL_DEVICE_COMPUTE_CAPABILITY_MAJOR_NV),
                 (unsigned)device_number(cl, d, CL_DEVICE_COMPUTE_CAPABILITY_MINOR_NV));
    else if (strncmp(info->name, "gfx", 3) == 0) /* AMD names its targets so */
        snprintf(info->arch, sizeof info->arch, "%.31s", info->name);
    else if (target != NULL) /* PoCL: "... pthread-x86_64-pc-linux-gnu-skylake-avx512" */
        snprintf(info->arch, sizeof info->arch, "%.31s", target + strlen("-gnu-"));
}

static void find_pci(const struct opencl_api *cl, cl_device_id d, scr_device_info *info)
{
    cl_device_pci_bus_info_khr at;

    if (has_extension(cl, d, "cl_khr_pci_bus_info") &&
        cl->GetDeviceInfo(d, CL_DEVICE_PCI_BUS_INFO_KHR, sizeof at, &at, NULL) == CL_SUCCESS) {
        snprintf(info->pci, sizeof info->pci, "%04x:%02x:%02x.%x", at.pci_domain & 0xffffu,
                 at.pci_bus & 0xffu, at.pci_device & 0xffu, at.pci_function & 7u);
    } else if (has_extension(cl, d, "cl_nv_device_attribute_query")) {
        unsigned domain = (unsigned)device_number(cl, d, CL_DEVICE_PCI_DOMAIN_ID_NV);
        unsigned bus = (unsigned)device_number(cl, d, CL_DEVICE_PCI_BUS_ID_NV);
        unsigned slot = (unsigned)device_number(cl, d, CL_DEVICE_PCI_SLOT_ID_NV);

        snprintf(info->pci, sizeof info->pci, "%04x:%02x:%02x.%x", domain & 0xffffu, bus & 0xffu,
                 slot >> 3 & 0x1fu, slot & 7u);
    }
}

static void describe(const struct opencl_api *cl, cl_platform_id p, cl_device_id d,
                     scr_device_info *info)
{
    char driver[60], version[60];

    snprintf(info->backend, sizeof info->backend, "opencl");
    device_text(cl, d, CL_DEVICE_NAME, info->name, sizeof info->name);
    device_text(cl, d, CL_DEVICE_VENDOR, info->vendor, sizeof info->vendor);
    platform_text(cl, p, CL_PLATFORM_NAME, info->platform, sizeof info->platform);
    device_text(cl, d, CL_DRIVER_VERSION, driver, sizeof driver);
    platform_text(cl, p, CL_PLATFORM_VERSION, version, sizeof version);
    snprintf(info->driver, sizeof info->driver, "%s (%s)", driver, version);
    info->is_cpu = (device_number(cl, d, CL_DEVICE_TYPE) & CL_DEVICE_TYPE_CPU) != 0;
    info->has_fp16 = has_extension(cl, d, "cl_khr_fp16");
    info->has_subgroups = has_extension(cl, d, "cl_khr_subgroups");
    info->compute_units = (int32_t)device_number(cl, d, CL_DEVICE_MAX_COMPUTE_UNITS);
    info->max_group_size = (int32_t)device_number(cl, d, CL_DEVICE_MAX_WORK_GROUP_SIZE);
    info->global_mem = (size_t)device_number(cl, d, CL_DEVICE_GLOBAL_MEM_SIZE);
    info->max_alloc = (size_t)device_number(cl, d, CL_DEVICE_MAX_MEM_ALLOC_SIZE);
    info->local_mem = (size_t)device_number(cl, d, CL_DEVICE_LOCAL_MEM_SIZE);
    info->cache_bytes = (size_t)device_number(cl, d, CL_DEVICE_GLOBAL_MEM_CACHE_SIZE);
    find_arch(cl, d, info);
    find_pci(cl, d, info);
}

static int add_device(scr_context *ctx, struct cl_backend *be, cl_platform_id p, cl_device_id d,
                      unsigned pi, unsigned di)
{
    struct cl_found *grown;
    scr_device_info info;
    int status;

    memset(&info, 0, sizeof info);
    snprintf(info.id, sizeof info.id, "opencl:%u.%u", pi, di);
    describe(&be->cl, p, d, &info);
    if (!device_number(&be->cl, d, CL_DEVICE_AVAILABLE) ||
        !device_number(&be->cl, d, CL_DEVICE_COMPILER_AVAILABLE)) {
        scr_log(ctx, SCR_LOG_INFO, "%s (%s) left out: not available, or has no compiler", info.id,
                info.name);
        return SCR_OK;
    }
    grown = realloc(be->found, (be->n_found + 1) * sizeof *grown);
    if (grown == NULL)
        return SCR_ERR_NO_MEMORY;
    be->found = grown;
    status = scr_context_add_device(ctx, &info);
    if (status != SCR_OK)
        return status;
    be->found[be->n_found].platform = p;
    be->found[be->n_found].device = d;
    memcpy(be->found[be->n_found].id, info.id, sizeof info.id);
    be->n_found++;
    return SCR_OK;
}

static int add_platform(scr_context *ctx, struct cl_backend *be, cl_platform_id p, unsigned pi)
{
    cl_device_id *devices;
    cl_uint n = 0;
    int status = SCR_OK;

    if (be->cl.GetDeviceIDs(p, CL_DEVICE_TYPE_ALL, 0, NULL, &n) != CL_SUCCESS || n == 0)
        return SCR_OK;
    devices = calloc(n, sizeof *devices);
    if (devices == NULL)
        return SCR_ERR_NO_MEMORY;
    if (be->cl.GetDeviceIDs(p, CL_DEVICE_TYPE_ALL, n, devices, NULL) == CL_SUCCESS) {
        for (cl_uint i = 0; i < n && status == SCR_OK; i++)
            status = add_device(ctx, be, p, devices[i], pi, i);
    }
    free(devices);
    return status;
}

static void opencl_unload(void *backend_ctx)
{
    struct cl_backend *be = backend_ctx;

    if (be->loader != NULL)
        dlclose(be->loader);
    free(be->found);
    free(be);
}

static int opencl_load(scr_context *ctx, void **backend_ctx, char *note, size_t note_size)
{
    struct cl_backend *be = calloc(1, sizeof *be);
    cl_platform_id *platforms = NULL;
    cl_uint n = 0;
    int status = SCR_OK;

    if (be == NULL)
        return SCR_ERR_NO_MEMORY;
    if (load_api(be, note, note_size) != SCR_OK)
        goto done;
    if (be->cl.GetPlatformIDs(0, NULL, &n) != CL_SUCCESS || n == 0) {
        snprintf(note, note_size, "no OpenCL platform (driver) is installed");
        goto done;
    }
    platforms = calloc(n, sizeof *platforms);
    if (platforms == NULL) {
        status = SCR_ERR_NO_MEMORY;
        goto done;
    }
    if (be->cl.GetPlatformIDs(n, platforms, NULL) == CL_SUCCESS) {
        for (cl_uint i = 0; i < n && status == SCR_OK; i++)
            status = add_platform(ctx, be, platforms[i], i);
    }
    if (status == SCR_OK && be->n_found == 0)
        snprintf(note, note_size, "no usable device on %u OpenCL platform%s", (unsigned)n,
                 n == 1 ? "" : "s");
done:
    free(platforms);
    if (status != SCR_OK)
        opencl_unload(be);
    else
        *backend_ctx = be;
    return status;
}

static void opencl_close(scr_device *dev)
{
    struct cl_dev *d = dev->impl;

    if (d->queue != NULL) {
        d->cl->Finish(d->queue);
        d->cl->ReleaseCommandQueue(d->queue);
    }
    if (d->context != NULL)
        d->cl->ReleaseContext(d->context);
    free(d);
    dev->impl = NULL;
}

static int opencl_open(scr_device *dev)
{
    struct cl_backend *be = dev->backend_ctx;
    const struct cl_found *found = NULL;
    cl_context_properties properties[3] = {CL_CONTEXT_PLATFORM, 0, 0};
    struct cl_dev *d;
    cl_int error;
    int status;

    for (size_t i = 0; i < be->n_found; i++) {
        if (strcmp(be->found[i].id, dev->info->id) == 0)
            found = &be->found[i];
    }
    if (found == NULL)
        return SCR_ERR_NOT_FOUND;
    d = calloc(1, sizeof *d);
    if (d == NULL)
        return SCR_ERR_NO_MEMORY;
    dev->impl = d;
    d->cl = &be->cl;
    d->device = found->device;
    properties[1] = (cl_context_properties)found->platform;
    d->context = be->cl.CreateContext(properties, 1, &d->device, NULL, NULL, &error);
    if (d->context == NULL) {
        status = failed(dev, "clCreateContext", error);
        goto fail;
    }
    d->profiling = true;
    d->queue = be->cl.CreateCommandQueue(d->context, d->device, CL_QUEUE_PROFILING_ENABLE, &error);
    if (d->queue == NULL && error == CL_INVALID_QUEUE_PROPERTIES) {
        d->profiling = false;
        d->queue = be->cl.CreateCommandQueue(d->context, d->device, 0, &error);
    }
    if (d->queue == NULL) {
        status = failed(dev, "clCreateCommandQueue", error);
        goto fail;
    }
    return SCR_OK;
fail:
    opencl_close(dev);
    return status;
}

static int opencl_synchronize(scr_device *dev)
{
    struct cl_dev *d = dev->impl;
    cl_int error = d->cl->Finish(d->queue);

    if (error == CL_SUCCESS)
        return SCR_OK;
    failed(dev, "clFinish", error);
    return SCR_ERR_DEVICE;
}

static int opencl_buffer_create(scr_buffer *buf)
{
    struct cl_dev *d = buf->dev->impl;
    cl_int error;
    cl_mem mem = d->cl->CreateBuffer(d->context, CL_MEM_READ_WRITE, buf->bytes, NULL, &error);

    if (mem == NULL) {
        failed(buf->dev, "clCreateBuffer", error);
        return status_of(error);
    }
    /* Drivers put off the allocation to the first use; this is one, so it fails here. */
    error = d->cl->EnqueueMigrateMemObjects(d->queue, 1, &mem,
                                            CL_MIGRATE_MEM_OBJECT_CONTENT_UNDEFINED, 0, NULL, NULL);
    if (error != CL_SUCCESS && status_of(error) == SCR_ERR_NO_MEMORY) {
        failed(buf->dev, "clEnqueueMigrateMemObjects", error);
        d->cl->ReleaseMemObject(mem);
        return SCR_ERR_NO_MEMORY;
    }
    buf->impl = mem;
    return SCR_OK;
}

static void opencl_buffer_destroy(scr_buffer *buf)
{
    struct cl_dev *d = buf->dev->impl;

    d->cl->ReleaseMemObject(buf->impl);
}

/* The contract of transfers has no SCR_ERR_NO_MEMORY: whatever fails is the device's fault. */
static int transferred(const scr_buffer *buf, const char *call, cl_int error)
{
    if (error == CL_SUCCESS)
        return SCR_OK;
    failed(buf->dev, call, error);
    return SCR_ERR_DEVICE;
}

static int opencl_buffer_write(scr_buffer *buf, size_t offset, const void *host, size_t bytes)
{
    struct cl_dev *d = buf->dev->impl;

    return transferred(buf, "clEnqueueWriteBuffer",
                       d->cl->EnqueueWriteBuffer(d->queue, buf->impl, CL_TRUE, offset, bytes, host,
                                                 0, NULL, NULL));
}

static int opencl_buffer_read(scr_buffer *buf, size_t offset, void *host, size_t bytes)
{
    struct cl_dev *d = buf->dev->impl;

    return transferred(
        buf, "clEnqueueReadBuffer",
        d->cl->EnqueueReadBuffer(d->queue, buf->impl, CL_TRUE, offset, bytes, host, 0, NULL, NULL));
}

static int opencl_buffer_fill(scr_buffer *buf, size_t offset, uint8_t byte, size_t bytes)
{
    struct cl_dev *d = buf->dev->impl;

    return transferred(buf, "clEnqueueFillBuffer",
                       d->cl->EnqueueFillBuffer(d->queue, buf->impl, &byte, sizeof byte, offset,
                                                bytes, 0, NULL, NULL));
}

static void log_build(const struct scr_program *prog, cl_program program, int level)
{
    struct cl_dev *d = prog->dev->impl;
    size_t n = 0;
    char *text;

    d->cl->GetProgramBuildInfo(program, d->device, CL_PROGRAM_BUILD_LOG, 0, NULL, &n);
    text = calloc(1, n + 1);
    if (text == NULL)
        return;
    d->cl->GetProgramBuildInfo(program, d->device, CL_PROGRAM_BUILD_LOG, n, text, NULL);
    if (strspn(text, " \n") != strlen(text))
        scr_log(prog->dev->ctx, level, "%s: %s\n%s", prog->dev->info->id, prog->decl->file, text);
    free(text);
}

/*
 * The language to compile as: 1.2 is what every device has; subgroups belong to 2.0 and later,
 * which some compilers insist on.
 */
static const char *language(const struct cl_dev *d, bool subgroups)
{
    char version[128];
    int major = 1;

    if (!subgroups)
        return "CL1.2";
    device_text(d->cl, d->device, CL_DEVICE_OPENCL_C_VERSION, version, sizeof version);
    if (sscanf(version, "OpenCL C %d", &major) != 1 || major < 2)
        return "CL1.2";
    return major == 2 ? "CL2.0" : "CL3.0";
}

/* Builds with the given feature macros. *out is NULL unless SCR_OK is returned. */
static int build(const struct scr_program *prog, const char *const *defines, bool fp16,
                 bool subgroups, int level, cl_program *out)
{
    struct cl_dev *d = prog->dev->impl;
    const char *source = prog->decl->source;
    char options[1024];
    int n = snprintf(options, sizeof options,
                     "-cl-std=%s -DSCR_IS_CPU=%d -DSCR_HAS_FP16=%d -DSCR_HAS_SUBGROUPS=%d",
                     language(d, subgroups), prog->dev->info->is_cpu, fp16, subgroups);
    cl_int error;

    *out = NULL;
    for (int i = 0; defines[i] != NULL; i++) {
        n += snprintf(options + n, sizeof options - (size_t)n, " -D%s", defines[i]);
        if (n >= (int)sizeof options)
            return SCR_ERR_INVALID;
    }
    *out = d->cl->CreateProgramWithSource(d->context, 1, &source, NULL, &error);
    if (*out == NULL)
        return failed(prog->dev, "clCreateProgramWithSource", error);
    error = d->cl->BuildProgram(*out, 1, &d->device, options, NULL, NULL);
    log_build(prog, *out, error == CL_SUCCESS ? SCR_LOG_DEBUG : level);
    if (error == CL_SUCCESS)
        return SCR_OK;
    scr_log(prog->dev->ctx, level, "%s: clBuildProgram failed with OpenCL error %d; options: %s",
            prog->dev->info->id, (int)error, options);
    d->cl->ReleaseProgram(*out);
    *out = NULL;
    return SCR_ERR_COMPILE;
}

static void opencl_program_destroy(struct scr_program *prog)
{
    struct cl_dev *d = prog->dev->impl;
    struct cl_prog *p = prog->impl;

    for (int i = 0; i < SCR_MAX_STEPS; i++) {
        if (p->kernels[i] != NULL)
            d->cl->ReleaseKernel(p->kernels[i]);
    }
    if (p->program != NULL)
        d->cl->ReleaseProgram(p->program);
    free(p);
    prog->impl = NULL;
}

static int opencl_program_create(struct scr_program *prog, const char *const *defines)
{
    const scr_device_info *info = prog->dev->info;
    struct cl_dev *d = prog->dev->impl;
    struct cl_prog *p = calloc(1, sizeof *p);
    int status;

    if (p == NULL)
        return SCR_ERR_NO_MEMORY;
    prog->impl = p;
    /* A driver may list an extension that its compiler does not know: without subgroups, then bare.
     */
    status = SCR_ERR_COMPILE;
    if (info->has_subgroups)
        status = build(prog, defines, info->has_fp16, true, SCR_LOG_WARNING, &p->program);
    if (status == SCR_ERR_COMPILE && info->has_fp16)
        status = build(prog, defines, true, false, SCR_LOG_WARNING, &p->program);
    if (status == SCR_ERR_COMPILE)
        status = build(prog, defines, false, false, SCR_LOG_ERROR, &p->program);
    for (int i = 0; i < prog->decl->n_steps && status == SCR_OK; i++) {
        cl_ulong local = 0;
        cl_int error;

        p->kernels[i] = d->cl->CreateKernel(p->program, prog->decl->steps[i].entry, &error);
        if (p->kernels[i] == NULL) {
            status = failed(prog->dev, "clCreateKernel", error);
        } else if (d->cl->GetKernelWorkGroupInfo(p->kernels[i], d->device, CL_KERNEL_LOCAL_MEM_SIZE,
                                                 sizeof local, &local, NULL) == CL_SUCCESS &&
                   local > info->local_mem) {
            scr_log(prog->dev->ctx, SCR_LOG_ERROR, "%s: %s needs %llu bytes of local memory",
                    info->id, prog->decl->steps[i].entry, (unsigned long long)local);
            status = SCR_ERR_UNSUPPORTED;
        }
    }
    if (status != SCR_OK)
        opencl_program_destroy(prog);
    return status;
}

static cl_int set_args(const struct opencl_api *cl, cl_kernel kernel, const struct scr_run *run)
{
    const scr_args *a = run->args;
    const scr_buffer *buffers[] = {a->q,      a->k, a->v,           a->r,         a->w,
                                   a->kv_len, a->o, run->workspace, run->counters};
    const cl_uint n = sizeof buffers / sizeof buffers[0];
    cl_ulong o_offset = a->o_offset / scr_dtype_bytes(run->problem->dtype_out);
    cl_int error = CL_SUCCESS;

    for (cl_uint i = 0; i < n && error == CL_SUCCESS; i++)
        error = cl->SetKernelArg(kernel, i, sizeof(cl_mem),
                                 buffers[i] != NULL ? &buffers[i]->impl : NULL);
    if (error == CL_SUCCESS)
        error = cl->SetKernelArg(kernel, n, sizeof run->shape, &run->shape);
    if (error == CL_SUCCESS)
        error = cl->SetKernelArg(kernel, n + 1, sizeof o_offset, &o_offset);
    return error;
}

/* Nanoseconds from the start of one command to the end of another; -1 where that is not known, less
 * where the end lies before the start. */
static double elapsed(const struct opencl_api *cl, cl_event first, cl_event last)
{
    cl_ulong start = 0;
    cl_ulong end = 0;

    if (cl->GetEventProfilingInfo(first, CL_PROFILING_COMMAND_START, sizeof start, &start, NULL) !=
            CL_SUCCESS ||
        cl->GetEventProfilingInfo(last, CL_PROFILING_COMMAND_END, sizeof end, &end, NULL) !=
            CL_SUCCESS ||
        end == start)
        return -1.0;
    return end > start ? (double)(end - start) : -2.0 - (double)(start - end);
}

static int opencl_run(struct scr_program *prog, const struct scr_run *run, double *ns)
{
    struct cl_dev *d = prog->dev->impl;
    const struct opencl_api *cl = d->cl;
    struct cl_prog *p = prog->impl;
    cl_event events[SCR_MAX_STEPS] = {NULL};
    int last = run->n_launches - 1;
    int status = SCR_OK;
    cl_int error = CL_SUCCESS;

    for (int i = 0; i <= last; i++) {
        const struct scr_launch *l = &run->launches[i];
        size_t global[3];

        for (int j = 0; j < 3; j++)
            global[j] = l->groups[j] * l->group[j];
        error = set_args(cl, p->kernels[l->step], run);
        if (error != CL_SUCCESS) {
            status = failed(prog->dev, "clSetKernelArg", error);
            goto done;
        }
        error = cl->EnqueueNDRangeKernel(d->queue, p->kernels[l->step], 3, NULL, global, l->group,
                                         0, NULL, ns != NULL ? &events[i] : NULL);
        if (error != CL_SUCCESS) {
            status = failed(prog->dev, "clEnqueueNDRangeKernel", error);
            goto done;
        }
    }
    if (ns == NULL) {
        error = cl->Flush(d->queue);
        if (error != CL_SUCCESS)
            status = failed(prog->dev, "clFlush", error);
        goto done;
    }
    error = cl->WaitForEvents(1, &events[last]);
    if (error != CL_SUCCESS) {
        failed(prog->dev, "clWaitForEvents", error);
        status = SCR_ERR_DEVICE;
        goto done;
    }
    *ns = d->profiling ? elapsed(cl, events[0], events[last]) : -1.0;
done:
    for (int i = 0; i <= last; i++) {
        if (events[i] != NULL)
            cl->ReleaseEvent(events[i]);
    }
    return status;
}

const struct scr_backend scr_backend_opencl = {
    .name = "opencl",
    .load = opencl_load,
    .unload = opencl_unload,
    .open = opencl_open,
    .close = opencl_close,
    .synchronize = opencl_synchronize,
    .buffer_create = opencl_buffer_create,
    .buffer_destroy = opencl_buffer_destroy,
    .buffer_write = opencl_buffer_write,
    .buffer_read = opencl_buffer_read,
    .buffer_fill = opencl_buffer_fill,
    .program_create = opencl_program_create,
    .program_destroy = opencl_program_destroy,
    .run = opencl_run,
};
