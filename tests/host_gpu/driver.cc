/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stand-in for libcuda.so.1 that runs kernels on the host (machine.h): the functions of
 * runtime/cuda_api.h, for one device of compute capability 9.0, or of SCR_HOST_GPU_SM. Modules are
 * shared objects, as the stand-in for NVRTC makes them.
 */
#include "machine.h"

extern "C" {
#include "shape.h"
}

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <string>
#include <unistd.h>

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace
{

enum { SUCCESS = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NOT_FOUND = 500 };

int sm()
{
    const char *text = getenv("SCR_HOST_GPU_SM");

    return text != nullptr ? atoi(text) : 90;
}

struct event {
    std::chrono::steady_clock::time_point when;
};

/* As device.h's tensor_map, which kernels take by value. */
struct __attribute__((aligned(128))) tensor_map {
    const void *address;
    unsigned long long lengths[3], row_bytes, plane_bytes;
    unsigned box_columns, box_rows, swizzle_bytes;
};

typedef void (*entry)(void *, void *, void *, void *, void *, void *, void *, void *, void *,
                      struct scr_shape, tensor_map, tensor_map, tensor_map, tensor_map);

struct call {
    entry function;
    void *pointers[9];
    struct scr_shape shape;
    tensor_map maps[4];
};

void run_thread(void *user)
{
    const call *c = (const call *)user;
    void *const *p = c->pointers;

    c->function(p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7], p[8], c->shape, c->maps[0],
                c->maps[1], c->maps[2], c->maps[3]);
}

} // namespace

EXPORT int cuInit(unsigned)
{
    return SUCCESS;
}
EXPORT int cuDriverGetVersion(int *version)
{
    *version = 13000;
    return SUCCESS;
}
EXPORT int cuGetErrorName(int error, const char **name)
{
    *name = error == INVALID_VALUE   ? "CUDA_ERROR_INVALID_VALUE"
            : error == OUT_OF_MEMORY ? "CUDA_ERROR_OUT_OF_MEMORY"
                                     : "CUDA_ERROR_OF_THE_STAND_IN";
    return SUCCESS;
}
EXPORT int cuDeviceGetCount(int *count)
{
    *count = 1;
    return SUCCESS;
}
EXPORT int cuDeviceGet(int *device, int ordinal)
{
    *device = ordinal;
    return ordinal == 0 ? SUCCESS : INVALID_VALUE;
}
EXPORT int cuDeviceGetName(char *name, int size, int)
{
    snprintf(name, (size_t)size, "host GPU");
    return SUCCESS;
}
EXPORT int cuDeviceGetAttribute(int *value, int attribute, int)
{
    *value = attribute == 1    ? 1024
             : attribute == 16 ? 2
             : attribute == 38 ? 1 << 20
             : attribute == 75 ? sm() / 10
             : attribute == 76 ? sm() % 10
             : attribute == 97 ? host_gpu::SHARED_BYTES
                               : 0;
    return SUCCESS;
}
EXPORT int cuDeviceTotalMem_v2(size_t *bytes, int)
{
    *bytes = (size_t)2 << 30;
    return SUCCESS;
}
EXPORT int cuDeviceGetPCIBusId(char *id, int size, int)
{
    if (size > 0)
        id[0] = '\0';
    return SUCCESS;
}
EXPORT int cuDevicePrimaryCtxRetain(void **context, int)
{
    static int only;

    *context = &only;
    return SUCCESS;
}
EXPORT int cuDevicePrimaryCtxRelease_v2(int)
{
    return SUCCESS;
}
EXPORT int cuCtxPushCurrent_v2(void *)
{
    return SUCCESS;
}
EXPORT int cuCtxPopCurrent_v2(void **)
{
    return SUCCESS;
}
EXPORT int cuCtxGetDevice(int *device)
{
    *device = 0;
    return SUCCESS;
}
EXPORT int cuStreamCreate(void **stream, unsigned)
{
    *stream = new int;
    return SUCCESS;
}
EXPORT int cuStreamDestroy_v2(void *stream)
{
    delete (int *)stream;
    return SUCCESS;
}
EXPORT int cuStreamSynchronize(void *)
{
    return SUCCESS;
}
EXPORT int cuEventCreate(void **out, unsigned)
{
    *out = new event{};
    return SUCCESS;
}
EXPORT int cuEventDestroy_v2(void *e)
{
    delete (event *)e;
    return SUCCESS;
}
EXPORT int cuEventRecord(void *e, void *)
{
    ((event *)e)->when = std::chrono::steady_clock::now();
    return SUCCESS;
}
EXPORT int cuEventSynchronize(void *)
{
    return SUCCESS;
}
EXPORT int cuEventElapsedTime(float *milliseconds, void *start, void *end)
{
    *milliseconds =
        std::chrono::duration<float, std::milli>(((event *)end)->when - ((event *)start)->when)
            .count();
    return SUCCESS;
}
EXPORT int cuMemAlloc_v2(uint64_t *out, size_t bytes)
{
    void *p = nullptr;

    if (bytes > (size_t)2 << 30 || posix_memalign(&p, 256, bytes) != 0)
        return OUT_OF_MEMORY;
    *out = (uint64_t)(uintptr_t)p;
    return SUCCESS;
}
EXPORT int cuMemFree_v2(uint64_t p)
{
    free((void *)(uintptr_t)p);
    return SUCCESS;
}
EXPORT int cuMemcpyHtoDAsync_v2(uint64_t dst, const void *src, size_t bytes, void *)
{
    memcpy((void *)(uintptr_t)dst, src, bytes);
    return SUCCESS;
}
EXPORT int cuMemcpyDtoHAsync_v2(void *dst, uint64_t src, size_t bytes, void *)
{
    memcpy(dst, (const void *)(uintptr_t)src, bytes);
    return SUCCESS;
}
EXPORT int cuMemsetD8Async(uint64_t dst, unsigned char byte, size_t bytes, void *)
{
    memset((void *)(uintptr_t)dst, byte, bytes);
    return SUCCESS;
}

