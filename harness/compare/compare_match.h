/* SPDX-License-Identifier: Apache-2.0 */
/* Which row of one run is which row of another: by what was run, not by the command. */
#ifndef SCR_HARNESS_COMPARE_MATCH_H
#define SCR_HARNESS_COMPARE_MATCH_H

#include "row.h"

#include <stdbool.h>
#include <stddef.h>

struct scr_match {
    const struct scr_row *base, *now;
    bool other_config; /* variant, tile or parameters differ */
};

/* Pointers go into the rows given; arrays are owned. */
struct scr_matches {
    struct scr_match *pairs; /* in the order of NEW */
    size_t n;
    const struct scr_row **only_base, **only_now; /* in the order of their files */
    size_t n_only_base, n_only_now;
    size_t n_repeated; /* rows left out because a later one in their file is the same */
};

/*
 * Rows are the same where device, peer, operator, kernel, skip, types, shape, masks, workload (a
 * trace by the name of its file, wherever it lies), head, window and r as asked for, and seed are,
 * and variant, tile and parameters too. What is left then is matched with another cache state, and
 * last with other variant, tile and parameters: where for one problem each file has one row left
 * over, these are what the program chose by itself before and now. Their data need not be the same:
 * see data_hash.
 *
 * Returns SCR_OK or SCR_ERR_NO_MEMORY. Clear it in any case.
 */
int scr_match_rows(const struct scr_row *base, size_t n_base, const struct scr_row *now,
                   size_t n_now, struct scr_matches *out);
void scr_matches_clear(struct scr_matches *m);

#endif
