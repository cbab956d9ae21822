/* SPDX-License-Identifier: Apache-2.0 */
/* What this machine is. */
#ifndef SCR_HARNESS_MACHINE_H
#define SCR_HARNESS_MACHINE_H

#include <jansson.h>

#include <stddef.h>

struct scr_topology;

struct scr_machine {
    char host[80];
    char os[208];
    char cpu[128];
    int packages, numa_nodes, cores; /* 0 unknown */
    int threads;                     /* that this process may use */
    size_t memory, l1d, l2, l3;      /* bytes; 0 unknown; caches: one instance */
    size_t l3_total;                 /* all instances */
    char note[400];                  /* what went wrong while finding this out, or "" */
    struct scr_topology *topology;   /* NULL where it could not be found */
};

/*
 * Describes this machine by scr_topology_discover; call it where that says. What hwloc could not
 * tell is asked of the C library. Release with scr_machine_clear.
 */
void scr_machine_describe(struct scr_machine *m);

/* The same with a topology that was found before, or NULL; takes ownership. The note is "". */
void scr_machine_describe_by(struct scr_machine *m, struct scr_topology *topology);

/* Releases the topology. A machine of zeros may be cleared too. */
void scr_machine_clear(struct scr_machine *m);

/* A new object, or NULL when memory is exhausted. "topology": SCR_MACHINE_XML, or null. */
json_t *scr_machine_json(const struct scr_machine *m);

/* One line: "Intel Xeon, 2 cores, 4 threads, L2 1.0 MB, L3 32 MB, memory 16 GB". */
void scr_machine_line(const struct scr_machine *m, char *out, size_t size);

/*
 * Writes hwloc's XML, which lstopo -i and hwloc's other tools read, to SCR_MACHINE_XML in folder
 * dir; nothing where there is no topology. SCR_OK, or SCR_ERR_INVALID with one line in why.
 */
#define SCR_MACHINE_XML "topology.xml"
int scr_machine_write_xml(const struct scr_machine *m, const char *dir, char *why, size_t why_size);

#endif
