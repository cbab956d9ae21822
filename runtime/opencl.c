/* SPDX-License-Identifier: Apache-2.0 */
/* OpenCL 1.2 and later: errors, buffers, and the backend's table of functions. */
#include "opencl_backend.h"

int scr_cl_status(cl_int error)
{
    switch (error) {
    case CL_SUCCESS:
        return SCR_OK;
    case CL_MEM_OBJECT_ALLOCATION_FAILURE:
    case CL_OUT_OF_RESOURCES:
    case CL_OUT_OF_HOST_MEMORY:
    case CL_INVALID_BUFFER_SIZE:
        return SCR_ERR_NO_MEMORY;
    case CL_INVALID_WORK_GROUP_SIZE:
        return SCR_ERR_UNSUPPORTED;
    default:
        return SCR_ERR_DEVICE;
    }
}

int scr_cl_failed(const scr_device *dev, const char *call, cl_int error)
{
    scr_log(dev->ctx, SCR_LOG_ERROR, "%s: %s failed with OpenCL error %d", dev->info->id, call,
            (int)error);
    return scr_cl_status(error);
}

static int opencl_synchronize(scr_device *dev)
{
    struct cl_dev *d = dev->impl;
    cl_int error = d->cl->Finish(d->queue);

    if (error == CL_SUCCESS)
        return SCR_OK;
    scr_cl_failed(dev, "clFinish", error);
    return SCR_ERR_DEVICE;
}

static int opencl_buffer_create(scr_buffer *buf)
{
    struct cl_dev *d = buf->dev->impl;
    cl_int error;
    cl_mem mem = d->cl->CreateBuffer(d->context, CL_MEM_READ_WRITE, buf->bytes, NULL, &error);

    if (mem == NULL) {
        scr_cl_failed(buf->dev, "clCreateBuffer", error);
        return scr_cl_status(error);
    }
    /* Drivers put off the allocation to the first use; this is one, so it fails here. */
    error = d->cl->EnqueueMigrateMemObjects(d->queue, 1, &mem,
                                            CL_MIGRATE_MEM_OBJECT_CONTENT_UNDEFINED, 0, NULL, NULL);
    if (error != CL_SUCCESS && scr_cl_status(error) == SCR_ERR_NO_MEMORY) {
        scr_cl_failed(buf->dev, "clEnqueueMigrateMemObjects", error);
        d->cl->ReleaseMemObject(mem);
        return SCR_ERR_NO_MEMORY;
    }
    buf->impl = mem;
    return SCR_OK;
}

static void opencl_buffer_destroy(scr_buffer *buf)
{
    struct cl_dev *d = buf->dev->impl;

    d->cl->ReleaseMemObject(buf->impl);
}

/* The contract of transfers has no SCR_ERR_NO_MEMORY: whatever fails is the device's fault. */
static int transferred(const scr_buffer *buf, const char *call, cl_int error)
{
    if (error == CL_SUCCESS)
        return SCR_OK;
    scr_cl_failed(buf->dev, call, error);
    return SCR_ERR_DEVICE;
}

static int opencl_buffer_write(scr_buffer *buf, size_t offset, const void *host, size_t bytes)
{
    struct cl_dev *d = buf->dev->impl;

    return transferred(buf, "clEnqueueWriteBuffer",
                       d->cl->EnqueueWriteBuffer(d->queue, buf->impl, CL_TRUE, offset, bytes, host,
                                                 0, NULL, NULL));
}

static int opencl_buffer_read(scr_buffer *buf, size_t offset, void *host, size_t bytes)
{
    struct cl_dev *d = buf->dev->impl;

    return transferred(
        buf, "clEnqueueReadBuffer",
        d->cl->EnqueueReadBuffer(d->queue, buf->impl, CL_TRUE, offset, bytes, host, 0, NULL, NULL));
}

static int opencl_buffer_fill(scr_buffer *buf, size_t offset, uint8_t byte, size_t bytes)
{
    struct cl_dev *d = buf->dev->impl;

    return transferred(buf, "clEnqueueFillBuffer",
                       d->cl->EnqueueFillBuffer(d->queue, buf->impl, &byte, sizeof byte, offset,
                                                bytes, 0, NULL, NULL));
}

const struct scr_backend scr_backend_opencl = {
    .name = "opencl",
    .load = scr_cl_load,
    .unload = scr_cl_unload,
    .open = scr_cl_open,
    .attach = scr_cl_attach,
    .close = scr_cl_close,
    .synchronize = opencl_synchronize,
    .buffer_create = opencl_buffer_create,
    .buffer_destroy = opencl_buffer_destroy,
    .buffer_write = opencl_buffer_write,
    .buffer_read = opencl_buffer_read,
    .buffer_fill = opencl_buffer_fill,
    .program_create = scr_cl_program_create,
    .program_destroy = scr_cl_program_destroy,
    .plan_create = scr_cl_plan_create,
    .plan_destroy = scr_cl_plan_destroy,
    .plan_get_resources = scr_cl_plan_get_resources,
    .run = scr_cl_run,
    .time_begin = scr_cl_time_begin,
    .time_end = scr_cl_time_end,
};
