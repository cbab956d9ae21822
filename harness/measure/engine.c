/* SPDX-License-Identifier: Apache-2.0 */
#include "engine.h"

#include "affinity.h"
#include "engine_state.h"
#include "peer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Pairs whose output is computed in float64; dk = dv = 64: about a second a core. */
static const uint64_t MAX_PAIRS = 4u << 20;

/* Share of the machine's memory that a data set and its reference may take. */
static const double MAX_MEMORY_SHARE = 0.6;

/* Share of a device's memory that copies of the data may take. */
static const double MAX_COPIES_SHARE = 0.25;

/* A peer that compiles its kernels first may be long silent. */
static const double PEER_TIMEOUT_S = 300;

/* Of a row: what slows down one of them is seen by the other. */
enum { VISITS = 2 };

/* Assumed of a GPU whose driver tells the size of some other cache: the largest there is. */
static const size_t GPU_CACHE_BYTES = (size_t)128 << 20;

int scr_engine_create(const struct scr_case_list *list, struct scr_devices *devices,
                      const struct scr_machine *machine, const struct scr_engine_options *options,
                      struct scr_engine **out)
{
    struct scr_engine *e = calloc(1, sizeof *e);

    *out = e;
    if (e == NULL)
        return SCR_ERR_NO_MEMORY;
    e->list = list;
    e->devices = devices;
    e->machine = machine;
    e->options = *options;
    scr_calm_start(&e->calm, machine->threads);
    for (int i = 0; i < SCR_MAX_DEVICES; i++)
        e->floor_wall_ns[i] = NAN;
    return SCR_OK;
}

static void leave_device(struct scr_engine *e)
{
    scr_baselines_forget_data(&e->baselines);
    scr_bench_clear(&e->bench);
}

static void leave_group(struct scr_engine *e)
{
    leave_device(e);
    scr_peer_problem_destroy(&e->problem);
    scr_truth_destroy(&e->truth);
    scr_dataset_destroy(&e->data);
    e->has_group = false;
}

void scr_engine_destroy(struct scr_engine **pe)
{
    struct scr_engine *e = *pe;

    if (e == NULL)
        return;
    leave_group(e);
    scr_baselines_clear(&e->baselines);
    for (int i = 0; i < SCR_MAX_DEVICES; i++)
        scr_nvml_close(&e->nvml[i]);
    free(e);
    *pe = NULL;
}

void scr_engine_set_floor(struct scr_engine *e, int device_order, double floor_wall_ns)
{
    e->floor_wall_ns[device_order] = floor_wall_ns;
}

void scr_engine_beat(const struct scr_engine *e, const char *step)
{
    if (e->options.beat != NULL)
        e->options.beat(e->options.user, step);
}

/* Whether the data of a group and its reference fit into this machine; else why not. */
static bool reference_fits(struct scr_engine *e, const scr_problem *p)
{
    double need = scr_truth_memory(p, e->machine->threads);
    char text[24];

    if (e->machine->memory == 0 || need <= MAX_MEMORY_SHARE * (double)e->machine->memory)
        return true;
    scr_format_bytes(need, text, sizeof text);
    snprintf(e->group_why, sizeof e->group_why, "the reference needs %s of host memory", text);
    snprintf(e->group_status, sizeof e->group_status, "skipped");
    return false;
}

/* Makes the data of a case; what hinders that is kept for all cases of the group. */
void scr_engine_enter_group(struct scr_engine *e, const struct scr_case *c)
{
    bool is_trace = c->spec.workload.kind == SCR_WORKLOAD_TRACE;
    int status;

    if (e->has_group && e->group == c->group)
        return;
    leave_group(e);
    e->has_group = true;
    e->group = c->group;
    e->device_order = -1;
    e->group_status[0] = e->group_why[0] = '\0';
    if (!reference_fits(e, &c->spec.problem))
        return;
    scr_engine_beat(e, "reference");
    scr_affinity_release(e->machine->topology);
    status = scr_dataset_create(&c->spec, e->machine->threads, &e->data, e->group_why,
                                sizeof e->group_why);
    if (status == SCR_OK)
        status = scr_truth_create(e->data, e->machine->threads, MAX_PAIRS, &e->truth);
    if (status == SCR_OK)
        return;
    snprintf(e->group_status, sizeof e->group_status, "%s",
             status == SCR_ERR_NO_MEMORY ? "oom"
             : is_trace                  ? "failed"
                                         : "unsupported");
    if (e->group_why[0] == '\0')
        snprintf(e->group_why, sizeof e->group_why, "%s", scr_status_text(status));
}

