/* SPDX-License-Identifier: Apache-2.0 */
/* Record files: a line a record. Whatever is in a file, a bad line costs itself only. */
#include "record.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 1 << 16 };

/* Reading. */

int scr_records_add(struct scr_records *records, const struct scr_record *r)
{
    if (records->n == records->room) {
        size_t room = records->room == 0 ? 64 : 2 * records->room;
        struct scr_record *grown = realloc(records->items, room * sizeof *grown);

        if (grown == NULL)
            return SCR_ERR_NO_MEMORY;
        records->items = grown;
        records->room = room;
    }
    records->items[records->n++] = *r;
    return SCR_OK;
}

void scr_records_clear(struct scr_records *records)
{
    free(records->items);
    *records = (struct scr_records){0};
}

struct reader {
    const char *path;
    struct scr_records *out;
    scr_bad_line_fn bad;
    void *user;
};

static void drop_line(const struct reader *r, size_t line, const char *why)
{
    if (r->out->n_bad++ == 0)
        snprintf(r->out->first_bad, sizeof r->out->first_bad, "%s:%zu: %.120s", r->path, line, why);
    if (r->bad != NULL)
        r->bad(r->user, r->path, line, why);
}

static int take_line(const struct reader *r, size_t line, const char *text, size_t len)
{
    struct scr_record record;
    json_error_t error;
    json_t *j;
    char why[200];
    int status = SCR_OK;

    while (len > 0 && (text[len - 1] == ' ' || text[len - 1] == '\t' || text[len - 1] == '\r'))
        len--;
    if (len == 0)
        return SCR_OK;
    j = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
    if (j == NULL) {
        snprintf(why, sizeof why, "no JSON: %.120s", error.text);
        why[strcspn(why, "\r\n")] = '\0';
        drop_line(r, line, why);
    } else if (scr_record_from_json(j, &record, why, sizeof why) != SCR_OK) {
        drop_line(r, line, why);
    } else {
        status = scr_records_add(r->out, &record);
    }
    json_decref(j);
    return status;
}

static int read_lines(const struct reader *r, FILE *f, char *text)
{
    size_t line = 0, len = 0;
    int c, status = SCR_OK;

    while (status == SCR_OK && (c = getc_unlocked(f)) != EOF) {
        if (c != '\n') {
            if (len < LINE_MAX_BYTES)
                text[len] = (char)c;
            len++;
            continue;
        }
        line++;
        if (len > LINE_MAX_BYTES)
            drop_line(r, line, "longer than 65536 bytes");
        else
            status = take_line(r, line, text, len);
        len = 0;
    }
    if (status == SCR_OK && len > 0)
        drop_line(r, line + 1, "cut: it does not end");
    return status;
}

int scr_records_read_noting(const char *path, struct scr_records *out, scr_bad_line_fn bad,
                            void *user, char *why, size_t why_size)
{
    struct reader r = {.path = path, .out = out, .bad = bad, .user = user};
    FILE *f = fopen(path, "re");
    char *text = malloc(LINE_MAX_BYTES);
    int status = SCR_OK;

    if (f == NULL || text == NULL) {
        status = f != NULL           ? SCR_ERR_NO_MEMORY
                 : (errno == ENOENT) ? SCR_ERR_NOT_FOUND
                                     : SCR_ERR_INVALID;
    } else {
        errno = 0;
        status = read_lines(&r, f, text);
        if (status == SCR_OK && ferror(f))
            status = SCR_ERR_INVALID;
    }
    if (status == SCR_ERR_NO_MEMORY)
        snprintf(why, why_size, "%s: out of memory", path);
    else if (status != SCR_OK)
        snprintf(why, why_size, "%s: %s", path, strerror(errno));
    if (f != NULL)
        fclose(f);
    free(text);
    return status;
}

int scr_records_read(const char *path, struct scr_records *out, char *why, size_t why_size)
{
    return scr_records_read_noting(path, out, NULL, NULL, why, why_size);
}

/* Appending. */

struct scr_record_file {
    int fd;
};

static bool lock(int fd, int how)
{
    int rc;

    do
        rc = flock(fd, how);
    while (rc != 0 && errno == EINTR);
    return rc == 0;
}

