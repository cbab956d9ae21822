/* SPDX-License-Identifier: Apache-2.0 */
#include "eval.h"

#include "case.h"
#include "runner.h"
#include "safetensors.h"
#include "sweep.h"
#include "truth.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double TIME_LIMIT_S = 0.3;

struct eval {
    const struct scr_options *o;
    struct scr_devices *devices;
    const struct scr_machine *machine;
    struct scr_case_list list;
    struct scr_dataset *data;
    struct scr_truth *truth;
    float *output; /* of the first case that ran, or NULL */
    size_t output_bytes;
    int n_wrong, n_failed;
    char why[400];
};

/* Axes that say what is in the file, or of which eval needs one value. */
static int check_axes(struct eval *e)
{
    static const char *const in_file[] = {"seq",      "kv", "batch", "heads",    "kv_heads",
                                          "head_dim", "dk", "dv",    "workload", "window",
                                          "kv_len",   "r",  "out"};
    static const char *const single[] = {"dtype", "causal", "norm", "q_pos0"};

    for (size_t i = 0; i < sizeof in_file / sizeof in_file[0]; i++) {
        if (scr_axes_has(&e->o->axes, in_file[i])) {
            snprintf(e->why, sizeof e->why, "-a %s: with --eval the file decides it", in_file[i]);
            return SCR_ERR_INVALID;
        }
    }
    for (size_t i = 0; i < sizeof single / sizeof single[0]; i++) {
        if (scr_axes_values(&e->o->axes, single[i]) > 1) {
            snprintf(e->why, sizeof e->why, "-a %s: expected one value with --eval", single[i]);
            return SCR_ERR_INVALID;
        }
    }
    return SCR_OK;
}

static int set(struct eval *e, struct scr_axes *a, const char *format, const char *value)
{
    char assignment[600];

    snprintf(assignment, sizeof assignment, format, value);
    return scr_axes_set(a, assignment, e->why, sizeof e->why);
}

/* The file's own type, and the shape that o gets. */
static int read_shape(struct eval *e, scr_dtype *dtype, struct scr_tensor *o)
{
    struct scr_safetensors *f;
    const struct scr_tensor *q, *v;
    int status = scr_safetensors_open(e->o->eval_in, &f, e->why, sizeof e->why);

    if (status != SCR_OK)
        return status;
    q = scr_safetensors_find(f, "q");
    v = scr_safetensors_find(f, "v");
    if (q == NULL || v == NULL || q->n_dims < 3 || v->n_dims < 3) {
        snprintf(e->why, sizeof e->why,
                 "%.200s: expected tensors q and v of shape [H,T,d] or [B,H,T,d]", e->o->eval_in);
        status = SCR_ERR_INVALID;
    } else {
        *dtype = q->dtype;
        *o = *q;
        snprintf(o->name, sizeof o->name, "o");
        o->dtype = SCR_F32;
        o->dims[o->n_dims - 1] = v->dims[v->n_dims - 1];
        o->data = NULL;
    }
    scr_safetensors_close(&f);
    return status;
}

static int prepare(struct eval *e, struct scr_tensor *o)
{
    struct scr_axes axes = {0};
    scr_dtype dtype;
    int status = check_axes(e);

    if (status == SCR_OK && (strchr(e->o->eval_in, ',') != NULL ||
                             strlen(e->o->eval_in) >= sizeof e->list.cases->spec.workload.path)) {
        snprintf(e->why, sizeof e->why, "--eval: the name of the file is too long or has a comma");
        status = SCR_ERR_INVALID;
    }
    if (status == SCR_OK)
        status = read_shape(e, &dtype, o);
    if (status == SCR_OK)
        status = set(e, &axes, "workload=trace:%s", e->o->eval_in);
    if (status == SCR_OK)
        status = set(e, &axes, "dtype=%s", scr_dtype_name(dtype));
    if (status == SCR_OK)
        status = set(e, &axes, "kernel=%s", "tile-skip,masked-dense,dense");
    if (status == SCR_OK)
        status = set(e, &axes, "skip=%s", "tile");
    if (status == SCR_OK)
        status = scr_axes_override(&axes, &e->o->axes);
    if (status == SCR_OK)
        status = scr_case_list_add(&e->list, &axes, e->devices->info, e->devices->n, e->o->seed,
                                   e->why, sizeof e->why);
    scr_axes_clear(&axes);
    if (status != SCR_OK)
        return status;
    if (e->list.n == 0) {
        snprintf(e->why, sizeof e->why, "no configuration is left%s%s",
                 e->list.dropped[0] != '\0' ? ": " : "", e->list.dropped);
        return SCR_ERR_INVALID;
    }
    status = scr_dataset_create(&e->list.cases[0].spec, e->machine->threads, &e->data, e->why,
                                sizeof e->why);
    if (status != SCR_OK)
        return status;
    status = scr_truth_create(e->data, e->machine->threads, UINT64_MAX, &e->truth);
    if (status != SCR_OK)
        snprintf(e->why, sizeof e->why, "%s", scr_status_text(status));
    return status;
}

