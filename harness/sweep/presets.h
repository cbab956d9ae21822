/* SPDX-License-Identifier: Apache-2.0 */
/* What is swept when nothing is said: products of axes, in the words of `-a`. */
#ifndef SCR_HARNESS_PRESETS_H
#define SCR_HARNESS_PRESETS_H

enum scr_preset_on { SCR_ON_ANY, SCR_ON_CPU, SCR_ON_GPU };

/* A product of axes, as a line of a --cases file, and the devices that it is meant for. */
struct scr_preset_line {
    enum scr_preset_on on;
    const char *axes;
};

struct scr_preset {
    const char *name;
    const char *summary;
    double time_limit_s;                 /* sampling time of one row */
    const struct scr_preset_line *lines; /* the last one has axes == NULL */
};

/* The preset of that name, or NULL. */
const struct scr_preset *scr_preset_find(const char *name);

#endif
