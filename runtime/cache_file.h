/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of compiled programs. A file is a header of text lines, the key's text and the binary:
 *
 *   screening-program 1
 *   key BYTES
 *   data BYTES
 *   checksum 16 HEX DIGITS     of key and data
 *                              an empty line
 *
 * It is written under another name and renamed, so a reader meets a whole file or none.
 */
#ifndef SCR_RUNTIME_CACHE_FILE_H
#define SCR_RUNTIME_CACHE_FILE_H

#include <stddef.h>
#include <stdint.h>

/* Bytes of "0123456789abcdef.scrk" and the 0 that ends it. */
enum { SCR_CACHE_NAME = 22 };

/* The name of the file of a key. */
void scr_cache_file_name(const char *key, char name[SCR_CACHE_NAME]);

/*
 * Reads the file of a key in a folder, and marks it as used. *data is the caller's to free.
 * why  set unless SCR_OK is returned; static storage
 * SCR_OK; SCR_ERR_NOT_FOUND: there is none, or it is damaged or of another key;
 * SCR_ERR_NO_MEMORY.
 */
int scr_cache_file_read(const char *folder, const char *key, void **data, size_t *size,
                        const char **why);

/* Makes a folder and those above it. 0 or errno. */
int scr_cache_folder_make(const char *folder, unsigned mode);

/* Writes the file of a key into a folder that is there, over one that is there. 0 or errno. */
int scr_cache_file_write(const char *folder, const char *key, const void *data, size_t size);

/*
 * Where the files of a folder have more than limit bytes in all, removes those used longest ago
 * until a quarter of the limit is free, and what writers left behind an hour ago or longer. Touches
 * no other files. Any number of processes may do so at once.
 */
void scr_cache_folder_trim(const char *folder, uint64_t limit);

#endif
