/* SPDX-License-Identifier: Apache-2.0 */
/* The files of a sweep: its folder made or gone on with, its header, what is derived from it. */
#include "enumerate.h"
#include "json_text.h"
#include "plot.h"
#include "report_write.h"
#include "sweep_state.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const double PEAK_LIMIT_S = 0.5; /* for a device's ceilings, at most */

/* The row that an earlier run has for a repro, or NULL. */
const struct scr_row *scr_sweep_find_old(const struct scr_sweep *s, const char *repro)
{
    for (size_t i = 0; i < s->old.n; i++) {
        if (scr_case_repro_same(s->old.rows[i].repro, repro))
            return &s->old.rows[i];
    }
    return NULL;
}

/* NULL where the command line is not UTF-8, which JSON must be. */
static json_t *describe_options(const struct scr_sweep *s, int argc, char **argv)
{
    json_t *words = json_array();
    char here[PATH_MAX];
    json_t *cwd = getcwd(here, sizeof here) != NULL ? json_string(here) : NULL;

    for (int i = 0; i < argc; i++) {
        if (json_array_append_new(words, json_string(argv[i])) == 0)
            continue;
        json_decref(words);
        json_decref(cwd);
        return NULL;
    }
    return json_pack("{s:o, s:o, s:s, s:I, s:i, s:f, s:s}", "command", words, "cwd",
                     cwd != NULL ? cwd : json_null(), "preset", scr_enumerate_preset(s->o), "seed",
                     (json_int_t)s->o->seed, "configurations", (int)scr_sweep_to_run(s), "budget_s",
                     s->o->budget_s, "cache", s->o->warm ? "warm" : "cold");
}

static int begin_folder(struct scr_sweep *s, int argc, char **argv)
{
    json_t *options = describe_options(s, argc, argv);
    int status;

    if (options == NULL) {
        snprintf(s->why, sizeof s->why, "the command line is not UTF-8, which run.json must be");
        return SCR_ERR_INVALID;
    }
    status = scr_run_folder_create(&s->folder, s->o->out, s->machine, s->why, sizeof s->why);
    s->has_folder = status == SCR_OK;
    if (status == SCR_OK &&
        scr_run_folder_describe(&s->folder, s->machine, s->devices, options) != SCR_OK) {
        snprintf(s->why, sizeof s->why, "out of memory");
        status = SCR_ERR_NO_MEMORY;
    }
    if (status == SCR_OK)
        status = scr_run_folder_begin(&s->folder, s->why, sizeof s->why);
    if (status == SCR_OK)
        status = scr_machine_write_xml(s->machine, s->folder.dir, s->why, sizeof s->why);
    json_decref(options);
    return status;
}

static bool take_old(struct scr_sweep *s, const struct scr_row *row)
{
    const struct scr_case *c = NULL;

    for (size_t i = 0; i < s->list.n && c == NULL; i++) {
        if (strcmp(s->list.cases[i].device->id, row->device) == 0)
            c = &s->list.cases[i];
    }
    if (c == NULL)
        return true;
    scr_sweep_count(s, c, row);
    return scr_sweep_add_row(s, row);
}

/* Where a run was killed in between, or the file was lost. */
static int restore_topology(struct scr_sweep *s)
{
    char path[sizeof s->folder.dir + sizeof "/" SCR_MACHINE_XML];

    snprintf(path, sizeof path, "%s/" SCR_MACHINE_XML, s->folder.dir);
    if (access(path, F_OK) == 0)
        return SCR_OK;
    return scr_machine_write_xml(s->machine, s->folder.dir, s->why, sizeof s->why);
}

/* Takes over the rows that an earlier run of the same sweep has written. */
static int continue_folder(struct scr_sweep *s)
{
    char repro[SCR_ROW_TEXT];
    size_t mine = 0;
    int status =
        scr_run_folder_reopen(&s->folder, s->o->resume_dir, &s->old, s->why, sizeof s->why);

    s->has_folder = status == SCR_OK;
    if (status == SCR_OK &&
        !scr_run_folder_same_machine(&s->folder, s->machine, s->devices, s->why, sizeof s->why))
        return SCR_ERR_INVALID;
    for (size_t i = 0; i < s->list.n && status == SCR_OK; i++) {
        const struct scr_case *c = &s->list.cases[i];
        const struct scr_row *old;

        scr_case_repro(c, s->timed ? "--sweep" : "--check", repro, sizeof repro);
        old = scr_sweep_find_old(s, repro);
        if (old == NULL)
            continue;
        s->done[i] = true;
        mine++;
    }
    for (size_t i = 0; i < s->old.n; i++)
        mine += s->old.rows[i].peer[0] != '\0' && scr_sweep_wants_peer_row(s, s->old.rows[i].repro);
    if (status == SCR_OK && (mine != s->old.n || s->old.n_repeated > 0)) {
        snprintf(s->why, sizeof s->why, "%s: some of its %zu rows are not of this sweep",
                 s->folder.dir, s->old.n);
        return SCR_ERR_INVALID;
    }
    for (size_t i = 0; i < s->old.n; i++) {
        if (!take_old(s, &s->old.rows[i])) {
            snprintf(s->why, sizeof s->why, "out of memory");
            return SCR_ERR_NO_MEMORY;
        }
    }
    if (status == SCR_OK)
        status = restore_topology(s);
    if (status == SCR_OK && s->n_rows > 0)
        fprintf(stderr, "%s: %zu of %zu configurations are done\n", s->folder.dir, s->n_rows,
                s->n_want);
    return status;
}