bool scr_engine_enter_device(struct scr_engine *e, const struct scr_case *c, struct scr_row *row)
{
    char line[200], bound[SCR_AFFINITY_TEXT];

    if (e->device_order != c->device_order) {
        leave_device(e);
        e->device_order = c->device_order;
    }
    scr_log_clear(&e->devices->log);
    scr_affinity_bind(e->machine->topology, c->device, bound, sizeof bound);
    scr_engine_beat(e, "open");
    e->bench.data = e->data;
    e->bench.dev = scr_devices_open(e->devices, (size_t)c->device_order);
    if (e->bench.dev != NULL)
        return true;
    scr_log_first(&e->devices->log, line, sizeof line);
    scr_row_status(row, "failed", "%s", line[0] != '\0' ? line : "the device does not open");
    return false;
}

/* The clock of the device, or NULL. */
static struct scr_nvml *nvml_of(struct scr_engine *e, const struct scr_case *c)
{
    int i = c->device_order;
    char why[200];

    if (!e->nvml_tried[i] && c->device->pci[0] != '\0' && !c->device->is_cpu)
        scr_nvml_open(c->device->pci, &e->nvml[i], why, sizeof why);
    e->nvml_tried[i] = true;
    return e->nvml[i];
}

/* Last-level cache of the device, bytes; 0 unknown. */
static size_t cache_of(const struct scr_engine *e, const scr_device_info *info)
{
    size_t host = e->machine->l3_total;

    if (info->is_cpu)
        return info->cache_bytes > host ? info->cache_bytes : host;
    if (strcmp(info->backend, "cuda") == 0 && info->cache_bytes > 0)
        return info->cache_bytes;
    return info->cache_bytes > GPU_CACHE_BYTES ? info->cache_bytes : GPU_CACHE_BYTES;
}

/* Copies of the data that a row is timed on; *cold: they are enough to leave the cache. */
size_t scr_engine_copies(const struct scr_engine *e, const struct scr_case *c, bool *cold)
{
    const scr_problem *p = &c->spec.problem;
    size_t cache = cache_of(e, c->device);
    size_t copies = scr_bench_cold_copies(e->data, cache);
    double memory = c->device->is_cpu ? (double)e->machine->memory : (double)c->device->global_mem;

    *cold = false;
    if (!e->options.timed || e->options.warm)
        return 1;
    while (copies > 1 && memory > 0 && scr_bench_memory(p, copies) > MAX_COPIES_SHARE * memory)
        copies /= 2;
    *cold = cache > 0 && (double)copies * scr_bench_touched_bytes(e->data) > 2.0 * (double)cache;
    return copies;
}

struct scr_sampler scr_engine_sampler(struct scr_engine *e, const struct scr_case *c)
{
    struct scr_sampler s = {
        .bench = &e->bench,
        .no_events = strcmp(c->device->backend, "ref") == 0, /* it has but the host's clock */
        .floor_wall_ns = e->floor_wall_ns[c->device_order],
        .nvml = nvml_of(e, c),
        .faults = scr_faults_of(&e->options.faults, c->order, &c->config),
        .at = c->order,
        .beat = e->options.beat,
        .user = e->options.user,
    };

    s.copies = scr_engine_copies(e, c, &s.cold);
    return s;
}

