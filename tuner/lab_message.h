/* SPDX-License-Identifier: Apache-2.0 */
/* What a lab and its workers say to each other, as JSON. */
#ifndef SCR_TUNER_LAB_MESSAGE_H
#define SCR_TUNER_LAB_MESSAGE_H

#include "lab.h"
#include "timer.h"

#include <jansson.h>

/*
 *   first request  {"lab": SCR_LAB_PROTOCOL, "xml": hwloc's topology or null}
 *   first answer   {"hello": SCR_LAB_PROTOCOL, "digest": of the shapes, "why": ""}
 *   {"do": "compile", "shape": i, "config": {...}}           {"trial": {...}}
 *   {"do": "try", "shape": i, "slot": k, "config": {...},
 *    "thorough": bool, "limit": s, "best": ns or null}       {"trial": {...}}
 *   {"do": "race", "shape": i, "slot": k, "configs": [...],
 *    "limit": s}                                             {"trials": [...],
 *                                                             "ratios": [[value, lo, hi], ...]}
 * slot: where the shape's data is kept; 0 is for shapes that are timed.
 */
enum { SCR_LAB_PROTOCOL = 1, SCR_LAB_SLOTS = 17 };

/* A number, or null where it is none. */
json_t *scr_lab_number(double x);
double scr_lab_number_from(const json_t *json); /* NaN where it is null */

json_t *scr_lab_config_json(const scr_config *c);
bool scr_lab_config_from_json(const json_t *json, scr_config *out);

json_t *scr_lab_trial_json(const struct scr_trial *t);
bool scr_lab_trial_from_json(const json_t *json, struct scr_trial *out);

json_t *scr_lab_ratio_json(const struct scr_ratio *r);
bool scr_lab_ratio_from_json(const json_t *json, struct scr_ratio *out);

/* Status "", nothing known. */
void scr_lab_trial_init(struct scr_trial *t);

/* printf format. */
#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
void scr_lab_trial_status(struct scr_trial *t, const char *status, const char *format, ...);

#endif
