/* SPDX-License-Identifier: Apache-2.0 */
#include "sweep.h"

#include "plot.h"
#include "presets.h"
#include "progress.h"
#include "report.h"
#include "runner.h"
#include "table.h"
#include "timer.h"
#include "truth.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Pairs whose output is computed in float64; dk = dv = 64: about a second a core. */
static const uint64_t MAX_PAIRS = 4u << 20;

/* What the rows of one group on one device have shown so far; baselines come first. */
struct unskipped {
    const struct scr_case *c;
    uint64_t hash;
    double t;
};

struct baselines {
    double masked, dense; /* fastest so far, NaN none */
    struct unskipped *none;
    size_t n_none;
};

struct tally {
    size_t ok, wrong, skipped, failed, zero;
};

struct sweep {
    const struct scr_options *o;
    struct scr_devices *devices;
    const struct scr_machine *machine;
    const volatile sig_atomic_t *stop;
    bool timed;
    double time_limit_s;
    double start_s;
    struct scr_case_list list;
    struct scr_report report;
    bool has_report;
    struct scr_progress progress;
    struct scr_row *rows; /* room for all */
    size_t n_rows;
    struct tally tally[SCR_MAX_DEVICES];
    char why[700];
    bool write_failed;
};

static int add_product(struct sweep *s, const char *line, enum scr_preset_on on)
{
    const scr_device_info *devices[SCR_MAX_DEVICES];
    struct scr_axes axes = {0};
    int status = scr_axes_set_line(&axes, line, s->why, sizeof s->why);

    for (size_t i = 0; i < s->devices->n; i++) {
        const scr_device_info *info = s->devices->info[i];

        devices[i] = on == SCR_ON_ANY || info->is_cpu == (on == SCR_ON_CPU) ? info : NULL;
    }
    if (status == SCR_OK)
        status = scr_axes_override(&axes, &s->o->axes);
    if (status == SCR_OK)
        status = scr_case_list_add(&s->list, &axes, devices, s->devices->n, s->o->seed, s->why,
                                   sizeof s->why);
    scr_axes_clear(&axes);
    return status;
}

static int add_file(struct sweep *s, const char *path)
{
    FILE *f = fopen(path, "re");
    char *line = NULL;
    size_t room = 0;
    int number = 0;
    int status = SCR_OK;

    if (f == NULL) {
        snprintf(s->why, sizeof s->why, "--cases %s: %s", path, strerror(errno));
        return SCR_ERR_INVALID;
    }
    while (status == SCR_OK && getline(&line, &room, f) >= 0) {
        number++;
        if (line[strspn(line, " \t\r\n")] == '\0' || line[strspn(line, " \t")] == '#')
            continue;
        status = add_product(s, line, SCR_ON_ANY);
        if (status != SCR_OK) {
            char inner[sizeof s->why];

            snprintf(inner, sizeof inner, "%s", s->why);
            snprintf(s->why, sizeof s->why, "%.120s:%d: %.240s", path, number, inner);
        }
    }
    free(line);
    fclose(f);
    return status;
}

static int enumerate(struct sweep *s)
{
    const struct scr_preset *preset;
    int status = SCR_OK;

    preset = scr_preset_find(s->o->preset != NULL ? s->o->preset : s->timed ? "quick" : "check");
    s->time_limit_s = s->timed ? preset->time_limit_s : 0;
    for (int i = 0; i < s->o->n_cases && status == SCR_OK; i++)
        status = add_file(s, s->o->cases[i]);
    if (s->o->n_cases == 0) {
        for (const struct scr_preset_line *l = preset->lines; l->axes && status == SCR_OK; l++)
            status = add_product(s, l->axes, l->on);
    }
    if (status != SCR_OK)
        return status;
    scr_case_list_sort(&s->list);
    if (s->list.n == 0) {
        snprintf(s->why, sizeof s->why, "no configuration is left%s%s",
                 s->list.dropped[0] != '\0' ? ": " : "; the axes describe none", s->list.dropped);
        return SCR_ERR_INVALID;
    }
    return SCR_OK;
}

static void list_cases(const struct scr_case_list *l)
{
    char name[SCR_CASE_TEXT];

    for (size_t i = 0; i < l->n; i++) {
        scr_case_name(&l->cases[i], name, sizeof name);
        printf("%s%s%s\n", name, l->cases[i].refused != SCR_OK ? "  unsupported: " : "",
               l->cases[i].why);
    }
    printf("%zu configurations on %zu data sets\n", l->n, l->n_groups);
}

static bool same_params(const struct scr_case *a, const struct scr_case *b)
{
    if (strcmp(a->config.variant, b->config.variant) != 0 ||
        a->config.n_params != b->config.n_params)
        return false;
    for (int i = 0; i < a->config.n_params; i++) {
        if (scr_config_get(&b->config, a->config.params[i].name, INT32_MIN) !=
            a->config.params[i].value)
            return false;
    }
    return true;
}

