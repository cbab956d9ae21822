/* SPDX-License-Identifier: Apache-2.0 */
/* The candidates for a shape on a device: what a kernel's declaration offers and the limits allow.
 */
#ifndef SCR_TUNER_SPACE_H
#define SCR_TUNER_SPACE_H

#include <screening/screening.h>

#include <stddef.h>
#include <stdint.h>

/* A point of the space: its configuration and, for searching, where it stands on each axis. */
struct scr_candidate {
    scr_config config;
    int at[SCR_MAX_PARAMS + 2]; /* index of variant, skip and each parameter's value */
};

struct scr_space {
    struct scr_candidate *candidates; /* [0] is the built-in default of the first kernel and skip */
    size_t n;
    int n_axes;
    /* points that were left out before anything was compiled, by reason */
    size_t n_all, n_constraints, n_local_memory, n_group_size;
};

/*
 * All configurations of one kernel and skip, every variant; deterministic order. SCR_OK,
 * SCR_ERR_UNSUPPORTED (none fits), SCR_ERR_NO_MEMORY.
 */
int scr_space_create(const scr_device_info *info, const scr_problem *p, const char *kernel,
                     scr_skip skip, struct scr_space *out);
void scr_space_clear(struct scr_space *s);

/* The candidate most like a configuration of any kernel: its variant first, then its parameters. */
size_t scr_space_nearest(const struct scr_space *s, const scr_config *c);

/*
 * The candidates next to i: along each axis the nearest on either side that the limits leave, and
 * of the variants before and after the most alike. Returns how many were written.
 */
size_t scr_space_neighbours(const struct scr_space *s, size_t i, size_t *out, size_t room);

#endif
