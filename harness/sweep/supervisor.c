/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor.h"

#include "devices.h"
#include "json_text.h"
#include "timer.h"
#include "topology.h"
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Loading drivers and enumerating; a machine with many GPUs takes its time, and so does a peer with
 * its greeting, which has two minutes. */
static const double START_TIMEOUT_S = 180;

/* More than the engine grants a peer; it is the worker that hangs then. */
static const double PEER_TIMEOUT_S = 900;

/* For an answer to come once the user wants an end, or the time budget has come to its. */
static const double STOP_GRACE_S = 5, BUDGET_GRACE_S = 2;

/* Between looks at *stop: a signal that comes just before poll does not wake it. */
static const double TICK_S = 1;

static const double REAP_S = 5;

enum {
    MAX_STARTS_IN_VAIN = 3, /* then no more are tried */
    MAX_DEATHS = 5,         /* of workers in a row on one device: it is given up */
};

struct scr_supervisor {
    struct scr_supervisor_options options;
    pid_t pid; /* 0: no worker */
    int to, from;
    char *text; /* received, not yet taken */
    size_t n_text, room;
    char step[80];               /* the last that the worker told of */
    pid_t groups[SCR_MAX_PEERS]; /* process groups of the worker's peers, 0: none */
    double stop_s;               /* when *stop was seen, 0: not yet */
    double floor_ns[SCR_MAX_DEVICES], floor_wall_ns[SCR_MAX_DEVICES];
    int deaths[SCR_MAX_DEVICES];
    int starts_in_vain;
    json_t *peers; /* as the first worker described them */
    char why[700]; /* why the last worker that did not start did not */
};

/* Why there is no answer. */
enum heard {
    HEARD,
    SILENT,  /* too long */
    GONE,    /* the worker's end of the pipe is closed */
    GARBLED, /* it is not an answer to what was asked */
    STOPPED,
    LATE,
};

/* What becomes of a row without an answer. */
struct end {
    enum scr_reply outcome;
    const char *status;
    char why[200];
};

int scr_supervisor_create(const struct scr_supervisor_options *options, struct scr_supervisor **out)
{
    struct scr_supervisor *s = calloc(1, sizeof *s);

    *out = s;
    if (s == NULL)
        return SCR_ERR_NO_MEMORY;
    s->options = *options;
    for (int i = 0; i < SCR_MAX_DEVICES; i++)
        s->floor_ns[i] = s->floor_wall_ns[i] = NAN;
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    return SCR_OK;
}

/*
 * Ends what the peers of a worker that has ended left behind. As this process inherits them, a
 * group in which it has no child is none of theirs any more.
 */
static void end_groups(struct scr_supervisor *s)
{
    const struct timespec pause = {.tv_nsec = 2000000};
    double end = scr_clock_s() + REAP_S;

    for (int i = 0; i < SCR_MAX_PEERS; i++) {
        pid_t group = s->groups[i];
        pid_t ended;

        s->groups[i] = 0;
        if (group == 0)
            continue;
        while ((ended = waitpid(-group, NULL, WNOHANG)) >= 0 && scr_clock_s() < end) {
            kill(-group, SIGKILL);
            if (ended == 0)
                nanosleep(&pause, NULL);
        }
    }
}

/*
 * Closes the pipes and collects the worker, killed or not. One that waits in the kernel for a
 * device may not end: it is left behind, and false returned.
 */
static bool collect(struct scr_supervisor *s, bool kill_it, int *status)
{
    const struct timespec pause = {.tv_nsec = 2000000};
    double start = scr_clock_s();
    bool ended = true;

    *status = 0;
    if (s->pid == 0)
        return true;
    if (kill_it)
        kill(s->pid, SIGKILL);
    close(s->to);
    close(s->from);
    while (waitpid(s->pid, status, WNOHANG) == 0) {
        if (scr_clock_s() - start > REAP_S) {
            ended = !kill_it;
            if (!ended)
                break;
            kill(s->pid, SIGKILL);
            kill_it = true;
            start = scr_clock_s();
        }
        nanosleep(&pause, NULL);
    }
    s->pid = 0;
    s->n_text = 0;
    end_groups(s);
    return ended;
}