/*
 * The output of the same kernel with nothing skipped, which must be the same bits. It is run where
 * the sweep has no such row. False: there is nothing to compare with.
 */
static bool unskipped_hash(const struct sweep *s, const struct scr_case *c, struct scr_bench *bench,
                           const struct scr_truth *truth, const struct baselines *base,
                           uint64_t *hash)
{
    struct scr_run_options options = {.host_memory = s->machine->memory};
    struct scr_case plain = *c;
    struct scr_run_outcome outcome;
    struct scr_row row;

    for (size_t i = 0; i < base->n_none; i++) {
        if (same_params(base->none[i].c, c)) {
            *hash = base->none[i].hash;
            return true;
        }
    }
    if (s->timed)
        return false;
    plain.config.skip = SCR_SKIP_NONE;
    plain.refused = scr_config_resolve(c->device, &c->spec.problem, &plain.config, NULL, 0);
    if (plain.refused != SCR_OK)
        return false;
    scr_row_init(&row, &plain);
    scr_case_run(&plain, bench, truth, &options, &s->devices->log, &row, &outcome);
    *hash = outcome.output_hash;
    return outcome.has_output;
}

static double faster(double a, double b)
{
    return isnan(a) || b < a ? b : a;
}

static void relate(const struct scr_case *c, const struct scr_run_outcome *outcome,
                   struct baselines *base, struct scr_row *row)
{
    double t = row->t_median_ns;
    double none = NAN;

    if (strcmp(row->kernel, "masked-dense") == 0) {
        base->masked = faster(base->masked, t);
        return;
    }
    row->speedup_vs_masked = base->masked / t;
    if (strcmp(row->kernel, "dense") == 0) {
        base->dense = faster(base->dense, t);
        return;
    }
    row->speedup_vs_dense = base->dense / t;
    if (c->config.skip == SCR_SKIP_NONE) {
        struct unskipped *grown = realloc(base->none, (base->n_none + 1) * sizeof *grown);

        if (grown != NULL) {
            base->none = grown;
            base->none[base->n_none++] = (struct unskipped){c, outcome->output_hash, t};
        }
        return;
    }
    for (size_t i = 0; i < base->n_none; i++) {
        const struct scr_case *other = base->none[i].c;

        if (other->tile_q == c->tile_q && other->tile_k == c->tile_k &&
            strcmp(other->config.variant, c->config.variant) == 0)
            none = faster(none, base->none[i].t);
    }
    row->vs_no_skip = none / t;
}

static double row_time_limit(const struct sweep *s, size_t left)
{
    double share;

    if (!s->timed || s->o->budget_s == 0)
        return s->time_limit_s;
    /* Half of what is left goes to compiling and checking. */
    share = 0.5 * (s->o->budget_s - (scr_clock_s() - s->start_s)) / (double)left;
    return share < s->time_limit_s ? fmax(share, 0.01) : s->time_limit_s;
}

static bool over_budget(const struct sweep *s)
{
    return s->o->budget_s > 0 && scr_clock_s() - s->start_s >= s->o->budget_s;
}

static void keep_row(struct sweep *s, const struct scr_case *c, struct scr_row *row)
{
    struct tally *t = &s->tally[c->device_order];

    if (strcmp(row->status, "ok") == 0)
        t->ok++;
    else if (strcmp(row->status, "wrong") == 0)
        t->wrong++;
    else if (strcmp(row->status, "skipped") == 0 || strcmp(row->status, "unsupported") == 0)
        t->skipped++;
    else
        t->failed++;
    if (!s->timed)
        scr_case_repro(c, "--check", row->repro, sizeof row->repro);
    if (!s->timed && (strcmp(row->status, "wrong") == 0 || strcmp(row->status, "failed") == 0 ||
                      strcmp(row->status, "compile") == 0 || strcmp(row->status, "oom") == 0)) {
        scr_progress_hide(&s->progress);
        printf("%s: %s\n  %s\n", row->status, row->reason, row->repro);
        fflush(stdout);
    }
    s->rows[s->n_rows++] = *row;
    if (s->has_report && !scr_row_write_jsonl(row, s->report.rows))
        s->write_failed = true;
}

