/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The compile cache with a real driver. Each start is a process of its own with an empty cache of
 * the driver, so that only ours can make the second one quick.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cache_file.h"
#include "hash.h"

#include <screening/screening.h>

#include <dirent.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { LEN = 256, DIM = 32, NO_DEVICE = 77 };

/* What a start has to tell. */
struct start {
    int compiled, hits, refused;
    double plan_ms, run_ms;
    uint64_t output;
};

static void listen(void *user, int level, const char *text)
{
    struct start *s = user;

    (void)level;
    s->compiled += strstr(text, ": compiled ") != NULL;
    s->hits += strncmp(text, "cache: ", 7) == 0 && strstr(text, " is in ") != NULL;
    s->refused += strstr(text, "binary refused") != NULL;
}

static double now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static scr_buffer *filled(scr_device *dev, size_t n, float base, float step)
{
    scr_buffer *buf = NULL;
    float *values = malloc(n * sizeof *values);

    for (size_t i = 0; values != NULL && i < n; i++)
        values[i] = base + step * (float)(i * 2654435761u % 1024);
    if (values == NULL || scr_buffer_create(dev, n * sizeof *values, &buf) != SCR_OK ||
        scr_buffer_write(buf, 0, values, n * sizeof *values) != SCR_OK)
        _exit(1);
    free(values);
    return buf;
}

/* The first OpenCL device: a plan, two runs. 0, NO_DEVICE or 1. */
static int run(const char *folder, struct start *s)
{
    scr_context_options options = {
        .log = listen, .log_user = s, .backends = "opencl", .table = "", .cache_dir = folder};
    scr_problem p = {.batch = 1,
                     .heads_q = 1,
                     .heads_kv = 1,
                     .len_q = LEN,
                     .len_k = LEN,
                     .dk = DIM,
                     .dv = DIM,
                     .q_pos0 = SCR_Q_POS0_DEFAULT,
                     .causal = true};
    scr_config config = {.kernel = "tile-skip", .skip = SCR_SKIP_TILE};
    static float o[LEN * DIM];
    scr_context *ctx;
    scr_device *dev;
    scr_plan *plan;
    scr_args args = {0};
    double begin, ns;

    if (scr_context_create(&options, &ctx) != SCR_OK)
        return 1;
    if (scr_context_device_count(ctx) == 0)
        return NO_DEVICE;
    if (scr_device_open(ctx, scr_context_device_info(ctx, 0)->id, &dev) != SCR_OK)
        return 1;
    begin = now_ms();
    if (scr_plan_create(dev, &p, &config, 0, &plan) != SCR_OK)
        return 1;
    s->plan_ms = now_ms() - begin;
    args.q = filled(dev, LEN * DIM, -0.1f, 0.0003f);
    args.k = filled(dev, LEN * DIM, -0.1f, 0.0003f);
    args.v = filled(dev, LEN * DIM, -1.0f, 0.002f);
    args.r = filled(dev, 1, 1.5f, 0.0f);
    args.w = filled(dev, 1, 100.0f, 0.0f);
    args.o = filled(dev, LEN * DIM, 0.0f, 0.0f);
    begin = now_ms();
    for (int i = 0; i < 2; i++) {
        if (scr_plan_run(plan, &args, &ns) != SCR_OK)
            return 1;
    }
    s->run_ms = now_ms() - begin;
    if (scr_buffer_read(args.o, 0, o, sizeof o) != SCR_OK)
        return 1;
    s->output = scr_hash(SCR_HASH_START, o, sizeof o);
    scr_plan_destroy(&plan);
    scr_buffer_destroy(&args.q);
    scr_buffer_destroy(&args.k);
    scr_buffer_destroy(&args.v);
    scr_buffer_destroy(&args.r);
    scr_buffer_destroy(&args.w);
    scr_buffer_destroy(&args.o);
    scr_device_close(&dev);
    scr_context_destroy(&ctx);
    return 0;
}

/* drivers: the cache of PoCL, which stays; NULL: an empty one. */
static void start_with(const char *folder, const char *drivers, struct start *out)
{
    int ends[2], how;
    pid_t child;

    memset(out, 0, sizeof *out);
    assert_int_equal(pipe(ends), 0);
    fflush(NULL);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        char empty[] = "/tmp/scr-test-pocl-XXXXXX";
        char command[64] = "true";
        struct start s = {0};
        int status;

        if (drivers == NULL) {
            if (mkdtemp(empty) == NULL)
                _exit(1);
            snprintf(command, sizeof command, "rm -rf %s", empty);
        }
        setenv("POCL_CACHE_DIR", drivers != NULL ? drivers : empty, 1);
        setenv("CUDA_CACHE_DISABLE", "1", 1);
        status = run(folder, &s);
        if (write(ends[1], &s, sizeof s) != (ssize_t)sizeof s)
            status = 1;
        _exit(system(command) == 0 ? status : 1);
    }
    close(ends[1]);
    assert_int_equal(read(ends[0], out, sizeof *out), sizeof *out);
    close(ends[0]);
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_true(WIFEXITED(how));
    if (WEXITSTATUS(how) == NO_DEVICE)
        skip();
    assert_int_equal(WEXITSTATUS(how), 0);
}

