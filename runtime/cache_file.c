/* SPDX-License-Identifier: Apache-2.0 */
#include "cache_file.h"

#include "hash.h"

#include <screening/error.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char suffix[] = ".scrk";
static const char temporary[] = ".scrk-";
static const char hex[] = "0123456789abcdef";

enum {
    HEADER_BYTES = 160,         /* more than any header has */
    MAX_FILE_BYTES = 256 << 20, /* no program is larger */
    LEFT_BEHIND_SECONDS = 60 * 60,
};

void scr_cache_file_name(const char *key, char name[SCR_CACHE_NAME])
{
    snprintf(name, SCR_CACHE_NAME, "%016" PRIx64 "%s", scr_hash(SCR_HASH_START, key, strlen(key)),
             suffix);
}

static int format_header(char out[HEADER_BYTES], const char *key, const void *data, size_t size)
{
    uint64_t sum = scr_hash(SCR_HASH_START, key, strlen(key));

    return snprintf(out, HEADER_BYTES,
                    "screening-program 1\nkey %zu\ndata %zu\nchecksum %016" PRIx64 "\n\n",
                    strlen(key), size, scr_hash(sum, data, size));
}

/* Reads n bytes; false where the file ends before. */
static bool read_all(int fd, char *out, size_t n)
{
    while (n != 0) {
        ssize_t got = read(fd, out, n);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        out += got;
        n -= (size_t)got;
    }
    return true;
}

/*
 * Takes a whole file apart. The header is not parsed: it must be the very one that the key and what
 * is left as data would be written with.
 */
static const char *verify(const char *text, size_t n, const char *key, size_t *data_at)
{
    static const char first_line[] = "screening-program 1\n";
    const char *end = memmem(text, n < HEADER_BYTES ? n : HEADER_BYTES, "\n\n", 2);
    size_t key_bytes = strlen(key);
    char header[HEADER_BYTES];
    size_t header_bytes;

    if (end == NULL || strncmp(text, first_line, sizeof first_line - 1) != 0)
        return "not a program, or of another version";
    header_bytes = (size_t)(end + 2 - text);
    if (n - header_bytes < key_bytes)
        return "cut short, or of another key";
    if (memcmp(text + header_bytes, key, key_bytes) != 0)
        return "of another key";
    *data_at = header_bytes + key_bytes;
    if (*data_at == n ||
        format_header(header, key, text + *data_at, n - *data_at) != (int)header_bytes ||
        memcmp(header, text, header_bytes) != 0)
        return "damaged";
    return NULL;
}

int scr_cache_file_read(const char *folder, const char *key, void **data, size_t *size,
                        const char **why)
{
    char name[SCR_CACHE_NAME], path[PATH_MAX];
    int status = SCR_ERR_NOT_FOUND;
    size_t n, data_at = 0;
    char *text = NULL;
    struct stat st;
    int fd;

    *data = NULL;
    *size = 0;
    *why = "no such file";
    scr_cache_file_name(key, name);
    if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path)
        return SCR_ERR_NOT_FOUND;
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return SCR_ERR_NOT_FOUND;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size <= 0 ||
        st.st_size > MAX_FILE_BYTES) {
        *why = "not a program";
        goto done;
    }
    n = (size_t)st.st_size;
    text = malloc(n + 1);
    if (text == NULL) {
        *why = "out of memory";
        status = SCR_ERR_NO_MEMORY;
        goto done;
    }
    text[n] = '\0';
    *why = "cut short";
    if (!read_all(fd, text, n))
        goto done;
    *why = verify(text, n, key, &data_at);
    if (*why != NULL)
        goto done;
    futimens(fd, NULL);
    memmove(text, text + data_at, n - data_at);
    text[n - data_at] = '\0'; /* for drivers that take a broken image for text */
    *data = text;
    *size = n - data_at;
    text = NULL;
    status = SCR_OK;
done:
    free(text);
    close(fd);
    return status;
}

int scr_cache_folder_make(const char *folder, unsigned mode)
{
    char path[PATH_MAX];

    if (snprintf(path, sizeof path, "%s", folder) >= (int)sizeof path)
        return ENAMETOOLONG;
    for (char *s = path + 1; *s != '\0'; s++) {
        if (*s != '/')
            continue;
        *s = '\0';
        if (mkdir(path, mode) != 0 && errno != EEXIST && errno != EROFS && errno != EACCES)
            return errno;
        *s = '/';
    }
    return mkdir(path, mode) == 0 || errno == EEXIST ? 0 : errno;
}