static void print_percent(const char *name, double fraction)
{
    if (isfinite(fraction))
        printf(", %s %.3g %%", name, 100 * fraction);
}

static void print_line(const struct scr_case *c, const struct scr_row *row)
{
    printf("%s %s", row->device, row->kernel);
    if (strcmp(row->kernel, "tile-skip") == 0)
        printf(" skip=%s", row->skip);
    if (c->tile_q > 0)
        printf(" %dx%d", c->tile_q, c->tile_k);
    printf(" %s: ", row->dtype);
    if (strcmp(row->status, "skipped") == 0) {
        printf("%s; skipped\n", row->reason);
        return;
    }
    printf("%s", row->status);
    if (row->reason[0] != '\0')
        printf(" (%s)", row->reason);
    if (isfinite(row->rel_err))
        printf(", error %.2e, tolerance %.0e", row->rel_err, row->tol);
    if (row->rows_checked < row->rows)
        printf(" on %.0f of %.0f rows", row->rows_checked, row->rows);
    if (isfinite(row->t_median_ns))
        printf(", %.3f ms", 1e-6 * row->t_median_ns);
    print_percent("live pairs", row->pair_density);
    print_percent("live tiles", row->tile_density);
    print_percent("value tiles run", row->pv_executed);
    putchar('\n');
}

static void run_case(struct eval *e, const struct scr_case *c, struct scr_bench *bench)
{
    struct scr_run_options options = {.time_limit_s = TIME_LIMIT_S,
                                      .host_memory = e->machine->memory};
    struct scr_run_outcome outcome = {0};
    struct scr_row row;

    scr_row_init(&row, c);
    scr_log_clear(&e->devices->log);
    bench->dev = scr_devices_open(e->devices, (size_t)c->device_order);
    if (bench->dev == NULL)
        scr_row_status(&row, "failed", "the device does not open");
    else
        scr_case_run(c, bench, e->truth, &options, &e->devices->log, &row, &outcome);
    print_line(c, &row);
    fflush(stdout);
    if (strcmp(row.status, "wrong") == 0)
        e->n_wrong++;
    else if (strcmp(row.status, "ok") != 0 && strcmp(row.status, "skipped") != 0 &&
             strcmp(row.status, "unsupported") != 0)
        e->n_failed++;
    if (e->output == NULL && bench->ready && isfinite(row.rel_err)) {
        e->output_bytes = bench->o_bytes;
        e->output = malloc(bench->o_bytes);
        if (e->output != NULL)
            memcpy(e->output, scr_bench_output(bench), bench->o_bytes);
    }
}

static int write_output(struct eval *e, struct scr_tensor *o)
{
    if (e->output == NULL) {
        snprintf(e->why, sizeof e->why, "nothing ran, so %.200s is not written", e->o->eval_out);
        return SCR_ERR_DEVICE;
    }
    o->data = e->output;
    o->bytes = e->output_bytes;
    return scr_safetensors_write(e->o->eval_out, o, 1, e->why, sizeof e->why);
}

int scr_eval_run(const struct scr_options *o, struct scr_devices *devices,
                 const struct scr_machine *machine)
{
    struct eval e = {.o = o, .devices = devices, .machine = machine};
    struct scr_bench bench = {0};
    struct scr_tensor out;
    int result = SCR_EXIT_FINE;
    int status = prepare(&e, &out);

    if (status != SCR_OK) {
        fprintf(stderr, "harness: %s\n", e.why);
        result = status == SCR_ERR_INVALID ? SCR_EXIT_USAGE : SCR_EXIT_SOME_FAILED;
        goto done;
    }
    bench.data = e.data;
    for (size_t d = 0; d < devices->n; d++) {
        for (size_t i = 0; i < e.list.n; i++) {
            if (e.list.cases[i].device_order == (int)d)
                run_case(&e, &e.list.cases[i], &bench);
        }
        scr_bench_clear(&bench);
    }
    status = write_output(&e, &out);
    if (status != SCR_OK)
        fprintf(stderr, "harness: %s\n", e.why);
    if (status == SCR_ERR_INVALID)
        result = SCR_EXIT_USAGE;
    else if (e.n_wrong > 0)
        result = SCR_EXIT_WRONG;
    else if (e.n_failed > 0 || status != SCR_OK)
        result = SCR_EXIT_SOME_FAILED;
done:
    free(e.output);
    scr_truth_destroy(&e.truth);
    scr_dataset_destroy(&e.data);
    scr_case_list_clear(&e.list);
    return result;
}
