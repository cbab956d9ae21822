/* SPDX-License-Identifier: Apache-2.0 */
#include "machine.h"

#include "runner.h"

#include <hwloc.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

static int number_of(hwloc_topology_t t, hwloc_obj_type_t type)
{
    int n = hwloc_get_nbobjs_by_type(t, type);

    return n > 0 ? n : 0;
}

static size_t cache_size(hwloc_topology_t t, hwloc_obj_type_t type)
{
    hwloc_obj_t o = hwloc_get_obj_by_type(t, type, 0);

    return o != NULL && o->attr != NULL ? (size_t)o->attr->cache.size : 0;
}

static void by_hwloc(struct scr_machine *m)
{
    hwloc_topology_t t;
    hwloc_obj_t o;
    const char *model;

    /* GPUs are listed by the backends; hwloc's own look at them would start drivers twice. */
    setenv("HWLOC_COMPONENTS", "-opencl,-cuda,-nvml,-gl", 0);
    if (hwloc_topology_init(&t) != 0)
        return;
    if (hwloc_topology_load(t) != 0) {
        hwloc_topology_destroy(t);
        return;
    }
    m->packages = number_of(t, HWLOC_OBJ_PACKAGE);
    m->numa_nodes = number_of(t, HWLOC_OBJ_NUMANODE);
    m->cores = number_of(t, HWLOC_OBJ_CORE);
    m->threads = number_of(t, HWLOC_OBJ_PU);
    m->l1d = cache_size(t, HWLOC_OBJ_L1CACHE);
    m->l2 = cache_size(t, HWLOC_OBJ_L2CACHE);
    m->l3 = cache_size(t, HWLOC_OBJ_L3CACHE);
    o = hwloc_get_root_obj(t);
    model = hwloc_obj_get_info_by_name(o, "CPUModel");
    if (model == NULL && (o = hwloc_get_obj_by_type(t, HWLOC_OBJ_PACKAGE, 0)) != NULL)
        model = hwloc_obj_get_info_by_name(o, "CPUModel");
    if (model != NULL)
        snprintf(m->cpu, sizeof m->cpu, "%s", model);
    hwloc_topology_destroy(t);
}

void scr_machine_describe(struct scr_machine *m)
{
    struct utsname u;
    cpu_set_t allowed;
    long pages;

    memset(m, 0, sizeof *m);
    snprintf(m->cpu, sizeof m->cpu, "unknown CPU");
    if (uname(&u) == 0) {
        snprintf(m->host, sizeof m->host, "%.63s", u.nodename);
        snprintf(m->os, sizeof m->os, "%s %s %s", u.sysname, u.release, u.machine);
    }
    by_hwloc(m);
    if (sched_getaffinity(0, sizeof allowed, &allowed) == 0)
        m->threads = CPU_COUNT(&allowed);
    if (m->threads < 1)
        m->threads = 1;
    pages = sysconf(_SC_PHYS_PAGES);
    if (pages > 0)
        m->memory = (size_t)pages * (size_t)sysconf(_SC_PAGESIZE);
}

json_t *scr_machine_json(const struct scr_machine *m)
{
    char line[400];

    scr_machine_line(m, line, sizeof line);
    return json_pack("{s:s, s:s, s:s, s:s, s:i, s:i, s:i, s:i, s:I, s:I, s:I, s:I}", "host",
                     m->host, "os", m->os, "cpu", m->cpu, "summary", line, "packages", m->packages,
                     "numa_nodes", m->numa_nodes, "cores", m->cores, "threads", m->threads,
                     "memory_bytes", (json_int_t)m->memory, "l1d_bytes", (json_int_t)m->l1d,
                     "l2_bytes", (json_int_t)m->l2, "l3_bytes", (json_int_t)m->l3);
}

void scr_machine_line(const struct scr_machine *m, char *out, size_t size)
{
    char l2[24], l3[24], memory[24];

    scr_format_bytes((double)m->l2, l2, sizeof l2);
    scr_format_bytes((double)m->l3, l3, sizeof l3);
    scr_format_bytes((double)m->memory, memory, sizeof memory);
    snprintf(out, size, "%s, %d core%s, %d thread%s, L2 %s, L3 %s, memory %s", m->cpu, m->cores,
             m->cores == 1 ? "" : "s", m->threads, m->threads == 1 ? "" : "s", l2, l3, memory);
}
