/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CUDA kernels through NVRTC, which is loaded at run time. Needs no driver and no GPU. A loaded
 * library may compile from several threads at once.
 */
#ifndef SCR_RUNTIME_CUDA_COMPILE_H
#define SCR_RUNTIME_CUDA_COMPILE_H

#include "decl.h"

#include <stdbool.h>
#include <stddef.h>

struct scr_nvrtc;

/*
 * Finds NVRTC: the file that the environment variable SCR_NVRTC names, and no other; else
 * libnvrtc.so, .so.13, .so.12 and .so.11.2 on the loader's path, then in lib64 and lib below
 * $CUDA_HOME, $CUDA_PATH and /usr/local/cuda.
 *
 * Returns SCR_OK, SCR_ERR_NOT_FOUND with one line in why, or SCR_ERR_NO_MEMORY.
 */
int scr_nvrtc_load(struct scr_nvrtc **out, char *why, size_t why_size);
void scr_nvrtc_unload(struct scr_nvrtc **nvrtc);
void scr_nvrtc_get_version(const struct scr_nvrtc *nvrtc, int *major, int *minor);

/* A compiled kernel file. */
struct scr_cuda_image {
    char *data; /* cubin, or PTX with its final 0; NULL on failure */
    size_t size;
    bool is_ptx;
    char *log; /* the compiler's messages, "" if none; may be NULL on SCR_ERR_NO_MEMORY */
};

/*
 * Compiles decl->source for a GPU of compute capability sm / 10: to a cubin where NVRTC knows it,
 * else to PTX of the highest architecture below it that NVRTC knows. A declaration with a target is
 * compiled to a cubin for that one.
 *
 * defines   NULL-terminated "NAME=value"
 * verbose   the log also tells registers, spills and shared memory of each entry
 * image     overwritten; give it to scr_cuda_image_clear whatever is returned
 *
 * Returns SCR_OK, SCR_ERR_COMPILE, SCR_ERR_UNSUPPORTED (sm is older than all that NVRTC knows,
 * or the target is unknown to it) or
 * SCR_ERR_NO_MEMORY.
 */
int scr_cuda_compile(const struct scr_nvrtc *nvrtc, const struct scr_kernel_decl *decl,
                     const char *const *defines, int sm, bool verbose,
                     struct scr_cuda_image *image);
void scr_cuda_image_clear(struct scr_cuda_image *image);

/*
 * Compiles for one architecture into a folder of programs compiled ahead (runtime/cache.h), made if
 * need be.
 *
 * arch      "sm_90", which NVRTC must know: what is kept is a cubin
 * why       what was wrong: the compiler's log, cut to size, or one line
 *
 * Returns SCR_OK, SCR_ERR_COMPILE, SCR_ERR_UNSUPPORTED (NVRTC does not know arch), SCR_ERR_INVALID
 * (arch is none; the folder cannot be written) or SCR_ERR_NO_MEMORY.
 */
int scr_cuda_compile_ahead(const struct scr_nvrtc *nvrtc, const struct scr_kernel_decl *decl,
                           const char *const *defines, const char *arch, const char *folder,
                           char *why, size_t why_size);

#endif
