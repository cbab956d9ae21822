/* SPDX-License-Identifier: Apache-2.0 */
#include "sweep.h"

#include "enumerate.h"
#include "gbench_shim.h"
#include "random_report.h"
#include "roofline.h"
#include "sweep_state.h"
#include "table.h"
#include "text.h"
#include "timer.h"
#include "verdict.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Whether anything can run; a list of refusals alone is a mistake of the user's. */
static int check_supported(struct scr_sweep *s)
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

double scr_sweep_row_limit(const struct scr_sweep *s)
{
    double left_s, share;

    if (!s->timed || s->o->budget_s == 0)
        return s->time_limit_s;
    /* The rest goes to compiling and checking, and to what the row is compared with. */
    left_s = s->o->budget_s - (scr_clock_s() - s->start_s);
    share = 0.25 * left_s / (double)(s->n_want - s->n_rows);
    return share < s->time_limit_s ? fmax(share, 0.01) : s->time_limit_s;
}

bool scr_sweep_over_budget(const struct scr_sweep *s)
{
    return s->o->budget_s > 0 && scr_clock_s() - s->start_s >= s->o->budget_s;
}

bool scr_sweep_in_vain(const struct scr_row *row)
{
    return strcmp(row->status, "ok") != 0 && strcmp(row->status, "wrong") != 0 &&
           strcmp(row->status, "skipped") != 0 && strcmp(row->status, "unsupported") != 0;
}

void scr_sweep_count(struct scr_sweep *s, const struct scr_case *c, const struct scr_row *row)
{
    struct scr_tally *t = &s->tally[c->device_order];
    bool wrong = strcmp(row->status, "wrong") == 0;

    if (strcmp(row->status, "ok") == 0)
        t->ok++;
    else if (wrong && row->peer[0] == '\0')
        t->wrong++;
    else if (wrong)
        t->failed++; /* a peer's mistake is not this program's */
    else if (scr_sweep_in_vain(row))
        t->failed++;
    else
        t->skipped++;
}

bool scr_sweep_add_row(struct scr_sweep *s, const struct scr_row *row)
{
    if (s->n_rows == s->room) {
        size_t room = s->room == 0 ? 64 : 2 * s->room;
        struct scr_row *grown = realloc(s->rows, room * sizeof *grown);

        if (grown == NULL)
            return false;
        s->rows = grown;
        s->room = room;
    }
    s->rows[s->n_rows++] = *row;
    return true;
}

void scr_sweep_keep(struct scr_sweep *s, const struct scr_case *c, const struct scr_row *row)
{
    scr_sweep_count(s, c, row);
    if (!s->timed && (strcmp(row->status, "wrong") == 0 || scr_sweep_in_vain(row))) {
        scr_progress_hide(&s->progress);
        printf("%s: %s\n  %s\n", row->status, row->reason, row->repro);
        fflush(stdout);
    }
    if (s->has_folder && !scr_row_write_jsonl(row, s->folder.rows)) {
        snprintf(s->why, sizeof s->why, "%s/rows.jsonl: cannot be written", s->folder.dir);
        s->broken = SCR_ERR_DEVICE;
    } else if (!scr_sweep_add_row(s, row)) {
        snprintf(s->why, sizeof s->why, "out of memory");
        s->broken = SCR_ERR_NO_MEMORY;
    }
}

bool scr_sweep_has_row(struct scr_sweep *s, const struct scr_case *c, enum scr_reply outcome,
                       const struct scr_row *row)
{
    char *lost = s->lost[c->device_order];

    s->n_over_budget += outcome == SCR_REPLY_LATE;
    s->n_not_run += outcome == SCR_REPLY_NO_WORKER;
    if (outcome == SCR_REPLY_NO_WORKER && lost[0] == '\0')
        snprintf(lost, sizeof s->lost[0], "%s", row->reason);
    return outcome == SCR_REPLY_DONE;
}

bool scr_sweep_measure(struct scr_sweep *s, size_t index, struct scr_row *row, bool *little)
{
    const struct scr_case *c = &s->list.cases[index];

    if (!scr_sweep_has_row(
            s, c, scr_supervisor_run(s->supervisor, index, scr_sweep_row_limit(s), row, little),
            row))
        return false;
    if (strcmp(row->status, "ok") == 0)
        scr_roofline_fill(&s->peaks[c->device_order], row);
    return true;
}

size_t scr_sweep_to_run(const struct scr_sweep *s)
{
    return s->list.n - s->list.n_spare;
}

size_t scr_sweep_ran(const struct scr_sweep *s)
{
    size_t n = 0;

    for (size_t i = 0; i < s->devices->n; i++)
        n += s->tally[i].ok + s->tally[i].wrong;
    return n;
}

/* Whether --random did not run as many problems as it was asked for. */
static bool is_short(const struct scr_sweep *s)
{
    return s->o->n_random > 0 && scr_sweep_ran(s) < scr_sweep_to_run(s);
}