static void run_one(struct sweep *s, const struct scr_case *c, struct scr_bench *bench,
                    const struct scr_truth *truth, struct baselines *base)
{
    struct scr_run_options options = {
        .time_limit_s = row_time_limit(s, s->list.n - s->n_rows),
        .host_memory = s->machine->memory,
    };
    struct scr_run_outcome outcome = {0};
    char name[SCR_CASE_TEXT];
    struct scr_row row;
    uint64_t hash;

    scr_case_name(c, name, sizeof name);
    scr_progress_show(&s->progress, s->n_rows, name);
    scr_row_init(&row, c);
    if (over_budget(s)) {
        scr_row_status(&row, "skipped", "the time budget of %.0f s is spent", s->o->budget_s);
        keep_row(s, c, &row);
        return;
    }
    scr_log_clear(&s->devices->log);
    bench->dev = scr_devices_open(s->devices, (size_t)c->device_order);
    if (bench->dev == NULL) {
        char line[200];

        scr_log_first(&s->devices->log, line, sizeof line);
        scr_row_status(&row, "failed", "%s", line[0] != '\0' ? line : "the device does not open");
        keep_row(s, c, &row);
        return;
    }
    scr_case_run(c, bench, truth, &options, &s->devices->log, &row, &outcome);
    if (strcmp(row.status, "ok") == 0 && c->config.skip != SCR_SKIP_NONE &&
        unskipped_hash(s, c, bench, truth, base, &hash) && hash != outcome.output_hash)
        scr_row_status(&row, "wrong", "differs from skip = none");
    if (strcmp(row.status, "ok") == 0)
        relate(c, &outcome, base, &row);
    s->tally[c->device_order].zero += outcome.has_output && outcome.all_zero;
    keep_row(s, c, &row);
}

/*
 * Runs the cases [first, end), which share their data. SCR_OK also when rows failed;
 * SCR_ERR_INVALID when a trace cannot be used.
 */
static int run_group(struct sweep *s, size_t first, size_t end)
{
    const struct scr_case *cases = s->list.cases;
    struct scr_dataset *data = NULL;
    struct scr_truth *truth = NULL;
    struct scr_bench bench = {0};
    struct baselines base = {.masked = NAN, .dense = NAN};
    char why[300] = "";
    int status = SCR_OK;

    if (!over_budget(s)) {
        status =
            scr_dataset_create(&cases[first].spec, s->machine->threads, &data, why, sizeof why);
        if (status == SCR_OK)
            status = scr_truth_create(data, s->machine->threads, MAX_PAIRS, &truth);
        if (status == SCR_ERR_INVALID && cases[first].spec.workload.kind == SCR_WORKLOAD_TRACE) {
            snprintf(s->why, sizeof s->why, "%s", why);
            goto done;
        }
    }
    bench.data = data;
    for (size_t i = first; i < end && !*s->stop; i++) {
        if (i > first && cases[i].device_order != cases[i - 1].device_order) {
            scr_bench_clear(&bench);
            free(base.none);
            base = (struct baselines){.masked = NAN, .dense = NAN};
        }
        if (status != SCR_OK) {
            struct scr_row row;

            scr_row_init(&row, &cases[i]);
            scr_row_status(&row, status == SCR_ERR_NO_MEMORY ? "oom" : "unsupported", "%s",
                           why[0] != '\0' ? why : scr_status_text(status));
            keep_row(s, &cases[i], &row);
            continue;
        }
        run_one(s, &cases[i], &bench, truth, &base);
    }
    status = SCR_OK;
done:
    scr_bench_clear(&bench);
    free(base.none);
    scr_truth_destroy(&truth);
    scr_dataset_destroy(&data);
    return status;
}

static int run_groups(struct sweep *s)
{
    size_t first = 0;

    while (first < s->list.n && !*s->stop && !s->write_failed) {
        size_t end = first + 1;
        int status;

        while (end < s->list.n && s->list.cases[end].group == s->list.cases[first].group)
            end++;
        status = run_group(s, first, end);
        if (status != SCR_OK)
            return status;
        first = end;
    }
    if (s->write_failed) {
        snprintf(s->why, sizeof s->why, "%s/rows.jsonl: cannot be written", s->report.dir);
        return SCR_ERR_DEVICE;
    }
    return SCR_OK;
}

static int write_header(struct sweep *s, int argc, char **argv)
{
    json_t *words = json_array();
    json_t *options;
    int status;

    for (int i = 0; i < argc; i++) {
        json_t *word = json_string(argv[i]);

        json_array_append_new(words, word != NULL ? word : json_null());
    }
    options = json_pack("{s:o, s:s, s:I, s:i, s:f}", "command", words, "preset",
                        s->o->n_cases > 0      ? "none"
                        : s->o->preset != NULL ? s->o->preset
                        : s->timed             ? "quick"
                                               : "check",
                        "seed", (json_int_t)s->o->seed, "configurations", (int)s->list.n,
                        "budget_s", s->o->budget_s);
    status = scr_report_header(&s->report, s->machine, s->devices, options, s->why, sizeof s->why);
    json_decref(options);
    return status;
}

