/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "affinity.h"
#include "calm.h"
#include "child.h"
#include "machine.h"
#include "timer.h"
#include "topology.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Two packages of four cores with two threads each, even processors on package 0. A GPU on NUMA
 * node 1 (package 0), one on package 1 (nodes 2 and 3), one without a place. */
#define GPU_ON_NODE    "0000:65:00.0"
#define GPU_ON_PACKAGE "0000:c4:00.0"
#define GPU_ANYWHERE   "0000:01:00.0"

static char *read_file(const char *path)
{
    char *text = calloc(1, 1 << 20);
    FILE *f = fopen(path, "r");

    assert_non_null(text);
    assert_non_null(f);
    assert_true(fread(text, 1, (1 << 20) - 1, f) > 0);
    fclose(f);
    return text;
}

static struct scr_topology *two_packages(bool this_machine)
{
    struct scr_topology *t = NULL;
    char path[PATH_MAX];
    char *xml;

    snprintf(path, sizeof path, "%s/two_packages.xml", getenv("SCR_TEST_DATA"));
    xml = read_file(path);
    assert_int_equal(scr_topology_import(xml, this_machine, &t), SCR_OK);
    free(xml);
    return t;
}

static scr_device_info gpu(const char *pci)
{
    scr_device_info info = {.backend = "cuda", .id = "cuda:0"};

    snprintf(info.pci, sizeof info.pci, "%s", pci);
    return info;
}

/* What scr_affinity_find says of a device; near as a list ("0-3,8"). */
static void expect(const struct scr_topology *t, const scr_device_info *info, bool found,
                   const char *near, const char *text)
{
    hwloc_bitmap_t set = hwloc_bitmap_alloc();
    char list[200], got[SCR_AFFINITY_TEXT];

    assert_int_equal(scr_affinity_find(t, info, set, got, sizeof got), found);
    hwloc_bitmap_list_snprintf(list, sizeof list, set);
    assert_string_equal(got, text);
    assert_string_equal(list, near);
    assert_int_equal(scr_affinity_find(t, info, NULL, got, sizeof got), found);
    hwloc_bitmap_free(set);
}

static void test_near_gpu(void **state)
{
    struct scr_topology *t = two_packages(false);
    scr_device_info on_node = gpu(GPU_ON_NODE);
    scr_device_info on_package = gpu(GPU_ON_PACKAGE);
    scr_device_info anywhere = gpu(GPU_ANYWHERE);

    (void)state;
    expect(t, &on_node, true, "4,6,12,14", "package 0, NUMA node 1 (2 cores)");
    expect(t, &on_package, true, "1,3,5,7,9,11,13,15", "package 1, NUMA nodes 2-3 (4 cores)");
    expect(t, &anywhere, true, "0-15", "whole machine (8 cores): none is known to be nearer");
    scr_topology_destroy(&t);
    assert_null(t);
}

static void test_near_within_allowed(void **state)
{
    struct scr_topology *t = two_packages(false);
    scr_device_info on_node = gpu(GPU_ON_NODE);
    scr_device_info on_package = gpu(GPU_ON_PACKAGE);

    (void)state;
    hwloc_bitmap_list_sscanf(t->allowed, "1,5,9");
    expect(t, &on_package, true, "1,5,9", "package 1, NUMA nodes 2-3 (2 cores)");
    expect(t, &on_node, false, "1,5,9",
           "not bound: this process may not use package 0, NUMA node 1 (2 cores)");
    hwloc_bitmap_list_sscanf(t->allowed, "5,13");
    expect(t, &on_package, true, "5,13", "package 1, NUMA node 3 (1 core)");
    scr_topology_destroy(&t);
}

static void test_cpu_devices(void **state)
{
    struct scr_topology *t = two_packages(false);
    scr_device_info ref = {.backend = "ref", .id = "ref:0", .is_cpu = true};
    scr_device_info pocl = {.backend = "opencl", .id = "opencl:0.0", .is_cpu = true};

    (void)state;
    expect(t, &ref, true, "0-15", "whole machine (8 cores): the device is the processors");
    hwloc_bitmap_list_sscanf(t->allowed, "0-3");
    expect(t, &pocl, true, "0-3", "whole machine (4 cores): the device is the processors");
    scr_topology_destroy(&t);
}

