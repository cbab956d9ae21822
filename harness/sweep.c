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
#include "verdict.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Pairs whose output is computed in float64; dk = dv = 64: about a second a core. */
static const uint64_t MAX_PAIRS = 4u << 20;

/* Share of the machine's memory that a data set and its reference may take. */
static const double MAX_MEMORY_SHARE = 0.6;

/*
 * What the rows of one group on one device have shown so far; baselines come first. `c` has the
 * parameters of a run with skip = none, which t is the time of: NaN where it was not timed.
 */
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
    size_t ok, wrong, skipped, failed, little;
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
    size_t n_over_budget; /* rows not started */
};

static int add_product(struct sweep *s, const char *line, enum scr_preset_on on, bool preset)
{
    const scr_device_info *devices[SCR_MAX_DEVICES];
    struct scr_axes axes = {0};
    int status = scr_axes_set_line(&axes, line, s->why, sizeof s->why);

    for (size_t i = 0; i < s->devices->n; i++) {
        const scr_device_info *info = s->devices->info[i];

        devices[i] = on == SCR_ON_ANY || info->is_cpu == (on == SCR_ON_CPU) ? info : NULL;
    }
    if (preset)
        scr_axes_mark_preset(&axes);
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
        status = add_product(s, line, SCR_ON_ANY, false);
        if (status != SCR_OK) {
            char inner[sizeof s->why];

            snprintf(inner, sizeof inner, "%s", s->why);
            snprintf(s->why, sizeof s->why, "%.400s:%d: %.280s", path, number, inner);
        }
    }
    if (status == SCR_OK && ferror(f)) {
        snprintf(s->why, sizeof s->why, "--cases %s: %s", path, strerror(errno));
        status = SCR_ERR_INVALID;
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
            status = add_product(s, l->axes, l->on, true);
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

/* Whether anything can run; a list of refusals alone is a mistake of the user's. */
static int check_supported(struct sweep *s)
{
    const struct scr_case_list *l = &s->list;

    for (size_t i = 0; i < l->n; i++) {
        if (l->cases[i].refused == SCR_OK)
            return SCR_OK;
    }
    if (l->n == 1)
        snprintf(s->why, sizeof s->why, "the configuration is unsupported: %s", l->cases[0].why);
    else
        snprintf(s->why, sizeof s->why, "all %zu configurations are unsupported, the first: %s",
                 l->n, l->cases[0].why);
    return SCR_ERR_INVALID;
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

static void remember(struct baselines *base, const struct scr_case *c, uint64_t hash, double t)
{
    struct unskipped *grown = realloc(base->none, (base->n_none + 1) * sizeof *grown);

    if (grown != NULL) {
        base->none = grown;
        base->none[base->n_none++] = (struct unskipped){c, hash, t};
    }
}

/*
 * Holds a row that is ok to the output of the same kernel with nothing skipped, which must be the
 * same bits. That is run, untimed, where the sweep has no such row; when it cannot be had, the row
 * is not verified and so failed.
 */
static void compare_unskipped(const struct sweep *s, const struct scr_case *c,
                              struct scr_bench *bench, const struct scr_truth *truth,
                              struct baselines *base, uint64_t hash, struct scr_row *row)
{
    struct scr_run_options options = {.host_memory = s->machine->memory};
    struct scr_case plain = *c;
    struct scr_run_outcome outcome = {0};
    struct scr_row other;
    size_t i = 0;

    while (i < base->n_none && !same_params(base->none[i].c, c))
        i++;
    if (i < base->n_none) {
        outcome = (struct scr_run_outcome){.has_output = true, .output_hash = base->none[i].hash};
    } else {
        plain.config.skip = SCR_SKIP_NONE;
        plain.refused = scr_config_resolve(c->device, &c->spec.problem, &plain.config, plain.why,
                                           sizeof plain.why);
        scr_row_init(&other, &plain);
        scr_case_run(&plain, bench, truth, &options, &s->devices->log, &other, &outcome);
        if (outcome.has_output)
            remember(base, c, outcome.output_hash, NAN);
    }
    if (!outcome.has_output)
        scr_row_status(row, "failed", "nothing to compare the bits with: skip = none is %s: %.120s",
                       other.status, other.reason);
    else if (outcome.output_hash != hash)
        scr_row_status(row, "wrong", "differs from skip = none");
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
        remember(base, c, outcome->output_hash, t);
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

    scr_case_name(c, name, sizeof name);
    scr_progress_show(&s->progress, s->n_rows, name);
    scr_row_init(&row, c);
    if (over_budget(s)) {
        s->n_over_budget++;
        scr_row_status(&row, "skipped", "the time budget of %g s is spent", s->o->budget_s);
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
    if (strcmp(row.status, "ok") == 0 && c->config.skip != SCR_SKIP_NONE)
        compare_unskipped(s, c, bench, truth, base, outcome.output_hash, &row);
    if (strcmp(row.status, "ok") == 0)
        relate(c, &outcome, base, &row);
    if (strcmp(row.status, "ok") == 0)
        s->tally[c->device_order].little += outcome.proves_little;
    keep_row(s, c, &row);
}

/* Whether the data of a group and its reference fit into this machine; else why not. */
static bool reference_fits(const struct sweep *s, const scr_problem *p, char *why, size_t why_size)
{
    double need = scr_truth_memory(p, s->machine->threads);
    char text[24];

    if (s->machine->memory == 0 || need <= MAX_MEMORY_SHARE * (double)s->machine->memory)
        return true;
    scr_format_bytes(need, text, sizeof text);
    snprintf(why, why_size, "the reference needs %s of host memory", text);
    return false;
}

/* The row of a case that did not come to run. */
static void keep_unrun(struct sweep *s, const struct scr_case *c, const char *status,
                       const char *why)
{
    struct scr_row row;

    scr_row_init(&row, c);
    scr_row_status(&row, status, "%s", why);
    keep_row(s, c, &row);
}

/* Runs the cases [first, end), which share their data; each gets its row, whatever happens. */
static void run_group(struct sweep *s, size_t first, size_t end)
{
    const struct scr_case *cases = s->list.cases;
    struct scr_dataset *data = NULL;
    struct scr_truth *truth = NULL;
    struct scr_bench bench = {0};
    struct baselines base = {.masked = NAN, .dense = NAN};
    char why[200] = ""; /* as long as a row's reason */
    int status = SCR_OK;
    bool is_trace = cases[first].spec.workload.kind == SCR_WORKLOAD_TRACE;
    bool fits = reference_fits(s, &cases[first].spec.problem, why, sizeof why);

    if (fits && !over_budget(s)) {
        status =
            scr_dataset_create(&cases[first].spec, s->machine->threads, &data, why, sizeof why);
        if (status == SCR_OK)
            status = scr_truth_create(data, s->machine->threads, MAX_PAIRS, &truth);
    }
    bench.data = data;
    for (size_t i = first; i < end && !*s->stop; i++) {
        if (i > first && cases[i].device_order != cases[i - 1].device_order) {
            scr_bench_clear(&bench);
            free(base.none);
            base = (struct baselines){.masked = NAN, .dense = NAN};
        }
        if (!fits)
            keep_unrun(s, &cases[i], "skipped", why);
        else if (status != SCR_OK)
            keep_unrun(s, &cases[i],
                       status == SCR_ERR_NO_MEMORY ? "oom"
                       : is_trace                  ? "failed"
                                                   : "unsupported",
                       why[0] != '\0' ? why : scr_status_text(status));
        else
            run_one(s, &cases[i], &bench, truth, &base);
    }
    scr_bench_clear(&bench);
    free(base.none);
    scr_truth_destroy(&truth);
    scr_dataset_destroy(&data);
}

static int run_groups(struct sweep *s)
{
    size_t first = 0;

    while (first < s->list.n && !*s->stop && !s->write_failed) {
        size_t end = first + 1;

        while (end < s->list.n && s->list.cases[end].group == s->list.cases[first].group)
            end++;
        run_group(s, first, end);
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
    char lines[4096];

    if (s->o->formats & SCR_FORMAT_TABLE) {
        scr_table_print(s->rows, s->n_rows, SCR_TABLE_TEXT, stdout);
        scr_verdict(s->rows, s->n_rows, lines, sizeof lines);
        putchar('\n');
        scr_print_wrapped(lines, stdout);
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

        printf("%s: %zu ok, %zu wrong, %zu skipped, %zu failed, %zu prove little (reference all "
               "zero or ill-conditioned)%s\n",
               s->devices->info[i]->id, t->ok, t->wrong, t->skipped, t->failed, t->little,
               2 * t->little > ran ? ", which is most of them" : "");
    }
}

/* Whether every configuration ran on every device and most of them could have failed. */
static bool thorough(const struct sweep *s)
{
    bool good = !s->list.kernel_missing;

    for (size_t i = 0; i < s->devices->n; i++) {
        const struct tally *t = &s->tally[i];

        good &= t->skipped == 0 && 2 * t->little <= t->ok + t->wrong;
    }
    if (s->list.kernel_missing)
        printf("strict: %s\n", s->list.dropped);
    else if (!good)
        printf("strict: some configurations were left out or prove little\n");
    return good;
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

/* How a run ended that did not do everything, or "". */
static void describe_end(const struct sweep *s, char *out, size_t size)
{
    out[0] = '\0';
    if (s->n_rows < s->list.n)
        snprintf(out, size, "Interrupted after %zu of %zu configurations.", s->n_rows, s->list.n);
    else if (s->n_over_budget > 0)
        snprintf(out, size, "The time budget of %g s was spent after %zu of %zu configurations.",
                 s->o->budget_s, s->n_rows - s->n_over_budget, s->list.n);
}

static int write_files(struct sweep *s, const char *note)
{
    int status = scr_report_derive(&s->report, s->machine, s->devices, s->rows, s->n_rows, note,
                                   s->why, sizeof s->why);

    if (status == SCR_OK)
        status =
            scr_report_end(&s->report, s->n_rows < s->list.n, s->n_rows, s->why, sizeof s->why);
    scr_report_close(&s->report);
    if (status != SCR_OK)
        fprintf(stderr, "harness: %s\n", s->why);
    else if (s->timed && s->n_rows > 0)
        draw(s);
    return status;
}

static int finish(struct sweep *s)
{
    struct tally sum = {0};
    char note[120];
    int status = SCR_OK;

    describe_end(s, note, sizeof note);
    for (size_t i = 0; i < s->devices->n; i++) {
        sum.ok += s->tally[i].ok;
        sum.wrong += s->tally[i].wrong;
        sum.failed += s->tally[i].failed;
    }
    if (s->has_report)
        status = write_files(s, note);
    if (s->timed)
        print_rows(s);
    else
        print_tally(s);
    if (s->has_report)
        fprintf(s->o->formats == SCR_FORMAT_TABLE ? stdout : stderr, "Results: %s\n",
                s->report.dir);
    fflush(stdout);
    if (note[0] != '\0')
        fprintf(stderr, "%s\n", note);
    if (*s->stop)
        return SCR_EXIT_INTERRUPTED;
    if (sum.wrong > 0)
        return SCR_EXIT_WRONG;
    if (sum.ok == 0 && s->n_over_budget == 0) {
        fprintf(stderr, "harness: nothing ran; the first: %s: %s\n",
                s->n_rows > 0 ? s->rows[0].status : "", s->n_rows > 0 ? s->rows[0].reason : "");
        return SCR_EXIT_SOME_FAILED;
    }
    if (s->o->strict && !thorough(s))
        return SCR_EXIT_SOME_FAILED;
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
        .list = {.program = argv[0]},
    };
    int result = SCR_EXIT_USAGE;
    int status = enumerate(&s);

    if (status != SCR_OK)
        goto out;
    if (o->dry_run) {
        scr_case_list_print(&s.list, stdout);
        result = SCR_EXIT_FINE;
        goto out;
    }
    status = check_supported(&s);
    if (status != SCR_OK)
        goto out;
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
    if (status != SCR_OK)
        fprintf(stderr, "harness: %s\n", s.why);
    result = finish(&s);
    if (status != SCR_OK && result == SCR_EXIT_FINE)
        result = SCR_EXIT_SOME_FAILED;
    status = SCR_OK;
out:
    if (status != SCR_OK)
        fprintf(stderr, "harness: %s\n", s.why);
    if (s.has_report)
        scr_report_close(&s.report);
    free(s.rows);
    scr_case_list_clear(&s.list);
    return result;
}
