/* SPDX-License-Identifier: Apache-2.0 */
/* NVIDIA GPUs through the driver API: errors, buffers, and the backend's table of functions. */
#include "cuda_backend.h"

const char *scr_cuda_error_name(const struct cuda *cuda, scr_cu_result result)
{
    const char *name = NULL;

    if (cuda->api.cuGetErrorName(result, &name) != SCR_CU_SUCCESS || name == NULL)
        return "unknown CUDA error";
    return name;
}

int scr_cuda_check(const scr_device *dev, scr_cu_result result, const char *what)
{
    const struct cuda *cuda = dev->backend_ctx;

    if (result == SCR_CU_SUCCESS)
        return SCR_OK;
    scr_log(dev->ctx, SCR_LOG_ERROR, "%s: %s: %s (%d)", dev->info->id, what,
            scr_cuda_error_name(cuda, result), result);
    return result == SCR_CU_ERROR_OUT_OF_MEMORY ? SCR_ERR_NO_MEMORY : SCR_ERR_DEVICE;
}

int scr_cuda_enter(const scr_device *dev)
{
    const struct gpu *gpu = dev->impl;

    return CHECK(dev, cuCtxPushCurrent, gpu->ctx);
}

void scr_cuda_leave(const scr_device *dev)
{
    scr_cu_context ours;

    CHECK(dev, cuCtxPopCurrent, &ours);
}

static int cuda_synchronize(scr_device *dev)
{
    const struct gpu *gpu = dev->impl;
    int status = scr_cuda_enter(dev);

    if (status != SCR_OK)
        return status;
    status = CHECK(dev, cuStreamSynchronize, gpu->stream);
    scr_cuda_leave(dev);
    return status;
}

static scr_cu_pointer pointer_of(const scr_buffer *buf)
{
    return buf != NULL ? (scr_cu_pointer)(uintptr_t)buf->impl : 0;
}

static int cuda_buffer_create(scr_buffer *buf)
{
    scr_cu_pointer ptr = 0;
    int status = scr_cuda_enter(buf->dev);

    if (status != SCR_OK)
        return status;
    status = CHECK(buf->dev, cuMemAlloc, &ptr, buf->bytes);
    scr_cuda_leave(buf->dev);
    buf->impl = (void *)(uintptr_t)ptr;
    return status;
}

static void cuda_buffer_destroy(scr_buffer *buf)
{
    if (scr_cuda_enter(buf->dev) != SCR_OK)
        return;
    CHECK(buf->dev, cuMemFree, pointer_of(buf));
    scr_cuda_leave(buf->dev);
}

static int cuda_buffer_write(scr_buffer *buf, size_t offset, const void *host, size_t bytes)
{
    const struct gpu *gpu = buf->dev->impl;
    int status = scr_cuda_enter(buf->dev);

    if (status != SCR_OK)
        return status;
    status = CHECK(buf->dev, cuMemcpyHtoDAsync, pointer_of(buf) + offset, host, bytes, gpu->stream);
    if (status == SCR_OK)
        status = CHECK(buf->dev, cuStreamSynchronize, gpu->stream);
    scr_cuda_leave(buf->dev);
    return status;
}

static int cuda_buffer_read(scr_buffer *buf, size_t offset, void *host, size_t bytes)
{
    const struct gpu *gpu = buf->dev->impl;
    int status = scr_cuda_enter(buf->dev);

    if (status != SCR_OK)
        return status;
    status = CHECK(buf->dev, cuMemcpyDtoHAsync, host, pointer_of(buf) + offset, bytes, gpu->stream);
    if (status == SCR_OK)
        status = CHECK(buf->dev, cuStreamSynchronize, gpu->stream);
    scr_cuda_leave(buf->dev);
    return status;
}

static int cuda_buffer_fill(scr_buffer *buf, size_t offset, uint8_t byte, size_t bytes)
{
    const struct gpu *gpu = buf->dev->impl;
    int status = scr_cuda_enter(buf->dev);

    if (status != SCR_OK)
        return status;
    status = CHECK(buf->dev, cuMemsetD8Async, pointer_of(buf) + offset, byte, bytes, gpu->stream);
    scr_cuda_leave(buf->dev);
    return status;
}

const struct scr_backend scr_backend_cuda = {
    .name = "cuda",
    .load = scr_cuda_load,
    .unload = scr_cuda_unload,
    .alignment = 16,
    .open = scr_cuda_open,
    .attach = scr_cuda_attach,
    .close = scr_cuda_close,
    .synchronize = cuda_synchronize,
    .buffer_create = cuda_buffer_create,
    .buffer_destroy = cuda_buffer_destroy,
    .buffer_write = cuda_buffer_write,
    .buffer_read = cuda_buffer_read,
    .buffer_fill = cuda_buffer_fill,
    .program_create = scr_cuda_program_create,
    .program_destroy = scr_cuda_program_destroy,
    .plan_create = scr_cuda_plan_create,
    .plan_destroy = scr_cuda_plan_destroy,
    .plan_get_resources = scr_cuda_plan_get_resources,
    .run = scr_cuda_run,
    .time_begin = scr_cuda_time_begin,
    .time_end = scr_cuda_time_end,
};