static void test_place_unknown(void **state)
{
    struct scr_topology *t = two_packages(false);
    scr_device_info silent = gpu("");
    scr_device_info hidden = gpu("0000:e7:00.0");
    scr_device_info garbled = gpu("GPU-0");

    (void)state;
    expect(t, &silent, false, "0-15", "not bound: the driver does not tell the PCI address");
    expect(t, &hidden, false, "0-15", "not bound: hwloc lists no PCI device 0000:e7:00.0");
    expect(t, &garbled, false, "0-15", "not bound: hwloc lists no PCI device GPU-0");
    expect(NULL, &silent, false, "", "not bound: the topology is not known");
    scr_topology_destroy(&t);
}

static bool may_use(int cpu)
{
    cpu_set_t set;

    assert_int_equal(sched_getaffinity(0, sizeof set, &set), 0);
    return CPU_ISSET(cpu, &set);
}

static void test_bind(void **state)
{
    struct scr_topology *t;
    scr_device_info on_package = gpu(GPU_ON_PACKAGE);
    scr_device_info hidden = gpu("0000:e7:00.0");
    scr_device_info cpu = {.backend = "ref", .id = "ref:0", .is_cpu = true};
    cpu_set_t before, after;
    char text[SCR_AFFINITY_TEXT];

    (void)state;
    if (sysconf(_SC_NPROCESSORS_CONF) < 2 || !may_use(0) || !may_use(1))
        skip();
    sched_getaffinity(0, sizeof before, &before);
    t = two_packages(true);
    assert_true(hwloc_bitmap_isset(t->allowed, 0) && hwloc_bitmap_isset(t->allowed, 1));
    assert_true(scr_affinity_bind(t, &on_package, text, sizeof text));
    assert_true(strncmp(text, "package 1, ", 11) == 0);
    assert_true(may_use(1) && !may_use(0));
    assert_true(scr_affinity_bind(t, &cpu, text, sizeof text));
    assert_true(may_use(1) && may_use(0));
    assert_true(scr_affinity_bind(t, &on_package, text, sizeof text));
    assert_false(scr_affinity_bind(t, &hidden, text, sizeof text));
    assert_true(may_use(1) && may_use(0));
    assert_true(scr_affinity_bind(t, &on_package, text, sizeof text));
    scr_affinity_release(NULL);
    assert_true(may_use(1) && !may_use(0));
    scr_affinity_release(t);
    assert_true(may_use(1) && may_use(0));
    assert_false(scr_affinity_bind(NULL, &on_package, text, sizeof text));
    sched_setaffinity(0, sizeof before, &before);
    sched_getaffinity(0, sizeof after, &after);
    assert_true(CPU_EQUAL(&before, &after));
    scr_topology_destroy(&t);
}

static void test_import_refuses(void **state)
{
    struct scr_topology *t = NULL;

    (void)state;
    assert_int_equal(scr_topology_import("", false, &t), SCR_ERR_INVALID);
    assert_int_equal(scr_topology_import("<topology><object", false, &t), SCR_ERR_INVALID);
    assert_null(t);
}

static const char *crash(void *user, size_t *size)
{
    (void)user;
    (void)size;
    raise(SIGKILL);
    return NULL;
}

static const char *hang(void *user, size_t *size)
{
    (void)user;
    (void)size;
    while (signal(SIGTERM, SIG_IGN) != SIG_ERR)
        pause();
    return NULL;
}

static const char *nothing(void *user, size_t *size)
{
    (void)user;
    (void)size;
    return NULL;
}

/* More than a pipe holds, and noise that nobody shall see. */
static const char *much(void *user, size_t *size)
{
    printf("noise\n");
    fflush(stdout);
    *size = *(size_t *)user;
    return memset(malloc(*size), 'x', *size);
}

