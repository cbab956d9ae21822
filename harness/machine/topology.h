/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine's topology, by hwloc. Its discovery asks GPU drivers, which may crash or hang, so a
 * child process does it and hands over the XML.
 */
#ifndef SCR_HARNESS_TOPOLOGY_H
#define SCR_HARNESS_TOPOLOGY_H

#include <hwloc.h>

#include <stdbool.h>
#include <stddef.h>

struct scr_topology {
    hwloc_topology_t hwloc; /* with PCI devices where they could be found */
    hwloc_bitmap_t allowed; /* the processors that this process may use */
    char *xml;              /* of hwloc, for lstopo and hwloc's other tools */
};

enum scr_topology_fault { SCR_FAULT_NONE, SCR_FAULT_CRASH, SCR_FAULT_HANG };

/* How to look for it; the faults are for tests. */
struct scr_topology_search {
    double limit_s; /* an attempt that takes longer is killed */
    enum scr_topology_fault fault;
    int n_faults; /* attempts that meet with the fault, from the first */
};

/* Drivers may need seconds to wake all GPUs of a machine. */
#define SCR_TOPOLOGY_SEARCH ((struct scr_topology_search){.limit_s = 6})

/*
 * Looks in up to three attempts: with the GPU drivers that hwloc knows, without them (PCI devices
 * come from the kernel), and without devices. Call it at the start of the program: a process that
 * has one thread and no driver loaded forks safely, and the processors that it may use are noted
 * before anything binds them.
 *
 * note  receives one line on what went wrong, also on success; "" when the first attempt succeeded
 * Returns SCR_OK, SCR_ERR_DEVICE when all attempts failed, or SCR_ERR_NO_MEMORY.
 */
int scr_topology_discover(const struct scr_topology_search *search, struct scr_topology **out,
                          char *note, size_t note_size);

/*
 * Reads hwloc's XML. this_machine: it describes the machine that runs this, so that binding has an
 * effect and allowed are the processors that the calling thread is bound to; otherwise allowed are
 * all.
 * Returns SCR_OK, SCR_ERR_INVALID, SCR_ERR_NO_MEMORY.
 */
int scr_topology_import(const char *xml, bool this_machine, struct scr_topology **out);

void scr_topology_destroy(struct scr_topology **t);

#endif