void scr_sweep_announce(struct scr_sweep *s, size_t index)
{
    char name[SCR_CASE_TEXT];

    scr_case_name(&s->list.cases[index], name, sizeof name);
    scr_progress_show(&s->progress, s->n_rows, name);
}

static void run_one(struct scr_sweep *s, size_t index)
{
    const struct scr_case *c = &s->list.cases[index];
    struct scr_row row;
    bool little;

    if (scr_sweep_over_budget(s)) {
        s->n_over_budget++;
        return;
    }
    scr_sweep_announce(s, index);
    if (scr_sweep_measure(s, index, &row, &little))
        scr_sweep_keep(s, c, &row);
}

static int run_cases(struct scr_sweep *s)
{
    for (size_t i = 0; i < s->list.n && !*s->stop && s->broken == SCR_OK; i++) {
        if (!s->done[i])
            run_one(s, i);
        scr_sweep_run_peers(s, i);
    }
    return s->broken;
}

static void print_rows(const struct scr_sweep *s)
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

static void print_tally(const struct scr_sweep *s)
{
    for (size_t i = 0; i < s->devices->n; i++) {
        const struct scr_tally *t = &s->tally[i];
        size_t ran = t->ok + t->wrong;

        printf("%s: %zu ok, %zu wrong, %zu skipped, %zu failed, %zu prove little (reference all "
               "zero or ill-conditioned)%s\n",
               s->devices->info[i]->id, t->ok, t->wrong, t->skipped, t->failed, t->little,
               2 * t->little > ran ? ", which is most of them" : "");
    }
}

/* Whether every configuration ran on every device and most of them could have failed. */
static bool thorough(const struct scr_sweep *s)
{
    bool good = !s->list.kernel_missing;

    for (size_t i = 0; i < s->devices->n; i++) {
        const struct scr_tally *t = &s->tally[i];

        good &= t->skipped == 0 && 2 * t->little <= t->ok + t->wrong;
    }
    if (s->list.kernel_missing)
        printf("strict: %s\n", s->list.dropped);
    else if (!good)
        printf("strict: some configurations were left out or prove little\n");
    return good;
}

bool scr_sweep_interrupted(const struct scr_sweep *s)
{
    return *s->stop && (s->n_rows + s->n_over_budget + s->n_not_run < s->n_want || is_short(s));
}

/* How a run ended that did not do everything, or "". */
static void describe_end(const struct scr_sweep *s, char *out, size_t size)
{
    out[0] = '\0';
    if (scr_sweep_interrupted(s))
        snprintf(out, size, "Interrupted after %zu of %zu configurations.", s->n_rows, s->n_want);
    else if (s->n_over_budget > 0)
        snprintf(out, size, "The time budget of %g s was spent after %zu of %zu configurations.",
                 s->o->budget_s, s->n_rows, s->n_want);
    else if (s->n_not_run > 0)
        snprintf(out, size, "%zu of %zu configurations could not be run.", s->n_not_run, s->n_want);
    for (size_t i = 0; i < s->devices->n; i++) {
        if (s->lost[i][0] != '\0')
            scr_append(out, size, "%sNo more was tried on %s: %s", out[0] != '\0' ? " " : "",
                       s->devices->info[i]->id, s->lost[i]);
    }
}

static int finish(struct scr_sweep *s)
{
    struct scr_tally sum = {0};
    char note[1000];
    int status = SCR_OK;

    describe_end(s, note, sizeof note);
    for (size_t i = 0; i < s->devices->n; i++) {
        sum.ok += s->tally[i].ok;
        sum.wrong += s->tally[i].wrong;
        sum.failed += s->tally[i].failed;
    }
    if (s->has_folder)
        status = scr_sweep_write_files(s, note);
    if (s->o->n_random > 0)
        scr_random_report(s->rows, s->n_rows, s->o, s->devices, stdout);
    if (!s->timed)
        print_tally(s);
    else if (s->o->n_gbench == 0) /* else its reports are there already */
        print_rows(s);
    if (s->has_folder)
        fprintf(s->o->formats == SCR_FORMAT_TABLE && s->o->n_gbench == 0 ? stdout : stderr,
                "Results: %s\n", s->folder.dir);
    fflush(stdout);
    if (note[0] != '\0')
        fprintf(stderr, "%s\n", note);
    if (note[0] != '\0' && s->has_folder)
        fprintf(stderr, "Go on with: harness --resume %s\n", s->folder.dir);
    if (scr_sweep_interrupted(s))
        return SCR_EXIT_INTERRUPTED;
    if (sum.wrong > 0)
        return SCR_EXIT_WRONG;
    if (s->n_not_run > 0)
        return SCR_EXIT_SOME_FAILED;
    if (is_short(s)) {
        fprintf(stderr, "harness: --random: only %zu of %zu problems ran\n", scr_sweep_ran(s),
                scr_sweep_to_run(s));
        return SCR_EXIT_SOME_FAILED;
    }
    if (sum.ok == 0 && s->n_over_budget == 0 && s->n_rows > 0) {
        fprintf(stderr, "harness: nothing ran; the first: %s: %s\n", s->rows[0].status,
                s->rows[0].reason);
        return SCR_EXIT_SOME_FAILED;
    }
    if (s->o->strict && !thorough(s))
        return SCR_EXIT_SOME_FAILED;
    return sum.failed > 0 || status != SCR_OK ? SCR_EXIT_SOME_FAILED : SCR_EXIT_FINE;
}