static void test_child(void **state)
{
    static const struct {
        scr_child_fn fn;
        const char *why;
    } failures[] = {{crash, "was ended by signal 9 (Killed)"},
                    {hang, "took longer than 0.2 s"},
                    {nothing, "found nothing"}};
    static const size_t sizes[] = {1, 65534, 65535, 65536, 1000000};
    char why[100];

    (void)state;
    for (size_t i = 0; i < sizeof failures / sizeof *failures; i++) {
        assert_null(scr_child_ask(failures[i].fn, NULL, i == 1 ? 0.2 : 20, NULL, why, sizeof why));
        assert_string_equal(why, failures[i].why);
        assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
        assert_int_equal(errno, ECHILD);
    }
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t size = sizes[i], got = 0;
        char *bytes = scr_child_ask(much, &size, 20, &got, why, sizeof why);

        assert_non_null(bytes);
        assert_int_equal(got, size);
        assert_int_equal(strspn(bytes, "x"), size);
        assert_int_equal(bytes[size], '\0');
        free(bytes);
    }
    /* A program that does not want to hear of its children. */
    signal(SIGCHLD, SIG_IGN);
    for (size_t i = 0; i < 2; i++) {
        size_t size = 10;
        char *bytes =
            scr_child_ask(i == 0 ? much : hang, &size, i == 0 ? 20 : 0.2, NULL, why, sizeof why);

        assert_int_equal(bytes != NULL, i == 0);
        free(bytes);
    }
    signal(SIGCHLD, SIG_DFL);
}

static void test_discovery(void **state)
{
    struct scr_machine m;
    char line[400], path[PATH_MAX], why[300];
    char dir[] = "/tmp/test_machine.XXXXXX";
    cpu_set_t allowed;
    json_t *json;
    char *xml;

    (void)state;
    scr_machine_describe(&m);
    assert_non_null(m.topology);
    assert_int_equal(sched_getaffinity(0, sizeof allowed, &allowed), 0);
    assert_int_equal(m.threads, CPU_COUNT(&allowed));
    assert_true(m.memory > 0);
    scr_machine_line(&m, line, sizeof line);
    assert_non_null(strstr(line, " thread"));
    json = scr_machine_json(&m);
    assert_non_null(json);
    assert_string_equal(json_string_value(json_object_get(json, "topology")), SCR_MACHINE_XML);
    assert_string_equal(json_string_value(json_object_get(json, "note")), m.note);
    json_decref(json);

    assert_non_null(mkdtemp(dir));
    assert_int_equal(scr_machine_write_xml(&m, dir, why, sizeof why), SCR_OK);
    snprintf(path, sizeof path, "%s/%s", dir, SCR_MACHINE_XML);
    xml = read_file(path);
    assert_string_equal(xml, m.topology->xml);
    free(xml);
    unlink(path);
    rmdir(dir);
    assert_int_equal(scr_machine_write_xml(&m, dir, why, sizeof why), SCR_ERR_INVALID);
    assert_non_null(strstr(why, "No such file"));
    scr_machine_clear(&m);
    assert_null(m.topology);
    scr_machine_clear(&m);
}

/* The PCI devices that it has; -1 without a topology. */
static int number_of_devices(const struct scr_topology *t)
{
    return t != NULL ? hwloc_get_nbobjs_by_type(t->hwloc, HWLOC_OBJ_PCI_DEVICE) : -1;
}

static void test_discovery_falls_back(void **state)
{
    static const struct {
        struct scr_topology_search search;
        int status;
        const char *note;
    } cases[] = {
        {{20, SCR_FAULT_CRASH, 1},
         SCR_OK,
         "topology without GPU drivers: hwloc with GPU drivers was ended by signal 6 (Aborted)"},
        {{2, SCR_FAULT_HANG, 1},
         SCR_OK,
         "topology without GPU drivers: hwloc with GPU drivers took longer than 2 s"},
        {{20, SCR_FAULT_CRASH, 2},
         SCR_OK,
         "topology without devices: hwloc with GPU drivers was ended by signal 6 (Aborted); hwloc "
         "with PCI devices was ended by signal 6 (Aborted)"},
        {{0.1, SCR_FAULT_HANG, 3},
         SCR_ERR_DEVICE,
         "no topology: hwloc with GPU drivers took longer than 0.1 s; hwloc with PCI devices took "
         "longer than 0.1 s; hwloc without devices took longer than 0.1 s"},
    };
    struct scr_topology *whole = NULL;
    char note[400];
    int n_devices;

    (void)state;
    assert_int_equal(scr_topology_discover(&SCR_TOPOLOGY_SEARCH, &whole, note, sizeof note),
                     SCR_OK);
    n_devices = number_of_devices(whole);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct scr_topology *t = NULL;
        double start = scr_clock_s();

        assert_int_equal(scr_topology_discover(&cases[i].search, &t, note, sizeof note),
                         cases[i].status);
        assert_string_equal(note, cases[i].note);
        assert_true(scr_clock_s() - start < 20);
        if (t != NULL) {
            assert_int_equal(number_of_devices(t), cases[i].search.n_faults < 2 ? n_devices : 0);
            assert_int_equal(hwloc_get_nbobjs_by_type(t->hwloc, HWLOC_OBJ_PU),
                             hwloc_get_nbobjs_by_type(whole->hwloc, HWLOC_OBJ_PU));
        }
        scr_topology_destroy(&t);
    }
    scr_topology_destroy(&whole);
}

