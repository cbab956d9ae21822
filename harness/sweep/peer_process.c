/* SPDX-License-Identifier: Apache-2.0 */
#include "peer_process.h"

#include "timer.h"

#include <screening/error.h>

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_LINE = 4 << 20, CHUNK = 1 << 16 };

/* Between looks at `stop`, at the clock, and at whether a child has ended. */
static const double TICK_S = 0.2;
/* After stdout's end, what is still to come on stderr: why. */
static const double LAST_WORDS_S = 0.5;

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* Only calls that are safe between fork and exec. */
static void become(const char *script, pid_t parent, int in, int out, int err)
{
    static const int defaults[] = {SIGINT, SIGTERM, SIGPIPE, SIGHUP};
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    for (size_t i = 0; i < sizeof defaults / sizeof defaults[0]; i++)
        signal(defaults[i], SIG_DFL);
    setpgid(0, 0);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent)
        _exit(127);
    if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0)
        _exit(127);
    close_range(3, ~0U, 0);
    execl("/bin/sh", "sh", "-c", script, (char *)NULL);
    _exit(127);
}

/* A descriptor of 0 to 2 would be in the way of dup2. */
static bool above_standard(int *fd)
{
    int moved;

    if (*fd > 2)
        return true;
    moved = fcntl(*fd, F_DUPFD_CLOEXEC, 3);
    close(*fd);
    *fd = moved;
    return moved >= 0;
}

int scr_process_start(struct scr_process *p, const char *command, char *why, size_t why_size)
{
    int in[2] = {-1, -1}, out[2] = {-1, -1}, err[2] = {-1, -1};
    pid_t parent = getpid();
    char *script = NULL;
    int status = SCR_ERR_DEVICE;

    *p = (struct scr_process){.in = -1, .out = -1, .err = -1};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, in) != 0 || pipe2(out, O_CLOEXEC) != 0 ||
        pipe2(err, O_CLOEXEC) != 0 || !above_standard(&in[1]) || !above_standard(&out[1]) ||
        !above_standard(&err[1])) {
        snprintf(why, why_size, "no pipe: %s", strerror(errno));
        goto done;
    }
    if (asprintf(&script, "exec %s", command) < 0) {
        script = NULL;
        snprintf(why, why_size, "out of memory");
        status = SCR_ERR_NO_MEMORY;
        goto done;
    }
    p->pid = fork();
    if (p->pid == 0)
        become(script, parent, in[1], out[1], err[1]);
    if (p->pid < 0) {
        snprintf(why, why_size, "no process: %s", strerror(errno));
        p->pid = 0;
        goto done;
    }
    setpgid(p->pid, p->pid); /* here too: whoever is first */
    p->in = in[0];
    p->out = out[0];
    p->err = err[0];
    in[0] = out[0] = err[0] = -1;
    fcntl(p->out, F_SETFL, O_NONBLOCK);
    fcntl(p->err, F_SETFL, O_NONBLOCK);
    status = SCR_OK;
done:
    free(script);
    for (int i = 0; i < 2; i++) {
        close_fd(&in[i]);
        close_fd(&out[i]);
        close_fd(&err[i]);
    }
    return status;
}

bool scr_process_send(struct scr_process *p, const char *text)
{
    size_t bytes = strlen(text) + 1;
    char *line = malloc(bytes + 1);
    bool sent = false;

    if (line != NULL) {
        snprintf(line, bytes + 1, "%s\n", text);
        /* A socket that is empty takes this at once; a full one means that nobody reads. */
        sent = send(p->in, line, bytes, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)bytes;
    }
    free(line);
    return sent;
}

/* Keeps the last line of stderr that has a word in it. False at its end. */
static bool read_errors(struct scr_process *p)
{
    char text[4096];
    ssize_t n = read(p->err, text, sizeof text);

    if (n <= 0)
        return n < 0 && (errno == EAGAIN || errno == EINTR);
    for (ssize_t i = 0; i < n; i++) {
        if (text[i] == '\n' || text[i] == '\r') {
            p->partial[p->partial_used] = '\0';
            if (p->partial[strspn(p->partial, " \t")] != '\0')
                memcpy(p->last_error, p->partial, p->partial_used + 1);
            p->partial_used = 0;
        } else if (text[i] != '\0' && p->partial_used + 1 < sizeof p->partial) {
            p->partial[p->partial_used++] = text[i];
        }
    }
    return true;
}

