/* SPDX-License-Identifier: Apache-2.0 */
/* What this machine is, by hwloc. */
#ifndef SCR_HARNESS_MACHINE_H
#define SCR_HARNESS_MACHINE_H

#include <jansson.h>

#include <stddef.h>

struct scr_machine {
    char host[80];
    char os[208];
    char cpu[128];
    int packages, numa_nodes, cores, threads; /* threads this process may use */
    size_t memory, l1d, l2, l3;               /* bytes; 0 unknown; caches: one instance */
};

void scr_machine_describe(struct scr_machine *m);

/* A new object, or NULL when memory is exhausted. */
json_t *scr_machine_json(const struct scr_machine *m);

/* One line: "Intel Xeon, 2 cores, 4 threads, L2 1.0 MB, L3 32 MB, 16 GB". */
void scr_machine_line(const struct scr_machine *m, char *out, size_t size);

#endif
