/* SPDX-License-Identifier: Apache-2.0 */
#include "worker.h"

#include "affinity.h"
#include "engine.h"
#include "peak.h"
#include "peer.h"
#include "topology.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct worker {
    const struct scr_options *o;
    struct scr_devices *devices;
    const struct scr_case_list *list;
    struct scr_machine machine;
    struct scr_engine *engine;
    struct scr_peer *peers[SCR_MAX_PEERS];
    char folder[600];
    FILE *answers;
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

/* Writes one line and drops the message. */
static bool answer(struct worker *w, json_t *message)
{
    bool sent = message != NULL && json_dumpf(message, w->answers, JSON_COMPACT) == 0 &&
                fputc('\n', w->answers) != EOF && fflush(w->answers) == 0;

    json_decref(message);
    return sent;
}

static void tell_step(void *user, const char *step)
{
    answer(user, json_pack("{s:s}", "step", step));
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
    return answer(
        w, json_pack("{s:o, s:s, s:s}", "peak", scr_peak_json(&peak), "why", why, "bound", bound));
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
    scr_engine_run_peer(w->engine, w->peers[peer], (int)kernel, index,
                        json_is_true(json_object_get(request, "init")), limit_s, &row);
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

/* The next request, or NULL at the end. */
static json_t *next_request(void)
{
    return json_loadf(stdin, JSON_DISABLE_EOF_CHECK, NULL);
}

/* Starts the peers; their numbers of kernels. Why has a line when one did not start. */
static json_t *start_peers(struct worker *w, char *why, size_t why_size)
{
    json_t *kernels = json_array();

    why[0] = '\0';
    for (int i = 0; i < w->o->n_peers && why[0] == '\0'; i++) {
        const struct scr_peer_info *info;

        tell_step(w, "start a peer");
        if (scr_peer_start(w->o->peers[i], NULL, &w->peers[i], why, why_size) != SCR_OK)
            break;
        info = scr_peer_describe(w->peers[i]);
        json_array_append_new(kernels, json_array());
        for (int k = 0; k < info->n_kernels; k++)
            json_array_append_new(json_array_get(kernels, (size_t)i),
                                  json_string(info->kernels[k]));
    }
    return kernels;
}

static int greet(struct worker *w)
{
    struct scr_topology *topology = NULL;
    json_t *first = next_request();
    const char *xml = json_string_value(json_object_get(first, "xml"));
    json_t *kernels;
    char digest[20], why[700];

    if (first == NULL)
        return SCR_ERR_INVALID;
    if (xml != NULL)
        scr_topology_import(xml, true, &topology);
    scr_machine_describe_by(&w->machine, topology);
    json_decref(first);
    kernels = start_peers(w, why, sizeof why);
    snprintf(digest, sizeof digest, "%016llx", (unsigned long long)scr_worker_digest(w->list));
    return answer(w, json_pack("{s:i, s:s, s:o, s:s}", "hello", SCR_WORKER_PROTOCOL, "digest",
                               digest, "kernels", kernels, "why", why))
               ? SCR_OK
               : SCR_ERR_DEVICE;
}

int scr_worker_run(const struct scr_options *o, struct scr_devices *devices,
                   const struct scr_case_list *list)
{
    struct worker w = {.o = o, .devices = devices, .list = list};
    struct scr_engine_options options = {
        .timed = o->mode == SCR_MODE_SWEEP,
        .warm = o->warm,
        .faults = o->faults,
        .folder = w.folder,
        .beat = tell_step,
        .user = &w,
    };
    json_t *request;
    int status;

    w.answers = fdopen(SCR_WORKER_FD, "w");
    if (w.answers == NULL)
        return EXIT_FAILURE;
    /* Drivers print, and only answers may be on their way. */
    dup2(STDERR_FILENO, STDOUT_FILENO);
    status = greet(&w);
    if (status == SCR_OK)
        status = scr_engine_create(list, devices, &w.machine, &options, &w.engine);
    while (status == SCR_OK && (request = next_request()) != NULL) {
        if (!serve_one(&w, request))
            status = SCR_ERR_INVALID;
        json_decref(request);
    }
    scr_engine_destroy(&w.engine);
    for (int i = 0; i < o->n_peers; i++)
        scr_peer_stop(&w.peers[i]);
    scr_machine_clear(&w.machine);
    fclose(w.answers);
    return status == SCR_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