void scr_supervisor_destroy(struct scr_supervisor **ps)
{
    struct scr_supervisor *s = *ps;
    int status;

    if (s == NULL)
        return;
    collect(s, false, &status);
    json_decref(s->peers);
    free(s->text);
    free(s);
    *ps = NULL;
}

/* The command of the worker; free() it. */
static const char **worker_command(const struct scr_supervisor *s)
{
    const char **words;
    size_t n = 0;

    while (s->options.argv[n] != NULL)
        n++;
    words = calloc(n + 3, sizeof *words);
    if (words == NULL)
        return NULL;
    for (size_t i = 0; i < n; i++)
        words[i] = s->options.argv[i];
    words[n] = "--worker";
    words[n + 1] = s->options.backends;
    return words;
}

/* In the new process: becomes the worker. */
static void become_worker(const char **words, pid_t parent, int in, int out)
{
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
    const char **words = worker_command(s);
    pid_t parent = getpid();
    int to[2] = {-1, -1}, from[2] = {-1, -1};

    if (words == NULL || pipe2(to, O_CLOEXEC) != 0 || pipe2(from, O_CLOEXEC) != 0)
        goto failed;
    s->pid = fork();
    if (s->pid == 0)
        become_worker(words, parent, to[0], from[1]);
    if (s->pid < 0)
        goto failed;
    close(to[0]);
    close(from[1]);
    /* A worker that does not read or write must not keep this process waiting. */
    fcntl(to[1], F_SETFL, O_NONBLOCK);
    fcntl(from[0], F_SETFL, O_NONBLOCK);
    s->to = to[1];
    s->from = from[0];
    s->n_text = 0;
    free(words);
    return true;
failed:
    snprintf(s->why, sizeof s->why, "no worker process: %s", strerror(errno));
    for (int i = 0; i < 2; i++) {
        close(to[i]);
        close(from[i]);
    }
    s->pid = 0;
    free(words);
    return false;
}

static bool stop_wanted(const struct scr_supervisor *s)
{
    return s->options.stop != NULL && *s->options.stop;
}

/* Waits for the worker to read or write; HEARD also where it has to be asked again. */
static enum heard wait_for(struct scr_supervisor *s, int fd, short events, double deadline)
{
    struct pollfd f = {.fd = fd, .events = events};
    double now = scr_clock_s();

    if (stop_wanted(s) && s->stop_s == 0)
        s->stop_s = now;
    if (s->stop_s != 0 && now > s->stop_s + STOP_GRACE_S)
        return STOPPED;
    if (s->options.end_s != 0 && now > s->options.end_s + BUDGET_GRACE_S)
        return LATE;
    if (now >= deadline)
        return SILENT;
    poll(&f, 1, (int)(fmin(deadline - now, TICK_S) * 1e3) + 1);
    return HEARD;
}

/* Sends one line and drops the message. */
static enum heard send(struct scr_supervisor *s, json_t *message, double deadline)
{
    char *line = message != NULL ? json_dumps(message, JSON_COMPACT) : NULL;
    size_t size = line != NULL ? strlen(line) : 0;
    enum heard heard = line != NULL ? HEARD : GONE;
    size_t done = 0;

    json_decref(message);
    if (line != NULL)
        line[size++] = '\n'; /* in place of the NUL */
    while (done < size && heard == HEARD) {
        ssize_t n = write(s->to, line + done, size - done);

        if (n > 0)
            done += (size_t)n;
        else if (n < 0 && errno == EAGAIN)
            heard = wait_for(s, s->to, POLLOUT, deadline);
        else if (n < 0 && errno != EINTR)
            heard = GONE;
    }
    free(line);
    return heard;
}

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
    enum heard heard = wait_for(s, s->from, POLLIN, deadline);
    ssize_t n;

    if (heard != HEARD)
        return heard;
    if (s->room - s->n_text < 4096) {
        char *grown = realloc(s->text, s->room + 65536);

        if (grown == NULL)
            return GONE;
        s->text = grown;
        s->room += 65536;
    }
    n = read(s->from, s->text + s->n_text, s->room - s->n_text);
    if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN))
        return GONE;
    s->n_text += n > 0 ? (size_t)n : 0;
    return HEARD;
}

