/* SPDX-License-Identifier: Apache-2.0 */
/* Files that are there whole or not at all. */
#include "tools.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool write_all(int fd, const char *text, size_t size)
{
    while (size > 0) {
        ssize_t n = write(fd, text, size);

        if (n < 0 && errno != EINTR)
            return false;
        if (n > 0) {
            text += n;
            size -= (size_t)n;
        }
    }
    return true;
}

/* The rename is safe on the disk only once the folder is. */
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

/* The permissions that the file has, or a new one would get. */
static mode_t mode_of(const char *path)
{
    struct stat st;
    mode_t mask = umask(0);

    umask(mask);
    return stat(path, &st) == 0 ? st.st_mode & 0777 : 0666 & ~mask;
}

int scr_write_whole(const char *path, const char *text, size_t size, char *why, size_t why_size)
{
    char part[PATH_MAX], real[PATH_MAX];
    const char *target = path;
    struct stat st;
    int fd = -1;

    if (path == NULL || strcmp(path, "-") == 0) {
        fwrite(text, 1, size, stdout);
        return SCR_OK; /* main looks whether that could be written */
    }
    /* A link stays one, to the new file; a device or a pipe cannot be replaced. */
    if (realpath(path, real) != NULL)
        target = real;
    if (stat(target, &st) == 0 && !S_ISREG(st.st_mode)) {
        snprintf(why, why_size, "%s: is not a regular file", path);
        return SCR_ERR_INVALID;
    }
    if (snprintf(part, sizeof part, "%s.XXXXXX", target) >= (int)sizeof part)
        errno = ENAMETOOLONG;
    else
        fd = mkstemp(part);
    if (fd < 0)
        goto failed;
    if (!write_all(fd, text, size) || fchmod(fd, mode_of(target)) != 0 || fsync(fd) != 0 ||
        rename(part, target) != 0) {
        int kept = errno;

        unlink(part);
        close(fd);
        errno = kept;
        goto failed;
    }
    close(fd);
    sync_folder(target);
    return SCR_OK;
failed:
    snprintf(why, why_size, "%s: %s", path, strerror(errno));
    return SCR_ERR_INVALID;
}
