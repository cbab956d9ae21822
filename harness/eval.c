/* SPDX-License-Identifier: Apache-2.0 */
#include "eval.h"

#include "case.h"
#include "runner.h"
#include "safetensors.h"
#include "sweep.h"
#include "truth.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const double TIME_LIMIT_S = 0.3;

struct eval {
    const struct scr_options *o;
    struct scr_devices *devices;
    const struct scr_machine *machine;
    struct scr_case_list list;
    struct scr_dataset *data;
    struct scr_truth *truth;
    float *output; /* of the first case that was right, else of the first that ran, or NULL */
    size_t output_bytes;
    bool output_right;
    char output_of[200]; /* which case that was */
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
        const char *bad = q == NULL || q->n_dims < 3 ? "q" : "v";
        const char *type = scr_safetensors_left_out(f, bad);
        char text[120];

        if (type != NULL)
            snprintf(text, sizeof text, "tensor '%s' is of type %s; expected F32, F16 or BF16", bad,
                     type);
        else
            snprintf(text, sizeof text, "expected a tensor '%s' of shape [H,T,d] or [B,H,T,d]",
                     bad);
        scr_path_message(e->o->eval_in, text, e->why, sizeof e->why);
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

/* OUT can be written and is not IN, found out before anything runs. */
static int check_output(struct eval *e)
{
    const char *path = e->o->eval_out;
    const char *slash = strrchr(path, '/');
    char *folder = slash == NULL   ? strdup(".")
                   : slash == path ? strdup("/")
                                   : strndup(path, (size_t)(slash - path));
    struct stat in, out;
    const char *text = NULL;

    if (folder == NULL) {
        snprintf(e->why, sizeof e->why, "out of memory");
        return SCR_ERR_NO_MEMORY;
    }
    if (stat(path, &out) == 0) {
        if (S_ISDIR(out.st_mode))
            text = "is a folder; expected a file to write";
        else if (stat(e->o->eval_in, &in) == 0 && in.st_dev == out.st_dev &&
                 in.st_ino == out.st_ino)
            text = "is the input; expected another file to write";
    }
    if (text == NULL && access(folder, W_OK | X_OK) != 0)
        text = strerror(errno);
    if (text == NULL && (stat(folder, &out) != 0 || !S_ISDIR(out.st_mode)))
        text = "its folder is none";
    free(folder);
    if (text == NULL)
        return SCR_OK;
    scr_path_message(path, text, e->why, sizeof e->why);
    return SCR_ERR_INVALID;
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
    if (status == SCR_OK && !e->o->dry_run)
        status = check_output(e);
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
    e->list.tables = e->devices->ctx;
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
    if (e->o->dry_run)
        return SCR_OK;
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

/* "ref:0 tile-skip skip=tile 64x64 f32" */
static void describe(const struct scr_case *c, char *out, size_t size)
{
    char skip[16] = "", tile[32] = "";

    if (strcmp(c->config.kernel, "tile-skip") == 0)
        snprintf(skip, sizeof skip, " skip=%s", scr_skip_name(c->config.skip));
    if (c->tile_q > 0)
        snprintf(tile, sizeof tile, " %dx%d", c->tile_q, c->tile_k);
    snprintf(out, size, "%s %s%s%s %s", c->device->id, c->config.kernel, skip, tile,
             scr_dtype_name(c->spec.problem.dtype));
}

static void print_line(const struct scr_case *c, const struct scr_row *row)
{
    char name[200];

    describe(c, name, sizeof name);
    printf("%s: ", name);
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
    struct scr_runner runner = {.bench = bench,
                                .truth = e->truth,
                                .log = &e->devices->log,
                                .host_memory = e->machine->memory};
    struct scr_sampler sampler = {.bench = bench,
                                  .copies = 1,
                                  .no_events = strcmp(c->device->backend, "ref") == 0,
                                  .floor_wall_ns = NAN};
    struct scr_contest contest = {0};
    struct scr_checked checked = {0};
    struct scr_row row;
    bool right;

    scr_row_init(&row, c);
    scr_log_clear(&e->devices->log);
    bench->dev = scr_devices_open(e->devices, (size_t)c->device_order);
    if (bench->dev == NULL)
        scr_row_status(&row, "failed", "the device does not open");
    else
        scr_runner_check(&runner, c, 1, &row, &checked);
    if (checked.plan != NULL)
        scr_runner_time(&runner, &sampler, &checked.plan, 1, TIME_LIMIT_S, checked.hash, &contest,
                        &row);
    scr_contest_clear(&contest);
    scr_plan_destroy(&checked.plan);
    print_line(c, &row);
    fflush(stdout);
    right = strcmp(row.status, "ok") == 0;
    if (strcmp(row.status, "wrong") == 0)
        e->n_wrong++;
    else if (strcmp(row.status, "ok") != 0 && strcmp(row.status, "skipped") != 0 &&
             strcmp(row.status, "unsupported") != 0)
        e->n_failed++;
    if (bench->host != NULL && isfinite(row.rel_err) && !e->output_right &&
        (right || e->output == NULL)) {
        describe(c, e->output_of, sizeof e->output_of);
        free(e->output);
        e->output_right = right;
        e->output_bytes = bench->o_bytes;
        e->output = malloc(bench->o_bytes);
        if (e->output != NULL)
            memcpy(e->output, scr_bench_output(bench), bench->o_bytes);
    }
}

static int write_output(struct eval *e, struct scr_tensor *o)
{
    int status;

    if (e->output == NULL) {
        scr_path_message(e->o->eval_out, "not written: nothing ran", e->why, sizeof e->why);
        return SCR_ERR_DEVICE;
    }
    if (!e->output_right)
        fprintf(stderr, "harness: %s holds a wrong output: no kernel was right\n", e->o->eval_out);
    o->data = e->output;
    o->bytes = e->output_bytes;
    status = scr_safetensors_write(e->o->eval_out, o, 1, e->why, sizeof e->why);
    if (status == SCR_OK)
        printf("Wrote o of %s to %s\n", e->output_of, e->o->eval_out);
    return status;
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
    if (o->dry_run) {
        scr_case_list_print(&e.list, stdout);
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
