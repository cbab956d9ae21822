/* SPDX-License-Identifier: Apache-2.0 */
#include "child.h"

#include "timer.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* A killed process that waits in the kernel for a device is left behind after this. */
static const double REAP_S = 1;

static void run_child(pid_t parent, int fd, scr_child_fn fn, void *user)
{
    int null = open("/dev/null", O_RDWR);
    size_t size = 0;
    const char *bytes;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    if (null >= 0) {
        dup2(null, STDOUT_FILENO);
        dup2(null, STDERR_FILENO);
    }
    bytes = fn(user, &size);
    if (bytes == NULL)
        _exit(1);
    for (size_t done = 0; done < size;) {
        ssize_t n = write(fd, bytes + done, size - done);

        if (n < 0 && errno != EINTR)
            _exit(1);
        if (n > 0)
            done += (size_t)n;
    }
    _exit(0);
}

/* Reads until the other end is closed. NULL on failure. */
static char *read_all(int fd, double deadline, double limit_s, size_t *got, char *why,
                      size_t why_size)
{
    size_t size = 0, room = 1 << 16;
    char *bytes = malloc(room);

    while (bytes != NULL) {
        double left_s = deadline - scr_clock_s();
        int ready = left_s <= 0 ? 0
                                : poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1,
                                       (int)(left_s * 1e3) + 1);
        ssize_t n;
        char *grown;

        if (ready == 0) {
            snprintf(why, why_size, "took longer than %g s", limit_s);
            free(bytes);
            return NULL;
        }
        n = ready < 0 ? -1 : read(fd, bytes + size, room - size - 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            snprintf(why, why_size, "could not be read: %s", strerror(errno));
            free(bytes);
            return NULL;
        }
        if (n == 0) {
            bytes[size] = '\0';
            *got = size;
            return bytes;
        }
        size += (size_t)n;
        if (room - size > 1)
            continue;
        room *= 2;
        grown = realloc(bytes, room);
        if (grown == NULL)
            free(bytes);
        bytes = grown;
    }
    snprintf(why, why_size, "could not be read: out of memory");
    return NULL;
}

/* Waits for the child's end. False when it does not come before the deadline. */
static bool reap(pid_t pid, double deadline, int *status)
{
    const struct timespec pause = {.tv_nsec = 1000000};

    for (;;) {
        pid_t ended = waitpid(pid, status, WNOHANG);

        /* Where the program ignores SIGCHLD the kernel reaps, and tells no status. */
        if (ended < 0 && errno == ECHILD)
            *status = 0;
        if (ended != 0 && !(ended < 0 && errno == EINTR))
            return true;
        if (scr_clock_s() > deadline)
            return false;
        nanosleep(&pause, NULL);
    }
}

void *scr_child_ask(scr_child_fn fn, void *user, double limit_s, size_t *size, char *why,
                    size_t why_size)
{
    double deadline = scr_clock_s() + limit_s;
    char *bytes = NULL;
    size_t got = 0;
    int ends[2];
    int status;
    pid_t parent = getpid(), pid;

    if (pipe2(ends, O_CLOEXEC) != 0) {
        snprintf(why, why_size, "could not start: %s", strerror(errno));
        return NULL;
    }
    pid = fork();
    if (pid == 0) {
        close(ends[0]);
        run_child(parent, ends[1], fn, user);
    }
    if (pid < 0)
        snprintf(why, why_size, "could not start: %s", strerror(errno));
    close(ends[1]);
    if (pid < 0) {
        close(ends[0]);
        return NULL;
    }
    bytes = read_all(ends[0], deadline, limit_s, &got, why, why_size);
    close(ends[0]);
    if (bytes == NULL || !reap(pid, deadline, &status)) {
        kill(pid, SIGKILL);
        reap(pid, scr_clock_s() + REAP_S, &status);
        if (bytes != NULL)
            snprintf(why, why_size, "took longer than %g s", limit_s);
        goto failed;
    }
    if (WIFSIGNALED(status)) {
        snprintf(why, why_size, "was ended by signal %d (%s)", WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
        goto failed;
    }
    if (WEXITSTATUS(status) == 0) {
        if (size != NULL)
            *size = got;
        return bytes;
    }
    snprintf(why, why_size, "found nothing");
failed:
    free(bytes);
    return NULL;
}
