/* SPDX-License-Identifier: Apache-2.0 */
#include "run_folder.h"

#include "commit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

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

/* Empty but for what a run leaves that is killed before it has a row. */
static bool holds_no_results(const char *path)
{
    static const char *const harmless[] = {
        ".", "..", "run.json", "run.json.part", "rows.jsonl", SCR_MACHINE_XML};
    DIR *d = opendir(path);
    struct dirent *e;
    struct stat st;
    bool good = d != NULL;

    while (d != NULL && (e = readdir(d)) != NULL) {
        bool known = false;

        for (size_t i = 0; i < sizeof harmless / sizeof harmless[0]; i++)
            known |= strcmp(e->d_name, harmless[i]) == 0;
        good &= known && (strcmp(e->d_name, "rows.jsonl") != 0 ||
                          (fstatat(dirfd(d), e->d_name, &st, 0) == 0 && st.st_size == 0));
    }
    if (d != NULL)
        closedir(d);
    return good;
}

static void now_text(const char *format, char *out, size_t size)
{
    time_t now = time(NULL);
    struct tm t;

    gmtime_r(&now, &t);
    strftime(out, size, format, &t);
}

/* Opens rows.jsonl. Two programs that write rows into one file would make a mess of it. */
static int open_rows(struct scr_run_folder *f, char *why, size_t why_size)
{
    char path[700];

    snprintf(path, sizeof path, "%s/rows.jsonl", f->dir);
    f->rows = fopen(path, "ae");
    if (f->rows == NULL)
        return failed(path, why, why_size);
    if (flock(fileno(f->rows), LOCK_EX | LOCK_NB) == 0)
        return SCR_OK;
    snprintf(why, why_size, "%s: another program is writing there", f->dir);
    return SCR_ERR_INVALID;
}

int scr_run_folder_create(struct scr_run_folder *f, const char *dir, const struct scr_machine *m,
                          char *why, size_t why_size)
{
    char path[700];
    char stamp[32];
    bool made = false;

    *f = (struct scr_run_folder){0};
    if (dir != NULL) {
        if (strlen(dir) >= sizeof f->dir - 40) {
            snprintf(why, why_size, "--out: the name is too long");
            return SCR_ERR_INVALID;
        }
        snprintf(f->dir, sizeof f->dir, "%s", dir);
        if (make_dirs(f->dir, &made) != 0)
            return failed(f->dir, why, why_size);
        if (!made && !is_folder(f->dir)) {
            snprintf(why, why_size, "--out %s: is not a folder", dir);
            return SCR_ERR_INVALID;
        }
        if (!made && !holds_no_results(f->dir)) {
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
            snprintf(f->dir, sizeof f->dir, "%.*s", (int)sizeof f->dir - 1, path);
            if (make_dirs(f->dir, &made) != 0)
                return failed(f->dir, why, why_size);
        }
    }
    f->header = json_object();
    /* A run that has no row yet may be at work there. */
    snprintf(path, sizeof path, "%s/rows.jsonl", f->dir);
    return made || access(path, F_OK) != 0 ? SCR_OK : open_rows(f, why, why_size);
}

int scr_run_folder_begin(struct scr_run_folder *f, char *why, size_t why_size)
{
    int status = scr_run_folder_save(f, why, why_size);

    return status != SCR_OK || f->rows != NULL ? status : open_rows(f, why, why_size);
}

static json_t *load_header(const char *dir, char *why, size_t why_size)
{
    char path[700];
    json_error_t error;
    json_t *header;

    snprintf(path, sizeof path, "%s/run.json", dir);
    header = json_load_file(path, 0, &error);
    if (header == NULL)
        snprintf(why, why_size, "%s: no run to go on with: %s", path, error.text);
    return header;
}

json_t *scr_run_folder_options(const char *dir, char *why, size_t why_size)
{
    json_t *header = load_header(dir, why, why_size);
    json_t *options, *command, *word;
    size_t i;
    bool good;

    if (header == NULL)
        return NULL;
    options = json_incref(json_object_get(header, "options"));
    json_decref(header);
    command = json_object_get(options, "command");
    good = json_array_size(command) > 0;
    json_array_foreach(command, i, word) good &= json_is_string(word);
    if (good)
        return options;
    snprintf(why, why_size, "%s/run.json: holds no command", dir);
    json_decref(options);
    return NULL;
}

/* Whether a text of the header is what is here now; else why says which is not. */
static bool same(const char *what, const json_t *then, const char *key, const char *now, char *why,
                 size_t why_size)
{
    const char *text = json_string_value(json_object_get(then, key));

    if (text != NULL && strcmp(text, now) == 0)
        return true;
    snprintf(why, why_size, "begun with %s %s%s%s, here it is %s: its rows would not compare", what,
             key, key[0] != '\0' ? " " : "", text != NULL ? text : "unknown", now);
    return false;
}