/* Takes note of what is no answer: a step, or the process group of a peer that was started. */
static bool take_note(struct scr_supervisor *s, const json_t *message, double timeout_s,
                      double *deadline)
{
    const char *step = json_string_value(json_object_get(message, "step"));
    json_int_t group = json_integer_value(json_object_get(message, "group"));
    json_int_t peer = json_integer_value(json_object_get(message, "peer"));

    if (step != NULL) {
        snprintf(s->step, sizeof s->step, "%s", step);
        /* The reference is our own code: it takes what it takes. */
        *deadline = strcmp(step, "reference") == 0 ? INFINITY : scr_clock_s() + timeout_s;
        return true;
    }
    if (group <= 1 || peer < 0 || peer >= SCR_MAX_PEERS)
        return false;
    s->groups[peer] = (pid_t)group;
    return true;
}

/* Sends a request, drops it and waits for the answer, for timeout_s in each step. */
static enum heard ask(struct scr_supervisor *s, json_t *request, double timeout_s, json_t **answer)
{
    double deadline = scr_clock_s() + timeout_s;
    enum heard heard = STOPPED;

    *answer = NULL;
    snprintf(s->step, sizeof s->step, "start");
    if (stop_wanted(s))
        json_decref(request);
    else
        heard = send(s, request, deadline);
    while (heard == HEARD) {
        json_t *message = take_line(s);

        if (message == NULL) {
            heard = receive(s, deadline);
        } else if (take_note(s, message, timeout_s, &deadline)) {
            json_decref(message);
        } else {
            *answer = message;
            return HEARD;
        }
    }
    return heard;
}

/* Ends a worker that did not answer. */
static struct end bury(struct scr_supervisor *s, enum heard heard, double timeout_s)
{
    struct end end = {SCR_REPLY_DONE, "crashed", ""};
    int status;
    bool ended = collect(s, heard != GONE, &status);

    switch (heard) {
    case STOPPED:
        end = (struct end){SCR_REPLY_STOPPED, "skipped", "interrupted"};
        break;
    case LATE:
        end = (struct end){SCR_REPLY_LATE, "skipped", "the time budget is spent"};
        break;
    case GARBLED:
        end.status = "failed";
        snprintf(end.why, sizeof end.why, "the worker process answered what it was not asked");
        break;
    case SILENT:
        end.status = "timeout";
        snprintf(end.why, sizeof end.why, "no answer for %g s in step '%s'", timeout_s, s->step);
        break;
    default:
        if (!ended)
            snprintf(end.why, sizeof end.why, "gone silent in step '%s', and does not end",
                     s->step);
        else if (WIFSIGNALED(status))
            snprintf(end.why, sizeof end.why, "ended by signal %d (%s) in step '%s'",
                     WTERMSIG(status), strsignal(WTERMSIG(status)), s->step);
        else
            snprintf(end.why, sizeof end.why, "ended with status %d in step '%s'",
                     WEXITSTATUS(status), s->step);
    }
    return end;
}

/* What is wrong with a worker's first answer, or "". */
static const char *check_hello(const struct scr_supervisor *s, const json_t *hello)
{
    const char *theirs = json_string_value(json_object_get(hello, "digest"));
    const char *why = json_string_value(json_object_get(hello, "why"));
    char ours[20];

    snprintf(ours, sizeof ours, "%016llx", (unsigned long long)scr_worker_digest(s->options.list));
    if (json_integer_value(json_object_get(hello, "hello")) != SCR_WORKER_PROTOCOL ||
        theirs == NULL || why == NULL || !json_is_array(json_object_get(hello, "peers")))
        return "the worker process sent no greeting";
    return strcmp(theirs, ours) != 0 ? "the worker process found other devices or cases" : why;
}