static void time_case(struct scr_engine *e, const struct scr_runner *r, const struct scr_case *c,
                      const struct scr_checked *checked, double limit_s, struct scr_row *row)
{
    struct scr_sampler sampler = scr_engine_sampler(e, c);
    struct scr_rivals rivals;
    struct scr_contest contest = {0};

    sampler.visits = VISITS;
    sampler.calm = c->device->is_cpu ? &e->calm : NULL;
    scr_calm_row(&e->calm);
    scr_rivals_find(&e->baselines, e->list, r, c, &sampler, limit_s, &rivals);
    rivals.plans[0] = checked->plan;
    for (size_t i = 1; i < rivals.n; i++)
        row->mem_peak_bytes += (double)scr_plan_workspace_bytes(rivals.plans[i]);
    scr_engine_beat(e, "sample");
    if (scr_runner_time(r, &sampler, rivals.plans, rivals.n, limit_s, checked->hash, &contest,
                        row)) {
        if (!sampler.cold && !e->options.warm)
            scr_row_flag(row, "not-cold");
        scr_rivals_sample_alone(&e->baselines, r, c, &sampler, limit_s, &rivals);
        scr_rivals_relate(&e->baselines, c, &rivals, &contest, row);
    }
    scr_contest_clear(&contest);
    scr_rivals_clear(&rivals);
}

static size_t left_memory(const struct scr_engine *e, const struct scr_case *c)
{
    double need = scr_truth_memory(&c->spec.problem, e->machine->threads);
    double have = (double)e->machine->memory;

    return have == 0 ? 0 : need < have ? (size_t)(have - need) : 1;
}

struct scr_runner scr_engine_runner(struct scr_engine *e, const struct scr_case *c)
{
    return (struct scr_runner){
        .bench = &e->bench,
        .truth = e->truth,
        .log = &e->devices->log,
        /* What the data and the reference take is not there for a device that is the host. */
        .host_memory = left_memory(e, c),
        .faults = scr_faults_of(&e->options.faults, c->order, &c->config),
        .beat = e->options.beat,
        .user = e->options.user,
    };
}

bool scr_engine_enter(struct scr_engine *e, const struct scr_case *c, struct scr_row *row)
{
    if (e->options.timed)
        snprintf(row->cache, sizeof row->cache, "%s", e->options.warm ? "warm" : "cold");
    scr_engine_enter_group(e, c);
    if (e->group_status[0] != '\0') {
        scr_row_status(row, e->group_status, "%s", e->group_why);
        return false;
    }
    return scr_engine_enter_device(e, c, row);
}

void scr_engine_run(struct scr_engine *e, size_t index, double time_limit_s, struct scr_row *row,
                    bool *proves_little)
{
    const struct scr_case *c = &e->list->cases[index];
    struct scr_runner r;
    struct scr_checked checked;
    bool cold;

    *proves_little = false;
    scr_row_init(row, c);
    if (!scr_engine_enter(e, c, row))
        return;
    r = scr_engine_runner(e, c);
    scr_faults_strike(&r.faults, SCR_INJECT_CRASH, SCR_INJECT_HANG);
    scr_engine_beat(e, "check");
    scr_runner_check(&r, c, scr_engine_copies(e, c, &cold), row, &checked);
    if (checked.plan == NULL)
        return;
    *proves_little = checked.proves_little;
    scr_baselines_know(&e->baselines, c, checked.hash);
    if (c->config.skip != SCR_SKIP_NONE)
        scr_baselines_compare_unskipped(&e->baselines, &r, c, checked.hash, row);
    if (e->options.timed && strcmp(row->status, "ok") == 0)
        time_case(e, &r, c, &checked, time_limit_s, row);
    scr_plan_destroy(&checked.plan);
}

void scr_engine_run_peer(struct scr_engine *e, struct scr_peer *peer, int kernel, size_t index,
                         double time_limit_s, struct scr_row *row)
{
    const struct scr_case *c = &e->list->cases[index];
    struct scr_peer_options options = {
        .time_limit_s = time_limit_s,
        .timeout_s = PEER_TIMEOUT_S,
        .warm = e->options.warm,
        .cache_bytes = cache_of(e, c->device),
    };
    char why[200];

    scr_peer_row_init(peer, c, kernel, row);
    scr_engine_enter_group(e, c);
    if (e->group_status[0] != '\0') {
        scr_row_status(row, e->group_status, "%s", e->group_why);
        return;
    }
    scr_engine_beat(e, "peer");
    if (e->problem == NULL &&
        scr_peer_problem_create(e->data, e->truth, e->machine->threads, MAX_PAIRS,
                                e->options.folder, &e->problem, why, sizeof why) != SCR_OK) {
        scr_row_status(row, "failed", "%s", why);
        return;
    }
    scr_peer_run(peer, e->problem, c, kernel, &options, row);
}