/* Whether the file ends within a line; -1: it cannot be read. */
static int ends_in_line(int fd, off_t *size)
{
    struct stat st;
    char last;

    if (fstat(fd, &st) != 0)
        return -1;
    *size = st.st_size;
    if (st.st_size == 0)
        return 0;
    if (pread(fd, &last, 1, st.st_size - 1) != 1)
        return -1;
    return last != '\n';
}

/*
 * Lines after a newline, by one write, so that a kill leaves at most one line cut, which the next
 * to write ends. A disk that is full leaves the file as it was.
 */
static int append_locked(int fd, const char *lines, size_t len)
{
    off_t size;
    int cut = ends_in_line(fd, &size);
    ssize_t written;

    if (cut < 0)
        return SCR_ERR_INVALID;
    if (cut == 0) {
        lines++;
        len--;
    }
    if (len == 0)
        return SCR_OK;
    do
        written = write(fd, lines, len);
    while (written < 0 && errno == EINTR);
    if (written == (ssize_t)len)
        return fsync(fd) == 0 || errno == EINVAL || errno == EROFS ? SCR_OK : SCR_ERR_INVALID;
    if (written > 0) {
        if (ftruncate(fd, size) != 0)
            return SCR_ERR_INVALID;
        errno = ENOSPC;
    }
    return SCR_ERR_INVALID;
}

static int append(int fd, const char *lines, size_t len)
{
    int status, kept;

    if (!lock(fd, LOCK_EX))
        return SCR_ERR_INVALID;
    status = append_locked(fd, lines, len);
    kept = errno;
    lock(fd, LOCK_UN);
    errno = kept;
    return status;
}

/* A new file's name is safe on the disk only once its folder is. */
static void sync_folder(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder = slash == NULL ? strdup(".") : strndup(path, (size_t)(slash - path) + 1);
    int fd = folder != NULL ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

    if (fd >= 0) {
        (void)fsync(fd);
        close(fd);
    }
    free(folder);
}

int scr_record_file_open(const char *path, struct scr_record_file **out, char *why, size_t why_size)
{
    struct scr_record_file *f = malloc(sizeof *f);
    struct stat st;

    *out = NULL;
    if (f == NULL) {
        snprintf(why, why_size, "out of memory");
        return SCR_ERR_NO_MEMORY;
    }
    f->fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    if (f->fd < 0)
        goto failed;
    if (fstat(f->fd, &st) != 0)
        goto failed;
    if (!S_ISREG(st.st_mode)) {
        snprintf(why, why_size, "%s: is not a regular file", path);
        goto refused;
    }
    if (st.st_size == 0)
        sync_folder(path);
    if (append(f->fd, "\n", 1) != SCR_OK)
        goto failed;
    *out = f;
    return SCR_OK;
failed:
    snprintf(why, why_size, "%s: %s", path, strerror(errno));
refused:
    if (f->fd >= 0)
        close(f->fd);
    free(f);
    return SCR_ERR_INVALID;
}

/* The lines with one more, the record's. */
static bool add_line(char **lines, size_t *len, const struct scr_record *r)
{
    json_t *j = scr_record_json(r);
    char *text = j != NULL ? json_dumps(j, SCR_RECORD_DUMP) : NULL;
    size_t added = text != NULL ? strlen(text) : 0;
    char *grown = text != NULL ? realloc(*lines, *len + added + 1) : NULL;

    if (grown != NULL) {
        memcpy(grown + *len, text, added);
        grown[*len + added] = '\n';
        *lines = grown;
        *len += added + 1;
    }
    free(text);
    json_decref(j);
    return grown != NULL;
}

int scr_record_file_append(struct scr_record_file *f, const struct scr_record *r, size_t n)
{
    char *lines = strdup("\n");
    size_t len = 1;
    bool whole = lines != NULL;
    int status;

    for (size_t i = 0; i < n && whole; i++)
        whole = add_line(&lines, &len, &r[i]);
    status = whole ? append(f->fd, lines, len) : SCR_ERR_NO_MEMORY;
    free(lines);
    return status;
}

void scr_record_file_close(struct scr_record_file **f)
{
    if (*f == NULL)
        return;
    close((*f)->fd);
    free(*f);
    *f = NULL;
}