static void test_without_topology(void **state)
{
    struct scr_machine m;
    char line[400], why[300];
    cpu_set_t allowed;
    json_t *json;

    (void)state;
    scr_machine_describe_by(&m, NULL);
    assert_int_equal(sched_getaffinity(0, sizeof allowed, &allowed), 0);
    assert_int_equal(m.threads, CPU_COUNT(&allowed));
    assert_true(m.memory > 0);
    assert_int_equal(m.cores, 0);
    scr_machine_line(&m, line, sizeof line);
    assert_null(strstr(line, "core"));
    assert_true(strncmp(line, "unknown CPU, ", 13) == 0);
    json = scr_machine_json(&m);
    assert_non_null(json);
    assert_true(json_is_null(json_object_get(json, "topology")));
    json_decref(json);
    assert_int_equal(scr_machine_write_xml(&m, "/nowhere", why, sizeof why), SCR_OK);
    scr_machine_clear(&m);
}

static void test_described_by_other(void **state)
{
    struct scr_machine m;
    char line[400];

    (void)state;
    scr_machine_describe_by(&m, two_packages(false));
    assert_int_equal(m.packages, 2);
    assert_int_equal(m.numa_nodes, 4);
    m.memory = 0;
    scr_machine_line(&m, line, sizeof line);
    assert_string_equal(line, "Example CPU 8-Core, 8 cores, 16 threads, L3 33.6 MB");
    scr_machine_clear(&m);
}

/* Looks that a test makes up: rates in turn, the last one for good. */
static struct {
    int others;
    double rates[8];
    size_t n, at;
} made_up;

static int made_up_others(void)
{
    return made_up.others;
}

static double made_up_rate(void)
{
    size_t at = made_up.at++;

    return made_up.rates[at < made_up.n ? at : made_up.n - 1];
}

static void make_up(struct scr_calm *c, int others, size_t n, const double *rates)
{
    made_up.others = others;
    made_up.n = n;
    made_up.at = 0;
    memcpy(made_up.rates, rates, n * sizeof *rates);
    c->others = made_up_others;
    c->rate = made_up_rate;
}

/* A core that is lost in most looks is seen, and one look that is slow alone is not believed. */
static void test_calm_rate(void **state)
{
    struct scr_calm c;

    (void)state;
    scr_calm_start(&c, 20);
    make_up(&c, 2, 3, (double[]){1, 1, 1});
    assert_true(scr_calm_is(&c));
    make_up(&c, 3, 3, (double[]){1, 1, 1});
    assert_false(scr_calm_is(&c));
    make_up(&c, 0, 3, (double[]){0.5, 1, 0.5});
    assert_false(scr_calm_is(&c));
    make_up(&c, 0, 3, (double[]){1, 0.5, 1});
    assert_true(scr_calm_is(&c));
    /* One that is too fast is none to hold others against. */
    make_up(&c, 0, 3, (double[]){1, 2, 1});
    assert_true(scr_calm_is(&c));
    make_up(&c, 0, 1, (double[]){1});
    assert_true(scr_calm_is(&c));
}