static void start(const char *folder, struct start *out)
{
    start_with(folder, NULL, out);
}

/* The folder's only program: its path and its key. */
static void find_program(const char *folder, char path[PATH_MAX], char *key, size_t key_size)
{
    char text[8192];
    DIR *dir = opendir(folder);
    struct dirent *e;
    size_t n, bytes = 0;
    FILE *f;
    const char *body;

    assert_non_null(dir);
    path[0] = '\0';
    while ((e = readdir(dir)) != NULL) {
        if (e->d_name[0] != '.')
            snprintf(path, PATH_MAX, "%s/%s", folder, e->d_name);
    }
    closedir(dir);
    f = fopen(path, "rb");
    assert_non_null(f);
    n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = '\0';
    assert_int_equal(sscanf(text, "screening-program 1\nkey %zu\n", &bytes), 1);
    body = strstr(text, "\n\n");
    assert_non_null(body);
    assert_in_range(bytes, 1, key_size - 1);
    memcpy(key, body + 2, bytes);
    key[bytes] = '\0';
}

static void test_second_start(void **state)
{
    char folder[] = "/tmp/scr-test-cache-XXXXXX";
    char path[PATH_MAX], key[4096], command[64];
    struct start first, second, third, without;

    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(command, sizeof command, "rm -rf %s", folder);
    start("", &without);
    start(folder, &first);
    assert_int_equal(first.compiled, 1);
    assert_int_equal(first.hits, 0);
    start(folder, &second);
    assert_int_equal(second.compiled, 0);
    assert_int_equal(second.hits, 1);
    assert_true(second.output == first.output);
    printf("plan: %.0f ms without a cache, %.0f ms the first time, %.0f ms the second\n",
           without.plan_ms, first.plan_ms, second.plan_ms);
    printf("two runs: %.0f ms, %.0f ms, %.0f ms\n", without.run_ms, first.run_ms, second.run_ms);
    assert_true(second.plan_ms < first.plan_ms);

    /* A whole file of the key whose binary is none: the driver's no is a miss. */
    find_program(folder, path, key, sizeof key);
    assert_int_equal(scr_cache_file_write(folder, key, "no program of any driver", 24), 0);
    start(folder, &third);
    assert_int_equal(third.hits, 1);
    assert_int_equal(third.refused, 1);
    assert_int_equal(third.compiled, 1);
    assert_true(third.output == first.output);
    start(folder, &third); /* and it was replaced */
    assert_int_equal(third.refused, 0);
    assert_int_equal(third.compiled, 0);
    assert_true(third.output == first.output);
    assert_int_equal(system(command), 0);
}

static int n_files;
static uint64_t files_hash;

/* Which files there are, when they were written, and how large they are. */
static int note_file(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    size_t n = strlen(path);

    (void)ftw;
    if (type != FTW_F || n < 3 || strcmp(path + n - 3, ".so") != 0)
        return 0;
    n_files++;
    files_hash +=
        scr_hash(scr_hash(scr_hash(SCR_HASH_START, path, n), &st->st_size, sizeof st->st_size),
                 &st->st_mtim, sizeof st->st_mtim);
    return 0;
}

/*
 * As programs find it: PoCL's own cache has the kernels, specialised for their work-groups. What
 * the first start leaves there is what the second one finds, and leaves as it is.
 */
static void test_second_start_of_pocl(void **state)
{
    char drivers[] = "/tmp/scr-test-pocl-XXXXXX", command[64];
    struct start first, second;
    uint64_t before;
    int n_before;

    (void)state;
    assert_non_null(mkdtemp(drivers));
    snprintf(command, sizeof command, "rm -rf %s", drivers);
    start_with("", drivers, &first);
    n_files = 0;
    files_hash = 0;
    assert_int_equal(nftw(drivers, note_file, 8, FTW_PHYS), 0);
    n_before = n_files;
    before = files_hash;
    if (n_before == 0) { /* a driver that is not PoCL */
        assert_int_equal(system(command), 0);
        skip();
    }
    start_with("", drivers, &second);
    n_files = 0;
    files_hash = 0;
    assert_int_equal(nftw(drivers, note_file, 8, FTW_PHYS), 0);
    assert_int_equal(n_files, n_before);
    assert_true(files_hash == before);
    assert_true(second.output == first.output);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_second_start),
                                       cmocka_unit_test(test_second_start_of_pocl)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
