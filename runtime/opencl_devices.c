/* SPDX-License-Identifier: Apache-2.0 */
/* The ICD loader, loaded at run time, and the devices of its platforms. */
#include "opencl_backend.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
void scr_cl_device_text(const struct opencl_api *cl, cl_device_id d, cl_device_info what, char *out,
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

    scr_cl_device_text(cl, d, CL_DEVICE_EXTENSIONS, words, sizeof words);
    for (const char *s = words; *s != '\0';) {
        size_t len = strcspn(s, " ");

        if (len == n && strncmp(s, name, n) == 0)
            return true;
        s += len;
        s += strspn(s, " ");
    }
    return false;
}

/*
 * Others list NVIDIA's extension, too (PoCL, for the GPUs that it runs on); sm, by which kernels
 * are chosen that need inline PTX, is for NVIDIA's own compiler.
 */
static void find_arch(const struct opencl_api *cl, cl_platform_id p, cl_device_id d,
                      scr_device_info *info)
{
    char version[256], vendor[64];
    const char *target;

    scr_cl_device_text(cl, d, CL_DEVICE_VERSION, version, sizeof version);
    target = strstr(version, "-gnu-");
    if (has_extension(cl, d, "cl_nv_device_attribute_query")) {
        unsigned major = (unsigned)device_number(cl, d, CL_DEVICE_COMPUTE_CAPABILITY_MAJOR_NV);
        unsigned minor = (unsigned)device_number(cl, d, CL_DEVICE_COMPUTE_CAPABILITY_MINOR_NV);

        snprintf(info->arch, sizeof info->arch, "sm_%u%u", major, minor);
        platform_text(cl, p, CL_PLATFORM_VENDOR, vendor, sizeof vendor);
        if (strcmp(vendor, "NVIDIA Corporation") == 0)
            info->sm = (int32_t)(10 * major + minor);
    } else if (strncmp(info->name, "gfx", 3) == 0) { /* AMD names its targets so */
        snprintf(info->arch, sizeof info->arch, "%.31s", info->name);
    } else if (target != NULL) { /* PoCL: "... pthread-x86_64-pc-linux-gnu-skylake-avx512" */
        snprintf(info->arch, sizeof info->arch, "%.31s", target + strlen("-gnu-"));
    }
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

void scr_cl_describe(const struct opencl_api *cl, cl_platform_id p, cl_device_id d,
                     scr_device_info *info)
{
    char driver[60], version[60];

    snprintf(info->backend, sizeof info->backend, "opencl");
    scr_cl_device_text(cl, d, CL_DEVICE_NAME, info->name, sizeof info->name);
    scr_cl_device_text(cl, d, CL_DEVICE_VENDOR, info->vendor, sizeof info->vendor);
    platform_text(cl, p, CL_PLATFORM_NAME, info->platform, sizeof info->platform);
    scr_cl_device_text(cl, d, CL_DRIVER_VERSION, driver, sizeof driver);
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
    find_arch(cl, p, d, info);
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
    scr_cl_describe(&be->cl, p, d, &info);
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

void scr_cl_unload(void *backend_ctx)
{
    struct cl_backend *be = backend_ctx;

    if (be == NULL)
        return;
    if (be->loader != NULL)
        dlclose(be->loader);
    free(be->found);
    free(be);
}

int scr_cl_load(scr_context *ctx, void **backend_ctx, char *note, size_t note_size)
{
    struct cl_backend *be = calloc(1, sizeof *be);
    cl_platform_id *platforms = NULL;
    cl_uint n = 0;
    int status = SCR_OK;

    *backend_ctx = NULL;
    if (be == NULL)
        return SCR_ERR_NO_MEMORY;
    if (load_api(be, note, note_size) != SCR_OK) {
        scr_cl_unload(be);
        return SCR_OK;
    }
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
        scr_cl_unload(be);
    else
        *backend_ctx = be;
    return status;
}
