/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor.h"

#include "timer.h"
#include "topology.h"
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Loading drivers and enumerating; a machine with many GPUs takes its time. */
static const double START_TIMEOUT_S = 120;

/* More than the engine grants a peer; it is the worker that hangs then. */
static const double PEER_TIMEOUT_S = 900;

static const double REAP_S = 5;

enum {
    MAX_WORDS = 1000,
    MAX_STARTS_IN_VAIN = 3, /* then no more are tried */
    MAX_DEATHS = 5,         /* of workers in a row on one device: it is given up */
};

struct scr_supervisor {
    struct scr_supervisor_options options;
    pid_t pid; /* 0: no worker */
    int to, from;
    char *text; /* received, not yet taken */
    size_t n_text, room;
    char step[80]; /* the last that the worker told of */
    double floor_wall_ns[SCR_MAX_DEVICES];
    int deaths[SCR_MAX_DEVICES];
    int starts_in_vain;
    json_t *kernels; /* of each peer, as the last worker said */
    char why[700];   /* why the worker did not start */
};

int scr_supervisor_create(const struct scr_supervisor_options *options, struct scr_supervisor **out)
{
    struct scr_supervisor *s = calloc(1, sizeof *s);

    *out = s;
    if (s == NULL)
        return SCR_ERR_NO_MEMORY;
    s->options = *options;
    for (int i = 0; i < SCR_MAX_DEVICES; i++)
        s->floor_wall_ns[i] = NAN;
    return SCR_OK;
}

/*
 * Closes the pipes and collects the worker, killed or not; its wait status. One that waits in the
 * kernel for a device may not end: it is left behind.
 */
static int collect(struct scr_supervisor *s, bool kill_it)
{
    const struct timespec pause = {.tv_nsec = 2000000};
    double start = scr_clock_s();
    int status = 0;

    if (s->pid == 0)
        return 0;
    if (kill_it)
        kill(s->pid, SIGKILL);
    close(s->to);
    close(s->from);
    while (waitpid(s->pid, &status, WNOHANG) == 0) {
        if (scr_clock_s() - start > REAP_S) {
            kill(s->pid, SIGKILL);
            if (kill_it)
                break;
            kill_it = true;
            start = scr_clock_s();
        }
        nanosleep(&pause, NULL);
    }
    s->pid = 0;
    s->n_text = 0;
    return status;
}

void scr_supervisor_destroy(struct scr_supervisor **ps)
{
    struct scr_supervisor *s = *ps;

    if (s == NULL)
        return;
    collect(s, false);
    json_decref(s->kernels);
    free(s->text);
    free(s);
    *ps = NULL;
}

