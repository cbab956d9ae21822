/* SPDX-License-Identifier: Apache-2.0 */
/* Plans and their runs. */
#include "opencl_backend.h"
#include "program.h"

#include <stdlib.h>

/* struct scr_run's state: kernels hold their arguments, so each plan has its own. */
struct cl_plan {
    cl_kernel kernels[SCR_MAX_STEPS];
    bool timing;          /* between time_begin and time_end */
    cl_event first, last; /* of the kernels since; last is NULL while there is but one */
};

void scr_cl_plan_destroy(struct scr_program *prog, struct scr_run *run)
{
    const struct cl_dev *d = prog->dev->impl;
    struct cl_plan *plan = run->state;

    for (int i = 0; i < SCR_MAX_STEPS; i++) {
        if (plan->kernels[i] != NULL)
            d->cl->ReleaseKernel(plan->kernels[i]);
    }
    free(plan);
    run->state = NULL;
}

static uint64_t kernel_number(const struct cl_dev *d, cl_kernel kernel, cl_kernel_work_group_info w)
{
    union {
        size_t size;
        cl_ulong u64;
    } value = {.u64 = 0};

    return d->cl->GetKernelWorkGroupInfo(kernel, d->device, w, sizeof value, &value, NULL) ==
                   CL_SUCCESS
               ? value.u64
               : 0;
}

int scr_cl_plan_create(struct scr_program *prog, struct scr_run *run)
{
    const struct cl_dev *d = prog->dev->impl;
    const struct cl_prog *p = prog->impl;
    struct cl_plan *plan = calloc(1, sizeof *plan);
    int status = SCR_OK;
    cl_int error;

    if (plan == NULL)
        return SCR_ERR_NO_MEMORY;
    run->state = plan;
    for (int i = 0; i < prog->decl->n_steps; i++) {
        plan->kernels[i] = d->cl->CreateKernel(p->program, prog->decl->steps[i].entry, &error);
        if (plan->kernels[i] == NULL) {
            scr_cl_plan_destroy(prog, run);
            return scr_cl_failed(prog->dev, "clCreateKernel", error);
        }
    }
    for (int i = 0; i < run->n_launches && status == SCR_OK; i++) {
        const struct scr_launch *l = &run->launches[i];
        uint64_t max_group = kernel_number(d, plan->kernels[l->step], CL_KERNEL_WORK_GROUP_SIZE);

        status = scr_launch_check(prog, l, (int32_t)max_group, 0);
    }
    if (status != SCR_OK)
        scr_cl_plan_destroy(prog, run);
    return status;
}

void scr_cl_plan_get_resources(struct scr_program *prog, const struct scr_run *run,
                               scr_resources *out)
{
    const struct cl_dev *d = prog->dev->impl;
    const struct cl_plan *plan = run->state;

    for (int i = 0; i < run->n_launches; i++) {
        const struct scr_launch *l = &run->launches[i];
        cl_kernel kernel = plan->kernels[l->step];
        int32_t max_group = (int32_t)kernel_number(d, kernel, CL_KERNEL_WORK_GROUP_SIZE);
        /* Of a processor's threads this is stack, if the driver counts it at all. */
        int32_t spill = prog->dev->info->is_cpu
                            ? 0
                            : (int32_t)kernel_number(d, kernel, CL_KERNEL_PRIVATE_MEM_SIZE);

        scr_resources_add(out, 0, spill, l, max_group,
                          (size_t)kernel_number(d, kernel, CL_KERNEL_LOCAL_MEM_SIZE));
    }
}

static cl_int set_args(const struct opencl_api *cl, cl_kernel kernel, const struct scr_run *run)
{
    const scr_pointers *a = run->args;
    const void *memory[] = {a->q,
                            a->k,
                            a->v,
                            a->r,
                            a->w,
                            a->kv_len,
                            a->o,
                            scr_buffer_memory(run->workspace),
                            scr_buffer_memory(run->counters)};
    const cl_uint n = sizeof memory / sizeof memory[0];
    cl_ulong o_offset = a->o_offset / scr_dtype_bytes(run->problem->dtype_out);
    cl_int error = CL_SUCCESS;

    for (cl_uint i = 0; i < n && error == CL_SUCCESS; i++)
        error = cl->SetKernelArg(kernel, i, sizeof(cl_mem), memory[i] != NULL ? &memory[i] : NULL);
    if (error == CL_SUCCESS)
        error = cl->SetKernelArg(kernel, n, sizeof run->shape, &run->shape);
    if (error == CL_SUCCESS)
        error = cl->SetKernelArg(kernel, n + 1, sizeof o_offset, &o_offset);
    return error;
}

/* Nanoseconds from the start of one command to the end of another; -1 where that is not known, less
 * where the end lies before the start. */
static double elapsed(const struct opencl_api *cl, cl_event first, cl_event last)
{
    cl_ulong start = 0;
    cl_ulong end = 0;

    if (cl->GetEventProfilingInfo(first, CL_PROFILING_COMMAND_START, sizeof start, &start, NULL) !=
            CL_SUCCESS ||
        cl->GetEventProfilingInfo(last, CL_PROFILING_COMMAND_END, sizeof end, &end, NULL) !=
            CL_SUCCESS ||
        end == start)
        return -1.0;
    return end > start ? (double)(end - start) : -2.0 - (double)(start - end);
}

