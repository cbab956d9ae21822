/* SPDX-License-Identifier: Apache-2.0 */
#include "affinity.h"

#include "text.h"
#include "topology.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The objects of a type that have a processor of the set. */
static int count_in(hwloc_topology_t t, hwloc_obj_type_t type, hwloc_const_bitmap_t set)
{
    hwloc_obj_t o = NULL;
    int n = 0;

    while ((o = hwloc_get_next_obj_by_type(t, type, o)) != NULL)
        n += hwloc_bitmap_intersects(o->cpuset, set);
    return n;
}

/* Appends "NUMA nodes 0-1, " by the system's numbers; nothing where there is no such object. */
static void append_numbers(hwloc_topology_t t, hwloc_obj_type_t type, const char *what,
                           hwloc_const_bitmap_t set, char *text, size_t size)
{
    hwloc_bitmap_t numbers = hwloc_bitmap_alloc();
    hwloc_obj_t o = NULL;
    char *list = NULL;

    while (numbers != NULL && (o = hwloc_get_next_obj_by_type(t, type, o)) != NULL) {
        if (o->os_index != HWLOC_UNKNOWN_INDEX && hwloc_bitmap_intersects(o->cpuset, set))
            hwloc_bitmap_set(numbers, o->os_index);
    }
    if (numbers != NULL && !hwloc_bitmap_iszero(numbers) &&
        hwloc_bitmap_list_asprintf(&list, numbers) >= 0)
        scr_append(text, size, "%s%s%s %s", text[0] != '\0' ? ", " : "", what,
                   hwloc_bitmap_weight(numbers) == 1 ? "" : "s", list);
    free(list);
    hwloc_bitmap_free(numbers);
}

static void append_cores(hwloc_topology_t t, hwloc_const_bitmap_t set, char *text, size_t size)
{
    int cores = count_in(t, HWLOC_OBJ_CORE, set);
    int n = cores > 0 ? cores : hwloc_bitmap_weight(set);

    scr_append(text, size, "%d %s%s", n, cores > 0 ? "core" : "thread", n == 1 ? "" : "s");
}

/* "package 0, NUMA node 1 (16 cores)" */
static void say_place(hwloc_topology_t t, hwloc_const_bitmap_t set, char *text, size_t size)
{
    text[0] = '\0';
    append_numbers(t, HWLOC_OBJ_PACKAGE, "package", set, text, size);
    append_numbers(t, HWLOC_OBJ_NUMANODE, "NUMA node", set, text, size);
    scr_append(text, size, "%s(", text[0] != '\0' ? " " : "");
    append_cores(t, set, text, size);
    scr_append(text, size, ")");
}

/* The object whose processors are near a PCI device; NULL where the device is not listed. */
static hwloc_obj_t find_parent(hwloc_topology_t t, const char *pci)
{
    hwloc_obj_t device = hwloc_get_pcidev_by_busidstring(t, pci);

    return device != NULL ? hwloc_get_non_io_ancestor_obj(t, device) : NULL;
}

bool scr_affinity_find(const struct scr_topology *topology, const scr_device_info *info,
                       hwloc_bitmap_t near, char *text, size_t size)
{
    hwloc_topology_t t = topology != NULL ? topology->hwloc : NULL;
    hwloc_bitmap_t set = NULL;
    hwloc_obj_t parent;
    bool found = false;

    if (t == NULL) {
        snprintf(text, size, "not bound: the topology is not known");
        return false;
    }
    if (near != NULL)
        hwloc_bitmap_copy(near, topology->allowed);
    if (info->is_cpu) {
        snprintf(text, size, "whole machine (");
        append_cores(t, topology->allowed, text, size);
        scr_append(text, size, "): the device is the processors");
        return true;
    }
    if (info->pci[0] == '\0') {
        snprintf(text, size, "not bound: the driver does not tell the PCI address");
        return false;
    }
    parent = find_parent(t, info->pci);
    set = hwloc_bitmap_alloc();
    if (parent == NULL || set == NULL) {
        snprintf(text, size, "not bound: hwloc lists no PCI device %s", info->pci);
    } else if (parent == hwloc_get_root_obj(t)) {
        found = true;
        snprintf(text, size, "whole machine (");
        append_cores(t, topology->allowed, text, size);
        scr_append(text, size, "): none is known to be nearer");
    } else if (hwloc_bitmap_and(set, parent->cpuset, topology->allowed) != 0 ||
               hwloc_bitmap_iszero(set)) {
        char place[120];

        say_place(t, parent->cpuset, place, sizeof place);
        snprintf(text, size, "not bound: this process may not use %s", place);
    } else {
        found = true;
        say_place(t, set, text, size);
        if (near != NULL)
            hwloc_bitmap_copy(near, set);
    }
    hwloc_bitmap_free(set);
    return found;
}

bool scr_affinity_bind(const struct scr_topology *topology, const scr_device_info *info, char *text,
                       size_t size)
{
    hwloc_bitmap_t near = hwloc_bitmap_alloc();
    bool found = near != NULL;

    if (near == NULL)
        snprintf(text, size, "not bound: out of memory");
    else
        found = scr_affinity_find(topology, info, near, text, size);
    if (topology != NULL && near != NULL &&
        hwloc_set_cpubind(topology->hwloc, near, HWLOC_CPUBIND_THREAD) != 0) {
        snprintf(text, size, "not bound: %s", strerror(errno));
        found = false;
    }
    hwloc_bitmap_free(near);
    return found;
}

void scr_affinity_release(const struct scr_topology *topology)
{
    if (topology != NULL)
        hwloc_set_cpubind(topology->hwloc, topology->allowed, HWLOC_CPUBIND_THREAD);
}
