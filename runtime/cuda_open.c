/* SPDX-License-Identifier: Apache-2.0 */
/* Opening a device, or attaching to the caller's context and stream. */
#include "cuda_backend.h"

#include <stdlib.h>
#include <string.h>

/* The context and its GPU: the caller's, or the primary one of the GPU that the id names. */
static int get_context(scr_device *dev, void *theirs)
{
    struct gpu *gpu = dev->impl;
    scr_cu_device actual = -1;
    int status = CHECK(dev, cuDeviceGet, &gpu->ordinal, atoi(strchr(dev->info->id, ':') + 1));

    if (status != SCR_OK)
        return status;
    if (theirs == NULL)
        return CHECK(dev, cuDevicePrimaryCtxRetain, &gpu->ctx, gpu->ordinal);
    gpu->ctx = theirs;
    gpu->foreign_ctx = true;
    status = scr_cuda_enter(dev);
    if (status != SCR_OK)
        return status;
    status = CHECK(dev, cuCtxGetDevice, &actual);
    scr_cuda_leave(dev);
    if (status == SCR_OK && actual != gpu->ordinal) {
        scr_log(dev->ctx, SCR_LOG_ERROR, "%s: the context to attach is of another GPU",
                dev->info->id);
        status = SCR_ERR_INVALID;
    }
    return status;
}

static void release_context(scr_device *dev)
{
    const struct gpu *gpu = dev->impl;

    if (!gpu->foreign_ctx)
        CHECK(dev, cuDevicePrimaryCtxRelease, gpu->ordinal);
}

int scr_cuda_attach(scr_device *dev, const scr_native *native)
{
    struct gpu *gpu;
    int status;

    if (dev->info == NULL) /* "cuda" alone names no GPU */
        return SCR_ERR_NOT_FOUND;
    gpu = calloc(1, sizeof *gpu);
    if (gpu == NULL)
        return SCR_ERR_NO_MEMORY;
    dev->impl = gpu;
    status = get_context(dev, native->context);
    if (status != SCR_OK)
        goto no_context;
    gpu->stream = native->queue;
    gpu->foreign_stream = native->queue != NULL;
    if (!gpu->foreign_stream) {
        status = scr_cuda_enter(dev);
        if (status != SCR_OK)
            goto no_stream;
        status = CHECK(dev, cuStreamCreate, &gpu->stream, SCR_CU_STREAM_NON_BLOCKING);
        scr_cuda_leave(dev);
        if (status != SCR_OK)
            goto no_stream;
    }
    return SCR_OK;
no_stream:
    release_context(dev);
no_context:
    free(gpu);
    dev->impl = NULL;
    return status;
}

int scr_cuda_open(scr_device *dev)
{
    static const scr_native none;

    return scr_cuda_attach(dev, &none);
}

void scr_cuda_close(scr_device *dev)
{
    struct gpu *gpu = dev->impl;

    if (scr_cuda_enter(dev) == SCR_OK) {
        CHECK(dev, cuStreamSynchronize, gpu->stream);
        if (!gpu->foreign_stream)
            CHECK(dev, cuStreamDestroy, gpu->stream);
        scr_cuda_leave(dev);
    }
    release_context(dev);
    free(gpu);
    dev->impl = NULL;
}