/* What the processors did in their first seconds is forgotten, what neighbours take not so soon. */
static void test_calm_forgets(void **state)
{
    struct scr_calm c;

    (void)state;
    scr_calm_start(&c, 1);
    make_up(&c, 0, 1, (double[]){1.5});
    assert_true(scr_calm_is(&c));
    make_up(&c, 0, 1, (double[]){1});
    assert_false(scr_calm_is(&c));
    c.best_s -= 90;
    assert_true(scr_calm_is(&c));
    c.best = 2;
    c.best_s -= 180;
    assert_false(scr_calm_is(&c));
}

/* What runs on the processors of others says nothing of one's own. */
static void test_calm_of_a_part(void **state)
{
    int online = (int)sysconf(_SC_NPROCESSORS_ONLN);
    struct scr_calm c;

    (void)state;
    scr_calm_start(&c, online);
    assert_non_null(c.others);
    scr_calm_start(&c, online - 1);
    assert_null(c.others);
    make_up(&c, 100, 1, (double[]){1});
    c.others = NULL;
    assert_true(scr_calm_is(&c));
    /* The true rate. */
    scr_calm_start(&c, online);
    assert_true(c.rate() > 0);
}

static void note_beat(void *user, const char *step)
{
    assert_string_equal(step, "wait");
    ++*(int *)user;
}

/* All that is waited counts, and it ends: in all, and for a row. */
static void test_calm_wait(void **state)
{
    struct scr_calm c;
    int beats = 0;
    double start;

    (void)state;
    scr_calm_start(&c, 1);
    make_up(&c, 0, 1, (double[]){1});
    assert_true(scr_calm_wait(&c, note_beat, &beats));
    assert_true(c.waited_s == 0);
    make_up(&c, 1, 1, (double[]){1});
    start = scr_clock_s();
    assert_false(scr_calm_wait(&c, note_beat, &beats));
    assert_true(c.waited_s > 1);
    assert_true(c.waited_s > 0.9 * (scr_clock_s() - start));
    assert_true(beats > 0);
    assert_true(c.row_waited_s == c.waited_s);
    /* Much may be waited in all, but a row has waited long enough. */
    c.start_s -= 1e6;
    c.row_waited_s = 2;
    made_up.at = 0;
    assert_false(scr_calm_wait(&c, note_beat, &beats));
    scr_calm_row(&c);
    assert_false(scr_calm_wait(&c, note_beat, &beats));
    assert_true(c.row_waited_s >= 2);
    /* It ends at once when it is calm: at the third look. */
    scr_calm_row(&c);
    make_up(&c, 0, 7, (double[]){0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 1});
    assert_true(scr_calm_wait(&c, note_beat, &beats));
    assert_int_equal(made_up.at, 9);
    assert_true(c.row_waited_s > 0);
}

/* Others that want every processor are seen. */
static void test_calm_others(void **state)
{
    enum { OTHERS = 3 };
    pid_t others[OTHERS];
    double start;
    int seen;

    (void)state;
    for (int i = 0; i < OTHERS; i++) {
        others[i] = fork();
        assert_int_not_equal(others[i], -1);
        if (others[i] == 0) {
            alarm(60); /* where this test fails */
            for (;;) {
            }
        }
    }
    start = scr_clock_s();
    do {
        seen = scr_calm_others();
    } while (seen < OTHERS && scr_clock_s() - start < 10);
    for (int i = 0; i < OTHERS; i++) {
        assert_int_equal(kill(others[i], SIGKILL), 0);
        assert_int_equal(waitpid(others[i], NULL, 0), others[i]);
    }
    if (seen < OTHERS)
        skip(); /* the system does not tell */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_near_gpu),
        cmocka_unit_test(test_near_within_allowed),
        cmocka_unit_test(test_cpu_devices),
        cmocka_unit_test(test_place_unknown),
        cmocka_unit_test(test_bind),
        cmocka_unit_test(test_import_refuses),
        cmocka_unit_test(test_calm_rate),
        cmocka_unit_test(test_calm_forgets),
        cmocka_unit_test(test_calm_of_a_part),
        cmocka_unit_test(test_calm_wait),
        cmocka_unit_test(test_calm_others),
        cmocka_unit_test(test_child),
        cmocka_unit_test(test_discovery),
        cmocka_unit_test(test_discovery_falls_back),
        cmocka_unit_test(test_without_topology),
        cmocka_unit_test(test_described_by_other),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
