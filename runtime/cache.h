/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compiled kernels on disk, so that a second start compiles nothing. One file a program, named by
 * the hash of its key and written by rename; the key itself and a checksum stand in the file, so
 * that a collision or a damaged file is a miss and never a wrong kernel. Any number of processes
 * may share a folder. Whatever fails here costs a compilation and nothing else.
 *
 * Beside the cache there may be folders with programs that were compiled ahead, for machines
 * without a compiler: those of the colon list SCR_KERNELS, then LIBDIR/screening/kernels. Their
 * keys lack device and driver.
 */
#ifndef SCR_RUNTIME_CACHE_H
#define SCR_RUNTIME_CACHE_H

#include "backend.h"

#include <stdbool.h>
#include <stddef.h>

/* The folders of a context. */
struct scr_cache;

/*
 * Finds them: folder as scr_context_options.cache_dir. Makes and opens nothing.
 * SCR_OK or SCR_ERR_NO_MEMORY.
 */
int scr_cache_open(const scr_context *ctx, const char *folder, struct scr_cache **out);
void scr_cache_close(struct scr_cache **cache);

/* That of a context; never NULL. */
const struct scr_cache *scr_context_cache(const scr_context *ctx);

/* What decides a binary. Strings are never NULL. */
struct scr_cache_key {
    const struct scr_kernel_decl *decl;
    const char *const *defines; /* NULL-terminated */
    const char *target;         /* "sm_90", or what the backend compiles for beside the device */
    const char *device, *driver;
};

/* Reads a binary; *data is the caller's to free. SCR_OK, SCR_ERR_NOT_FOUND, SCR_ERR_NO_MEMORY. */
int scr_cache_get(const scr_context *ctx, const struct scr_cache_key *key, void **data,
                  size_t *size);

/*
 * Whether a binary would be kept: there is a folder, and either the driver keeps none itself or the
 * caller has named the folder (scr_context_options.cache_dir).
 */
bool scr_cache_keeps(const scr_context *ctx, bool driver_has_own);

/* Keeps a binary; what hinders that goes to the log, on SCR_LOG_DEBUG. */
void scr_cache_put(const scr_context *ctx, const struct scr_cache_key *key, const void *data,
                   size_t size);

/* Writes a binary into a folder of programs compiled ahead. SCR_OK or SCR_ERR_INVALID, why. */
int scr_cache_put_ahead(const char *folder, const struct scr_cache_key *key, const void *data,
                        size_t size, char *why, size_t why_size);

#endif
