/* SPDX-License-Identifier: Apache-2.0 */
#include "cuda_compile.h"

#include "cuda_api.h"

#include <screening/error.h>

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_ARCHS = 64, MAX_OPTIONS = 48 };

struct scr_nvrtc {
    void *library;
    struct scr_nvrtc_api api;
    int major, minor;
    int n_archs;
    int archs[MAX_ARCHS];
};

static bool find_functions(struct scr_nvrtc *nvrtc)
{
    bool complete = true;

#define FIND(name, symbol, parameters)                                                             \
    *(void **)&nvrtc->api.name = dlsym(nvrtc->library, symbol);                                    \
    complete &= nvrtc->api.name != NULL;
    SCR_NVRTC_FUNCTIONS(FIND)
#undef FIND
    return complete;
}

static bool read_archs(struct scr_nvrtc *nvrtc)
{
    int n = 0;

    if (nvrtc->api.nvrtcVersion(&nvrtc->major, &nvrtc->minor) != SCR_NVRTC_SUCCESS ||
        nvrtc->api.nvrtcGetNumSupportedArchs(&n) != SCR_NVRTC_SUCCESS || n < 1 || n > MAX_ARCHS ||
        nvrtc->api.nvrtcGetSupportedArchs(nvrtc->archs) != SCR_NVRTC_SUCCESS)
        return false;
    nvrtc->n_archs = n;
    return true;
}

/* Opens one file; keeps in why what was wrong with a library that is there but of no use. */
static bool try_file(struct scr_nvrtc *nvrtc, const char *path, char *why, size_t why_size)
{
    nvrtc->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (nvrtc->library == NULL)
        return false;
    if (find_functions(nvrtc) && read_archs(nvrtc))
        return true;
    snprintf(why, why_size, "%s is not NVRTC of CUDA 11.2 or later", path);
    dlclose(nvrtc->library);
    nvrtc->library = NULL;
    return false;
}

static bool try_names(struct scr_nvrtc *nvrtc, const char *folder, char *why, size_t why_size)
{
    static const char *const names[] = {"libnvrtc.so", "libnvrtc.so.13", "libnvrtc.so.12",
                                        "libnvrtc.so.11.2"};
    char path[PATH_MAX];

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (snprintf(path, sizeof path, "%s%s", folder, names[i]) < (int)sizeof path &&
            try_file(nvrtc, path, why, why_size))
            return true;
    }
    return false;
}

static bool search(struct scr_nvrtc *nvrtc, char *why, size_t why_size)
{
    const char *roots[] = {secure_getenv("CUDA_HOME"), secure_getenv("CUDA_PATH"),
                           "/usr/local/cuda"};
    static const char *const folders[] = {"lib64", "lib"};
    char folder[PATH_MAX];

    if (try_names(nvrtc, "", why, why_size))
        return true;
    for (size_t i = 0; i < sizeof roots / sizeof roots[0]; i++) {
        for (size_t j = 0; j < sizeof folders / sizeof folders[0]; j++) {
            if (roots[i] == NULL || roots[i][0] == '\0')
                continue;
            if (snprintf(folder, sizeof folder, "%s/%s/", roots[i], folders[j]) <
                    (int)sizeof folder &&
                try_names(nvrtc, folder, why, why_size))
                return true;
        }
    }
    return false;
}

int scr_nvrtc_load(struct scr_nvrtc **out, char *why, size_t why_size)
{
    const char *named = secure_getenv("SCR_NVRTC");
    struct scr_nvrtc *nvrtc = calloc(1, sizeof *nvrtc);
    bool found;

    *out = NULL;
    if (nvrtc == NULL)
        return SCR_ERR_NO_MEMORY;
    if (named != NULL && named[0] != '\0') {
        snprintf(why, why_size, "SCR_NVRTC names %s, which cannot be loaded", named);
        found = try_file(nvrtc, named, why, why_size);
    } else {
        snprintf(why, why_size, "NVRTC not found: install the CUDA toolkit or set SCR_NVRTC");
        found = search(nvrtc, why, why_size);
    }
    if (!found) {
        free(nvrtc);
        return SCR_ERR_NOT_FOUND;
    }
    if (why_size != 0)
        why[0] = '\0';
    *out = nvrtc;
    return SCR_OK;
}

void scr_nvrtc_unload(struct scr_nvrtc **pnvrtc)
{
    if (*pnvrtc == NULL)
        return;
    dlclose((*pnvrtc)->library);
    free(*pnvrtc);
    *pnvrtc = NULL;
}

void scr_nvrtc_get_version(const struct scr_nvrtc *nvrtc, int *major, int *minor)
{
    *major = nvrtc->major;
    *minor = nvrtc->minor;
}

