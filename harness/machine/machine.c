/* SPDX-License-Identifier: Apache-2.0 */
#include "machine.h"

#include "runner.h"
#include "text.h"
#include "topology.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
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
    hwloc_topology_t t = m->topology->hwloc;
    hwloc_obj_t o = hwloc_get_root_obj(t);
    const char *model = hwloc_obj_get_info_by_name(o, "CPUModel");

    m->packages = number_of(t, HWLOC_OBJ_PACKAGE);
    m->numa_nodes = number_of(t, HWLOC_OBJ_NUMANODE);
    m->cores = number_of(t, HWLOC_OBJ_CORE);
    m->threads = hwloc_bitmap_weight(m->topology->allowed);
    m->l1d = cache_size(t, HWLOC_OBJ_L1CACHE);
    m->l2 = cache_size(t, HWLOC_OBJ_L2CACHE);
    m->l3 = cache_size(t, HWLOC_OBJ_L3CACHE);
    m->l3_total = m->l3 * (size_t)number_of(t, HWLOC_OBJ_L3CACHE);
    if (model == NULL && (o = hwloc_get_obj_by_type(t, HWLOC_OBJ_PACKAGE, 0)) != NULL)
        model = hwloc_obj_get_info_by_name(o, "CPUModel");
    if (model != NULL)
        snprintf(m->cpu, sizeof m->cpu, "%s", model);
}

static size_t system_size(int name)
{
    long value = sysconf(name);

    return value > 0 ? (size_t)value : 0;
}

static void by_system(struct scr_machine *m)
{
    cpu_set_t allowed;

    m->threads = sched_getaffinity(0, sizeof allowed, &allowed) == 0
                     ? CPU_COUNT(&allowed)
                     : (int)system_size(_SC_NPROCESSORS_ONLN);
#ifdef _SC_LEVEL1_DCACHE_SIZE /* of the GNU C library */
    m->l1d = system_size(_SC_LEVEL1_DCACHE_SIZE);
    m->l2 = system_size(_SC_LEVEL2_CACHE_SIZE);
    m->l3 = m->l3_total = system_size(_SC_LEVEL3_CACHE_SIZE);
#endif
}

void scr_machine_describe_by(struct scr_machine *m, struct scr_topology *topology)
{
    struct utsname u;

    *m = (struct scr_machine){.topology = topology};
    snprintf(m->cpu, sizeof m->cpu, "unknown CPU");
    if (uname(&u) == 0) {
        snprintf(m->host, sizeof m->host, "%.63s", u.nodename);
        snprintf(m->os, sizeof m->os, "%s %s %s", u.sysname, u.release, u.machine);
    }
    if (topology != NULL)
        by_hwloc(m);
    else
        by_system(m);
    if (m->threads < 1)
        m->threads = 1;
    m->memory = system_size(_SC_PHYS_PAGES) * system_size(_SC_PAGESIZE);
}

void scr_machine_describe(struct scr_machine *m)
{
    struct scr_topology *topology;
    char note[sizeof m->note];

    scr_topology_discover(&SCR_TOPOLOGY_SEARCH, &topology, note, sizeof note);
    scr_machine_describe_by(m, topology);
    memcpy(m->note, note, sizeof note);
}

void scr_machine_clear(struct scr_machine *m)
{
    scr_topology_destroy(&m->topology);
}

json_t *scr_machine_json(const struct scr_machine *m)
{
    char line[400];

    scr_machine_line(m, line, sizeof line);
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s?, s:i, s:i, s:i, s:i, s:I, s:I, s:I, s:I}",
                     "host", m->host, "os", m->os, "cpu", m->cpu, "summary", line, "note", m->note,
                     "topology", m->topology != NULL ? SCR_MACHINE_XML : NULL, "packages",
                     m->packages, "numa_nodes", m->numa_nodes, "cores", m->cores, "threads",
                     m->threads, "memory_bytes", (json_int_t)m->memory, "l1d_bytes",
                     (json_int_t)m->l1d, "l2_bytes", (json_int_t)m->l2, "l3_bytes",
                     (json_int_t)m->l3);
}

static void append_count(char *out, size_t size, int n, const char *what)
{
    if (n > 0)
        scr_append(out, size, ", %d %s%s", n, what, n == 1 ? "" : "s");
}

static void append_size(char *out, size_t size, const char *what, size_t bytes)
{
    char text[24];

    scr_format_bytes((double)bytes, text, sizeof text);
    if (bytes > 0)
        scr_append(out, size, ", %s %s", what, text);
}

void scr_machine_line(const struct scr_machine *m, char *out, size_t size)
{
    snprintf(out, size, "%s", m->cpu);
    append_count(out, size, m->cores, "core");
    append_count(out, size, m->threads, "thread");
    append_size(out, size, "L2", m->l2);
    append_size(out, size, "L3", m->l3);
    append_size(out, size, "memory", m->memory);
}

int scr_machine_write_xml(const struct scr_machine *m, const char *dir, char *why, size_t why_size)
{
    char path[PATH_MAX];
    bool good;
    FILE *f;

    if (m->topology == NULL)
        return SCR_OK;
    snprintf(path, sizeof path, "%s/" SCR_MACHINE_XML, dir);
    f = fopen(path, "w");
    good = f != NULL && fputs(m->topology->xml, f) >= 0;
    if (f != NULL)
        good = fclose(f) == 0 && good;
    if (good)
        return SCR_OK;
    snprintf(why, why_size, "%s: %s", path, strerror(errno));
    return SCR_ERR_INVALID;
}