int scr_sweep_open_folder(struct scr_sweep *s, int argc, char **argv)
{
    if (s->o->resume_dir != NULL)
        return continue_folder(s);
    if (s->lists_only || (!s->timed && s->o->out == NULL))
        return SCR_OK;
    return begin_folder(s, argc, argv);
}

/* The object of that name, borrowed, made if it is not there. */
static json_t *member(json_t *object, const char *name)
{
    if (!json_is_object(json_object_get(object, name)))
        json_object_set_new(object, name, json_object());
    return json_object_get(object, name);
}

/* Measures what the devices can do, where an earlier run did not. */
int scr_sweep_measure_peaks(struct scr_sweep *s)
{
    json_t *peaks = member(s->folder.header, "peaks");
    json_t *bound = member(s->folder.header, "binding");
    double limit_s = fmin(PEAK_LIMIT_S, 2 * s->time_limit_s);

    for (size_t i = 0; i < s->devices->n; i++)
        scr_peak_from_json(json_object_get(peaks, s->devices->info[i]->id), &s->peaks[i]);
    if (!s->timed || s->lists_only)
        return SCR_OK;
    for (size_t i = 0; i < s->devices->n && !*s->stop; i++) {
        const char *id = s->devices->info[i]->id;
        char why[200], where[200];

        if (!isnan(s->peaks[i].floor_wall_ns)) {
            scr_supervisor_set_floor(s->supervisor, (int)i, &s->peaks[i]);
            continue;
        }
        scr_progress_show(&s->progress, 0, "measuring peaks");
        scr_supervisor_peak(s->supervisor, (int)i, limit_s, &s->peaks[i], where, sizeof where, why,
                            sizeof why);
        if (why[0] != '\0') {
            scr_progress_hide(&s->progress);
            fprintf(stderr, "%s: peaks: %s\n", id, why);
        }
        /* One that is not known yet is tried again by who goes on. */
        if (why[0] != '\0' && isnan(s->peaks[i].floor_wall_ns))
            continue;
        json_object_set_new(peaks, id, scr_peak_json(&s->peaks[i]));
        json_object_set_new(bound, id, scr_json_text(where));
    }
    return scr_run_folder_save(&s->folder, s->why, sizeof s->why);
}

static void draw(const struct scr_sweep *s, struct scr_plot_summary *plots)
{
    char why[300];
    int status = scr_plot_dir(s->folder.dir, plots, why, sizeof why);

    if (status == SCR_ERR_NOT_FOUND)
        fprintf(stderr, "harness: no plots: %s\n", why);
    else if (status != SCR_OK)
        fprintf(stderr, "harness: plots: %s\n", why);
    if (status != SCR_OK)
        plots->n_drawn = 0; /* the report has no pictures, not even a heading for them */
}

int scr_sweep_write_files(struct scr_sweep *s, const char *note)
{
    json_t *header = s->folder.header;
    struct scr_plot_summary plots = {0};
    int status;

    json_object_set_new(header, "finish", scr_run_folder_now());
    json_object_set_new(header, "end",
                        json_string(scr_sweep_interrupted(s) ? "interrupted"
                                    : s->n_over_budget > 0   ? "budget"
                                    : s->n_not_run > 0       ? "given up"
                                                             : "complete"));
    json_object_set_new(header, "rows", json_integer((json_int_t)s->n_rows));
    json_object_set_new(header, "note", json_string(note));
    status = scr_run_folder_save(&s->folder, s->why, sizeof s->why);
    if (status == SCR_OK && s->timed && s->n_rows > 0)
        draw(s, &plots);
    if (status == SCR_OK)
        status = scr_report_write(s->folder.dir, s->rows, s->n_rows, &plots, s->why, sizeof s->why);
    if (status != SCR_OK)
        fprintf(stderr, "harness: %s\n", s->why);
    return status;
}