bool scr_run_folder_same_machine(const struct scr_run_folder *f, const struct scr_machine *m,
                                 const struct scr_devices *devices, char *why, size_t why_size)
{
    const json_t *machine = json_object_get(f->header, "machine");
    const json_t *list = json_object_get(f->header, "devices");
    char line[500] = "";
    bool good = same("the machine's", machine, "host", m->host, line, sizeof line) &&
                same("the machine's", machine, "cpu", m->cpu, line, sizeof line);

    if (good && json_array_size(list) != devices->n) {
        snprintf(line, sizeof line, "begun with %zu devices, here the same choice gives %zu",
                 json_array_size(list), devices->n);
        good = false;
    }
    for (size_t i = 0; i < devices->n && good; i++) {
        const scr_device_info *info = devices->info[i];
        const json_t *then = json_array_get(list, i);
        char what[40];

        snprintf(what, sizeof what, "device %zu's", i + 1);
        good = same(what, then, "id", info->id, line, sizeof line);
        snprintf(what, sizeof what, "%.32s's", info->id);
        good = good && same(what, then, "name", info->name, line, sizeof line) &&
               same(what, then, "driver", info->driver, line, sizeof line) &&
               same(what, then, "arch", info->arch, line, sizeof line);
    }
    if (!good)
        snprintf(why, why_size, "%s: %s", f->dir, line);
    return good;
}

int scr_run_folder_reopen(struct scr_run_folder *f, const char *dir, struct scr_rows_file *rows,
                          char *why, size_t why_size)
{
    char path[700];
    const char *commit;
    int status;

    *f = (struct scr_run_folder){0};
    *rows = (struct scr_rows_file){0};
    if (strlen(dir) >= sizeof f->dir - 40) {
        snprintf(why, why_size, "--resume: the name is too long");
        return SCR_ERR_INVALID;
    }
    snprintf(f->dir, sizeof f->dir, "%s", dir);
    f->header = load_header(dir, why, why_size);
    if (f->header == NULL)
        return SCR_ERR_INVALID;
    commit = json_string_value(json_object_get(f->header, "commit"));
    if (commit == NULL || strcmp(commit, SCR_COMMIT) != 0) {
        snprintf(why, why_size, "%s: begun by build %s, this is %s: its rows would not compare",
                 dir, commit != NULL ? commit : "unknown", SCR_COMMIT);
        return SCR_ERR_INVALID;
    }
    snprintf(path, sizeof path, "%s/rows.jsonl", f->dir);
    status = open_rows(f, why, why_size);
    if (status == SCR_OK)
        status = scr_rows_file_read(path, rows, why, why_size);
    if (status != SCR_OK)
        return SCR_ERR_INVALID;
    return ftruncate(fileno(f->rows), (off_t)rows->valid_bytes) == 0 ? SCR_OK
                                                                     : failed(path, why, why_size);
}

static json_t *device_json(const scr_device_info *d)
{
    return json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:b, s:b, s:b, s:i, s:I, s:I, s:I, s:s}", "id",
        d->id, "backend", d->backend, "name", d->name, "vendor", d->vendor, "platform", d->platform,
        "driver", d->driver, "arch", d->arch, "is_cpu", d->is_cpu, "fp16", d->has_fp16, "subgroups",
        d->has_subgroups, "warpgroups", d->has_warpgroups, "compute_units", (int)d->compute_units,
        "memory_bytes", (json_int_t)d->global_mem, "local_bytes", (json_int_t)d->local_mem,
        "cache_bytes", (json_int_t)d->cache_bytes, "pci", d->pci);
}

json_t *scr_run_folder_now(void)
{
    char text[32];

    now_text("%Y-%m-%dT%H:%M:%SZ", text, sizeof text);
    return json_string(text);
}

int scr_run_folder_describe(struct scr_run_folder *f, const struct scr_machine *m,
                            const struct scr_devices *devices, json_t *options)
{
    json_t *list = json_array();
    json_t *header;

    for (size_t i = 0; i < devices->n; i++)
        json_array_append_new(list, device_json(devices->info[i]));
    header = json_pack("{s:o, s:s, s:s, s:s, s:O, s:o, s:o}", "start", scr_run_folder_now(),
                       "version", scr_version_text(), "commit", SCR_COMMIT, "compiler", COMPILER,
                       "options", options, "machine", scr_machine_json(m), "devices", list);
    if (header == NULL)
        return SCR_ERR_NO_MEMORY;
    json_decref(f->header);
    f->header = header;
    return SCR_OK;
}

int scr_run_folder_save(const struct scr_run_folder *f, char *why, size_t why_size)
{
    char path[700], temporary[720];

    snprintf(path, sizeof path, "%s/run.json", f->dir);
    snprintf(temporary, sizeof temporary, "%s.part", path);
    if (json_dump_file(f->header, temporary, JSON_INDENT(2)) == 0 && rename(temporary, path) == 0)
        return SCR_OK;
    snprintf(why, why_size, "%s: cannot be written", path);
    return SCR_ERR_INVALID;
}

void scr_run_folder_close(struct scr_run_folder *f)
{
    if (f->rows != NULL)
        fclose(f->rows);
    json_decref(f->header);
    f->rows = NULL;
    f->header = NULL;
}
