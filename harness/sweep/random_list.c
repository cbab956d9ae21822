/* SPDX-License-Identifier: Apache-2.0 */
#include "random_list.h"

#include "random_draw.h"

#include <stdio.h>

/* Of a problem, until the axes given make one with a meaning. */
enum { PROBLEM_ATTEMPTS = 1000 };

/* Adds the case of some words on the device of a build, where they have a meaning. */
static int add_words(struct scr_case_list *list, const struct scr_random *r,
                     const struct scr_random_build *build, const char *words, uint64_t seed,
                     char *why, size_t why_size)
{
    const scr_device_info *on[SCR_MAX_DEVICES] = {NULL};
    struct scr_axes axes = {0};
    int status = scr_axes_set_line(&axes, words, why, why_size);

    on[build->device] = r->devices[build->device];
    if (status == SCR_OK)
        status = scr_case_list_add(list, &axes, on, r->n_devices, seed, why, why_size);
    scr_axes_clear(&axes);
    return status;
}

static int add_problem(struct scr_case_list *list, const struct scr_random *r,
                       const struct scr_random_build *build, uint32_t index, char *why,
                       size_t why_size)
{
    uint64_t seed = scr_random_data_seed(r->seed, index);
    size_t before = list->n;
    char words[SCR_RANDOM_WORDS];
    int status = SCR_OK;

    for (unsigned i = 0; i < PROBLEM_ATTEMPTS && status == SCR_OK && list->n == before; i++) {
        scr_random_draw_problem(r, build, index, i, words);
        status = add_words(list, r, build, words, seed, why, why_size);
    }
    if (status != SCR_OK || list->n > before)
        return status;
    snprintf(why, why_size, "--random: no problem of the axes has a meaning: %s", list->dropped);
    return SCR_ERR_INVALID;
}

int scr_random_list(const struct scr_options *o, const struct scr_devices *devices,
                    struct scr_case_list *list, char *why, size_t why_size)
{
    const struct scr_random r = {
        .seed = o->seed,
        .only = &o->axes,
        .devices = devices->info,
        .n_devices = devices->n,
    };
    size_t spare = (size_t)o->n_random / 4 + 4 * (size_t)SCR_RANDOM_SHARE;
    size_t n = (size_t)o->n_random + spare;
    struct scr_random_build build;
    int status = SCR_OK;

    for (size_t i = 0; i < n && status == SCR_OK; i++) {
        if (i % SCR_RANDOM_SHARE == 0)
            status =
                scr_random_draw_build(&r, (uint32_t)(i / SCR_RANDOM_SHARE), &build, why, why_size);
        if (status == SCR_OK)
            status = add_problem(list, &r, &build, (uint32_t)i, why, why_size);
    }
    if (status != SCR_OK)
        return status;
    list->n_spare = spare;
    scr_case_list_sort(list);
    return SCR_OK;
}
