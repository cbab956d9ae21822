/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the lab share. */
#ifndef SCR_TUNER_LAB_STATE_H
#define SCR_TUNER_LAB_STATE_H

#include "helper.h"
#include "lab.h"

enum { SCR_LAB_MAX_COMPILERS = 64 };

/* A process that compiles. */
struct scr_lab_compiler {
    struct scr_helper helper;
    enum { SCR_COMPILER_IDLE, SCR_COMPILER_STARTS, SCR_COMPILER_BUSY } state;
    size_t task;   /* the configuration that it is busy with */
    size_t n_done; /* since it was started: what it compiled stays in its memory */
};

struct scr_lab {
    struct scr_lab_options options;
    const scr_device_info *info;
    struct scr_helper runner;
    size_t n_served; /* requests since the runner was started */
    struct scr_lab_compiler compilers[SCR_LAB_MAX_COMPILERS];
    int starts_in_vain; /* of runner and compilers, since one came up */
    char why[400];
};

enum { SCR_LAB_STARTS_IN_VAIN = 3 }; /* then no more are tried */

/* The first request to a worker. */
json_t *scr_lab_greeting(const struct scr_lab *lab);

/* False where its answer is none, or says that it cannot work: counts, and lab->why has a line. */
bool scr_lab_greeted(struct scr_lab *lab, const json_t *hello);

/* The same where it ended in place of an answer. A wanted stop does not count. */
void scr_lab_not_started(struct scr_lab *lab, const struct scr_helper_end *end);

extern const double SCR_LAB_START_TIMEOUT_S;

#endif
