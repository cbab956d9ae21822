/* SPDX-License-Identifier: Apache-2.0 */
/* Programs: from the compile cache or a folder of those compiled ahead, or compiled by NVRTC. */
#include "cache.h"
#include "cuda_backend.h"

#include <stdlib.h>

/* What a kernel may use of dynamic shared memory without asking. */
enum { SHARED_DEFAULT = 48 * 1024 };

/* Loads an image; what the driver says where it refuses it is logged on `level`. */
static int load_module(scr_device *dev, const struct scr_kernel_decl *decl, const void *image,
                       int level, struct module *m)
{
    const struct cuda *cuda = dev->backend_ctx;
    char log[4096] = "";
    int options[] = {SCR_CU_JIT_ERROR_LOG_BUFFER, SCR_CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
    void *values[] = {log, (void *)(uintptr_t)sizeof log};
    const char *what = "cuModuleLoadDataEx";
    scr_cu_result result;
    int status = scr_cuda_enter(dev);

    if (status != SCR_OK)
        return status;
    result = cuda->api.cuModuleLoadDataEx(&m->module, image, 2, options, values);
    for (int i = 0; result == SCR_CU_SUCCESS && i < decl->n_steps; i++) {
        what = "cuModuleGetFunction";
        result = cuda->api.cuModuleGetFunction(&m->functions[i], m->module, decl->steps[i].entry);
        m->shared_limit[i] = SHARED_DEFAULT;
    }
    if (result != SCR_CU_SUCCESS) {
        scr_log(dev->ctx, level, "%s: %s: %s: %s (%d)%s%.*s", dev->info->id, decl->file, what,
                scr_cuda_error_name(cuda, result), result, log[0] != '\0' ? "\n" : "",
                (int)sizeof log, log);
        status = result == SCR_CU_ERROR_OUT_OF_MEMORY ? SCR_ERR_NO_MEMORY : SCR_ERR_DEVICE;
        if (m->module != NULL)
            CHECK(dev, cuModuleUnload, m->module);
        m->module = NULL;
    }
    scr_cuda_leave(dev);
    return status;
}

/* The program of the compile cache; SCR_ERR_NOT_FOUND where there is none that the driver takes. */
static int load_cached(scr_device *dev, const struct scr_cache_key *key, struct module *m)
{
    void *data;
    size_t size;
    int status = scr_cache_get(dev->ctx, key, &data, &size);

    if (status != SCR_OK)
        return SCR_ERR_NOT_FOUND;
    status = load_module(dev, key->decl, data, SCR_LOG_DEBUG, m);
    free(data);
    return status == SCR_OK || status == SCR_ERR_NO_MEMORY ? status : SCR_ERR_NOT_FOUND;
}

/* Compiles, loads and keeps. */
static int compile(scr_device *dev, const struct scr_cache_key *key, struct module *m)
{
    const struct cuda *cuda = dev->backend_ctx;
    const char *file = key->decl->file;
    struct scr_cuda_image image;
    int status;

    if (cuda->nvrtc == NULL) {
        scr_log(dev->ctx, SCR_LOG_ERROR,
                "%s: %s as configured is not among the kernels compiled ahead for %s, and there is "
                "no NVRTC to compile it: set SCR_NVRTC, or SCR_KERNELS to a folder that has it",
                dev->info->id, file, dev->info->arch);
        return SCR_ERR_COMPILE;
    }
    status = scr_cuda_compile(cuda->nvrtc, key->decl, key->defines, dev->info->sm, false, &image);
    if (status == SCR_ERR_UNSUPPORTED)
        scr_log(dev->ctx, SCR_LOG_ERROR, "%s: this NVRTC does not know %s", dev->info->id,
                dev->info->arch);
    else if (status != SCR_OK)
        scr_log(dev->ctx, SCR_LOG_ERROR, "%s: %s does not compile:\n%s", dev->info->id, file,
                image.log != NULL ? image.log : "out of memory");
    else
        scr_log(dev->ctx, SCR_LOG_DEBUG, "%s: compiled %s%s%s", dev->info->id, file,
                image.log[0] != '\0' ? ":\n" : "", image.log);
    if (status == SCR_OK)
        status = load_module(dev, key->decl, image.data, SCR_LOG_ERROR, m);
    if (status == SCR_OK)
        scr_cache_put(dev->ctx, key, image.data, image.size);
    scr_cuda_image_clear(&image);
    return status;
}

int scr_cuda_program_create(struct scr_program *prog, const char *const *defines)
{
    const scr_device_info *info = prog->dev->info;
    struct scr_cache_key key = {prog->decl, defines, info->arch, info->name, info->driver};
    struct module *m = calloc(1, sizeof *m);
    int status;

    if (m == NULL)
        return SCR_ERR_NO_MEMORY;
    status = load_cached(prog->dev, &key, m);
    if (status == SCR_ERR_NOT_FOUND)
        status = compile(prog->dev, &key, m);
    if (status != SCR_OK) {
        free(m);
        return status;
    }
    prog->impl = m;
    return SCR_OK;
}

void scr_cuda_program_destroy(struct scr_program *prog)
{
    struct module *m = prog->impl;

    if (scr_cuda_enter(prog->dev) == SCR_OK) {
        /* A run may still be under way. */
        const struct gpu *gpu = prog->dev->impl;

        CHECK(prog->dev, cuStreamSynchronize, gpu->stream);
        CHECK(prog->dev, cuModuleUnload, m->module);
        scr_cuda_leave(prog->dev);
    }
    free(m);
    prog->impl = NULL;
}