static int enqueue_step(struct scr_program *prog, const struct scr_run *run,
                        const struct scr_launch *l, cl_command_queue queue, cl_event *event)
{
    const struct opencl_api *cl = ((const struct cl_dev *)prog->dev->impl)->cl;
    cl_kernel kernel = ((const struct cl_plan *)run->state)->kernels[l->step];
    size_t global[3];
    cl_int error = set_args(cl, kernel, run);

    if (error != CL_SUCCESS)
        return scr_cl_failed(prog->dev, "clSetKernelArg", error);
    for (int j = 0; j < 3; j++)
        global[j] = l->groups[j] * l->group[j];
    error = cl->EnqueueNDRangeKernel(queue, kernel, 3, NULL, global, l->group, 0, NULL, event);
    return error == CL_SUCCESS ? SCR_OK : scr_cl_failed(prog->dev, "clEnqueueNDRangeKernel", error);
}

/* Between commands of a queue that does not keep their order. */
static int barrier(const scr_device *dev, cl_command_queue queue)
{
    const struct cl_dev *d = dev->impl;
    cl_int error = d->cl->EnqueueBarrierWithWaitList(queue, 0, NULL, NULL);

    return error == CL_SUCCESS ? SCR_OK : scr_cl_failed(dev, "clEnqueueBarrierWithWaitList", error);
}

/* Zeroes the counters and enqueues the steps; events may be NULL. */
static int enqueue_all(struct scr_program *prog, const struct scr_run *run, cl_command_queue queue,
                       cl_event *events)
{
    static const cl_uint zero = 0;
    const struct cl_dev *d = prog->dev->impl;
    bool unordered = queue != d->queue && (scr_cl_queue_properties(d, queue) &
                                           CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE) != 0;
    int status = unordered ? barrier(prog->dev, queue) : SCR_OK;

    if (status == SCR_OK && run->counters != NULL) {
        cl_int error = d->cl->EnqueueFillBuffer(queue, run->counters->impl, &zero, sizeof zero, 0,
                                                run->counters->bytes, 0, NULL, NULL);

        if (error != CL_SUCCESS)
            status = scr_cl_failed(prog->dev, "clEnqueueFillBuffer", error);
        else if (unordered)
            status = barrier(prog->dev, queue);
    }
    for (int i = 0; i < run->n_launches && status == SCR_OK; i++) {
        status =
            enqueue_step(prog, run, &run->launches[i], queue, events != NULL ? &events[i] : NULL);
        if (status == SCR_OK && unordered)
            status = barrier(prog->dev, queue);
    }
    return status;
}

/* Takes over the events of a run that the time of a batch needs. */
static void keep_ends(const struct opencl_api *cl, struct cl_plan *plan, cl_event *events, int last)
{
    if (plan->first == NULL) {
        plan->first = events[0];
        events[0] = NULL;
    }
    if (events[last] == NULL)
        return;
    if (plan->last != NULL)
        cl->ReleaseEvent(plan->last);
    plan->last = events[last];
    events[last] = NULL;
}

int scr_cl_time_begin(struct scr_program *prog, const struct scr_run *run)
{
    (void)prog;
    ((struct cl_plan *)run->state)->timing = true;
    return SCR_OK;
}

int scr_cl_time_end(struct scr_program *prog, const struct scr_run *run, double *ns)
{
    const struct cl_dev *d = prog->dev->impl;
    struct cl_plan *plan = run->state;
    cl_event last = plan->last != NULL ? plan->last : plan->first;
    int status = SCR_OK;

    *ns = -1.0;
    if (last != NULL) {
        cl_int error = d->cl->WaitForEvents(1, &last);

        if (error != CL_SUCCESS) {
            scr_cl_failed(prog->dev, "clWaitForEvents", error);
            status = SCR_ERR_DEVICE;
        } else if (d->profiling) {
            *ns = elapsed(d->cl, plan->first, last);
        }
    }
    if (plan->first != NULL)
        d->cl->ReleaseEvent(plan->first);
    if (plan->last != NULL)
        d->cl->ReleaseEvent(plan->last);
    plan->first = plan->last = NULL;
    plan->timing = false;
    return status;
}

int scr_cl_run(struct scr_program *prog, const struct scr_run *run, double *ns)
{
    const struct cl_dev *d = prog->dev->impl;
    const struct opencl_api *cl = d->cl;
    cl_command_queue queue = run->queue != NULL ? run->queue : d->queue;
    cl_event events[SCR_MAX_STEPS] = {NULL};
    int last = run->n_launches - 1;
    struct cl_plan *plan = run->state;
    bool finish = run->counters != NULL && queue != d->queue;
    bool events_wanted = ns != NULL || plan->timing;
    cl_int error;
    int status;

    status = enqueue_all(prog, run, queue, events_wanted ? events : NULL);
    if (status != SCR_OK)
        goto done;
    if (plan->timing && last >= 0)
        keep_ends(cl, plan, events, last);
    if (ns == NULL || last < 0) {
        error = finish ? cl->Finish(queue) : cl->Flush(queue);
        if (error != CL_SUCCESS)
            status = scr_cl_failed(prog->dev, finish ? "clFinish" : "clFlush", error);
        if (ns != NULL)
            *ns = -1.0;
        goto done;
    }
    error = cl->WaitForEvents(1, &events[last]);
    if (error != CL_SUCCESS) {
        scr_cl_failed(prog->dev, "clWaitForEvents", error);
        status = SCR_ERR_DEVICE;
        goto done;
    }
    *ns = d->profiling ? elapsed(cl, events[0], events[last]) : -1.0;
done:
    for (int i = 0; i <= last; i++) {
        if (events[i] != NULL)
            cl->ReleaseEvent(events[i]);
    }
    return status;
}