/* What is left on stderr; a line without an end counts. */
static void read_last_words(struct scr_process *p)
{
    double end = scr_clock_s() + LAST_WORDS_S;

    while (p->err >= 0 && scr_clock_s() < end) {
        struct pollfd f = {.fd = p->err, .events = POLLIN};

        if (poll(&f, 1, (int)(1000 * LAST_WORDS_S)) > 0 && !read_errors(p))
            close_fd(&p->err);
    }
    p->partial[p->partial_used] = '\0';
    if (p->partial[strspn(p->partial, " \t")] != '\0')
        memcpy(p->last_error, p->partial, p->partial_used + 1);
    p->partial_used = 0;
}

/* False at the end of stdout, or when memory runs out. */
static bool read_output(struct scr_process *p)
{
    ssize_t n;

    if (p->taken > 0) {
        memmove(p->text, p->text + p->taken, p->used - p->taken);
        p->used -= p->taken;
        p->taken = 0;
    }
    if (p->room - p->used < CHUNK) {
        char *grown = realloc(p->text, p->used + 2 * (size_t)CHUNK);

        if (grown == NULL)
            return false;
        p->text = grown;
        p->room = p->used + 2 * (size_t)CHUNK;
    }
    n = read(p->out, p->text + p->used, CHUNK);
    if (n > 0)
        p->used += (size_t)n;
    return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

static bool take_line(struct scr_process *p, char **line, size_t *bytes)
{
    char *begin, *end;

    if (p->used == p->taken)
        return false; /* text may be NULL */
    begin = p->text + p->taken;
    end = memchr(begin, '\n', p->used - p->taken);
    if (end == NULL)
        return false;
    *end = '\0';
    *line = begin;
    *bytes = (size_t)(end - begin);
    p->taken += *bytes + 1;
    return true;
}

enum scr_line scr_process_read(struct scr_process *p, double limit_s,
                               const volatile sig_atomic_t *stop, char **line, size_t *bytes)
{
    double end = scr_clock_s() + limit_s;

    while (!take_line(p, line, bytes)) {
        struct pollfd f[2] = {{.fd = p->out, .events = POLLIN}, {.fd = p->err, .events = POLLIN}};
        double left = end - scr_clock_s();

        if (stop != NULL && *stop)
            return SCR_LINE_STOPPED;
        if (left <= 0)
            return SCR_LINE_LATE;
        if (p->used - p->taken > MAX_LINE)
            return SCR_LINE_LONG;
        if (poll(f, 2, (int)ceil(1000 * fmin(left, TICK_S))) <= 0)
            continue;
        if (f[1].revents != 0 && !read_errors(p))
            close_fd(&p->err);
        if (f[0].revents != 0 && !read_output(p)) {
            read_last_words(p);
            return SCR_LINE_ENDED;
        }
    }
    return SCR_LINE_THERE;
}

/* Whether the child has ended; it stays a zombie, so that its group's number is not given away. */
static bool has_ended(pid_t pid)
{
    siginfo_t info = {0};

    return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid;
}

bool scr_process_runs(const struct scr_process *p)
{
    return p->pid != 0 && !has_ended(p->pid);
}

void scr_process_end(struct scr_process *p, double grace_s, char *how, size_t how_size)
{
    double end = scr_clock_s() + grace_s;
    bool alone;
    int status = 0;

    if (p->pid == 0)
        return;
    close_fd(&p->in);
    while (!(alone = has_ended(p->pid)) && scr_clock_s() < end)
        usleep(10000);
    kill(-p->pid, SIGKILL);
    while (waitpid(p->pid, &status, 0) < 0 && errno == EINTR)
        continue;
    if (how != NULL && !alone)
        snprintf(how, how_size, "killed");
    else if (how != NULL && WIFSIGNALED(status))
        snprintf(how, how_size, "signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    else if (how != NULL)
        snprintf(how, how_size, "exit status %d", WEXITSTATUS(status));
    close_fd(&p->out);
    close_fd(&p->err);
    free(p->text);
    *p = (struct scr_process){.in = -1, .out = -1, .err = -1};
}
