/* SPDX-License-Identifier: Apache-2.0 */
#include "worker.h"

#include "affinity.h"
#include "engine.h"
#include "enumerate.h"
#include "helper.h"
#include "json_text.h"
#include "peak.h"
#include "peer.h"
#include "sweep.h"
#include "topology.h"

#include <jansson.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Who is told when a peer starts. */
struct herald {
    struct worker *w;
    int peer;
};

struct worker {
    const struct scr_options *o;
    struct scr_devices *devices;
    const struct scr_case_list *list;
    struct scr_machine machine;
    struct scr_engine *engine;
    struct scr_peer *peers[SCR_MAX_PEERS];
    struct herald heralds[SCR_MAX_PEERS];
    char folder[600];
    struct scr_helper_pipes pipes;
};

uint64_t scr_worker_digest(const struct scr_case_list *list)
{
    uint64_t h = 0xcbf29ce484222325u;
    char repro[SCR_ROW_TEXT];

    for (size_t i = 0; i < list->n; i++) {
        scr_case_repro(&list->cases[i], "--sweep", repro, sizeof repro);
        for (const char *s = repro; *s != '\0'; s++)
            h = (h ^ (unsigned char)*s) * 0x100000001b3u;
    }
    return h;
}

static bool answer(struct worker *w, json_t *message)
{
    return scr_helper_answer(&w->pipes, message);
}

static void tell_step(void *user, const char *step)
{
    answer(user, json_pack("{s:s}", "step", step));
}

static void tell_group(void *user, pid_t group)
{
    const struct herald *h = user;

    answer(h->w, json_pack("{s:I, s:i}", "group", (json_int_t)group, "peer", h->peer));
}

static bool run_case(struct worker *w, size_t index, double limit_s)
{
    struct scr_row row;
    bool little;

    scr_engine_run(w->engine, index, limit_s, &row, &little);
    return answer(w, json_pack("{s:o, s:b}", "row", scr_row_json(&row), "little", (int)little));
}

static bool measure_peak(struct worker *w, size_t order, double limit_s)
{
    char why[200] = "", bound[SCR_AFFINITY_TEXT] = "";
    struct scr_peak peak;
    scr_device *dev;

    tell_step(w, "peak");
    scr_affinity_bind(w->machine.topology, w->devices->info[order], bound, sizeof bound);
    scr_log_clear(&w->devices->log);
    dev = scr_devices_open(w->devices, order);
    scr_peak_from_json(NULL, &peak);
    if (dev == NULL)
        scr_log_first(&w->devices->log, why, sizeof why);
    else
        scr_peak_measure(dev, limit_s, &peak, why, sizeof why);
    scr_engine_set_floor(w->engine, (int)order, peak.floor_wall_ns);
    return answer(w, json_pack("{s:o, s:o, s:o}", "peak", scr_peak_json(&peak), "why",
                               scr_json_text(why), "bound", scr_json_text(bound)));
}

static bool run_peer(struct worker *w, const json_t *request, size_t index, double limit_s)
{
    json_int_t peer = json_integer_value(json_object_get(request, "peer"));
    json_int_t kernel = json_integer_value(json_object_get(request, "kernel"));
    const char *folder = json_string_value(json_object_get(request, "folder"));
    struct scr_row row;

    if (folder == NULL || peer < 0 || peer >= w->o->n_peers || kernel < 0 ||
        kernel >= scr_peer_describe(w->peers[peer])->n_kernels)
        return false;
    snprintf(w->folder, sizeof w->folder, "%s", folder);
    scr_engine_run_peer(w->engine, w->peers[peer], (int)kernel, index, limit_s, &row);
    return answer(w, json_pack("{s:o}", "row", scr_row_json(&row)));
}

static bool serve_one(struct worker *w, const json_t *request)
{
    const char *what = "";
    json_int_t index = -1, device = -1;
    double limit_s = 0, ns = NAN;

    json_unpack((json_t *)request, "{s:s, s?I, s?I, s?F, s?F}", "do", &what, "case", &index,
                "device", &device, "limit", &limit_s, "ns", &ns);
    if (strcmp(what, "run") == 0 && index >= 0 && (size_t)index < w->list->n)
        return run_case(w, (size_t)index, limit_s);
    if (strcmp(what, "peer") == 0 && index >= 0 && (size_t)index < w->list->n)
        return run_peer(w, request, (size_t)index, limit_s);
    if (strcmp(what, "peak") == 0 && device >= 0 && (size_t)device < w->devices->n)
        return measure_peak(w, (size_t)device, limit_s);
    if (strcmp(what, "floor") == 0 && device >= 0 && (size_t)device < w->devices->n) {
        scr_engine_set_floor(w->engine, (int)device, ns);
        return true;
    }
    return false;
}

