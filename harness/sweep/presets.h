/* SPDX-License-Identifier: Apache-2.0 */
/* What is swept when nothing is said: products of axes, in the words of `-a`. */
#ifndef SCR_HARNESS_PRESETS_H
#define SCR_HARNESS_PRESETS_H

#include <stdbool.h>
#include <stddef.h>

enum scr_preset_on { SCR_ON_ANY, SCR_ON_CPU, SCR_ON_GPU };

/* A product of axes, as a line of a --cases file, and the devices that it is meant for. */
struct scr_preset_line {
    enum scr_preset_on on;
    const char *axes;
    bool no_peers; /* peers do not run on its data, unless another line has the same */
};

struct scr_preset {
    const char *name;
    double time_limit_s;                 /* sampling time of one row */
    const struct scr_preset_line *lines; /* the last one has axes == NULL */
    bool of_traces;                      /* the user must name them: -a workload=trace:FILE */
};

/* The preset of that name, or NULL. */
const struct scr_preset *scr_preset_find(const char *name);

/* The names of all, comma between them. */
void scr_preset_names(char *out, size_t size);

#endif
