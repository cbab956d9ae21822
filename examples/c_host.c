/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Screening attention on any device, with buffers of the library: the shortest way from arrays to a
 * result. Build and run:
 *
 *     cc c_host.c $(pkg-config --cflags --libs screening) -lm -o c_host
 *     ./c_host ref:0          or opencl:0.0, cuda:0; without an argument the first device
 */
#include <screening/screening.h>

#include <stdio.h>
#include <stdlib.h>

#include "data.h"

/* Every function of the library that can fail returns a status. */
static void check(int status, const char *what)
{
    if (status == SCR_OK)
        return;
    fprintf(stderr, "%s: %s\n", what, scr_status_text(status));
    exit(1);
}

/* What the status leaves out, such as a compiler's messages. */
static void print_log(void *user, int level, const char *text)
{
    (void)user;
    if (level <= SCR_LOG_WARNING)
        fprintf(stderr, "%s\n", text);
}

static scr_buffer *upload(scr_device *dev, const void *host, size_t bytes)
{
    scr_buffer *buf;

    check(scr_buffer_create(dev, bytes, &buf), "scr_buffer_create");
    check(scr_buffer_write(buf, 0, host, bytes), "scr_buffer_write");
    return buf;
}

int main(int argc, char **argv)
{
    static float q[T * D], k[T * D], v[T * D], o[T * D];
    const float r = SHARPNESS, w = INFINITY; /* one of each a head; no window */
    const scr_context_options options = {.log = print_log};
    const scr_problem problem = {.batch = 1,
                                 .heads_q = 1,
                                 .heads_kv = 1,
                                 .len_q = T,
                                 .len_k = T,
                                 .dk = D,
                                 .dv = D,
                                 .q_pos0 = SCR_Q_POS0_DEFAULT,
                                 .causal = true};
    const scr_hint hint = {.window = INFINITY}; /* what is known of the data; may be left out */
    scr_context *ctx;
    scr_device *dev;
    scr_plan *plan;
    scr_args args = {0};
    double error;

    fill_rows(q, 1);
    fill_rows(k, 2);
    fill_rows(v, 3);
    check(scr_context_create(&options, &ctx), "scr_context_create");
    check(scr_device_open(ctx, argc > 1 ? argv[1] : scr_context_device_info(ctx, 0)->id, &dev),
          "scr_device_open");
    /* Once a shape: looks up the fastest kernel known, compiles it or loads it from the cache. */
    check(scr_plan_create_tuned(dev, &problem, &hint, 0, &plan), "scr_plan_create_tuned");
    args.q = upload(dev, q, sizeof q);
    args.k = upload(dev, k, sizeof k);
    args.v = upload(dev, v, sizeof v);
    args.r = upload(dev, &r, sizeof r);
    args.w = upload(dev, &w, sizeof w);
    check(scr_buffer_create(dev, sizeof o, &args.o), "scr_buffer_create");
    /* As often as there is data. */
    check(scr_plan_run(plan, &args, NULL), "scr_plan_run");
    check(scr_buffer_read(args.o, 0, o, sizeof o), "scr_buffer_read"); /* waits for the run */

    error = worst_error(q, k, v, o);
    printf("%s, %s: relative error %.1e\n", scr_device_get_info(dev)->id,
           scr_plan_config(plan)->kernel, error);

    scr_plan_destroy(&plan);
    scr_buffer_destroy(&args.q);
    scr_buffer_destroy(&args.k);
    scr_buffer_destroy(&args.v);
    scr_buffer_destroy(&args.r);
    scr_buffer_destroy(&args.w);
    scr_buffer_destroy(&args.o);
    scr_device_close(&dev);
    scr_context_destroy(&ctx);
    return error < 1e-5 ? 0 : 1;
}
