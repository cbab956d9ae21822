/* SPDX-License-Identifier: Apache-2.0 */
#include "plot_gnuplot.h"

#include <screening/error.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { LIMIT_MS = 60000 }; /* of silence; a picture takes well under a second */

static int spawn(const char *dir, const char *script, int err_fd, pid_t *pid)
{
    char *const argv[] = {(char *)"gnuplot", (char *)"--default-settings", (char *)script, NULL};
    posix_spawn_file_actions_t actions;
    int error = posix_spawn_file_actions_init(&actions);

    if (error != 0)
        return error;
    error = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    if (error == 0)
        error = posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    if (error == 0)
        error = posix_spawn_file_actions_adddup2(&actions, err_fd, 2);
    if (error == 0)
        error = posix_spawn_file_actions_addchdir_np(&actions, dir);
    if (error == 0)
        error = posix_spawnp(pid, argv[0], &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

/* Reads to the end of the stream and keeps what fits; false when that takes too long. */
static bool drain(int fd, char *text, size_t size)
{
    char chunk[512];
    size_t kept = 0;
    bool in_time = true;

    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int ready = poll(&p, 1, LIMIT_MS);
        ssize_t n;

        if (ready < 0 && errno == EINTR)
            continue;
        in_time = ready != 0;
        n = ready > 0 ? read(fd, chunk, sizeof chunk) : 0;
        if (n <= 0)
            break;
        if ((size_t)n > size - 1 - kept)
            n = (ssize_t)(size - 1 - kept);
        memcpy(text + kept, chunk, (size_t)n);
        kept += (size_t)n;
    }
    text[kept] = '\0';
    return in_time;
}

/* gnuplot's error comes after the offending line and a caret: the line that has "line N:". */
static const char *message(char *text)
{
    char *found = text;

    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        if (strstr(line, " line ") != NULL)
            return line;
        if (strspn(found, " \t^") == strlen(found))
            found = line;
    }
    return found;
}

int scr_gnuplot_run(const char *dir, const char *name, char *why, size_t why_size)
{
    char script[256], text[2048];
    int fds[2], error, wstatus = 0;
    pid_t pid;

    snprintf(script, sizeof script, "%s.gp", name);
    if (pipe2(fds, O_CLOEXEC) != 0) {
        snprintf(why, why_size, "cannot run gnuplot: %s", strerror(errno));
        return SCR_ERR_NO_MEMORY;
    }
    error = spawn(dir, script, fds[1], &pid);
    close(fds[1]);
    if (error != 0) {
        close(fds[0]);
        if (error == ENOENT) {
            snprintf(why, why_size, "gnuplot is not installed: no pictures, but data and scripts");
            return SCR_ERR_NOT_FOUND;
        }
        snprintf(why, why_size, "cannot run gnuplot: %s", strerror(error));
        return SCR_ERR_INVALID;
    }
    if (!drain(fds[0], text, sizeof text))
        kill(pid, SIGKILL);
    close(fds[0]);
    while (waitpid(pid, &wstatus, 0) < 0 && errno == EINTR)
        ;
    if (WIFEXITED(wstatus) && WEXITSTATUS(wstatus) == 0)
        return SCR_OK;
    if (WIFSIGNALED(wstatus))
        snprintf(why, why_size, "gnuplot %s: ended by signal %d", script, WTERMSIG(wstatus));
    else
        snprintf(why, why_size, "gnuplot %s: %s", script, message(text));
    return SCR_ERR_INVALID;
}