static void send_floors(struct scr_supervisor *s)
{
    double deadline = scr_clock_s() + s->options.timeout_s;

    for (int i = 0; i < SCR_MAX_DEVICES; i++) {
        if (isnan(s->floor_wall_ns[i]))
            continue;
        /* Where it cannot be sent, the next request finds out. */
        send(s,
             json_pack("{s:s, s:i, s:o, s:f}", "do", "floor", "device", i, "event_ns",
                       isnan(s->floor_ns[i]) ? json_null() : json_real(s->floor_ns[i]), "ns",
                       s->floor_wall_ns[i]),
             deadline);
    }
}

/* Makes sure that a worker waits for requests; else says in s->why why not. */
static enum scr_reply start(struct scr_supervisor *s)
{
    const struct scr_topology *topology = s->options.machine->topology;
    json_t *hello;
    enum heard heard;
    int status;

    if (s->pid != 0)
        return SCR_REPLY_DONE;
    if (s->starts_in_vain >= MAX_STARTS_IN_VAIN)
        return SCR_REPLY_NO_WORKER;
    s->starts_in_vain++;
    if (!spawn(s))
        return SCR_REPLY_NO_WORKER;
    heard =
        ask(s,
            json_pack("{s:o, s:O?}", "xml", scr_json_text(topology != NULL ? topology->xml : NULL),
                      "peers", s->peers),
            START_TIMEOUT_S, &hello);
    if (heard != HEARD) {
        struct end end = bury(s, heard, START_TIMEOUT_S);

        snprintf(s->why, sizeof s->why, "the worker process did not start: %s", end.why);
        if (end.outcome == SCR_REPLY_DONE)
            return SCR_REPLY_NO_WORKER;
        s->starts_in_vain--;
        return end.outcome;
    }
    snprintf(s->why, sizeof s->why, "%s", check_hello(s, hello));
    if (s->why[0] == '\0' && s->peers == NULL)
        s->peers = json_incref(json_object_get(hello, "peers"));
    json_decref(hello);
    if (s->why[0] != '\0') {
        collect(s, true, &status);
        return SCR_REPLY_NO_WORKER;
    }
    send_floors(s);
    s->starts_in_vain = 0;
    return SCR_REPLY_DONE;
}

int scr_supervisor_start(struct scr_supervisor *s, json_t **peers, char *why, size_t why_size)
{
    *peers = NULL;
    if (start(s) != SCR_REPLY_DONE) {
        snprintf(why, why_size, "%s", s->why);
        return SCR_ERR_DEVICE;
    }
    *peers = json_incref(s->peers);
    return SCR_OK;
}

/* Takes the row of an answer over. False where it is not the one that *row identifies. */
static bool take_row(const json_t *answer, struct scr_row *row)
{
    json_t *repro = scr_json_text(row->repro); /* as it comes through a pipe */
    struct scr_row received;
    bool good = repro != NULL && scr_row_from_json(json_object_get(answer, "row"), &received) &&
                strcmp(received.repro, json_string_value(repro)) == 0;

    if (good) {
        memcpy(received.repro, row->repro, sizeof received.repro);
        *row = received;
    }
    json_decref(repro);
    return good;
}

/*
 * Sends a request for a row and drops it. Without an answer the row keeps what identifies it.
 * answer  receives what came with the row, or NULL
 */
static enum scr_reply ask_row(struct scr_supervisor *s, json_t *request, double timeout_s,
                              struct scr_row *row, json_t **answer)
{
    enum heard heard = ask(s, request, timeout_s, answer);
    struct end end;

    if (heard == HEARD && take_row(*answer, row))
        return SCR_REPLY_DONE;
    json_decref(*answer);
    *answer = NULL;
    end = bury(s, heard == HEARD ? GARBLED : heard, timeout_s);
    scr_row_status(row, end.status, "%s", end.why);
    return end.outcome;
}

