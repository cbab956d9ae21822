/* SPDX-License-Identifier: Apache-2.0 */
/* Opening a device, or attaching to the caller's context and queue. */
#include "opencl_backend.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void scr_cl_close(scr_device *dev)
{
    struct cl_dev *d = dev->impl;

    if (d->queue != NULL) {
        d->cl->Finish(d->queue);
        d->cl->ReleaseCommandQueue(d->queue);
    }
    if (d->context != NULL)
        d->cl->ReleaseContext(d->context);
    free(d);
    dev->impl = NULL;
}

/* A queue in d->context, with times where the driver has them. */
static int create_queue(scr_device *dev)
{
    struct cl_dev *d = dev->impl;
    cl_int error;

    d->profiling = true;
    d->queue = d->cl->CreateCommandQueue(d->context, d->device, CL_QUEUE_PROFILING_ENABLE, &error);
    if (d->queue == NULL && error == CL_INVALID_QUEUE_PROPERTIES) {
        d->profiling = false;
        d->queue = d->cl->CreateCommandQueue(d->context, d->device, 0, &error);
    }
    return d->queue != NULL ? SCR_OK : scr_cl_failed(dev, "clCreateCommandQueue", error);
}

int scr_cl_open(scr_device *dev)
{
    struct cl_backend *be = dev->backend_ctx;
    const struct cl_found *found = NULL;
    cl_context_properties properties[3] = {CL_CONTEXT_PLATFORM, 0, 0};
    struct cl_dev *d;
    cl_int error;
    int status;

    for (size_t i = 0; i < be->n_found; i++) {
        if (strcmp(be->found[i].id, dev->info->id) == 0)
            found = &be->found[i];
    }
    if (found == NULL)
        return SCR_ERR_NOT_FOUND;
    d = calloc(1, sizeof *d);
    if (d == NULL)
        return SCR_ERR_NO_MEMORY;
    dev->impl = d;
    d->cl = &be->cl;
    d->device = found->device;
    properties[1] = (cl_context_properties)found->platform;
    d->context = be->cl.CreateContext(properties, 1, &d->device, NULL, NULL, &error);
    if (d->context == NULL)
        status = scr_cl_failed(dev, "clCreateContext", error);
    else
        status = create_queue(dev);
    if (status != SCR_OK)
        scr_cl_close(dev);
    return status;
}

cl_command_queue_properties scr_cl_queue_properties(const struct cl_dev *d, cl_command_queue queue)
{
    cl_command_queue_properties properties = 0;

    if (d->cl->GetCommandQueueInfo(queue, CL_QUEUE_PROPERTIES, sizeof properties, &properties,
                                   NULL) != CL_SUCCESS)
        return 0;
    return properties;
}

/* Which device an attached one is: one that was listed, or one of the caller's own (a part of a
 * device, say), which is then described. */
static int find_attached(scr_device *dev)
{
    const struct cl_backend *be = dev->backend_ctx;
    const struct cl_dev *d = dev->impl;
    const scr_device_info *info;
    cl_platform_id platform;
    const char *id = NULL;

    for (size_t i = 0; i < be->n_found; i++) {
        if (be->found[i].device == d->device)
            id = be->found[i].id;
    }
    if (dev->info != &dev->attached) {
        if (id != NULL && strcmp(id, dev->info->id) == 0)
            return SCR_OK;
        scr_log(dev->ctx, SCR_LOG_ERROR, "%s: the device to attach is %s", dev->info->id,
                id != NULL ? id : "none of those listed; \"opencl\" takes any");
        return SCR_ERR_INVALID;
    }
    for (size_t i = 0; id != NULL && (info = scr_context_device_info(dev->ctx, i)) != NULL; i++) {
        if (strcmp(info->id, id) == 0) {
            dev->info = info;
            return SCR_OK;
        }
    }
    if (d->cl->GetDeviceInfo(d->device, CL_DEVICE_PLATFORM, sizeof platform, &platform, NULL) !=
        CL_SUCCESS)
        return SCR_ERR_INVALID;
    scr_cl_describe(d->cl, platform, d->device, &dev->attached);
    return SCR_OK;
}

/* Takes context and device of the caller's queue where they are not given; they must be its. */
static int use_queue(scr_device *dev)
{
    struct cl_dev *d = dev->impl;
    cl_context context = NULL;
    cl_device_id device = NULL;
    cl_int error =
        d->cl->GetCommandQueueInfo(d->queue, CL_QUEUE_CONTEXT, sizeof context, &context, NULL);

    if (error == CL_SUCCESS)
        error = d->cl->GetCommandQueueInfo(d->queue, CL_QUEUE_DEVICE, sizeof device, &device, NULL);
    if (error != CL_SUCCESS) {
        scr_cl_failed(dev, "clGetCommandQueueInfo", error);
        return SCR_ERR_INVALID;
    }
    if (d->context == NULL)
        d->context = context;
    if (d->device == NULL)
        d->device = device;
    if (d->context != context || d->device != device) {
        scr_log(dev->ctx, SCR_LOG_ERROR, "%s: the queue is not of the given context and device",
                dev->info->id);
        return SCR_ERR_INVALID;
    }
    if (scr_cl_queue_properties(d, d->queue) & CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE) {
        scr_log(dev->ctx, SCR_LOG_ERROR, "%s: a device's own queue must be in order",
                dev->info->id);
        return SCR_ERR_INVALID;
    }
    d->profiling = (scr_cl_queue_properties(d, d->queue) & CL_QUEUE_PROFILING_ENABLE) != 0;
    return SCR_OK;
}

int scr_cl_attach(scr_device *dev, const scr_native *native)
{
    struct cl_backend *be = dev->backend_ctx;
    struct cl_dev *d = calloc(1, sizeof *d);
    int status = SCR_OK;

    if (d == NULL)
        return SCR_ERR_NO_MEMORY;
    dev->impl = d;
    d->cl = &be->cl;
    d->context = native->context;
    d->device = native->device;
    d->queue = native->queue;
    if (dev->info == NULL) {
        snprintf(dev->attached.id, sizeof dev->attached.id, "opencl");
        dev->info = &dev->attached;
    }
    if (d->queue != NULL) {
        status = use_queue(dev);
    } else if (d->context == NULL || d->device == NULL) {
        scr_log(dev->ctx, SCR_LOG_ERROR, "%s: give a queue, or context and device", dev->info->id);
        status = SCR_ERR_INVALID;
    }
    if (status == SCR_OK)
        status = find_attached(dev);
    if (status == SCR_OK && d->queue == NULL)
        status = create_queue(dev);
    else if (status == SCR_OK)
        d->cl->RetainCommandQueue(d->queue);
    if (status != SCR_OK) {
        free(d);
        dev->impl = NULL;
        return status;
    }
    d->cl->RetainContext(d->context);
    return SCR_OK;
}
