/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the engine share. */
#ifndef SCR_HARNESS_ENGINE_STATE_H
#define SCR_HARNESS_ENGINE_STATE_H

#include "baseline.h"
#include "calm.h"
#include "engine.h"
#include "nvml.h"

struct scr_engine {
    const struct scr_case_list *list;
    struct scr_devices *devices;
    const struct scr_machine *machine;
    struct scr_engine_options options;
    double floor_wall_ns[SCR_MAX_DEVICES];
    struct scr_nvml *nvml[SCR_MAX_DEVICES];
    bool nvml_tried[SCR_MAX_DEVICES];
    struct scr_calm calm;

    /* The group and device that ran last. */
    bool has_group;
    size_t group;
    int device_order;
    struct scr_dataset *data;
    struct scr_truth *truth;
    char group_status[16], group_why[200]; /* "": it is there */
    struct scr_peer_problem *problem;      /* NULL until a peer runs */
    struct scr_bench bench;
    struct scr_baselines baselines;
};

/* Makes the data of a case; what hinders that is kept for all cases of the group. */
void scr_engine_enter_group(struct scr_engine *e, const struct scr_case *c);

/* Opens the device of a case whose data is there. False when the row got a status. */
bool scr_engine_enter_device(struct scr_engine *e, const struct scr_case *c, struct scr_row *row);

/* Both. */
bool scr_engine_enter(struct scr_engine *e, const struct scr_case *c, struct scr_row *row);

/* For a case that was entered; with the faults of its configuration. */
struct scr_runner scr_engine_runner(struct scr_engine *e, const struct scr_case *c);
struct scr_sampler scr_engine_sampler(struct scr_engine *e, const struct scr_case *c);

/* Copies of the data that a row is timed on; *cold: they are enough to leave the cache. */
size_t scr_engine_copies(const struct scr_engine *e, const struct scr_case *c, bool *cold);

void scr_engine_beat(const struct scr_engine *e, const char *step);

#endif
