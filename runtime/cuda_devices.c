/* SPDX-License-Identifier: Apache-2.0 */
/* The driver, loaded at run time, and its GPUs. */
#include "cuda_backend.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
#define FIND(name, symbol, parameters) *(void **)&cuda->api.name = dlsym(cuda->library, symbol);
    SCR_CU_NEWER_FUNCTIONS(FIND)
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
    char driver[32], nvrtc[40] = "no NVRTC";
    int version = 0;
    int major, minor;

    read_driver_version(driver, sizeof driver);
    cuda->api.cuDriverGetVersion(&version);
    if (cuda->nvrtc != NULL) {
        scr_nvrtc_get_version(cuda->nvrtc, &major, &minor);
        snprintf(nvrtc, sizeof nvrtc, "NVRTC %d.%d", major, minor);
    }
    snprintf(text, size, "%s%sCUDA %d.%d, %s", driver, driver[0] != '\0' ? ", " : "",
             version / 1000, version % 1000 / 10, nvrtc);
}

static int attribute(const struct cuda *cuda, scr_cu_device gpu, int which)
{
    int value = 0;

    if (cuda->api.cuDeviceGetAttribute(&value, which, gpu) != SCR_CU_SUCCESS)
        return 0;
    return value;
}

/* Warpgroup products and tensor maps are of Hopper, and of CUDA 12. */
static bool has_warpgroups(const struct cuda *cuda, int sm)
{
    int major = 12, minor;

    if (cuda->nvrtc != NULL)
        scr_nvrtc_get_version(cuda->nvrtc, &major, &minor);
    return sm == 90 && cuda->api.cuTensorMapEncodeTiled != NULL && major >= 12;
}

static int add_device(scr_context *ctx, const struct cuda *cuda, int ordinal)
{
    scr_device_info info = {0};
    scr_cu_device gpu;
    scr_cu_result result = cuda->api.cuDeviceGet(&gpu, ordinal);

    snprintf(info.id, sizeof info.id, "cuda:%d", ordinal);
    if (result != SCR_CU_SUCCESS) {
        scr_log(ctx, SCR_LOG_WARNING, "%s: cuDeviceGet: %s", info.id,
                scr_cuda_error_name(cuda, result));
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
    info.has_warpgroups = has_warpgroups(cuda, info.sm);
    info.compute_units = attribute(cuda, gpu, SCR_CU_ATTRIBUTE_MULTIPROCESSOR_COUNT);
    info.max_group_size = attribute(cuda, gpu, SCR_CU_ATTRIBUTE_MAX_THREADS_PER_BLOCK);
    info.max_alloc = info.global_mem;
    info.local_mem =
        (size_t)attribute(cuda, gpu, SCR_CU_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN);
    info.cache_bytes = (size_t)attribute(cuda, gpu, SCR_CU_ATTRIBUTE_L2_CACHE_SIZE);
    return scr_context_add_device(ctx, &info);
}

void scr_cuda_unload(void *backend_ctx)
{
    struct cuda *cuda = backend_ctx;

    if (cuda == NULL)
        return;
    scr_nvrtc_unload(&cuda->nvrtc);
    if (cuda->library != NULL)
        dlclose(cuda->library);
    free(cuda);
}

int scr_cuda_load(scr_context *ctx, void **backend_ctx, char *note, size_t note_size)
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
                 result != SCR_CU_SUCCESS ? scr_cuda_error_name(cuda, result) : "");
        goto none;
    }
    status = scr_nvrtc_load(&cuda->nvrtc, note, note_size);
    if (status == SCR_ERR_NOT_FOUND) {
        char why[128];

        snprintf(why, sizeof why, "%.127s", note);
        snprintf(note, note_size, "only kernels compiled ahead: %s", why);
        status = SCR_OK;
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
    scr_cuda_unload(cuda);
    return status;
}