/* The image is a shared object whose size stands in its first section: written out, and opened. */
EXPORT int cuModuleLoadDataEx(void **module, const void *image, unsigned, int *, void **)
{
    char path[] = "/tmp/scr-host-gpu-XXXXXX";
    uint64_t size;
    int fd = mkstemp(path);
    bool written;

    if (fd < 0)
        return OUT_OF_MEMORY;
    memcpy(&size, image, sizeof size);
    written = write(fd, (const char *)image + sizeof size, size) == (ssize_t)size;
    close(fd);
    *module = written ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : nullptr;
    if (*module == nullptr)
        fprintf(stderr, "host GPU: %s\n", written ? dlerror() : "no room for a module");
    unlink(path);
    return *module != nullptr ? SUCCESS : INVALID_VALUE;
}
EXPORT int cuModuleUnload(void *module)
{
    dlclose(module);
    return SUCCESS;
}
EXPORT int cuModuleGetFunction(void **function, void *module, const char *name)
{
    *function = dlsym(module, name);
    return *function != nullptr ? SUCCESS : NOT_FOUND;
}
EXPORT int cuFuncGetAttribute(int *value, int attribute, void *)
{
    *value = attribute == 0 ? 1024 : 0;
    return SUCCESS;
}
EXPORT int cuFuncSetAttribute(void *, int, int)
{
    return SUCCESS;
}
EXPORT int cuLaunchKernel(void *function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                          unsigned block_x, unsigned block_y, unsigned block_z,
                          unsigned shared_bytes, void *, void **parameters, void **)
{
    static call c;

    c.function = (entry)function;
    for (int i = 0; i < 9; i++)
        c.pointers[i] = *(void **)parameters[i];
    memcpy(&c.shape, parameters[9], sizeof c.shape);
    for (int i = 0; i < 4; i++)
        memcpy(&c.maps[i], parameters[10 + i], sizeof c.maps[i]);
    host_gpu::run_grid({grid_x, grid_y, grid_z}, {block_x, block_y, block_z}, shared_bytes,
                       run_thread, &c);
    return SUCCESS;
}
EXPORT int cuTensorMapEncodeTiled(void *out, int type, uint32_t rank, void *address,
                                  const uint64_t *lengths, const uint64_t *strides,
                                  const uint32_t *box, const uint32_t *, int interleave,
                                  int swizzle, int, int)
{
    tensor_map map = {
        address,       {lengths[0], lengths[1], lengths[2]}, strides[0], strides[1], box[0], box[1],
        16u << swizzle};

    if (type != 1 || rank != 3 || interleave != 0 || swizzle < 1 || swizzle > 3 ||
        (uintptr_t)address % 16 != 0 || strides[0] % 16 != 0 || strides[1] % 16 != 0 ||
        box[0] > 256 || box[1] > 256 || box[2] != 1 || box[0] * 2 > map.swizzle_bytes)
        return INVALID_VALUE;
    memcpy(out, &map, sizeof map);
    return SUCCESS;
}