/* In the new process: becomes the worker. */
static void become_worker(const struct scr_supervisor *s, pid_t parent, int in, int out)
{
    const char *words[MAX_WORDS + 3];
    int n = 0;

    for (; s->options.argv[n] != NULL && n < MAX_WORDS; n++)
        words[n] = s->options.argv[n];
    words[n++] = "--worker";
    words[n++] = s->options.backends;
    words[n] = NULL;
    /* A worker must not outlive its supervisor, nor be stopped by the terminal's Ctrl-C. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(127);
    setpgid(0, 0);
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    if (dup2(in, STDIN_FILENO) < 0 || dup2(out, SCR_WORKER_FD) < 0 ||
        fcntl(SCR_WORKER_FD, F_SETFD, 0) != 0)
        _exit(127);
    execv("/proc/self/exe", (char *const *)(uintptr_t)words);
    _exit(127);
}

static bool spawn(struct scr_supervisor *s)
{
    pid_t parent = getpid();
    int to[2] = {-1, -1}, from[2] = {-1, -1};

    if (pipe2(to, O_CLOEXEC) != 0 || pipe2(from, O_CLOEXEC) != 0)
        goto failed;
    s->pid = fork();
    if (s->pid == 0)
        become_worker(s, parent, to[0], from[1]);
    if (s->pid < 0)
        goto failed;
    close(to[0]);
    close(from[1]);
    s->to = to[1];
    s->from = from[0];
    s->n_text = 0;
    return true;
failed:
    snprintf(s->why, sizeof s->why, "no worker process: %s", strerror(errno));
    for (int i = 0; i < 2; i++) {
        close(to[i]);
        close(from[i]);
    }
    s->pid = 0;
    return false;
}

/* Sends one line and drops the message. False when the worker is gone. */
static bool send(struct scr_supervisor *s, json_t *message)
{
    char *line = message != NULL ? json_dumps(message, JSON_COMPACT) : NULL;
    size_t size = line != NULL ? strlen(line) : 0;
    size_t done = 0;

    json_decref(message);
    if (line == NULL)
        return false;
    line[size++] = '\n'; /* in place of the NUL */
    while (done < size) {
        ssize_t n = write(s->to, line + done, size - done);

        if (n < 0 && errno != EINTR)
            break;
        done += n > 0 ? (size_t)n : 0;
    }
    free(line);
    return done == size;
}

enum heard { HEARD, SILENT, GONE };

/* Takes the first line of what was received, or NULL. */
static json_t *take_line(struct scr_supervisor *s)
{
    char *end = s->n_text > 0 ? memchr(s->text, '\n', s->n_text) : NULL;
    json_t *message;

    if (end == NULL)
        return NULL;
    message = json_loadb(s->text, (size_t)(end - s->text), 0, NULL);
    s->n_text -= (size_t)(end + 1 - s->text);
    memmove(s->text, end + 1, s->n_text);
    return message != NULL ? message : json_null();
}

static enum heard receive(struct scr_supervisor *s, double deadline)
{
    double left_s = deadline - scr_clock_s();
    struct pollfd from = {.fd = s->from, .events = POLLIN};
    ssize_t n;
    int ready;

    if (left_s <= 0)
        return SILENT;
    ready = poll(&from, 1, (int)(fmin(left_s, 3600) * 1e3) + 1);
    if (ready == 0 || (ready < 0 && errno == EINTR))
        return HEARD; /* nothing yet; the caller looks at the clock again */
    if (s->room - s->n_text < 4096) {
        char *grown = realloc(s->text, s->room + 65536);

        if (grown == NULL)
            return GONE;
        s->text = grown;
        s->room += 65536;
    }
    n = read(s->from, s->text + s->n_text, s->room - s->n_text);
    if (n == 0 || (n < 0 && errno != EINTR))
        return GONE;
    s->n_text += n > 0 ? (size_t)n : 0;
    return HEARD;
}

/* The next answer, steps being noted; NULL with *heard SILENT or GONE. Each step has timeout_s. */
static json_t *await(struct scr_supervisor *s, double timeout_s, enum heard *heard)
{
    double deadline = scr_clock_s() + timeout_s;

    snprintf(s->step, sizeof s->step, "start");
    for (;;) {
        json_t *message = take_line(s);
        const char *step = json_string_value(json_object_get(message, "step"));

        *heard = HEARD;
        if (message != NULL && step == NULL)
            return message;
        if (step != NULL) {
            snprintf(s->step, sizeof s->step, "%s", step);
            /* The reference is our own code: it takes what it takes. */
            deadline = strcmp(step, "reference") == 0 ? INFINITY : scr_clock_s() + timeout_s;
            json_decref(message);
            continue;
        }
        *heard = receive(s, deadline);
        if (*heard != HEARD)
            return NULL;
    }
}

/* What became of a worker that did not answer. */
static void bury(struct scr_supervisor *s, enum heard heard, double timeout_s, char *status,
                 size_t status_size, char *why, size_t why_size)
{
    int ended = collect(s, heard == SILENT);

    if (heard == SILENT) {
        snprintf(status, status_size, "timeout");
        snprintf(why, why_size, "no answer for %g s in step '%s'", timeout_s, s->step);
    } else {
        snprintf(status, status_size, "crashed");
        if (WIFSIGNALED(ended))
            snprintf(why, why_size, "ended by signal %d (%s) in step '%s'", WTERMSIG(ended),
                     strsignal(WTERMSIG(ended)), s->step);
        else
            snprintf(why, why_size, "ended with status %d in step '%s'", WEXITSTATUS(ended),
                     s->step);
    }
}

/* Makes sure that a worker waits for requests. */
static bool start(struct scr_supervisor *s)
{
    const struct scr_topology *topology = s->options.machine->topology;
    char status[16], digest[20];
    enum heard heard;
    json_t *hello;
    bool good;

    if (s->pid != 0)
        return true;
    if (s->starts_in_vain >= MAX_STARTS_IN_VAIN || !spawn(s))
        return false;
    s->starts_in_vain++;
    send(s, json_pack("{s:s?}", "xml", topology != NULL ? topology->xml : NULL));
    hello = await(s, START_TIMEOUT_S, &heard);
    if (hello == NULL) {
        char why[140];

        bury(s, heard, START_TIMEOUT_S, status, sizeof status, why, sizeof why);
        snprintf(s->why, sizeof s->why, "the worker process did not start: %s", why);
        return false;
    }
    snprintf(digest, sizeof digest, "%016llx",
             (unsigned long long)scr_worker_digest(s->options.list));
    good = json_integer_value(json_object_get(hello, "hello")) == SCR_WORKER_PROTOCOL &&
           strcmp(json_string_value(json_object_get(hello, "digest")), digest) == 0;
    if (!good)
        snprintf(s->why, sizeof s->why, "the worker process found other devices or cases");
    else
        snprintf(s->why, sizeof s->why, "%s", json_string_value(json_object_get(hello, "why")));
    json_decref(s->kernels);
    s->kernels = json_incref(json_object_get(hello, "kernels"));
    json_decref(hello);
    if (s->why[0] != '\0') {
        collect(s, true);
        return false;
    }
    for (int i = 0; i < SCR_MAX_DEVICES; i++) {
        if (!isnan(s->floor_wall_ns[i]))
            send(s, json_pack("{s:s, s:i, s:f}", "do", "floor", "device", i, "ns",
                              s->floor_wall_ns[i]));
    }
    s->starts_in_vain = 0;
    return true;
}

int scr_supervisor_start(struct scr_supervisor *s, json_t **kernels, char *why, size_t why_size)
{
    *kernels = NULL;
    if (!start(s)) {
        snprintf(why, why_size, "%s", s->why);
        return SCR_ERR_DEVICE;
    }
    *kernels = json_incref(s->kernels);
    return SCR_OK;
}

/* Takes the row of an answer over into *row, which is as initialised where there is none. */
static void take_row(const json_t *answer, struct scr_row *row)
{
    struct scr_row received;

    if (scr_row_from_json(json_object_get(answer, "row"), &received))
        *row = received;
    else
        scr_row_status(row, "failed", "the worker process sent no row");
}

void scr_supervisor_run_peer(struct scr_supervisor *s, int peer, int kernel, size_t index,
                             bool init_only, double time_limit_s, struct scr_row *row)
{
    const struct scr_case *c = &s->options.list->cases[index];
    char status[16], why[200];
    json_t *answer = NULL;
    enum heard heard = GONE;

    scr_row_init(row, c);
    snprintf(row->peer, sizeof row->peer, "?");
    if (!start(s)) {
        scr_row_status(row, "failed", "%.190s", s->why);
        return;
    }
    if (send(s, json_pack("{s:s, s:i, s:i, s:I, s:b, s:s, s:f}", "do", "peer", "peer", peer,
                          "kernel", kernel, "case", (json_int_t)index, "init", (int)init_only,
                          "folder", s->options.folder, "limit", time_limit_s)))
        answer = await(s, PEER_TIMEOUT_S, &heard);
    if (answer == NULL) {
        bury(s, heard, PEER_TIMEOUT_S, status, sizeof status, why, sizeof why);
        scr_row_status(row, status, "%s", why);
        return;
    }
    take_row(answer, row);
    json_decref(answer);
}

void scr_supervisor_run(struct scr_supervisor *s, size_t index, double time_limit_s,
                        struct scr_row *row, bool *proves_little)
{
    const struct scr_case *c = &s->options.list->cases[index];
    double timeout_s = s->options.timeout_s + 10 * time_limit_s;
    char status[16], why[200];
    json_t *answer = NULL;
    enum heard heard = GONE;

    *proves_little = false;
    scr_row_init(row, c);
    if (s->deaths[c->device_order] >= MAX_DEATHS) {
        scr_row_status(row, "skipped", "the device is given up: %d workers in a row died on it",
                       MAX_DEATHS);
        return;
    }
    if (!start(s)) {
        scr_row_status(row, "failed", "%.190s", s->why);
        return;
    }
    if (send(s, json_pack("{s:s, s:I, s:f}", "do", "run", "case", (json_int_t)index, "limit",
                          time_limit_s)))
        answer = await(s, timeout_s, &heard);
    if (answer == NULL) {
        bury(s, heard, timeout_s, status, sizeof status, why, sizeof why);
        scr_row_status(row, status, "%s", why);
        s->deaths[c->device_order]++;
        return;
    }
    s->deaths[c->device_order] = 0;
    take_row(answer, row);
    *proves_little = json_is_true(json_object_get(answer, "little"));
    json_decref(answer);
}

void scr_supervisor_peak(struct scr_supervisor *s, int device_order, double time_limit_s,
                         struct scr_peak *out, char *bound, size_t bound_size, char *why,
                         size_t why_size)
{
    char status[16];
    enum heard heard = GONE;
    json_t *answer = NULL;

    scr_peak_from_json(NULL, out);
    bound[0] = why[0] = '\0';
    if (!start(s)) {
        snprintf(why, why_size, "%s", s->why);
        return;
    }
    if (send(s, json_pack("{s:s, s:i, s:f}", "do", "peak", "device", device_order, "limit",
                          time_limit_s)))
        answer = await(s, s->options.timeout_s, &heard);
    if (answer == NULL) {
        bury(s, heard, s->options.timeout_s, status, sizeof status, why, why_size);
        return;
    }
    scr_peak_from_json(json_object_get(answer, "peak"), out);
    snprintf(bound, bound_size, "%s", json_string_value(json_object_get(answer, "bound")));
    snprintf(why, why_size, "%s", json_string_value(json_object_get(answer, "why")));
    s->floor_wall_ns[device_order] = out->floor_wall_ns;
    json_decref(answer);
}

void scr_supervisor_set_floor(struct scr_supervisor *s, int device_order, double floor_wall_ns)
{
    s->floor_wall_ns[device_order] = floor_wall_ns;
}
