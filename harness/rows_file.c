/* SPDX-License-Identifier: Apache-2.0 */
#include "rows_file.h"

#include <screening/error.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct reader {
    struct scr_rows_file *out;
    size_t room;
    const char *path;
    size_t line;
    char *why;
    size_t why_size;
};

static int complain(const struct reader *r, int status, const char *what)
{
    if (status == SCR_ERR_NO_MEMORY)
        snprintf(r->why, r->why_size, "out of memory");
    else if (r->line > 0)
        snprintf(r->why, r->why_size, "%s:%zu: %s", r->path, r->line, what);
    else
        snprintf(r->why, r->why_size, "%s: %s", r->path, what);
    return status;
}

static int add_row(struct reader *r, const char *text, size_t len)
{
    struct scr_rows_file *out = r->out;
    json_error_t error;
    json_t *object;
    bool good;

    if (out->n == r->room) {
        size_t room = r->room == 0 ? 64 : 2 * r->room;
        struct scr_row *grown = realloc(out->rows, room * sizeof *grown);

        if (grown == NULL)
            return complain(r, SCR_ERR_NO_MEMORY, "");
        out->rows = grown;
        r->room = room;
    }
    object = json_loadb(text, len, 0, &error);
    if (object == NULL)
        return complain(r, SCR_ERR_INVALID, error.text);
    good = json_is_object(object) && scr_row_from_json(object, &out->rows[out->n]);
    json_decref(object);
    if (!good)
        return complain(r, SCR_ERR_INVALID, "not a row: a column has another type, or no status");
    out->n++;
    return SCR_OK;
}

static int read_lines(struct reader *r, FILE *f)
{
    char *line = NULL;
    size_t size = 0;
    int status = SCR_OK;
    ssize_t len;

    while (status == SCR_OK && (len = getline(&line, &size, f)) > 0) {
        size_t n = (size_t)len;

        r->line++;
        if (line[n - 1] != '\n') {
            r->out->cut_bytes = n;
            break;
        }
        r->out->valid_bytes += n;
        while (n > 0 && line[n - 1] != '\0' && strchr(" \t\r\n", line[n - 1]) != NULL)
            n--;
        if (n > 0)
            status = add_row(r, line, n);
    }
    r->line = 0;
    if (status == SCR_OK && ferror(f))
        status = complain(r, SCR_ERR_INVALID, strerror(errno));
    free(line);
    return status;
}

static int by_repro(const void *pa, const void *pb)
{
    const struct scr_row *a = *(const struct scr_row *const *)pa;
    const struct scr_row *b = *(const struct scr_row *const *)pb;
    int cmp = strcmp(a->repro, b->repro);

    return cmp != 0 ? cmp : (a > b) - (a < b);
}

static int find_repeated(struct reader *r)
{
    struct scr_rows_file *out = r->out;
    const struct scr_row **sorted = malloc((out->n + 1) * sizeof *sorted);

    if (sorted == NULL)
        return complain(r, SCR_ERR_NO_MEMORY, "");
    for (size_t i = 0; i < out->n; i++)
        sorted[i] = &out->rows[i];
    qsort(sorted, out->n, sizeof(const struct scr_row *), by_repro);
    for (size_t i = 1; i < out->n; i++) {
        size_t at = (size_t)(sorted[i] - out->rows);

        if (sorted[i]->repro[0] == '\0' || strcmp(sorted[i]->repro, sorted[i - 1]->repro) != 0)
            continue;
        if (out->n_repeated == 0 || at < out->repeated)
            out->repeated = at;
        out->n_repeated++;
    }
    free(sorted);
    return SCR_OK;
}

int scr_rows_file_read(const char *path, struct scr_rows_file *out, char *why, size_t why_size)
{
    struct reader r = {.out = out, .path = path, .why = why, .why_size = why_size};
    char inside[4096];
    struct stat st;
    FILE *f;
    int status;

    *out = (struct scr_rows_file){0};
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
        snprintf(inside, sizeof inside, "%s/rows.jsonl", path);
        r.path = inside;
    }
    f = fopen(r.path, "r");
    if (f == NULL)
        return complain(&r, errno == ENOENT ? SCR_ERR_NOT_FOUND : SCR_ERR_INVALID, strerror(errno));
    status = read_lines(&r, f);
    fclose(f);
    if (status == SCR_OK)
        status = find_repeated(&r);
    return status;
}

void scr_rows_file_clear(struct scr_rows_file *f)
{
    free(f->rows);
    *f = (struct scr_rows_file){0};
}
