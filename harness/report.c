/* SPDX-License-Identifier: Apache-2.0 */
#include "report.h"

#include "commit.h"
#include "table.h"
#include "verdict.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#if defined(__clang__)
#define COMPILER "clang " __clang_version__
#else
#define COMPILER "gcc " __VERSION__
#endif

static int failed(const char *path, char *why, size_t why_size)
{
    snprintf(why, why_size, "%s: %s", path, strerror(errno));
    return SCR_ERR_INVALID;
}

/* mkdir -p. *made: the last part did not exist before. */
static int make_dirs(const char *path, bool *made)
{
    char part[600];

    snprintf(part, sizeof part, "%s", path);
    for (char *s = part + 1; *s != '\0'; s++) {
        if (*s != '/')
            continue;
        *s = '\0';
        if (mkdir(part, 0777) != 0 && errno != EEXIST)
            return -1;
        *s = '/';
    }
    *made = mkdir(part, 0777) == 0;
    return *made || errno == EEXIST ? 0 : -1;
}

static bool is_folder(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static bool is_empty(const char *path)
{
    DIR *d = opendir(path);
    struct dirent *e;
    bool empty = d != NULL;

    while (d != NULL && (e = readdir(d)) != NULL)
        empty &= strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0;
    if (d != NULL)
        closedir(d);
    return empty;
}

static void now_text(const char *format, char *out, size_t size)
{
    time_t now = time(NULL);
    struct tm t;

    gmtime_r(&now, &t);
    strftime(out, size, format, &t);
}

int scr_report_open(struct scr_report *r, const char *dir, const struct scr_machine *m, char *why,
                    size_t why_size)
{
    char path[700];
    char stamp[32];
    bool made = false;

    *r = (struct scr_report){0};
    if (dir != NULL) {
        if (strlen(dir) >= sizeof r->dir - 40) {
            snprintf(why, why_size, "--out: the name is too long");
            return SCR_ERR_INVALID;
        }
        snprintf(r->dir, sizeof r->dir, "%s", dir);
        if (make_dirs(r->dir, &made) != 0)
            return failed(r->dir, why, why_size);
        if (!made && !is_folder(r->dir)) {
            snprintf(why, why_size, "--out %s: is not a folder", dir);
            return SCR_ERR_INVALID;
        }
        if (!made && !is_empty(r->dir)) {
            snprintf(why, why_size,
                     "--out %s: holds something already; expected a new or empty "
                     "folder",
                     dir);
            return SCR_ERR_INVALID;
        }
    } else {
        now_text("%Y%m%dT%H%M%SZ", stamp, sizeof stamp);
        for (int i = 1; !made && i < 100; i++) {
            char again[8] = "";

            if (i > 1)
                snprintf(again, sizeof again, "-%d", i);
            snprintf(path, sizeof path, "results/%s-%s%s", stamp,
                     m->host[0] != '\0' ? m->host : "host", again);
            snprintf(r->dir, sizeof r->dir, "%.*s", (int)sizeof r->dir - 1, path);
            if (make_dirs(r->dir, &made) != 0)
                return failed(r->dir, why, why_size);
        }
    }
    snprintf(path, sizeof path, "%s/rows.jsonl", r->dir);
    r->rows = fopen(path, "wxe");
    return r->rows != NULL ? SCR_OK : failed(path, why, why_size);
}

static json_t *device_json(const scr_device_info *d)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:b, s:b, s:i, s:I, s:I, s:I, s:s}",
                     "id", d->id, "backend", d->backend, "name", d->name, "vendor", d->vendor,
                     "platform", d->platform, "driver", d->driver, "arch", d->arch, "is_cpu",
                     d->is_cpu, "fp16", d->has_fp16, "subgroups", d->has_subgroups, "compute_units",
                     (int)d->compute_units, "memory_bytes", (json_int_t)d->global_mem,
                     "local_bytes", (json_int_t)d->local_mem, "cache_bytes",
                     (json_int_t)d->cache_bytes, "pci", d->pci);
}

int scr_report_header(const struct scr_report *r, const struct scr_machine *m,
                      const struct scr_devices *devices, json_t *options, char *why,
                      size_t why_size)
{
    json_t *list = json_array();
    json_t *header;
    char path[700], start[32];
    int status = SCR_OK;

    for (size_t i = 0; i < devices->n; i++)
        json_array_append_new(list, device_json(devices->info[i]));
    now_text("%Y-%m-%dT%H:%M:%SZ", start, sizeof start);
    header = json_pack("{s:s, s:s, s:s, s:s, s:O, s:o, s:o}", "start", start, "version",
                       scr_version_text(), "commit", SCR_COMMIT, "compiler", COMPILER, "options",
                       options, "machine", scr_machine_json(m), "devices", list);
    snprintf(path, sizeof path, "%s/run.json", r->dir);
    if (header == NULL || json_dump_file(header, path, JSON_INDENT(2)) != 0) {
        snprintf(why, why_size, "%s: cannot be written", path);
        status = SCR_ERR_INVALID;
    }
    json_decref(header);
    return status;
}

