/* SPDX-License-Identifier: Apache-2.0 */
#include "topology.h"

#include "child.h"
#include "text.h"

#include <screening/error.h>

#include <stdlib.h>
#include <string.h>

/* How deep hwloc looks. */
enum depth { WITH_DRIVERS, WITH_BUSES, WITHOUT_DEVICES, N_DEPTHS };

static const char *const attempt_name[N_DEPTHS] = {"with GPU drivers", "with PCI devices",
                                                   "without devices"};
static const char *const found_name[N_DEPTHS + 1] = {"topology", "topology without GPU drivers",
                                                     "topology without devices", "no topology"};

/* The components of hwloc that load a driver. */
static const char *const driver_components[] = {"opencl", "cuda", "nvml",
                                                "rsmi",   "gl",   "levelzero"};

struct attempt {
    enum depth depth;
    enum scr_topology_fault fault;
};

/* Runs in the child, which ends behind it: nothing is freed. */
static const char *look(void *user, size_t *size)
{
    const struct attempt *a = user;
    hwloc_topology_t t;
    char *xml;
    int length;

    if (a->fault == SCR_FAULT_CRASH)
        abort();
    while (a->fault == SCR_FAULT_HANG)
        pause();
    if (hwloc_topology_init(&t) != 0)
        return NULL;
    if (a->depth != WITHOUT_DEVICES)
        hwloc_topology_set_io_types_filter(t, HWLOC_TYPE_FILTER_KEEP_IMPORTANT);
    /* A component that this hwloc does not have cannot be left out, nor does it need to be. */
    for (size_t i = 0; i < sizeof driver_components / sizeof *driver_components; i++) {
        if (a->depth != WITH_DRIVERS)
            hwloc_topology_set_components(t, HWLOC_TOPOLOGY_COMPONENTS_FLAG_BLACKLIST,
                                          driver_components[i]);
    }
    if (hwloc_topology_load(t) != 0 || hwloc_topology_export_xmlbuffer(t, &xml, &length, 0) != 0)
        return NULL;
    *size = (size_t)length;
    return xml;
}

int scr_topology_discover(const struct scr_topology_search *search, struct scr_topology **out,
                          char *note, size_t note_size)
{
    char failures[400] = "";
    int status = SCR_ERR_DEVICE;
    int depth;

    *out = NULL;
    for (depth = 0; depth < N_DEPTHS && status != SCR_OK; depth++) {
        struct attempt a = {.depth = depth,
                            .fault = depth < search->n_faults ? search->fault : SCR_FAULT_NONE};
        char why[100];
        char *xml = scr_child_ask(look, &a, search->limit_s, NULL, why, sizeof why);

        if (xml != NULL) {
            status = scr_topology_import(xml, true, out);
            snprintf(why, sizeof why, "%s", scr_status_text(status));
            free(xml);
        }
        if (status != SCR_OK)
            scr_append(failures, sizeof failures, "%shwloc %s %s", depth > 0 ? "; " : "",
                       attempt_name[depth], why);
        if (status == SCR_ERR_NO_MEMORY)
            break;
    }
    note[0] = '\0';
    if (failures[0] != '\0')
        snprintf(note, note_size, "%s: %s", found_name[status == SCR_OK ? depth - 1 : N_DEPTHS],
                 failures);
    return status;
}

int scr_topology_import(const char *xml, bool this_machine, struct scr_topology **out)
{
    struct scr_topology *t = calloc(1, sizeof *t);

    *out = NULL;
    if (t == NULL)
        return SCR_ERR_NO_MEMORY;
    t->xml = strdup(xml);
    t->allowed = hwloc_bitmap_alloc();
    if (t->xml == NULL || t->allowed == NULL || hwloc_topology_init(&t->hwloc) != 0) {
        scr_topology_destroy(&t);
        return SCR_ERR_NO_MEMORY;
    }
    if (this_machine)
        hwloc_topology_set_flags(t->hwloc, HWLOC_TOPOLOGY_FLAG_IS_THISSYSTEM);
    hwloc_topology_set_io_types_filter(t->hwloc, HWLOC_TYPE_FILTER_KEEP_IMPORTANT);
    if (hwloc_topology_set_xmlbuffer(t->hwloc, xml, (int)strlen(xml) + 1) != 0 ||
        hwloc_topology_load(t->hwloc) != 0) {
        scr_topology_destroy(&t);
        return SCR_ERR_INVALID;
    }
    if (!this_machine || hwloc_get_cpubind(t->hwloc, t->allowed, HWLOC_CPUBIND_THREAD) != 0)
        hwloc_bitmap_copy(t->allowed, hwloc_topology_get_allowed_cpuset(t->hwloc));
    hwloc_bitmap_and(t->allowed, t->allowed, hwloc_topology_get_allowed_cpuset(t->hwloc));
    *out = t;
    return SCR_OK;
}

void scr_topology_destroy(struct scr_topology **pt)
{
    struct scr_topology *t = *pt;

    if (t == NULL)
        return;
    if (t->hwloc != NULL)
        hwloc_topology_destroy(t->hwloc);
    hwloc_bitmap_free(t->allowed);
    free(t->xml);
    free(t);
    *pt = NULL;
}
