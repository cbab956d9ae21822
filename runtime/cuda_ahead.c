/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels compiled for machines that have no compiler. */
#include "cache.h"
#include "cuda_compile.h"

#include <stdio.h>

int scr_cuda_compile_ahead(const struct scr_nvrtc *nvrtc, const struct scr_kernel_decl *decl,
                           const char *const *defines, const char *arch, const char *folder,
                           char *why, size_t why_size)
{
    struct scr_cache_key key = {decl, defines, arch, "", ""};
    struct scr_cuda_image image;
    int sm = 0, end = 0;
    int status;

    if (sscanf(arch, "sm_%3d%n", &sm, &end) != 1 || arch[end] != '\0' || sm <= 0) {
        snprintf(why, why_size, "%s: want an architecture such as sm_90", arch);
        return SCR_ERR_INVALID;
    }
    status = scr_cuda_compile(nvrtc, decl, defines, sm, false, &image);
    if (status == SCR_OK && image.is_ptx)
        status = SCR_ERR_UNSUPPORTED;
    if (status == SCR_ERR_UNSUPPORTED) {
        int major, minor;

        scr_nvrtc_get_version(nvrtc, &major, &minor);
        snprintf(why, why_size, "NVRTC %d.%d does not know %s", major, minor, arch);
    } else if (status != SCR_OK) {
        snprintf(why, why_size, "%s: %s%s%s", decl->file, scr_status_text(status),
                 image.log != NULL ? ":\n" : "", image.log != NULL ? image.log : "");
    } else {
        status = scr_cache_put_ahead(folder, &key, image.data, image.size, why, why_size);
    }
    scr_cuda_image_clear(&image);
    return status;
}
