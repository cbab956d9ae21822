/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Screening attention in a program that has its own CUDA memory and stream. The library works in
 * the primary context of the GPU, as the CUDA runtime and PyTorch do: pointers of theirs are good
 * as they are, and a cudaStream_t is a CUstream. (A context of one's own: scr_device_attach.)
 * The driver's functions are loaded here so that this builds without the CUDA toolkit. Build:
 *
 *     cc cuda_stream.c $(pkg-config --cflags --libs screening) -ldl -lm -o cuda_stream
 */
#include <screening/screening.h>

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#include "data.h"

#define DRIVER(X)                                                                                  \
    X(cuInit, (unsigned))                                                                          \
    X(cuDeviceGet, (int *, int))                                                                   \
    X(cuDevicePrimaryCtxRetain, (void **, int))                                                    \
    X(cuCtxSetCurrent, (void *))                                                                   \
    X(cuStreamCreate, (void **, unsigned))                                                         \
    X(cuStreamSynchronize, (void *))                                                               \
    X(cuMemAlloc_v2, (unsigned long long *, size_t))                                               \
    X(cuMemcpyHtoDAsync_v2, (unsigned long long, const void *, size_t, void *))                    \
    X(cuMemcpyDtoHAsync_v2, (void *, unsigned long long, size_t, void *))

#define DECLARE(name, parameters) static int(*name) parameters;
DRIVER(DECLARE)

/* Both CUDA and the library return 0 for success. */
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

static void *upload(const void *host, size_t bytes, void *stream)
{
    unsigned long long pointer;

    check(cuMemAlloc_v2(&pointer, bytes), "cuMemAlloc");
    check(cuMemcpyHtoDAsync_v2(pointer, host, bytes, stream), "cuMemcpyHtoDAsync");
    return (void *)(uintptr_t)pointer;
}

int main(void)
{
    static float q[T * D], k[T * D], v[T * D], o[T * D];
    const float r = SHARPNESS, w = INFINITY;
    const scr_context_options options = {.log = print_log, .backends = "cuda"};
    const scr_problem problem = {.batch = 1,
                                 .heads_q = 1,
                                 .heads_kv = 1,
                                 .len_q = T,
                                 .len_k = T,
                                 .dk = D,
                                 .dv = D,
                                 .q_pos0 = SCR_Q_POS0_DEFAULT,
                                 .causal = true};
    void *driver = dlopen("libcuda.so.1", RTLD_NOW), *primary, *stream;
    scr_pointers args = {0};
    scr_context *ctx;
    scr_device *dev;
    scr_plan *plan;
    int gpu;
    double error;

#define LOAD(name, parameters) *(void **)&name = driver != NULL ? dlsym(driver, #name) : NULL;
    DRIVER(LOAD)
    if (cuInit == NULL || cuInit(0) != 0 || cuDeviceGet(&gpu, 0) != 0) {
        printf("no NVIDIA GPU\n");
        return 77;
    }
    check(cuDevicePrimaryCtxRetain(&primary, gpu), "cuDevicePrimaryCtxRetain");
    check(cuCtxSetCurrent(primary), "cuCtxSetCurrent");
    check(cuStreamCreate(&stream, 0), "cuStreamCreate");
    fill_rows(q, 1);
    fill_rows(k, 2);
    fill_rows(v, 3);

    check(scr_context_create(&options, &ctx), "scr_context_create");
    check(scr_device_open(ctx, "cuda:0", &dev), "scr_device_open");
    check(scr_plan_create_tuned(dev, &problem, NULL, 0, &plan), "scr_plan_create_tuned");
    args = (scr_pointers){.q = upload(q, sizeof q, stream),
                          .k = upload(k, sizeof k, stream),
                          .v = upload(v, sizeof v, stream),
                          .r = upload(&r, sizeof r, stream),
                          .w = upload(&w, sizeof w, stream),
                          .o = upload(o, sizeof o, stream)};
    check(scr_plan_enqueue(plan, &args, stream), "scr_plan_enqueue"); /* behind the copies */
    check(cuMemcpyDtoHAsync_v2(o, (uintptr_t)args.o, sizeof o, stream), "cuMemcpyDtoHAsync");
    check(cuStreamSynchronize(stream), "cuStreamSynchronize");
    error = worst_error(q, k, v, o);
    printf("%s, %s: relative error %.1e\n", scr_device_get_info(dev)->name,
           scr_plan_config(plan)->kernel, error);
    scr_plan_destroy(&plan); /* the rest ends with the process */
    scr_device_close(&dev);
    scr_context_destroy(&ctx);
    return error < 1e-5 ? 0 : 1;
}
