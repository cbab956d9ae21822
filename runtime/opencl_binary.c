/* SPDX-License-Identifier: Apache-2.0 */
#include "opencl_binary.h"

#include <stdlib.h>

/* Where device stands among the n of the program; n where it does not. */
static cl_int find_device(const struct opencl_api *cl, cl_program program, cl_device_id device,
                          cl_uint n, cl_uint *at)
{
    cl_device_id *devices = calloc(n, sizeof *devices);
    cl_int error = CL_OUT_OF_HOST_MEMORY;

    if (devices == NULL)
        return error;
    error = cl->GetProgramInfo(program, CL_PROGRAM_DEVICES, n * sizeof *devices, devices, NULL);
    *at = 0;
    while (error == CL_SUCCESS && *at < n && devices[*at] != device)
        ++*at;
    free(devices);
    return error;
}

cl_int scr_cl_binary_get(const struct opencl_api *cl, cl_program program, cl_device_id device,
                         void **data, size_t *size)
{
    unsigned char **binaries = NULL;
    size_t *sizes = NULL;
    cl_uint n = 0, at = 0;
    cl_int error = cl->GetProgramInfo(program, CL_PROGRAM_NUM_DEVICES, sizeof n, &n, NULL);

    *data = NULL;
    *size = 0;
    if (error == CL_SUCCESS && n == 0)
        error = CL_INVALID_PROGRAM_EXECUTABLE;
    if (error == CL_SUCCESS)
        error = find_device(cl, program, device, n, &at);
    if (error != CL_SUCCESS)
        return error;
    binaries = calloc(n, sizeof *binaries);
    sizes = calloc(n, sizeof *sizes);
    error = CL_OUT_OF_HOST_MEMORY;
    if (binaries == NULL || sizes == NULL)
        goto done;
    error = cl->GetProgramInfo(program, CL_PROGRAM_BINARY_SIZES, n * sizeof *sizes, sizes, NULL);
    if (error == CL_SUCCESS && (at == n || sizes[at] == 0))
        error = CL_INVALID_PROGRAM_EXECUTABLE;
    if (error != CL_SUCCESS)
        goto done;
    /* Binaries of other devices stay NULL pointers: the driver passes over those. */
    binaries[at] = malloc(sizes[at]);
    error = CL_OUT_OF_HOST_MEMORY;
    if (binaries[at] == NULL)
        goto done;
    error = cl->GetProgramInfo(program, CL_PROGRAM_BINARIES, n * sizeof *binaries, binaries, NULL);
    if (error == CL_SUCCESS) {
        *data = binaries[at];
        *size = sizes[at];
    } else {
        free(binaries[at]);
    }
done:
    free(binaries);
    free(sizes);
    return error;
}

cl_program scr_cl_binary_build(const struct opencl_api *cl, cl_context context, cl_device_id device,
                               const void *data, size_t size, cl_int *error)
{
    const unsigned char *bytes = data;
    cl_int refused = CL_SUCCESS;
    cl_program program =
        cl->CreateProgramWithBinary(context, 1, &device, &size, &bytes, &refused, error);

    if (program == NULL)
        return NULL;
    *error =
        refused != CL_SUCCESS ? refused : cl->BuildProgram(program, 1, &device, "", NULL, NULL);
    if (*error == CL_SUCCESS)
        return program;
    cl->ReleaseProgram(program);
    return NULL;
}
