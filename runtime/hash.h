/* SPDX-License-Identifier: Apache-2.0 */
/* FNV-1a, 64 bits: names of files, checksums of text; not against forgery. */
#ifndef SCR_RUNTIME_HASH_H
#define SCR_RUNTIME_HASH_H

#include <stddef.h>
#include <stdint.h>

/* The hash of nothing, to begin with. */
#define SCR_HASH_START UINT64_C(0xcbf29ce484222325)

/* That of what was hashed so far and n bytes more. */
static inline uint64_t scr_hash(uint64_t so_far, const void *bytes, size_t n)
{
    const unsigned char *s = bytes;

    for (size_t i = 0; i < n; i++)
        so_far = (so_far ^ s[i]) * UINT64_C(0x100000001b3);
    return so_far;
}

#endif
