/* SPDX-License-Identifier: Apache-2.0 */
#include "plot.h"

#include "plot_choose.h"
#include "plot_files.h"
#include "plot_gnuplot.h"
#include "plot_points.h"

#include <screening/error.h>

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* NAME-cuda_0: a device's id with what is awkward in a file name replaced. */
static void plot_name(const struct scr_plot_kind *kind, const char *device, char *out, size_t size)
{
    char *c = out + strlen(kind->name);

    if (!kind->per_device) {
        snprintf(out, size, "%s", kind->name);
        return;
    }
    snprintf(out, size, "%s-%s", kind->name, device[0] ? device : "unknown");
    while (*++c != '\0')
        if (strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-", *c) == NULL)
            *c = '_';
}

struct job {
    const char *plots_dir;
    const struct scr_rows_file *rows;
    struct scr_plot_summary *summary;
    struct scr_plot_points points; /* room for every row and its baseline */
    const json_t *run;             /* run.json, or NULL */
    bool gnuplot_missing;
    char *why;
    size_t why_size;
};

static double peak(const json_t *peaks, const char *name)
{
    const json_t *value = json_object_get(peaks, name);

    return json_is_number(value) ? json_number_value(value) : NAN;
}

/* The ceilings of the row's device for its type. */
static struct scr_plot_peaks find_peaks(const json_t *run, const struct scr_row *r)
{
    const json_t *peaks = json_object_get(json_object_get(run, "peaks"), r->device);
    char name[40];

    snprintf(name, sizeof name, "%s_flop_per_s", r->dtype);
    return (struct scr_plot_peaks){peak(peaks, name), peak(peaks, "bandwidth_bytes_per_s")};
}

static bool has_one_x(const struct scr_plot_points *points)
{
    for (size_t i = 1; i < points->n; i++)
        if (points->at[i].x != points->at[0].x)
            return false;
    return true;
}

/* Why the chosen points make no picture, or NULL. */
static const char *why_not(const struct scr_plot_kind *kind, const struct scr_plot_picture *p)
{
    if (p->points.n < kind->min_points || (kind->wide && has_one_x(&p->points)))
        return kind->needs;
    if (kind->needs_peaks && !(p->peaks.flop_per_s > 0) && !(p->peaks.bytes_per_s > 0))
        return "measured ceilings of the device, as of --peak";
    return NULL;
}

static void leave_out(struct scr_plot_summary *s, const char *name, const char *needs)
{
    snprintf(s->left_out[s->n_left_out++], sizeof s->left_out[0], "%s: needs %s", name, needs);
}

static int draw(struct job *job, const struct scr_plot_kind *kind, const char *device)
{
    struct scr_plot_summary *s = job->summary;
    struct scr_plot_picture picture;
    const char *needs = NULL;
    char name[sizeof s->drawn[0]];
    int status;

    plot_name(kind, device != NULL ? device : "", name, sizeof name);
    scr_plot_points_collect(kind, job->rows, kind->per_device ? device : NULL, &job->points);
    if (job->points.n == 0) {
        leave_out(s, name, kind->needs);
        return SCR_OK;
    }
    status = scr_plot_choose(kind, &job->points, &picture);
    if (status == SCR_OK) {
        picture.peaks = find_peaks(job->run, picture.points.at[0].row);
        needs = why_not(kind, &picture);
    }
    if (status != SCR_OK)
        snprintf(job->why, job->why_size, "out of memory");
    else if (needs != NULL)
        leave_out(s, name, needs);
    else
        status = scr_plot_files_write(job->plots_dir, name, &picture, job->why, job->why_size);
    scr_plot_picture_free(&picture);
    if (status != SCR_OK || needs != NULL)
        return status;
    snprintf(s->title[s->n_drawn], sizeof s->title[0], "%s", kind->title);
    memcpy(s->drawn[s->n_drawn++], name, sizeof name);
    if (job->gnuplot_missing)
        return SCR_OK;
    status = scr_gnuplot_run(job->plots_dir, name, job->why, job->why_size);
    job->gnuplot_missing = status == SCR_ERR_NOT_FOUND;
    return job->gnuplot_missing ? SCR_OK : status;
}

/* The ids of the devices with a row that is ok, in their order. */
static int list_devices(const struct scr_rows_file *rows, const char **out,
                        struct scr_plot_summary *summary)
{
    int n = 0;

    for (size_t i = 0; i < rows->n; i++) {
        int at = 0;

        if (strcmp(rows->rows[i].status, "ok") != 0)
            continue;
        while (at < n && strcmp(out[at], rows->rows[i].device) != 0)
            at++;
        if (at < n)
            continue;
        if (n == SCR_PLOT_MAX_DEVICES) {
            snprintf(summary->left_out[summary->n_left_out++], sizeof summary->left_out[0],
                     "devices after the first %d: no picture of their own", SCR_PLOT_MAX_DEVICES);
            break;
        }
        out[n++] = rows->rows[i].device;
    }
    return n;
}

static int draw_all(struct job *job)
{
    const char *devices[SCR_PLOT_MAX_DEVICES];
    int n = list_devices(job->rows, devices, job->summary);
    int status;

    for (size_t k = 0; k < scr_plot_kind_count; k++) {
        const struct scr_plot_kind *kind = scr_plot_kinds[k];
        int times = kind->per_device && n > 0 ? n : 1;

        for (int d = 0; d < times; d++) {
            status = draw(job, kind, n > 0 ? devices[d] : NULL);
            if (status != SCR_OK)
                return status;
        }
    }
    return job->gnuplot_missing ? SCR_ERR_NOT_FOUND : SCR_OK;
}

int scr_plot_dir(const char *dir, struct scr_plot_summary *summary, char *why, size_t why_size)
{
    struct scr_plot_summary *own = NULL;
    struct scr_rows_file rows = {0};
    json_t *run = NULL;
    struct job job = {.rows = &rows, .why = why, .why_size = why_size};
    char rows_path[4096], plots_dir[4096], run_path[4096];
    int status = SCR_ERR_INVALID;

    own = calloc(1, sizeof *own);
    if (own == NULL) {
        snprintf(why, why_size, "out of memory");
        return SCR_ERR_NO_MEMORY;
    }
    if (snprintf(rows_path, sizeof rows_path, "%s/rows.jsonl", dir) >= (int)sizeof rows_path ||
        snprintf(plots_dir, sizeof plots_dir, "%s/plots", dir) >= (int)sizeof plots_dir ||
        snprintf(run_path, sizeof run_path, "%s/run.json", dir) >= (int)sizeof run_path) {
        snprintf(why, why_size, "%.80s...: name too long", dir);
        goto out;
    }
    status = scr_rows_file_read(rows_path, &rows, why, why_size);
    if (status == SCR_ERR_NOT_FOUND)
        status = SCR_ERR_INVALID;
    if (status != SCR_OK)
        goto out;
    /* Without it only what needs ceilings is left out. */
    run = json_load_file(run_path, 0, NULL);
    job.run = run;
    if (mkdir(plots_dir, 0777) != 0 && errno != EEXIST) {
        snprintf(why, why_size, "%s: %s", plots_dir, strerror(errno));
        status = SCR_ERR_INVALID;
        goto out;
    }
    job.plots_dir = plots_dir;
    job.summary = own;
    job.points.at = malloc((2 * rows.n + 1) * sizeof *job.points.at);
    if (job.points.at == NULL) {
        snprintf(why, why_size, "out of memory");
        status = SCR_ERR_NO_MEMORY;
        goto out;
    }
    status = draw_all(&job);
out:
    if (summary != NULL)
        *summary = *own;
    free(job.points.at);
    scr_rows_file_clear(&rows);
    json_decref(run);
    free(own);
    return status;
}
