/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor.h"

#include "devices.h"
#include "helper.h"
#include "json_text.h"
#include "timer.h"
#include "topology.h"
#include "worker.h"

#include <jansson.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

/* Loading drivers and enumerating; a machine with many GPUs takes its time, and so does a peer with
 * its greeting, which has two minutes. */
static const double START_TIMEOUT_S = 180;

/* More than the engine grants a peer; it is the worker that hangs then. */
static const double PEER_TIMEOUT_S = 900;

/* For what the peers of a dead worker left behind to end. */
static const double REAP_S = 5;

enum {
    MAX_STARTS_IN_VAIN = 3, /* then no more are tried */
    MAX_DEATHS = 5,         /* of workers in a row on one device: it is given up */
};

struct scr_supervisor {
    struct scr_supervisor_options options;
    struct scr_helper worker;
    pid_t groups[SCR_MAX_PEERS]; /* process groups of the worker's peers, 0: none */
    double floor_wall_ns[SCR_MAX_DEVICES];
    int deaths[SCR_MAX_DEVICES];
    int starts_in_vain;
    json_t *peers; /* as the first worker described them */
    char why[700]; /* why the last worker that did not start did not */
};

/* What becomes of a row without an answer. */
struct end {
    enum scr_reply outcome;
    const char *status;
    char why[200];
};

/* Takes note of the process group of a peer that was started. */
static bool note_group(void *user, const json_t *message)
{
    struct scr_supervisor *s = user;
    json_int_t group = json_integer_value(json_object_get(message, "group"));
    json_int_t peer = json_integer_value(json_object_get(message, "peer"));

    if (group <= 1 || peer < 0 || peer >= SCR_MAX_PEERS)
        return false;
    s->groups[peer] = (pid_t)group;
    return true;
}

int scr_supervisor_create(const struct scr_supervisor_options *options, struct scr_supervisor **out)
{
    struct scr_supervisor *s = calloc(1, sizeof *s);

    *out = s;
    if (s == NULL)
        return SCR_ERR_NO_MEMORY;
    s->options = *options;
    s->worker = (struct scr_helper){
        .argv = options->argv,
        .backends = options->backends,
        .stop = options->stop,
        .end_s = options->end_s,
        .note = note_group,
        .user = s,
    };
    for (int i = 0; i < SCR_MAX_DEVICES; i++)
        s->floor_wall_ns[i] = NAN;
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

/* Closes the pipes and collects the worker, killed or not. */
static void collect(struct scr_supervisor *s, bool kill_it)
{
    bool ran = s->worker.pid != 0;

    scr_helper_collect(&s->worker, kill_it, NULL);
    if (ran)
        end_groups(s);
}

void scr_supervisor_destroy(struct scr_supervisor **ps)
{
    struct scr_supervisor *s = *ps;

    if (s == NULL)
        return;
    collect(s, false);
    scr_helper_clear(&s->worker);
    json_decref(s->peers);
    free(s);
    *ps = NULL;
}

/* Ends a worker that did not answer. */
static struct end bury(struct scr_supervisor *s, enum scr_heard heard)
{
    struct scr_helper_end how = scr_helper_bury(&s->worker, heard);
    struct end end = {SCR_REPLY_DONE, how.status, ""};

    end_groups(s);
    if (heard == SCR_HEARD_STOPPED)
        end.outcome = SCR_REPLY_STOPPED;
    else if (heard == SCR_HEARD_LATE)
        end.outcome = SCR_REPLY_LATE;
    memcpy(end.why, how.why, sizeof end.why);
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
    for (int i = 0; i < SCR_MAX_DEVICES; i++) {
        if (isnan(s->floor_wall_ns[i]))
            continue;
        /* Where it cannot be sent, the next request finds out. */
        scr_helper_tell(
            &s->worker,
            json_pack("{s:s, s:i, s:f}", "do", "floor", "device", i, "ns", s->floor_wall_ns[i]),
            s->options.timeout_s);
    }
}

/* Makes sure that a worker waits for requests; else says in s->why why not. */
static enum scr_reply start(struct scr_supervisor *s)
{
    const struct scr_topology *topology = s->options.machine->topology;
    json_t *hello;
    enum scr_heard heard;

    if (s->worker.pid != 0)
        return SCR_REPLY_DONE;
    if (s->starts_in_vain >= MAX_STARTS_IN_VAIN)
        return SCR_REPLY_NO_WORKER;
    s->starts_in_vain++;
    if (scr_helper_start(&s->worker, s->why, sizeof s->why) != SCR_OK)
        return SCR_REPLY_NO_WORKER;
    heard = scr_helper_ask(&s->worker,
                           json_pack("{s:o, s:O?}", "xml",
                                     scr_json_text(topology != NULL ? topology->xml : NULL),
                                     "peers", s->peers),
                           START_TIMEOUT_S, &hello);
    if (heard != SCR_HEARD_OK) {
        struct end end = bury(s, heard);

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
        collect(s, true);
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
    enum scr_heard heard = scr_helper_ask(&s->worker, request, timeout_s, answer);
    struct end end;

    if (heard == SCR_HEARD_OK && take_row(*answer, row))
        return SCR_REPLY_DONE;
    json_decref(*answer);
    *answer = NULL;
    end = bury(s, heard == SCR_HEARD_OK ? SCR_HEARD_GARBLED : heard);
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
    enum scr_heard heard;
    json_t *answer;

    scr_peak_from_json(NULL, out);
    bound[0] = why[0] = '\0';
    if (start(s) != SCR_REPLY_DONE) {
        snprintf(why, why_size, "%s", s->why);
        return;
    }
    heard = scr_helper_ask(
        &s->worker,
        json_pack("{s:s, s:i, s:f}", "do", "peak", "device", device_order, "limit", time_limit_s),
        s->options.timeout_s, &answer);
    where = json_string_value(json_object_get(answer, "bound"));
    reason = json_string_value(json_object_get(answer, "why"));
    if (heard != SCR_HEARD_OK || where == NULL || reason == NULL) {
        struct end end = bury(s, heard == SCR_HEARD_OK ? SCR_HEARD_GARBLED : heard);

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
    s->floor_wall_ns[device_order] = peak->floor_wall_ns;
}