/* A fault that no case would have shows nothing. */
static int check_inject(struct scr_sweep *s)
{
    const struct scr_faults *f = &s->o->faults;

    if (f->kinds == 0)
        return SCR_OK;
    for (size_t i = 0; i < s->list.n; i++) {
        if (scr_faults_of(f, s->list.cases[i].order, &s->list.cases[i].config).kinds != 0)
            return SCR_OK;
    }
    if (f->config[0] != '\0') {
        snprintf(s->why, sizeof s->why, "--inject: no case has %s", f->config);
        return SCR_ERR_INVALID;
    }
    snprintf(s->why, sizeof s->why, "--inject: no case %ld: there are %zu, counted from 0", f->at,
             s->list.n);
    return SCR_ERR_INVALID;
}

int scr_sweep_run(const struct scr_options *o, struct scr_devices *devices,
                  const struct scr_machine *machine, int argc, char **argv,
                  const volatile sig_atomic_t *stop)
{
    struct scr_sweep s = {
        .o = o,
        .devices = devices,
        .machine = machine,
        .stop = stop,
        .timed = o->mode == SCR_MODE_SWEEP,
        .lists_only = scr_sweep_gbench_lists(o),
        .start_s = scr_clock_s(),
        .list = {.program = argv[0]},
    };
    struct scr_supervisor_options supervise = {
        .argv = argv,
        .backends = devices->backends,
        .machine = machine,
        .list = &s.list,
        .folder = s.folder.dir, /* once that is open */
        .timeout_s = o->timeout_s,
        .stop = stop,
        .end_s = o->budget_s > 0 ? s.start_s + o->budget_s : 0,
    };
    int result = SCR_EXIT_USAGE;
    bool usage;
    int status = scr_enumerate(o, devices, &s.list, &s.time_limit_s, s.why, sizeof s.why);

    if (status == SCR_OK)
        status = check_inject(&s);
    if (status != SCR_OK)
        goto out;
    if (o->dry_run) {
        scr_case_list_print(&s.list, stdout);
        result = SCR_EXIT_FINE;
        goto out;
    }
    status = check_supported(&s);
    if (status == SCR_OK && o->n_gbench > 0)
        status = scr_gbench_init(argv[0], o->n_gbench, o->gbench, s.why, sizeof s.why);
    if (status != SCR_OK)
        goto out;
    s.done = calloc(s.list.n, sizeof *s.done);
    s.supervise = supervise;
    if (s.done == NULL || scr_supervisor_create(&supervise, &s.supervisor) != SCR_OK) {
        snprintf(s.why, sizeof s.why, "out of memory");
        status = SCR_ERR_NO_MEMORY;
        goto out;
    }
    status = scr_sweep_prepare_rows(&s);
    if (status == SCR_OK && o->n_gbench > 0)
        status = scr_sweep_filter_gbench(&s);
    if (status == SCR_OK)
        status = scr_sweep_open_folder(&s, argc, argv);
    if (status != SCR_OK)
        goto out;
    scr_sweep_clean_up_peers(&s);
    scr_progress_start(&s.progress, stderr, s.n_rows, s.n_want);
    status = scr_sweep_measure_peaks(&s);
    if (status == SCR_OK)
        status = o->n_gbench > 0 ? scr_sweep_run_gbench(&s)
                 : s.timed       ? run_cases(&s)
                                 : scr_sweep_check_cases(&s);
    scr_progress_hide(&s.progress);
    if (status != SCR_OK)
        fprintf(stderr, "harness: %s\n", s.why);
    usage = o->n_gbench > 0 && status != SCR_OK && s.broken == SCR_OK;
    result = usage ? SCR_EXIT_USAGE : finish(&s);
    if (status != SCR_OK && result == SCR_EXIT_FINE)
        result = SCR_EXIT_SOME_FAILED;
    status = SCR_OK;
out:
    if (status != SCR_OK)
        fprintf(stderr, "harness: %s\n", s.why);
    if (status != SCR_OK && *stop)
        result = SCR_EXIT_INTERRUPTED;
    scr_supervisor_destroy(&s.supervisor);
    scr_sweep_clean_up_peers(&s);
    scr_run_folder_close(&s.folder);
    scr_rows_file_clear(&s.old);
    json_decref(s.peers);
    json_decref(s.peer_rows);
    free(s.rows);
    free(s.done);
    scr_case_list_clear(&s.list);
    return result;
}