/* The highest architecture that NVRTC knows and that is not above sm, or 0. */
static int choose_arch(const struct scr_nvrtc *nvrtc, int sm)
{
    int best = 0;

    for (int i = 0; i < nvrtc->n_archs; i++) {
        if (nvrtc->archs[i] <= sm && nvrtc->archs[i] > best)
            best = nvrtc->archs[i];
    }
    return best;
}

/* "--define-macro=NAME=value" of each; NULL when memory is short. Free with free(). */
static char *macro_options(const char *const *defines, const char **options, int *n_options)
{
    static const char prefix[] = "--define-macro=";
    size_t bytes = 1;
    char *text, *at;

    for (int i = 0; defines[i] != NULL; i++)
        bytes += sizeof prefix + strlen(defines[i]);
    text = at = malloc(bytes);
    for (int i = 0; text != NULL && defines[i] != NULL; i++) {
        options[(*n_options)++] = at;
        at += sprintf(at, "%s%s", prefix, defines[i]) + 1;
    }
    return text;
}

static int fetch_log(const struct scr_nvrtc *nvrtc, scr_nvrtc_program program,
                     struct scr_cuda_image *image)
{
    size_t size = 0;

    if (nvrtc->api.nvrtcGetProgramLogSize(program, &size) != SCR_NVRTC_SUCCESS)
        size = 0;
    image->log = calloc(1, size + 1);
    if (image->log == NULL)
        return SCR_ERR_NO_MEMORY;
    if (size != 0 && nvrtc->api.nvrtcGetProgramLog(program, image->log) != SCR_NVRTC_SUCCESS)
        image->log[0] = '\0';
    return SCR_OK;
}

static int fetch_image(const struct scr_nvrtc *nvrtc, scr_nvrtc_program program,
                       struct scr_cuda_image *image)
{
    const struct scr_nvrtc_api *api = &nvrtc->api;
    scr_nvrtc_result (*get_size)(scr_nvrtc_program, size_t *) =
        image->is_ptx ? api->nvrtcGetPTXSize : api->nvrtcGetCUBINSize;
    scr_nvrtc_result (*get)(scr_nvrtc_program, char *) =
        image->is_ptx ? api->nvrtcGetPTX : api->nvrtcGetCUBIN;

    if (get_size(program, &image->size) != SCR_NVRTC_SUCCESS || image->size == 0)
        return SCR_ERR_COMPILE;
    image->data = malloc(image->size);
    if (image->data == NULL)
        return SCR_ERR_NO_MEMORY;
    return get(program, image->data) == SCR_NVRTC_SUCCESS ? SCR_OK : SCR_ERR_COMPILE;
}

int scr_cuda_compile(const struct scr_nvrtc *nvrtc, const struct scr_kernel_decl *decl,
                     const char *const *defines, int sm, bool verbose, struct scr_cuda_image *image)
{
    const char *options[MAX_OPTIONS];
    scr_nvrtc_program program = NULL;
    char arch_option[48];
    char *macros = NULL;
    int n_options = 0;
    int n_defines = 0;
    int arch = choose_arch(nvrtc, sm);
    bool known = arch != 0 && (decl->target == NULL || (arch == sm && nvrtc->major >= 12));
    int status;
    scr_nvrtc_result result;

    *image = (struct scr_cuda_image){.is_ptx = arch != sm};
    while (defines[n_defines] != NULL)
        n_defines++;
    if (n_defines > MAX_OPTIONS - 4)
        return SCR_ERR_INVALID;
    if (!known)
        return SCR_ERR_UNSUPPORTED;
    if (decl->target != NULL)
        snprintf(arch_option, sizeof arch_option, "--gpu-architecture=%s", decl->target);
    else
        snprintf(arch_option, sizeof arch_option, "--gpu-architecture=%s_%d",
                 image->is_ptx ? "compute" : "sm", arch);
    options[n_options++] = arch_option;
    options[n_options++] = "--std=c++17";
    options[n_options++] = "--generate-line-info";
    if (verbose && !image->is_ptx)
        options[n_options++] = "--ptxas-options=-v";
    macros = macro_options(defines, options, &n_options);
    if (macros == NULL)
        return SCR_ERR_NO_MEMORY;
    result = nvrtc->api.nvrtcCreateProgram(&program, decl->source, decl->file, 0, NULL, NULL);
    if (result != SCR_NVRTC_SUCCESS) {
        status = SCR_ERR_COMPILE;
        goto out;
    }
    result = nvrtc->api.nvrtcCompileProgram(program, n_options, options);
    status = fetch_log(nvrtc, program, image);
    if (status == SCR_OK && result != SCR_NVRTC_SUCCESS)
        status = SCR_ERR_COMPILE;
    if (status == SCR_OK)
        status = fetch_image(nvrtc, program, image);
    nvrtc->api.nvrtcDestroyProgram(&program);
out:
    free(macros);
    return status;
}

void scr_cuda_image_clear(struct scr_cuda_image *image)
{
    free(image->data);
    free(image->log);
    *image = (struct scr_cuda_image){0};
}
