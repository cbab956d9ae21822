/* SPDX-License-Identifier: Apache-2.0 */
#include "helper.h"

#include "timer.h"

#include <screening/error.h>

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* For an answer to come once the user wants an end, or the time budget has come to its. */
static const double STOP_GRACE_S = 5, BUDGET_GRACE_S = 2;

/* Between looks at *stop: a signal that comes just before poll does not wake it. */
static const double TICK_S = 1;

static const double REAP_S = 5;

enum { MAX_HELPERS = 64 }; /* waited for at once */

/* The command of the helper; free() it. */
static const char **helper_command(const struct scr_helper *h)
{
    const char **words;
    size_t n = 0;

    while (h->argv[n] != NULL)
        n++;
    words = calloc(n + 3, sizeof *words);
    if (words == NULL)
        return NULL;
    for (size_t i = 0; i < n; i++)
        words[i] = h->argv[i];
    words[n] = "--worker";
    words[n + 1] = h->backends;
    return words;
}

/* In the new process: becomes the helper. */
static void become_helper(const char **words, pid_t parent, int in, int out)
{
    /* It must not outlive who started it, nor be stopped by the terminal's Ctrl-C. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(127);
    setpgid(0, 0);
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    if (dup2(in, STDIN_FILENO) < 0 || dup2(out, SCR_HELPER_FD) < 0 ||
        fcntl(SCR_HELPER_FD, F_SETFD, 0) != 0)
        _exit(127);
    execv("/proc/self/exe", (char *const *)(uintptr_t)words);
    _exit(127);
}

int scr_helper_start(struct scr_helper *h, char *why, size_t why_size)
{
    const char **words = helper_command(h);
    pid_t parent = getpid();
    int to[2] = {-1, -1}, from[2] = {-1, -1};

    if (words == NULL || pipe2(to, O_CLOEXEC) != 0 || pipe2(from, O_CLOEXEC) != 0)
        goto failed;
    h->pid = fork();
    if (h->pid == 0)
        become_helper(words, parent, to[0], from[1]);
    if (h->pid < 0)
        goto failed;
    close(to[0]);
    close(from[1]);
    /* A helper that does not read or write must not keep this process waiting. */
    fcntl(to[1], F_SETFL, O_NONBLOCK);
    fcntl(from[0], F_SETFL, O_NONBLOCK);
    h->to = to[1];
    h->from = from[0];
    h->n_text = 0;
    free(words);
    return SCR_OK;
failed:
    snprintf(why, why_size, "no worker process: %s", strerror(errno));
    for (int i = 0; i < 2; i++) {
        close(to[i]);
        close(from[i]);
    }
    h->pid = 0;
    free(words);
    return SCR_ERR_DEVICE;
}

bool scr_helper_collect(struct scr_helper *h, bool kill_it, int *status)
{
    const struct timespec pause = {.tv_nsec = 2000000};
    double start = scr_clock_s();
    bool ended = true;
    int unused;

    if (status == NULL)
        status = &unused;
    *status = 0;
    if (h->pid == 0)
        return true;
    if (kill_it)
        kill(h->pid, SIGKILL);
    close(h->to);
    close(h->from);
    while (waitpid(h->pid, status, WNOHANG) == 0) {
        if (scr_clock_s() - start > REAP_S) {
            ended = !kill_it;
            if (!ended)
                break;
            kill(h->pid, SIGKILL);
            kill_it = true;
            start = scr_clock_s();
        }
        nanosleep(&pause, NULL);
    }
    h->pid = 0;
    h->n_text = 0;
    return ended;
}

void scr_helper_clear(struct scr_helper *h)
{
    scr_helper_collect(h, false, NULL);
    free(h->text);
    h->text = NULL;
    h->room = 0;
}

static bool stop_wanted(const struct scr_helper *h)
{
    return h->stop != NULL && *h->stop;
}

/* Whether to go on waiting until the deadline. */
static enum scr_heard look_around(struct scr_helper *h, double deadline)
{
    double now = scr_clock_s();

    if (stop_wanted(h) && h->stop_s == 0)
        h->stop_s = now;
    if (h->stop_s != 0 && now > h->stop_s + STOP_GRACE_S)
        return SCR_HEARD_STOPPED;
    if (h->end_s != 0 && now > h->end_s + BUDGET_GRACE_S)
        return SCR_HEARD_LATE;
    return now >= deadline ? SCR_HEARD_SILENT : SCR_HEARD_OK;
}

/* For poll: milliseconds to the deadline, or to the next look at *stop. */
static int patience_ms(double deadline)
{
    return (int)(fmax(0, fmin(deadline - scr_clock_s(), TICK_S)) * 1e3) + 1;
}

/* Sends one line and drops the message. */
static enum scr_heard send_line(struct scr_helper *h, json_t *message, double deadline)
{
    char *line = message != NULL ? json_dumps(message, JSON_COMPACT) : NULL;
    size_t size = line != NULL ? strlen(line) : 0;
    enum scr_heard heard = line != NULL ? SCR_HEARD_OK : SCR_HEARD_GONE;
    size_t done = 0;

    json_decref(message);
    if (line != NULL)
        line[size++] = '\n'; /* in place of the NUL */
    while (done < size && heard == SCR_HEARD_OK) {
        ssize_t n = write(h->to, line + done, size - done);

        if (n > 0) {
            done += (size_t)n;
        } else if (n < 0 && errno == EAGAIN) {
            heard = look_around(h, deadline);
            if (heard == SCR_HEARD_OK)
                poll(&(struct pollfd){.fd = h->to, .events = POLLOUT}, 1, patience_ms(deadline));
        } else if (n < 0 && errno != EINTR) {
            heard = SCR_HEARD_GONE;
        }
    }
    free(line);
    return heard;
}

