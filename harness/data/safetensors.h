/* SPDX-License-Identifier: Apache-2.0 */
/* Reading and writing safetensors files, distrusting every byte of what is read. */
#ifndef SCR_HARNESS_SAFETENSORS_H
#define SCR_HARNESS_SAFETENSORS_H

#include <screening/error.h>
#include <screening/problem.h>

#include <stddef.h>
#include <stdint.h>

enum { SCR_TENSOR_MAX_DIMS = 8 };

struct scr_tensor {
    char name[64];
    scr_dtype dtype; /* F32, F16 and BF16 are read; tensors of other types are left out */
    int n_dims;
    int64_t dims[SCR_TENSOR_MAX_DIMS];
    size_t bytes;
    const void *data; /* into the mapped file, any alignment; or the caller's when writing */
};

struct scr_safetensors;

/*
 * Maps a file and checks it whole: header length, JSON, types, shapes against offsets, offsets
 * within the file, no overlap, no gap, no name twice.
 * Returns SCR_OK, or SCR_ERR_INVALID with one line in why.
 */
int scr_safetensors_open(const char *path, struct scr_safetensors **out, char *why,
                         size_t why_size);
void scr_safetensors_close(struct scr_safetensors **f);

/*
 * Writes "PATH: TEXT"; where that is too long it leaves out the beginning of the path, so that the
 * text is whole.
 */
void scr_path_message(const char *path, const char *text, char *why, size_t why_size);

/* The type ("I64") of a tensor of that name that is left out, or NULL. Static storage. */
const char *scr_safetensors_left_out(const struct scr_safetensors *f, const char *name);

/* The tensor of that name, or NULL. Lives as long as the file is open. */
const struct scr_tensor *scr_safetensors_find(const struct scr_safetensors *f, const char *name);

/* Writes tensors to path by way of a temporary file and rename. Contracts as for open. */
int scr_safetensors_write(const char *path, const struct scr_tensor *tensors, int n, char *why,
                          size_t why_size);

#endif