static void print_rows(const struct sweep *s)
{
    char line[2400];

    if (s->o->formats & SCR_FORMAT_TABLE) {
        scr_table_print(s->rows, s->n_rows, SCR_TABLE_TEXT, stdout);
        scr_verdict_line(s->rows, s->n_rows, line, sizeof line);
        printf("\n%s\n", line);
    }
    if (s->o->formats & SCR_FORMAT_MD)
        scr_table_print(s->rows, s->n_rows, SCR_TABLE_MARKDOWN, stdout);
    if (s->o->formats & SCR_FORMAT_CSV) {
        scr_row_write_csv_header(stdout);
        for (size_t i = 0; i < s->n_rows; i++)
            scr_row_write_csv(&s->rows[i], stdout);
    }
    if (s->o->formats & SCR_FORMAT_JSON) {
        for (size_t i = 0; i < s->n_rows; i++)
            scr_row_write_jsonl(&s->rows[i], stdout);
    }
}

static void print_tally(const struct sweep *s)
{
    for (size_t i = 0; i < s->devices->n; i++) {
        const struct tally *t = &s->tally[i];
        size_t ran = t->ok + t->wrong;

        printf("%s: %zu ok, %zu wrong, %zu skipped, %zu failed, %zu all-zero references%s\n",
               s->devices->info[i]->id, t->ok, t->wrong, t->skipped, t->failed, t->zero,
               ran > 0 && 2 * t->zero > ran ? " (most references are zero: this proves little)"
                                            : "");
    }
}

static void draw(const struct sweep *s)
{
    char why[300];
    int status = scr_plot_dir(s->report.dir, NULL, why, sizeof why);

    if (status == SCR_ERR_NOT_FOUND)
        fprintf(stderr, "harness: no plots: %s\n", why);
    else if (status != SCR_OK)
        fprintf(stderr, "harness: plots: %s\n", why);
}

static int finish(struct sweep *s)
{
    struct tally sum = {0};
    int status = SCR_OK;

    for (size_t i = 0; i < s->devices->n; i++) {
        sum.wrong += s->tally[i].wrong;
        sum.failed += s->tally[i].failed;
    }
    if (s->has_report) {
        status = scr_report_derive(&s->report, s->machine, s->devices, s->rows, s->n_rows, s->why,
                                   sizeof s->why);
        scr_report_close(&s->report);
        if (status != SCR_OK)
            fprintf(stderr, "harness: %s\n", s->why);
        else if (s->timed && s->n_rows > 0)
            draw(s);
    }
    if (s->timed)
        print_rows(s);
    else
        print_tally(s);
    if (s->has_report)
        fprintf(s->o->formats == SCR_FORMAT_TABLE ? stdout : stderr, "Results: %s\n",
                s->report.dir);
    fflush(stdout);
    if (*s->stop)
        return SCR_EXIT_INTERRUPTED;
    if (sum.wrong > 0)
        return SCR_EXIT_WRONG;
    return sum.failed > 0 || status != SCR_OK ? SCR_EXIT_SOME_FAILED : SCR_EXIT_FINE;
}

int scr_sweep_run(const struct scr_options *o, struct scr_devices *devices,
                  const struct scr_machine *machine, int argc, char **argv,
                  const volatile sig_atomic_t *stop)
{
    struct sweep s = {
        .o = o,
        .devices = devices,
        .machine = machine,
        .stop = stop,
        .timed = o->mode == SCR_MODE_SWEEP,
        .start_s = scr_clock_s(),
    };
    int result = SCR_EXIT_USAGE;
    int status = enumerate(&s);

    if (status != SCR_OK)
        goto out;
    if (o->dry_run) {
        list_cases(&s.list);
        result = SCR_EXIT_FINE;
        goto out;
    }
    s.rows = calloc(s.list.n, sizeof *s.rows);
    if (s.rows == NULL) {
        snprintf(s.why, sizeof s.why, "out of memory");
        status = SCR_ERR_NO_MEMORY;
        goto out;
    }
    if (s.timed || o->out != NULL) {
        status = scr_report_open(&s.report, o->out, machine, s.why, sizeof s.why);
        if (status != SCR_OK)
            goto out;
        s.has_report = true;
        status = write_header(&s, argc, argv);
        if (status != SCR_OK)
            goto out;
    }
    scr_progress_start(&s.progress, stderr, s.list.n);
    status = run_groups(&s);
    scr_progress_hide(&s.progress);
    if (status == SCR_OK)
        result = finish(&s);
    else if (status == SCR_ERR_DEVICE)
        result = SCR_EXIT_SOME_FAILED;
out:
    if (status != SCR_OK)
        fprintf(stderr, "harness: %s\n", s.why);
    if (s.has_report)
        scr_report_close(&s.report);
    free(s.rows);
    scr_case_list_clear(&s.list);
    return result;
}