/* Takes the first line of what was received, or NULL. */
static json_t *take_line(struct scr_helper *h)
{
    char *end = h->n_text > 0 ? memchr(h->text, '\n', h->n_text) : NULL;
    json_t *message;

    if (end == NULL)
        return NULL;
    message = json_loadb(h->text, (size_t)(end - h->text), 0, NULL);
    h->n_text -= (size_t)(end + 1 - h->text);
    memmove(h->text, end + 1, h->n_text);
    return message != NULL ? message : json_null();
}

/* Reads what is there; SCR_HEARD_OK also where that is nothing. */
static enum scr_heard receive(struct scr_helper *h, bool *more)
{
    ssize_t n;

    if (h->room - h->n_text < 4096) {
        char *grown = realloc(h->text, h->room + 65536);

        if (grown == NULL)
            return SCR_HEARD_GONE;
        h->text = grown;
        h->room += 65536;
    }
    n = read(h->from, h->text + h->n_text, h->room - h->n_text);
    if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN))
        return SCR_HEARD_GONE;
    *more = n > 0;
    h->n_text += n > 0 ? (size_t)n : 0;
    return SCR_HEARD_OK;
}

/* Takes note of a step, or of what the owner knows. */
static bool take_note(struct scr_helper *h, const json_t *message)
{
    const char *step = json_string_value(json_object_get(message, "step"));

    if (step == NULL)
        return h->note != NULL && h->note(h->user, message);
    snprintf(h->step, sizeof h->step, "%s", step);
    h->deadline = strcmp(step, "reference") == 0 ? INFINITY : scr_clock_s() + h->timeout_s;
    return true;
}

enum scr_heard scr_helper_tell(struct scr_helper *h, json_t *message, double timeout_s)
{
    return send_line(h, message, scr_clock_s() + timeout_s);
}

enum scr_heard scr_helper_begin(struct scr_helper *h, json_t *request, double timeout_s)
{
    h->timeout_s = timeout_s;
    h->deadline = scr_clock_s() + timeout_s;
    snprintf(h->step, sizeof h->step, "start");
    if (!stop_wanted(h))
        return send_line(h, request, h->deadline);
    json_decref(request);
    return SCR_HEARD_STOPPED;
}

enum scr_heard scr_helper_take(struct scr_helper *h, json_t **answer)
{
    enum scr_heard heard = SCR_HEARD_OK;
    bool more = true;

    *answer = NULL;
    while (heard == SCR_HEARD_OK && more) {
        json_t *message = take_line(h);

        if (message == NULL) {
            heard = receive(h, &more);
        } else if (take_note(h, message)) {
            json_decref(message);
        } else {
            *answer = message;
            return SCR_HEARD_OK;
        }
    }
    return heard == SCR_HEARD_OK ? look_around(h, h->deadline) : heard;
}

void scr_helpers_wait(struct scr_helper *const *helpers, size_t n)
{
    struct pollfd fds[MAX_HELPERS];
    double deadline = INFINITY;
    nfds_t used = 0;

    for (size_t i = 0; i < n && used < MAX_HELPERS; i++) {
        if (helpers[i] == NULL)
            continue;
        fds[used++] = (struct pollfd){.fd = helpers[i]->from, .events = POLLIN};
        deadline = fmin(deadline, helpers[i]->deadline);
    }
    poll(fds, used, patience_ms(deadline));
}

enum scr_heard scr_helper_ask(struct scr_helper *h, json_t *request, double timeout_s,
                              json_t **answer)
{
    enum scr_heard heard = scr_helper_begin(h, request, timeout_s);

    *answer = NULL;
    while (heard == SCR_HEARD_OK) {
        heard = scr_helper_take(h, answer);
        if (heard != SCR_HEARD_OK || *answer != NULL)
            break;
        scr_helpers_wait(&(struct scr_helper *){h}, 1);
    }
    return heard;
}

struct scr_helper_end scr_helper_bury(struct scr_helper *h, enum scr_heard heard)
{
    struct scr_helper_end end = {heard, "crashed", ""};
    int status;
    bool ended = scr_helper_collect(h, heard != SCR_HEARD_GONE, &status);

    switch (heard) {
    case SCR_HEARD_STOPPED:
        end.status = "skipped";
        snprintf(end.why, sizeof end.why, "interrupted");
        break;
    case SCR_HEARD_LATE:
        end.status = "skipped";
        snprintf(end.why, sizeof end.why, "the time budget is spent");
        break;
    case SCR_HEARD_GARBLED:
        end.status = "failed";
        snprintf(end.why, sizeof end.why, "the worker process answered what it was not asked");
        break;
    case SCR_HEARD_SILENT:
        end.status = "timeout";
        snprintf(end.why, sizeof end.why, "no answer for %g s in step '%s'", h->timeout_s, h->step);
        break;
    default:
        if (!ended)
            snprintf(end.why, sizeof end.why, "gone silent in step '%s', and does not end",
                     h->step);
        else if (WIFSIGNALED(status))
            snprintf(end.why, sizeof end.why, "ended by signal %d (%s) in step '%s'",
                     WTERMSIG(status), strsignal(WTERMSIG(status)), h->step);
        else
            snprintf(end.why, sizeof end.why, "ended with status %d in step '%s'",
                     WEXITSTATUS(status), h->step);
    }
    return end;
}