/* Has a worker for a row on a device; else says in the row why not. */
static enum scr_reply be_ready(struct scr_supervisor *s, int device_order, struct scr_row *row)
{
    enum scr_reply outcome;

    if (s->deaths[device_order] >= MAX_DEATHS) {
        scr_row_status(row, "skipped", "the device is given up: %d workers in a row died on it",
                       MAX_DEATHS);
        return SCR_REPLY_NO_WORKER;
    }
    outcome = start(s);
    if (outcome != SCR_REPLY_DONE)
        scr_row_status(row, "failed", "%.190s", s->why);
    return outcome;
}

enum scr_reply scr_supervisor_run_peer(struct scr_supervisor *s, int peer, int kernel, size_t index,
                                       double time_limit_s, struct scr_row *row)
{
    const struct scr_case *c = &s->options.list->cases[index];
    enum scr_reply outcome = be_ready(s, c->device_order, row);
    json_t *answer;

    if (outcome != SCR_REPLY_DONE)
        return outcome;
    outcome = ask_row(s,
                      json_pack("{s:s, s:i, s:i, s:I, s:o, s:f}", "do", "peer", "peer", peer,
                                "kernel", kernel, "case", (json_int_t)index, "folder",
                                scr_json_text(s->options.folder), "limit", time_limit_s),
                      PEER_TIMEOUT_S, row, &answer);
    json_decref(answer);
    return outcome;
}

enum scr_reply scr_supervisor_run(struct scr_supervisor *s, size_t index, double time_limit_s,
                                  struct scr_row *row, bool *proves_little)
{
    const struct scr_case *c = &s->options.list->cases[index];
    enum scr_reply outcome;
    json_t *answer;

    *proves_little = false;
    scr_row_init(row, c);
    outcome = be_ready(s, c->device_order, row);
    if (outcome != SCR_REPLY_DONE)
        return outcome;
    outcome = ask_row(
        s,
        json_pack("{s:s, s:I, s:f}", "do", "run", "case", (json_int_t)index, "limit", time_limit_s),
        s->options.timeout_s + 10 * time_limit_s, row, &answer);
    if (answer != NULL)
        s->deaths[c->device_order] = 0;
    else if (outcome == SCR_REPLY_DONE)
        s->deaths[c->device_order]++;
    *proves_little = json_is_true(json_object_get(answer, "little"));
    json_decref(answer);
    return outcome;
}

void scr_supervisor_peak(struct scr_supervisor *s, int device_order, double time_limit_s,
                         struct scr_peak *out, char *bound, size_t bound_size, char *why,
                         size_t why_size)
{
    const char *where, *reason;
    enum heard heard;
    json_t *answer;

    scr_peak_from_json(NULL, out);
    bound[0] = why[0] = '\0';
    if (start(s) != SCR_REPLY_DONE) {
        snprintf(why, why_size, "%s", s->why);
        return;
    }
    heard = ask(
        s,
        json_pack("{s:s, s:i, s:f}", "do", "peak", "device", device_order, "limit", time_limit_s),
        s->options.timeout_s, &answer);
    where = json_string_value(json_object_get(answer, "bound"));
    reason = json_string_value(json_object_get(answer, "why"));
    if (heard != HEARD || where == NULL || reason == NULL) {
        struct end end = bury(s, heard == HEARD ? GARBLED : heard, s->options.timeout_s);

        snprintf(why, why_size, "%s", end.why);
    } else {
        scr_peak_from_json(json_object_get(answer, "peak"), out);
        snprintf(bound, bound_size, "%s", where);
        snprintf(why, why_size, "%s", reason);
        scr_supervisor_set_floor(s, device_order, out);
    }
    json_decref(answer);
}

void scr_supervisor_set_floor(struct scr_supervisor *s, int device_order,
                              const struct scr_peak *peak)
{
    s->floor_ns[device_order] = peak->floor_ns;
    s->floor_wall_ns[device_order] = peak->floor_wall_ns;
}
