/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stand-in for libOpenCL.so.1 that runs kernels with inline PTX on the host (machine.h): the
 * functions of runtime/opencl_api.h, for one device that takes itself for NVIDIA's, of compute
 * capability 9.0, or of SCR_HOST_GPU_SM. Programs become shared objects by Clang
 * (SCR_HOST_GPU_CLANG), which takes OpenCL C, with builtins.clh from SCR_HOST_GPU_INCLUDE before
 * their text, linked to this library (SCR_HOST_GPU_DRIVER).
 */
#include "build.h"
#include "machine.h"

extern "C" {
#include "shape.h"
}

#define CL_TARGET_OPENCL_VERSION 120
#define CL_USE_DEPRECATED_OPENCL_1_1_APIS
#include <CL/cl.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <fstream>
#include <link.h>
#include <string>
#include <unistd.h>

#define EXPORT extern "C" __attribute__((visibility("default")))

void begin_copies();
void end_copies();

typedef void (*entry)(void *, void *, void *, void *, void *, void *, void *, void *, void *,
                      struct scr_shape, cl_ulong);

struct _cl_platform_id {
};
struct _cl_device_id {
};
struct _cl_context {
};
struct _cl_command_queue {
};
struct _cl_mem {
    void *bytes;
};
struct _cl_event {
    cl_ulong start, end;
};
struct _cl_program {
    std::string source, log, image;
    void *object;
    unsigned char *local; /* its work-groups' local memory, which lies behind its data */
    size_t local_bytes;
};
struct _cl_kernel {
    cl_program program;
    entry function;
    void *pointers[9];
    struct scr_shape shape;
    cl_ulong o_offset;
};