/* Closes a file written beside `path` and puts it in its place. */
static int finish(FILE *f, const char *temporary, const char *path, char *why, size_t why_size)
{
    bool good = !ferror(f);

    if (fclose(f) != 0 || !good || rename(temporary, path) != 0)
        return failed(path, why, why_size);
    return SCR_OK;
}

int scr_report_end(const struct scr_report *r, bool interrupted, size_t n_rows, char *why,
                   size_t why_size)
{
    char path[700], temporary[720], stamp[32];
    json_t *header;
    json_error_t error;
    FILE *f;
    bool good;

    snprintf(path, sizeof path, "%s/run.json", r->dir);
    snprintf(temporary, sizeof temporary, "%s.part", path);
    header = json_load_file(path, 0, &error);
    now_text("%Y-%m-%dT%H:%M:%SZ", stamp, sizeof stamp);
    good = json_object_set_new(header, "finish", json_string(stamp)) == 0 &&
           json_object_set_new(header, "end",
                               json_string(interrupted ? "interrupted" : "complete")) == 0 &&
           json_object_set_new(header, "rows", json_integer((json_int_t)n_rows)) == 0;
    f = good ? fopen(temporary, "we") : NULL;
    if (f == NULL) {
        json_decref(header);
        snprintf(why, why_size, "%s: cannot be written", path);
        return SCR_ERR_INVALID;
    }
    json_dumpf(header, f, JSON_INDENT(2));
    json_decref(header);
    return finish(f, temporary, path, why, why_size);
}

/* How many output rows were compared, where that is not all of them. */
static void write_checked(const struct scr_row *rows, size_t n, FILE *f)
{
    const struct scr_row *sampled = NULL;
    bool same = true;

    for (size_t i = 0; i < n; i++) {
        if (!scr_row_has_result(&rows[i]))
            continue;
        if (rows[i].rows_checked < rows[i].rows && sampled == NULL)
            sampled = &rows[i];
        same &= sampled != NULL && rows[i].rows_checked == sampled->rows_checked &&
                rows[i].rows == sampled->rows;
    }
    if (sampled != NULL && same)
        fprintf(f, " on %.0f of %.0f rows", sampled->rows_checked, sampled->rows);
    else if (sampled != NULL)
        fputs(" (on as many rows as the column `checked` says, else on all)", f);
}

static void write_markdown(const struct scr_machine *m, const struct scr_devices *devices,
                           const struct scr_row *rows, size_t n, const char *note, FILE *f)
{
    char line[4096];

    fprintf(f, "# Screening: results\n\n");
    if (note[0] != '\0')
        fprintf(f, "%s\n\n", note);
    scr_verdict(rows, n, line, sizeof line);
    for (const char *s = line; *s != '\0';) {
        size_t len = strcspn(s, "\n");

        fprintf(f, *s == ' ' ? "`%.*s`\n\n" : "%.*s\n\n", (int)(len - strspn(s, " ")),
                s + strspn(s, " "));
        s += len + (s[len] != '\0');
    }
    scr_machine_line(m, line, sizeof line);
    fprintf(f, "Machine: %s; %s.\n", line, m->os);
    for (size_t i = 0; i < devices->n; i++)
        fprintf(f, "Device %s: %s, driver %s.\n", devices->info[i]->id, devices->info[i]->name,
                devices->info[i]->driver);
    fprintf(f, "\nAll times are of warm caches, after the result was checked against float64");
    write_checked(rows, n, f);
    fprintf(f,
            ". A time with ~ is of too few samples for an interval. Densities are over the pairs "
            "and tiles inside mask and window.\n\n");
    scr_table_print(rows, n, SCR_TABLE_MARKDOWN, f);
    fprintf(f, "\nPlots, where they could be drawn, are in `plots/`; `run.json` has machine and "
               "options, `rows.jsonl` every row with the command that repeats it.\n");
}

int scr_report_derive(const struct scr_report *r, const struct scr_machine *m,
                      const struct scr_devices *devices, const struct scr_row *rows, size_t n,
                      const char *note, char *why, size_t why_size)
{
    char path[700], temporary[720];
    FILE *f;
    int status;

    snprintf(path, sizeof path, "%s/rows.csv", r->dir);
    snprintf(temporary, sizeof temporary, "%s.part", path);
    f = fopen(temporary, "we");
    if (f == NULL)
        return failed(temporary, why, why_size);
    scr_row_write_csv_header(f);
    for (size_t i = 0; i < n; i++)
        scr_row_write_csv(&rows[i], f);
    status = finish(f, temporary, path, why, why_size);
    if (status != SCR_OK)
        return status;

    snprintf(path, sizeof path, "%s/report.md", r->dir);
    snprintf(temporary, sizeof temporary, "%s.part", path);
    f = fopen(temporary, "we");
    if (f == NULL)
        return failed(temporary, why, why_size);
    write_markdown(m, devices, rows, n, note, f);
    return finish(f, temporary, path, why, why_size);
}

void scr_report_close(struct scr_report *r)
{
    if (r->rows != NULL)
        fclose(r->rows);
    r->rows = NULL;
}
