/* SPDX-License-Identifier: Apache-2.0 */
/* Compiled OpenCL programs as bytes, and back. */
#ifndef SCR_RUNTIME_OPENCL_BINARY_H
#define SCR_RUNTIME_OPENCL_BINARY_H

#include "opencl_api.h"

#include <stddef.h>

/*
 * The binary of a program for one of its devices, which may be several in a caller's context. *data
 * is the caller's to free. CL_SUCCESS; or an error, CL_INVALID_PROGRAM_EXECUTABLE where the driver
 * has none.
 */
cl_int scr_cl_binary_get(const struct opencl_api *cl, cl_program program, cl_device_id device,
                         void **data, size_t *size);

/* A program built of a binary, or NULL with the driver's error where it refuses that. */
cl_program scr_cl_binary_build(const struct opencl_api *cl, cl_context context, cl_device_id device,
                               const void *data, size_t size, cl_int *error);

#endif
