/* SPDX-License-Identifier: Apache-2.0 */
/* Programs: from the compile cache, or compiled with what the device's compiler knows. */
#include "cache.h"
#include "opencl_backend.h"
#include "opencl_binary.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
    scr_cl_device_text(d->cl, d->device, CL_DEVICE_OPENCL_C_VERSION, version, sizeof version);
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
        return scr_cl_failed(prog->dev, "clCreateProgramWithSource", error);
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

/* Frees kernels and program, for another try. */
static void clear_program(const struct cl_dev *d, struct cl_prog *p)
{
    for (int i = 0; i < SCR_MAX_STEPS; i++) {
        if (p->kernels[i] != NULL)
            d->cl->ReleaseKernel(p->kernels[i]);
    }
    if (p->program != NULL)
        d->cl->ReleaseProgram(p->program);
    *p = (struct cl_prog){0};
}

void scr_cl_program_destroy(struct scr_program *prog)
{
    clear_program(prog->dev->impl, prog->impl);
    free(prog->impl);
    prog->impl = NULL;
}

/* A kernel of each step, which must fit the device. */
static int create_kernels(struct scr_program *prog, int level)
{
    const scr_device_info *info = prog->dev->info;
    const struct cl_dev *d = prog->dev->impl;
    struct cl_prog *p = prog->impl;

    for (int i = 0; i < prog->decl->n_steps; i++) {
        const char *entry = prog->decl->steps[i].entry;
        cl_ulong local = 0;
        cl_int error;

        p->kernels[i] = d->cl->CreateKernel(p->program, entry, &error);
        if (p->kernels[i] == NULL) {
            scr_log(prog->dev->ctx, level, "%s: clCreateKernel(%s) failed with OpenCL error %d",
                    info->id, entry, (int)error);
            return scr_cl_status(error);
        }
        if (d->cl->GetKernelWorkGroupInfo(p->kernels[i], d->device, CL_KERNEL_LOCAL_MEM_SIZE,
                                          sizeof local, &local, NULL) == CL_SUCCESS &&
            local > info->local_mem) {
            scr_log(prog->dev->ctx, level, "%s: %s needs %llu bytes of local memory", info->id,
                    entry, (unsigned long long)local);
            return SCR_ERR_UNSUPPORTED;
        }
    }
    return SCR_OK;
}

/* Compiles, with the widest of the features that the device lists and its compiler knows. */
static int compile(struct scr_program *prog, const char *const *defines)
{
    const scr_device_info *info = prog->dev->info;
    struct cl_prog *p = prog->impl;
    int status = SCR_ERR_COMPILE;

    /* A driver may list an extension that its compiler does not know: without subgroups, then bare.
     */
    if (info->has_subgroups)
        status = build(prog, defines, info->has_fp16, true, SCR_LOG_WARNING, &p->program);
    if (status == SCR_ERR_COMPILE && info->has_fp16)
        status = build(prog, defines, true, false, SCR_LOG_WARNING, &p->program);
    if (status == SCR_ERR_COMPILE)
        status = build(prog, defines, false, false, SCR_LOG_ERROR, &p->program);
    return status;
}

/* The program of the compile cache; false where there is none that the driver takes. */
static bool load_program(struct scr_program *prog, const struct scr_cache_key *key)
{
    const struct cl_dev *d = prog->dev->impl;
    struct cl_prog *p = prog->impl;
    void *data;
    size_t size;
    cl_int error = CL_SUCCESS;

    if (scr_cache_get(prog->dev->ctx, key, &data, &size) != SCR_OK)
        return false;
    p->program = scr_cl_binary_build(d->cl, d->context, d->device, data, size, &error);
    free(data);
    if (p->program != NULL && create_kernels(prog, SCR_LOG_DEBUG) == SCR_OK)
        return true;
    scr_log(prog->dev->ctx, SCR_LOG_DEBUG, "%s: %s: binary refused (OpenCL error %d), compiling",
            prog->dev->info->id, prog->decl->file, (int)error);
    clear_program(d, p);
    return false;
}

static void keep_program(const struct scr_program *prog, const struct scr_cache_key *key)
{
    const struct cl_dev *d = prog->dev->impl;
    const struct cl_prog *p = prog->impl;
    void *data;
    size_t size;
    cl_int error = scr_cl_binary_get(d->cl, p->program, d->device, &data, &size);

    if (error == CL_SUCCESS)
        scr_cache_put(prog->dev->ctx, key, data, size);
    else
        scr_log(prog->dev->ctx, SCR_LOG_DEBUG, "%s: no binary: OpenCL error %d",
                prog->dev->info->id, (int)error);
    free(data);
}

/*
 * PoCL has a cache of its own on disk, which holds kernels specialised for their work-groups; asked
 * for a binary it compiles each kernel once more, for any work-group, at a multiple of the cost.
 */
static bool has_own_cache(const scr_device_info *info)
{
    return strcmp(info->platform, "Portable Computing Language") == 0;
}

int scr_cl_program_create(struct scr_program *prog, const char *const *defines)
{
    const scr_device_info *info = prog->dev->info;
    struct cl_prog *p = calloc(1, sizeof *p);
    char target[96], device[260];
    struct scr_cache_key key = {prog->decl, defines, target, device, info->driver};
    int status = SCR_OK;
    bool keep;

    if (p == NULL)
        return SCR_ERR_NO_MEMORY;
    prog->impl = p;
    snprintf(target, sizeof target, "%s cpu=%d fp16=%d subgroups=%d", info->arch, info->is_cpu,
             info->has_fp16, info->has_subgroups);
    snprintf(device, sizeof device, "%s, %s", info->platform, info->name);
    keep = scr_cache_keeps(prog->dev->ctx, has_own_cache(info));
    if (load_program(prog, &key))
        return SCR_OK;
    status = compile(prog, defines);
    if (status == SCR_OK) {
        scr_log(prog->dev->ctx, SCR_LOG_DEBUG, "%s: compiled %s", info->id, prog->decl->file);
        status = create_kernels(prog, SCR_LOG_ERROR);
    }
    if (status == SCR_OK && keep)
        keep_program(prog, &key);
    if (status != SCR_OK)
        scr_cl_program_destroy(prog);
    return status;
}
