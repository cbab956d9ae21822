/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random problems for --check --random, in the words of -a. Every number comes from Philox keyed by
 * (seed, index), so a problem is the same whatever else is drawn, on every machine that has the
 * same devices and kernels.
 *
 * Compiling takes longer than checking, so problems come in groups that share a build: device,
 * kernel, variant, tunables, skip, dims and types are drawn once a group, the rest (lengths, heads,
 * masks, data), which a kernel takes at run time, once a problem.
 */
#ifndef SCR_HARNESS_RANDOM_DRAW_H
#define SCR_HARNESS_RANDOM_DRAW_H

#include "axes.h"

#include <screening/screening.h>

#include <stddef.h>
#include <stdint.h>

enum {
    SCR_RANDOM_SHARE = 8, /* problems of a group */
    SCR_RANDOM_WORDS = 800,
};

/* What is drawn from. */
struct scr_random {
    uint64_t seed;
    const struct scr_axes *only; /* an axis that is set here has one of its values */
    const scr_device_info *const *devices;
    size_t n_devices;
};

struct scr_random_build {
    size_t device;      /* of scr_random's */
    int tile_q, tile_k; /* 0: the kernel has none */
    int dk;
    char words[SCR_RANDOM_WORDS / 2];
};

/*
 * Draws the build of a group: the kernel is one that the device supports, its tunables are
 * uniform over those that are valid there.
 *
 * why  receives one line on failure
 * Returns SCR_OK, or SCR_ERR_INVALID where what the axes leave is never supported, or where they
 * set what is not drawn.
 */
int scr_random_draw_build(const struct scr_random *r, uint32_t group, struct scr_random_build *out,
                          char *why, size_t why_size);

/*
 * Draws a problem for a build, which the words contain.
 * attempt  0, and more where the axes make the problem one without a meaning
 */
void scr_random_draw_problem(const struct scr_random *r, const struct scr_random_build *build,
                             uint32_t index, unsigned attempt, char words[SCR_RANDOM_WORDS]);

/* The seed of a problem's data, as --seed takes it. */
uint64_t scr_random_data_seed(uint64_t seed, uint32_t index);

#endif