namespace
{

_cl_platform_id platform;
_cl_device_id device;
_cl_context context;
size_t n_items, n_begun;

int sm()
{
    const char *text = getenv("SCR_HOST_GPU_SM");

    return text != nullptr ? atoi(text) : 90;
}

cl_ulong now()
{
    return (cl_ulong)std::chrono::duration_cast<std::chrono::nanoseconds>(
               std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

cl_int answer(const void *value, size_t n, size_t size, void *out, size_t *n_out)
{
    if (n_out != nullptr)
        *n_out = n;
    if (out != nullptr && size < n)
        return CL_INVALID_VALUE;
    if (out != nullptr)
        memcpy(out, value, n);
    return CL_SUCCESS;
}
cl_int answer_text(const char *text, size_t size, void *out, size_t *n_out)
{
    return answer(text, strlen(text) + 1, size, out, n_out);
}
template <class T> cl_int answer_as(T value, size_t size, void *out, size_t *n_out)
{
    return answer(&value, sizeof value, size, out, n_out);
}

/* Opens the program's image, and finds what of it is zero at first: variables of kernels. */
cl_int open_object(cl_program p)
{
    char path[] = "/tmp/scr-host-opencl-XXXXXX";
    const int fd = mkstemp(path);
    struct link_map *map = nullptr;
    const ElfW(Ehdr) * header;

    if (fd < 0)
        return CL_OUT_OF_HOST_MEMORY;
    if (write(fd, p->image.data(), p->image.size()) == (ssize_t)p->image.size())
        p->object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    close(fd);
    unlink(path);
    if (p->object == nullptr || dlinfo(p->object, RTLD_DI_LINKMAP, &map) != 0) {
        fprintf(stderr, "host GPU: %s\n", dlerror());
        return CL_INVALID_BINARY;
    }
    header = (const ElfW(Ehdr) *)map->l_addr;
    for (int i = 0; i < header->e_phnum; i++) {
        const ElfW(Phdr) &part = ((const ElfW(Phdr) *)(map->l_addr + header->e_phoff))[i];

        if (part.p_type == PT_LOAD && part.p_memsz > part.p_filesz) {
            p->local = (unsigned char *)map->l_addr + part.p_vaddr + part.p_filesz;
            p->local_bytes = part.p_memsz - part.p_filesz;
        }
    }
    return CL_SUCCESS;
}

void run_item(void *user)
{
    const cl_kernel k = (cl_kernel)user;
    void *const *p = k->pointers;

    /* The first item of a work-group finds NaNs in local memory. */
    if (n_begun++ % n_items == 0)
        memset(k->program->local, 0xff, k->program->local_bytes);
    begin_copies();
    k->function(p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7], p[8], k->shape, k->o_offset);
    end_copies();
}

} // namespace

EXPORT cl_int clGetPlatformIDs(cl_uint n, cl_platform_id *out, cl_uint *n_out)
{
    if (n_out != nullptr)
        *n_out = 1;
    if (out != nullptr && n > 0)
        out[0] = &platform;
    return CL_SUCCESS;
}
EXPORT cl_int clGetPlatformInfo(cl_platform_id, cl_platform_info what, size_t size, void *out,
                                size_t *n)
{
    return answer_text(what == CL_PLATFORM_NAME     ? "host GPU"
                       : what == CL_PLATFORM_VENDOR ? "NVIDIA Corporation"
                                                    : "OpenCL 1.2",
                       size, out, n);
}
EXPORT cl_int clGetDeviceIDs(cl_platform_id, cl_device_type, cl_uint n, cl_device_id *out,
                             cl_uint *n_out)
{
    if (n_out != nullptr)
        *n_out = 1;
    if (out != nullptr && n > 0)
        out[0] = &device;
    return CL_SUCCESS;
}
EXPORT cl_int clGetDeviceInfo(cl_device_id, cl_device_info what, size_t size, void *out, size_t *n)
{
    switch (what) {
    case CL_DEVICE_NAME:
        return answer_text("host GPU", size, out, n);
    case CL_DEVICE_VENDOR:
        return answer_text("NVIDIA Corporation", size, out, n);
    case CL_DRIVER_VERSION:
        return answer_text("1", size, out, n);
    case CL_DEVICE_VERSION:
    case CL_DEVICE_OPENCL_C_VERSION:
        return answer_text("OpenCL 1.2", size, out, n);
    case CL_DEVICE_EXTENSIONS:
        return answer_text("cl_nv_device_attribute_query", size, out, n);
    case CL_DEVICE_TYPE:
        return answer_as<cl_device_type>(CL_DEVICE_TYPE_GPU, size, out, n);
    case CL_DEVICE_AVAILABLE:
    case CL_DEVICE_COMPILER_AVAILABLE:
        return answer_as<cl_bool>(CL_TRUE, size, out, n);
    case CL_DEVICE_MAX_COMPUTE_UNITS:
        return answer_as<cl_uint>(2, size, out, n);
    case CL_DEVICE_MAX_WORK_GROUP_SIZE:
        return answer_as<size_t>(1024, size, out, n);
    case CL_DEVICE_GLOBAL_MEM_SIZE:
    case CL_DEVICE_MAX_MEM_ALLOC_SIZE:
        return answer_as<cl_ulong>((cl_ulong)2 << 30, size, out, n);
    case CL_DEVICE_LOCAL_MEM_SIZE:
        return answer_as<cl_ulong>(48 << 10, size, out, n);
    case CL_DEVICE_GLOBAL_MEM_CACHE_SIZE:
        return answer_as<cl_ulong>(1 << 20, size, out, n);
    case 0x4000: /* CL_DEVICE_COMPUTE_CAPABILITY_MAJOR_NV */
        return answer_as<cl_uint>((cl_uint)sm() / 10, size, out, n);
    case 0x4001:
        return answer_as<cl_uint>((cl_uint)sm() % 10, size, out, n);
    default:
        return CL_INVALID_VALUE;
    }
}
EXPORT cl_context clCreateContext(const cl_context_properties *, cl_uint, const cl_device_id *,
                                  void(CL_CALLBACK *)(const char *, const void *, size_t, void *),
                                  void *, cl_int *error)
{
    if (error != nullptr)
        *error = CL_SUCCESS;
    return &context;
}
EXPORT cl_int clRetainContext(cl_context)
{
    return CL_SUCCESS;
}
EXPORT cl_int clReleaseContext(cl_context)
{
    return CL_SUCCESS;
}
EXPORT cl_command_queue clCreateCommandQueue(cl_context, cl_device_id, cl_command_queue_properties,
                                             cl_int *error)
{
    if (error != nullptr)
        *error = CL_SUCCESS;
    return new _cl_command_queue;
}
EXPORT cl_int clRetainCommandQueue(cl_command_queue)
{
    return CL_SUCCESS;
}
EXPORT cl_int clReleaseCommandQueue(cl_command_queue queue)
{
    delete queue;
    return CL_SUCCESS;
}
EXPORT cl_int clGetCommandQueueInfo(cl_command_queue, cl_command_queue_info, size_t, void *,
                                    size_t *)
{
    return CL_INVALID_VALUE; /* there are no queues but the library's */
}

EXPORT cl_mem clCreateBuffer(cl_context, cl_mem_flags, size_t n, void *, cl_int *error)
{
    void *bytes = nullptr;
    const bool failed = n > (size_t)2 << 30 || posix_memalign(&bytes, 256, n) != 0;

    if (error != nullptr)
        *error = failed ? CL_MEM_OBJECT_ALLOCATION_FAILURE : CL_SUCCESS;
    return failed ? nullptr : new _cl_mem{bytes};
}
EXPORT cl_int clReleaseMemObject(cl_mem m)
{
    free(m->bytes);
    delete m;
    return CL_SUCCESS;
}
EXPORT cl_int clEnqueueMigrateMemObjects(cl_command_queue, cl_uint, const cl_mem *,
                                         cl_mem_migration_flags, cl_uint, const cl_event *,
                                         cl_event *)
{
    return CL_SUCCESS;
}
EXPORT cl_int clEnqueueWriteBuffer(cl_command_queue, cl_mem m, cl_bool, size_t at, size_t n,
                                   const void *src, cl_uint, const cl_event *, cl_event *)
{
    memcpy((char *)m->bytes + at, src, n);
    return CL_SUCCESS;
}
EXPORT cl_int clEnqueueReadBuffer(cl_command_queue, cl_mem m, cl_bool, size_t at, size_t n,
                                  void *dst, cl_uint, const cl_event *, cl_event *)
{
    memcpy(dst, (char *)m->bytes + at, n);
    return CL_SUCCESS;
}
EXPORT cl_int clEnqueueFillBuffer(cl_command_queue, cl_mem m, const void *pattern, size_t length,
                                  size_t at, size_t n, cl_uint, const cl_event *, cl_event *)
{
    for (size_t i = 0; i < n; i += length)
        memcpy((char *)m->bytes + at + i, pattern, length);
    return CL_SUCCESS;
}
EXPORT cl_int clEnqueueBarrierWithWaitList(cl_command_queue, cl_uint, const cl_event *, cl_event *)
{
    return CL_SUCCESS;
}
EXPORT cl_int clFlush(cl_command_queue)
{
    return CL_SUCCESS;
}
EXPORT cl_int clFinish(cl_command_queue)
{
    return CL_SUCCESS;
}
EXPORT cl_int clWaitForEvents(cl_uint, const cl_event *)
{
    return CL_SUCCESS;
}
EXPORT cl_int clGetEventProfilingInfo(cl_event e, cl_profiling_info what, size_t size, void *out,
                                      size_t *n)
{
    return answer_as<cl_ulong>(what == CL_PROFILING_COMMAND_START ? e->start : e->end, size, out,
                               n);
}
EXPORT cl_int clReleaseEvent(cl_event e)
{
    delete e;
    return CL_SUCCESS;
}

EXPORT cl_program clCreateProgramWithSource(cl_context, cl_uint, const char **text, const size_t *,
                                            cl_int *error)
{
    *error = CL_SUCCESS;
    return new _cl_program{text[0], "", "", nullptr, nullptr, 0};
}
EXPORT cl_program clCreateProgramWithBinary(cl_context, cl_uint, const cl_device_id *,
                                            const size_t *sizes, const unsigned char **images,
                                            cl_int *refused, cl_int *error)
{
    *refused = *error = CL_SUCCESS;
    return new _cl_program{"",      "",      std::string((const char *)images[0], sizes[0]),
                           nullptr, nullptr, 0};
}
EXPORT cl_int clBuildProgram(cl_program p, cl_uint, const cl_device_id *, const char *options,
                             void(CL_CALLBACK *)(cl_program, void *), void *)
{
    host_gpu::built built;

    if (!p->image.empty())
        return open_object(p);
    built = host_gpu::build(
        host_gpu::setting("SCR_HOST_GPU_CLANG") + " -cl-no-stdinc -include opencl-c.h -include '" +
            host_gpu::setting("SCR_HOST_GPU_INCLUDE") + "/builtins.clh' " + options,
        "cl", p->source);
    p->image = built.object;
    p->log = built.log;
    return p->image.empty() ? CL_BUILD_PROGRAM_FAILURE : open_object(p);
}
EXPORT cl_int clGetProgramBuildInfo(cl_program p, cl_device_id, cl_program_build_info, size_t size,
                                    void *out, size_t *n)
{
    return answer_text(p->log.c_str(), size, out, n);
}
EXPORT cl_int clGetProgramInfo(cl_program p, cl_program_info what, size_t size, void *out,
                               size_t *n)
{
    switch (what) {
    case CL_PROGRAM_NUM_DEVICES:
        return answer_as<cl_uint>(1, size, out, n);
    case CL_PROGRAM_DEVICES:
        return answer_as<cl_device_id>(&device, size, out, n);
    case CL_PROGRAM_BINARY_SIZES:
        return answer_as<size_t>(p->image.size(), size, out, n);
    case CL_PROGRAM_BINARIES:
        memcpy(*(void **)out, p->image.data(), p->image.size());
        return CL_SUCCESS;
    default:
        return CL_INVALID_VALUE;
    }
}
EXPORT cl_int clReleaseProgram(cl_program p)
{
    if (p->object != nullptr)
        dlclose(p->object);
    delete p;
    return CL_SUCCESS;
}
EXPORT cl_kernel clCreateKernel(cl_program p, const char *name, cl_int *error)
{
    const entry function = (entry)dlsym(p->object, name);

    *error = function != nullptr ? CL_SUCCESS : CL_INVALID_KERNEL_NAME;
    return function != nullptr ? new _cl_kernel{p, function, {}, {}, 0} : nullptr;
}
EXPORT cl_int clReleaseKernel(cl_kernel k)
{
    delete k;
    return CL_SUCCESS;
}
EXPORT cl_int clGetKernelWorkGroupInfo(cl_kernel, cl_device_id, cl_kernel_work_group_info what,
                                       size_t size, void *out, size_t *n)
{
    if (what == CL_KERNEL_WORK_GROUP_SIZE)
        return answer_as<size_t>(1024, size, out, n);
    return answer_as<cl_ulong>(0, size, out, n);
}
EXPORT cl_int clSetKernelArg(cl_kernel k, cl_uint i, size_t size, const void *value)
{
    if (i < 9)
        k->pointers[i] = value != nullptr ? (*(const cl_mem *)value)->bytes : nullptr;
    else
        memcpy(i == 9 ? (void *)&k->shape : (void *)&k->o_offset, value, size);
    return CL_SUCCESS;
}
EXPORT cl_int clEnqueueNDRangeKernel(cl_command_queue, cl_kernel k, cl_uint, const size_t *,
                                     const size_t *global, const size_t *local, cl_uint,
                                     const cl_event *, cl_event *e)
{
    const cl_ulong start = now();

    n_items = local[0];
    n_begun = 0;
    host_gpu::run_grid({(unsigned)(global[0] / local[0]), (unsigned)global[1], (unsigned)global[2]},
                       {(unsigned)local[0], 1, 1}, 0, run_item, k);
    if (e != nullptr)
        *e = new _cl_event{start, now()};
    return CL_SUCCESS;
}