static int write_all(int fd, const void *bytes, size_t n)
{
    const char *s = bytes;

    while (n != 0) {
        ssize_t put = write(fd, s, n);

        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return errno;
        s += put;
        n -= (size_t)put;
    }
    return 0;
}

/* A new file of a name that no other writer has: process, thread and moment tell them apart. */
static int open_temporary(const char *folder, char *path, size_t path_size)
{
    int fd = -1;

    for (int tries = 0; fd < 0 && tries < 8; tries++) {
        struct timespec now;
        int n;

        clock_gettime(CLOCK_REALTIME, &now);
        n = snprintf(path, path_size, "%s/%s%ld-%" PRIxPTR "-%lld%09ld", folder, temporary,
                     (long)getpid(), (uintptr_t)&now, (long long)now.tv_sec, now.tv_nsec);
        if (n >= (int)path_size) {
            errno = ENAMETOOLONG;
            return -1;
        }
        fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd < 0 && errno != EEXIST)
            return -1;
    }
    return fd;
}

int scr_cache_file_write(const char *folder, const char *key, const void *data, size_t size)
{
    char name[SCR_CACHE_NAME], header[HEADER_BYTES];
    char path[PATH_MAX], from[PATH_MAX];
    int n = format_header(header, key, data, size);
    int error, fd;

    scr_cache_file_name(key, name);
    if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path)
        return ENAMETOOLONG;
    fd = open_temporary(folder, from, sizeof from);
    if (fd < 0)
        return errno;
    error = write_all(fd, header, (size_t)n);
    if (error == 0)
        error = write_all(fd, key, strlen(key));
    if (error == 0)
        error = write_all(fd, data, size);
    if (close(fd) != 0 && error == 0)
        error = errno;
    if (error == 0 && rename(from, path) != 0)
        error = errno;
    if (error != 0)
        unlink(from);
    return error;
}

struct kept {
    char name[SCR_CACHE_NAME];
    struct timespec used;
    uint64_t bytes;
};

static int by_use(const void *a, const void *b)
{
    const struct kept *x = a, *y = b;

    if (x->used.tv_sec != y->used.tv_sec)
        return x->used.tv_sec < y->used.tv_sec ? -1 : 1;
    if (x->used.tv_nsec != y->used.tv_nsec)
        return x->used.tv_nsec < y->used.tv_nsec ? -1 : 1;
    return strcmp(x->name, y->name);
}

static bool is_program(const char *name)
{
    return strlen(name) == SCR_CACHE_NAME - 1 && strspn(name, hex) == 16 &&
           strcmp(name + 16, suffix) == 0;
}

static bool is_left_behind(const char *name, const struct stat *st)
{
    return strncmp(name, temporary, sizeof temporary - 1) == 0 &&
           st->st_mtime < time(NULL) - LEFT_BEHIND_SECONDS;
}

void scr_cache_folder_trim(const char *folder, uint64_t limit)
{
    DIR *dir = opendir(folder);
    struct kept *files = NULL;
    size_t n = 0, room = 0;
    uint64_t bytes = 0;
    struct dirent *entry;

    if (dir == NULL)
        return;
    while ((entry = readdir(dir)) != NULL) {
        struct stat st;

        if (fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
            !S_ISREG(st.st_mode))
            continue;
        if (is_left_behind(entry->d_name, &st))
            unlinkat(dirfd(dir), entry->d_name, 0);
        if (!is_program(entry->d_name))
            continue;
        if (n == room) {
            size_t more = room != 0 ? 2 * room : 64;
            struct kept *grown = realloc(files, more * sizeof *grown);

            if (grown == NULL)
                goto done;
            files = grown;
            room = more;
        }
        memcpy(files[n].name, entry->d_name, SCR_CACHE_NAME);
        files[n].used = st.st_mtim;
        files[n].bytes = (uint64_t)st.st_size;
        bytes += files[n++].bytes;
    }
    if (bytes <= limit)
        goto done;
    qsort(files, n, sizeof *files, by_use);
    for (size_t i = 0; i < n && bytes > limit - limit / 4; i++) {
        unlinkat(dirfd(dir), files[i].name, 0);
        bytes -= files[i].bytes;
    }
done:
    free(files);
    closedir(dir);
}