/* Starts the peers, or recalls those that an earlier worker started; what they say of themselves.
 * why has a line when one is not there. */
static json_t *start_peers(struct worker *w, const json_t *known, char *why, size_t why_size)
{
    json_t *said = json_array();

    why[0] = '\0';
    for (int i = 0; i < w->o->n_peers; i++) {
        struct scr_peer_watch watch = {.started = tell_group, .user = &w->heralds[i]};
        struct scr_peer_info info;
        int status;

        w->heralds[i] = (struct herald){w, i};
        if (scr_peer_info_from_json(json_array_get(known, (size_t)i), &info)) {
            status = scr_peer_recall(w->o->peers[i], &info, &watch, &w->peers[i]);
            snprintf(why, why_size, "%s", status != SCR_OK ? "out of memory" : "");
        } else {
            tell_step(w, "start a peer");
            status = scr_peer_start(w->o->peers[i], &watch, &w->peers[i], why, why_size);
        }
        if (status != SCR_OK)
            break;
        json_array_append_new(said, scr_peer_json(w->peers[i]));
    }
    return said;
}

/* Answers the first request. */
static int greet(struct worker *w, const json_t *first)
{
    struct scr_topology *topology = NULL;
    const char *xml = json_string_value(json_object_get(first, "xml"));
    json_t *peers;
    char digest[20], why[700];

    if (xml != NULL)
        scr_topology_import(xml, true, &topology);
    scr_machine_describe_by(&w->machine, topology);
    /* Those of the other workers have references to compute, too. */
    if (w->o->jobs > 1)
        w->machine.threads = w->machine.threads > w->o->jobs ? w->machine.threads / w->o->jobs : 1;
    peers = start_peers(w, json_object_get(first, "peers"), why, sizeof why);
    snprintf(digest, sizeof digest, "%016llx", (unsigned long long)scr_worker_digest(w->list));
    return answer(w, json_pack("{s:i, s:s, s:o, s:o}", "hello", SCR_WORKER_PROTOCOL, "digest",
                               digest, "peers", peers, "why", scr_json_text(why)))
               ? SCR_OK
               : SCR_ERR_DEVICE;
}

static int serve(struct worker *w, const json_t *first)
{
    struct scr_engine_options options = {
        .timed = w->o->mode == SCR_MODE_SWEEP,
        .warm = w->o->warm,
        .faults = w->o->faults,
        .folder = w->folder,
        .beat = tell_step,
        .user = w,
    };
    json_t *request;
    int status = greet(w, first);

    if (status == SCR_OK)
        status = scr_engine_create(w->list, w->devices, &w->machine, &options, &w->engine);
    while (status == SCR_OK && (request = scr_helper_next(&w->pipes)) != NULL) {
        if (!serve_one(w, request))
            status = SCR_ERR_INVALID;
        json_decref(request);
    }
    scr_engine_destroy(&w->engine);
    for (int i = 0; i < w->o->n_peers; i++)
        scr_peer_stop(&w->peers[i]);
    scr_machine_clear(&w->machine);
    return status == SCR_OK ? SCR_EXIT_FINE : SCR_EXIT_SOME_FAILED;
}

/* Makes the list of cases and serves. */
static int run(struct worker *w, const char *program, const json_t *first)
{
    struct scr_case_list list = {.program = program};
    struct scr_devices devices;
    double time_limit_s;
    char why[400];
    int result = SCR_EXIT_SOME_FAILED;

    w->devices = &devices;
    w->list = &list;
    if (scr_devices_load(&devices, w->o->worker, w->o->limits) != SCR_OK)
        fprintf(stderr, "harness: the worker cannot load %s\n", w->o->worker);
    else if (scr_devices_choose(&devices, w->o->device, true, why, sizeof why) != SCR_OK ||
             scr_enumerate(w->o, &devices, &list, &time_limit_s, why, sizeof why) != SCR_OK)
        fprintf(stderr, "harness: worker: %s\n", why);
    else
        result = serve(w, first);
    scr_case_list_clear(&list);
    scr_devices_clear(&devices);
    return result;
}

int scr_worker_run(const struct scr_options *o, const char *program)
{
    struct worker w = {.o = o};
    json_t *first = scr_helper_pipes_open(&w.pipes) ? scr_helper_next(&w.pipes) : NULL;
    int result = SCR_EXIT_USAGE;

    /* The supervisor looks after Ctrl-C. */
    signal(SIGINT, SIG_IGN);
    if (json_object_get(first, "xml") == NULL)
        fprintf(stderr, "harness: --worker is for the harness itself\n");
    else
        result = run(&w, program, first);
    json_decref(first);
    scr_helper_pipes_close(&w.pipes);
    return result;
}
