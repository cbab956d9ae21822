/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Screening attention in a program that has its own OpenCL context, queue and memory: the library
 * is attached to them and puts its kernel into the queue. Build:
 *
 *     cc opencl_queue.c $(pkg-config --cflags --libs screening) -lOpenCL -lm -o opencl_queue
 */
#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>
#include <screening/screening.h>

#include <stdio.h>
#include <stdlib.h>

#include "data.h"

/* Both OpenCL and the library return 0 for success. */
static void check(int status, const char *what)
{
    if (status == 0)
        return;
    fprintf(stderr, "%s: error %d\n", what, status);
    exit(1);
}

static void print_log(void *user, int level, const char *text)
{
    (void)user;
    if (level <= SCR_LOG_WARNING)
        fprintf(stderr, "%s\n", text);
}

static cl_mem upload(cl_context context, void *host, size_t bytes)
{
    cl_int error;
    cl_mem mem =
        clCreateBuffer(context, CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR, bytes, host, &error);

    check(error, "clCreateBuffer");
    return mem;
}

int main(void)
{
    static float q[T * D], k[T * D], v[T * D], o[T * D];
    float r = SHARPNESS, w = INFINITY;
    const scr_context_options options = {.log = print_log, .backends = "opencl"};
    const scr_problem problem = {.batch = 1,
                                 .heads_q = 1,
                                 .heads_kv = 1,
                                 .len_q = T,
                                 .len_k = T,
                                 .dk = D,
                                 .dv = D,
                                 .q_pos0 = SCR_Q_POS0_DEFAULT,
                                 .causal = true};
    scr_native native = {0};
    scr_pointers args = {0};
    scr_context *ctx;
    scr_device *dev;
    scr_plan *plan;
    cl_platform_id platform;
    cl_device_id device;
    cl_int error = clGetPlatformIDs(1, &platform, NULL);
    double worst;

    if (error != CL_SUCCESS ||
        clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 1, &device, NULL) != CL_SUCCESS) {
        printf("no OpenCL device\n");
        return 77;
    }
    fill_rows(q, 1);
    fill_rows(k, 2);
    fill_rows(v, 3);
    native.device = device;
    native.context = clCreateContext(NULL, 1, &device, NULL, NULL, &error);
    check(error, "clCreateContext");
    native.queue = clCreateCommandQueue(native.context, device, 0, &error);
    check(error, "clCreateCommandQueue");

    check(scr_context_create(&options, &ctx), "scr_context_create");
    check(scr_device_attach(ctx, "opencl", &native, &dev), "scr_device_attach");
    check(scr_plan_create_tuned(dev, &problem, NULL, 0, &plan), "scr_plan_create_tuned");
    args.q = upload(native.context, q, sizeof q);
    args.k = upload(native.context, k, sizeof k);
    args.v = upload(native.context, v, sizeof v);
    args.r = upload(native.context, &r, sizeof r);
    args.w = upload(native.context, &w, sizeof w);
    args.o = upload(native.context, o, sizeof o);
    /* In the queue, behind what stands there; another queue of the context may be given, too. */
    check(scr_plan_enqueue(plan, &args, NULL), "scr_plan_enqueue");
    check(clEnqueueReadBuffer(native.queue, args.o, CL_TRUE, 0, sizeof o, o, 0, NULL, NULL),
          "clEnqueueReadBuffer");

    worst = worst_error(q, k, v, o);
    printf("%s, %s: relative error %.1e\n", scr_device_get_info(dev)->name,
           scr_plan_config(plan)->kernel, worst);

    scr_plan_destroy(&plan); /* what the library has goes first, then what it was attached to */
    scr_device_close(&dev);
    scr_context_destroy(&ctx);
    for (const void *const *m = (const void *[]){args.q, args.k, args.v, args.r, args.w, args.o, 0};
         *m != NULL; m++)
        clReleaseMemObject((cl_mem)*m);
    clReleaseCommandQueue(native.queue);
    clReleaseContext(native.context);
    return worst < 1e-5 ? 0 : 1;
}
