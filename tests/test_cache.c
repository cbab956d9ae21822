/* SPDX-License-Identifier: Apache-2.0 */
/* The compile cache: what is found is what was kept, and whatever is wrong with a file is a miss.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cache.h"
#include "cache_file.h"

#include <screening/screening.h>

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* A folder of the test, and what contexts said. */
struct place {
    char folder[64];
    int worst; /* the lowest level logged */
    int compiled, hits;
};

static void listen(void *user, int level, const char *text)
{
    struct place *p = user;

    if (level < p->worst)
        p->worst = level;
    p->compiled += strstr(text, ": compiled ") != NULL;
    p->hits += strncmp(text, "cache: ", 7) == 0 && strstr(text, " is in ") != NULL;
}

static int setup(void **state)
{
    struct place *p = calloc(1, sizeof *p);

    assert_non_null(p);
    snprintf(p->folder, sizeof p->folder, "/tmp/scr-test-cache-XXXXXX");
    assert_non_null(mkdtemp(p->folder));
    p->worst = SCR_LOG_DEBUG;
    *state = p;
    return 0;
}

static void remove_all(const char *folder)
{
    DIR *dir = opendir(folder);
    struct dirent *e;

    if (dir == NULL)
        return;
    while ((e = readdir(dir)) != NULL) {
        char path[PATH_MAX];

        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        if (unlink(path) != 0)
            remove_all(path);
    }
    closedir(dir);
    rmdir(folder);
}

static int teardown(void **state)
{
    struct place *p = *state;

    remove_all(p->folder);
    free(p);
    return 0;
}

static int count_files(const char *folder)
{
    DIR *dir = opendir(folder);
    struct dirent *e;
    int n = 0;

    if (dir == NULL)
        return -1;
    while ((e = readdir(dir)) != NULL)
        n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    closedir(dir);
    return n;
}

static scr_context *context(struct place *p, const char *cache_dir)
{
    scr_context_options options = {
        .log = listen, .log_user = p, .backends = "ref", .table = "", .cache_dir = cache_dir};
    scr_context *ctx = NULL;

    assert_int_equal(scr_context_create(&options, &ctx), SCR_OK);
    return ctx;
}

static const char *const some_defines[] = {"DK=64", "TILE_Q=32", NULL};

static struct scr_cache_key key_of(const char *driver)
{
    return (struct scr_cache_key){&scr_kernel_decls[0], some_defines, "sm_90", "a device", driver};
}

/* What get finds is `want` (NULL: nothing). */
static void expect(const scr_context *ctx, struct scr_cache_key key, const char *want)
{
    void *data;
    size_t size;
    int status = scr_cache_get(ctx, &key, &data, &size);

    if (want == NULL) {
        assert_int_equal(status, SCR_ERR_NOT_FOUND);
        assert_null(data);
        return;
    }
    assert_int_equal(status, SCR_OK);
    assert_int_equal(size, strlen(want));
    assert_memory_equal(data, want, size);
    free(data);
}

static void put(const scr_context *ctx, struct scr_cache_key key, const char *text)
{
    scr_cache_put(ctx, &key, text, strlen(text));
}

/* The path of the only file of a folder. */
static void only_file(const char *folder, char path[PATH_MAX])
{
    DIR *dir = opendir(folder);
    struct dirent *e;
    int n = 0;

    assert_non_null(dir);
    while ((e = readdir(dir)) != NULL) {
        if (e->d_name[0] == '.')
            continue;
        snprintf(path, PATH_MAX, "%s/%s", folder, e->d_name);
        n++;
    }
    closedir(dir);
    assert_int_equal(n, 1);
}

static size_t read_file(const char *path, char *out, size_t size)
{
    FILE *f = fopen(path, "rb");
    size_t n;

    assert_non_null(f);
    n = fread(out, 1, size, f);
    fclose(f);
    return n;
}

static void write_file(const char *path, const char *text, size_t n)
{
    FILE *f = fopen(path, "wb");

    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, n, f), n);
    fclose(f);
}

static void test_found_again(void **state)
{
    struct place *p = *state;
    char folder[PATH_MAX];
    struct stat st;
    scr_context *ctx;

    snprintf(folder, sizeof folder, "%s/new/deep", p->folder);
    ctx = context(p, folder);
    expect(ctx, key_of("1"), NULL);
    assert_int_equal(stat(folder, &st), -1); /* looking makes nothing */
    put(ctx, key_of("1"), "binary");
    assert_int_equal(stat(folder, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    expect(ctx, key_of("1"), "binary");
    scr_context_destroy(&ctx);
    ctx = context(p, folder);
    expect(ctx, key_of("1"), "binary");
    put(ctx, key_of("1"), "another");
    expect(ctx, key_of("1"), "another");
    assert_int_equal(count_files(folder), 1);
    assert_int_equal(p->worst, SCR_LOG_DEBUG);
    scr_context_destroy(&ctx);
}

static void test_all_of_the_key_counts(void **state)
{
    static const char *const other_defines[] = {"DK=64", "TILE_Q=64", NULL};
    static const char *const fewer_defines[] = {"DK=64", NULL};
    struct place *p = *state;
    scr_context *ctx = context(p, p->folder);
    struct scr_kernel_decl changed = scr_kernel_decls[0];
    struct scr_cache_key key;

    put(ctx, key_of("1"), "binary");
    expect(ctx, key_of("2"), NULL);
    key = key_of("1");
    key.device = "another device";
    expect(ctx, key, NULL);
    key = key_of("1");
    key.target = "sm_80";
    expect(ctx, key, NULL);
    key = key_of("1");
    key.defines = other_defines;
    expect(ctx, key, NULL);
    key.defines = fewer_defines;
    expect(ctx, key, NULL);
    key = key_of("1");
    changed.source_hash ^= 1;
    key.decl = &changed;
    expect(ctx, key, NULL);
    scr_context_destroy(&ctx);
}

static void test_damaged(void **state)
{
    struct place *p = *state;
    scr_context *ctx = context(p, p->folder);
    char path[PATH_MAX], good[2048], bad[2048];
    size_t n;

    put(ctx, key_of("1"), "binary");
    only_file(p->folder, path);
    n = read_file(path, good, sizeof good);
    assert_in_range(n, 100, sizeof good - 1);
    for (size_t i = 0; i < n; i++) { /* each byte changed */
        memcpy(bad, good, n);
        bad[i] ^= (char)(1 << i % 8);
        write_file(path, bad, n);
        expect(ctx, key_of("1"), NULL);
    }
    for (size_t i = 0; i < n; i++) { /* cut everywhere */
        write_file(path, good, i);
        expect(ctx, key_of("1"), NULL);
    }
    memcpy(bad, good, n);
    bad[n] = 'x';
    write_file(path, bad, n + 1);
    expect(ctx, key_of("1"), NULL);
    put(ctx, key_of("1"), "binary"); /* is replaced */
    expect(ctx, key_of("1"), "binary");
    assert_int_equal(p->worst, SCR_LOG_DEBUG);
    scr_context_destroy(&ctx);
}

static void test_not_a_file(void **state)
{
    struct place *p = *state;
    scr_context *ctx = context(p, p->folder);
    char path[PATH_MAX];

    put(ctx, key_of("1"), "binary");
    only_file(p->folder, path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    expect(ctx, key_of("1"), NULL);
    put(ctx, key_of("1"), "binary");
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0); /* nobody writes to it: must not wait */
    expect(ctx, key_of("1"), NULL);
    put(ctx, key_of("1"), "binary");
    expect(ctx, key_of("1"), "binary");
    scr_context_destroy(&ctx);
}

/* Two keys of one hash: the file of one stands under the name of the other. */
static void test_collision(void **state)
{
    struct place *p = *state;
    scr_context *ctx = context(p, p->folder);
    char name_of_1[PATH_MAX], name_of_2[PATH_MAX], file[2048];
    size_t n;

    put(ctx, key_of("1"), "of 1");
    only_file(p->folder, name_of_1);
    n = read_file(name_of_1, file, sizeof file);
    unlink(name_of_1);
    put(ctx, key_of("2"), "of 2");
    only_file(p->folder, name_of_2);
    assert_string_not_equal(name_of_1, name_of_2);
    write_file(name_of_2, file, n);
    expect(ctx, key_of("2"), NULL);
    put(ctx, key_of("2"), "of 2");
    expect(ctx, key_of("2"), "of 2");
    scr_context_destroy(&ctx);
}

static void write_many(const char *folder, char letter, size_t size)
{
    struct place quiet = {.worst = SCR_LOG_DEBUG};
    scr_context_options options = {
        .log = listen, .log_user = &quiet, .backends = "ref", .table = "", .cache_dir = folder};
    struct scr_cache_key key = key_of("1");
    scr_context *ctx;
    char *data = malloc(size);

    if (data == NULL || scr_context_create(&options, &ctx) != SCR_OK)
        _exit(1);
    memset(data, letter, size);
    for (int i = 0; i < 400; i++)
        scr_cache_put(ctx, &key, data, size);
    _exit(0);
}

static void test_two_processes(void **state)
{
    static const size_t sizes[] = {100000, 33333};
    struct place *p = *state;
    scr_context *ctx = context(p, p->folder);
    struct scr_cache_key key = key_of("1");
    pid_t children[2];
    int running = 2, found = 0;

    for (int i = 0; i < 2; i++) {
        children[i] = fork();
        assert_true(children[i] >= 0);
        if (children[i] == 0)
            write_many(p->folder, (char)('a' + i), sizes[i]);
    }
    while (running > 0) {
        void *data;
        size_t size;
        int how;

        if (scr_cache_get(ctx, &key, &data, &size) == SCR_OK) {
            const char *text = data;
            int who = text[0] - 'a';

            assert_in_range(who, 0, 1);
            assert_int_equal(size, sizes[who]);
            for (size_t i = 0; i < size; i++)
                assert_int_equal(text[i], text[0]);
            found++;
        } else {
            assert_int_equal(found, 0); /* once there, it is always there */
        }
        free(data);
        for (int i = 0; i < 2; i++) {
            if (children[i] != 0 && waitpid(children[i], &how, WNOHANG) == children[i]) {
                assert_int_equal(how, 0);
                children[i] = 0;
                running--;
            }
        }
    }
    assert_true(found > 0);
    assert_int_equal(count_files(p->folder), 1);
    scr_context_destroy(&ctx);
}

static void test_unwritable(void **state)
{
    struct place *p = *state;
    char path[PATH_MAX];
    scr_context *ctx;

    snprintf(path, sizeof path, "%s/file", p->folder);
    write_file(path, "x", 1);
    ctx = context(p, path); /* a file where the folder should be */
    put(ctx, key_of("1"), "binary");
    expect(ctx, key_of("1"), NULL);
    scr_context_destroy(&ctx);
    ctx = context(p, "/proc/self/screening"); /* nobody may make one there */
    put(ctx, key_of("1"), "binary");
    expect(ctx, key_of("1"), NULL);
    scr_context_destroy(&ctx);
    if (geteuid() != 0) {
        assert_int_equal(chmod(p->folder, 0500), 0);
        ctx = context(p, p->folder);
        put(ctx, key_of("1"), "binary");
        expect(ctx, key_of("1"), NULL);
        scr_context_destroy(&ctx);
        assert_int_equal(chmod(p->folder, 0700), 0);
    }
    assert_int_equal(p->worst, SCR_LOG_DEBUG);
}

static void test_full(void **state)
{
    struct place *p = *state;
    scr_context *ctx = context(p, p->folder);
    struct rlimit before, small;

    put(ctx, key_of("1"), "old");
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 200; /* bytes of a file: the write fails midway, as on a full disk */
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    put(ctx, key_of("1"), "new, and longer than what the limit leaves room for, so that it fails");
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    expect(ctx, key_of("1"), "old");
    assert_int_equal(count_files(p->folder), 1);
    assert_int_equal(p->worst, SCR_LOG_DEBUG);
    scr_context_destroy(&ctx);
}

/* A file without blocks, of this age. */
static void make_sparse(const char *folder, const char *name, off_t bytes, int hours)
{
    struct timespec times[2] = {{.tv_nsec = UTIME_NOW}, {.tv_sec = time(NULL) - 3600 * hours}};
    char path[PATH_MAX];
    int fd;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, bytes), 0);
    assert_int_equal(futimens(fd, times), 0);
    close(fd);
}

static bool is_there(const char *folder, const char *name)
{
    char path[PATH_MAX];

    snprintf(path, sizeof path, "%s/%s", folder, name);
    return access(path, F_OK) == 0;
}

static void test_bounded(void **state)
{
    const off_t mib = 1 << 20;
    struct place *p = *state;
    scr_context *ctx = context(p, p->folder);
    char used[PATH_MAX];
    struct timespec old[2] = {{.tv_nsec = UTIME_NOW}, {.tv_sec = time(NULL) - 3600 * 100}};

    put(ctx, key_of("1"), "in use");
    only_file(p->folder, used);
    assert_int_equal(utimensat(AT_FDCWD, used, old, 0), 0);
    expect(ctx, key_of("1"), "in use"); /* which makes it the newest */
    make_sparse(p->folder, "0000000000000001.scrk", 200 * mib, 5);
    make_sparse(p->folder, "0000000000000002.scrk", 200 * mib, 9);
    make_sparse(p->folder, "0000000000000003.scrk", 100 * mib, 7);
    make_sparse(p->folder, "notes.txt", 900 * mib, 200);
    make_sparse(p->folder, "000000000000000x.scrk", 900 * mib, 200);
    make_sparse(p->folder, ".scrk-1-2-3", mib, 2);
    make_sparse(p->folder, ".scrk-4-5-6", mib, 0);
    put(ctx, key_of("2"), "500 MiB are not too much");
    assert_true(is_there(p->folder, "0000000000000002.scrk"));
    assert_false(is_there(p->folder, ".scrk-1-2-3"));
    assert_true(is_there(p->folder, ".scrk-4-5-6"));
    make_sparse(p->folder, "0000000000000004.scrk", 50 * mib, 1);
    put(ctx, key_of("3"), "550 MiB are");
    assert_false(is_there(p->folder, "0000000000000002.scrk"));
    assert_true(is_there(p->folder, "0000000000000003.scrk")); /* 350 MiB are left: enough */
    assert_true(is_there(p->folder, "0000000000000001.scrk"));
    assert_true(is_there(p->folder, "notes.txt"));
    assert_true(is_there(p->folder, "000000000000000x.scrk"));
    expect(ctx, key_of("1"), "in use");
    expect(ctx, key_of("2"), "500 MiB are not too much");
    expect(ctx, key_of("3"), "550 MiB are");
    scr_context_destroy(&ctx);
}

static void test_of_all_users(void **state)
{
    struct place *p = *state;
    scr_context *ctx;

    assert_int_equal(chmod(p->folder, 0777), 0);
    ctx = context(p, p->folder);
    assert_int_equal(p->worst, SCR_LOG_WARNING);
    put(ctx, key_of("1"), "binary");
    expect(ctx, key_of("1"), NULL);
    assert_int_equal(count_files(p->folder), 0);
    scr_context_destroy(&ctx);
}

/* Puts with cache_dir; is the file then below `below`? */
static bool lands_in(struct place *p, const char *cache_dir, const char *below)
{
    char path[PATH_MAX];
    scr_context *ctx = context(p, cache_dir);
    bool there;

    snprintf(path, sizeof path, "%s/%s", p->folder, below);
    put(ctx, key_of("1"), "binary");
    there = count_files(path) == 1;
    remove_all(path);
    scr_context_destroy(&ctx);
    return there;
}

static void test_environment(void **state)
{
    struct place *p = *state;
    char own[PATH_MAX], xdg[PATH_MAX], home[PATH_MAX], given[PATH_MAX];

    snprintf(own, sizeof own, "%s/own", p->folder);
    snprintf(xdg, sizeof xdg, "%s/xdg", p->folder);
    snprintf(home, sizeof home, "%s/home", p->folder);
    snprintf(given, sizeof given, "%s/given", p->folder);
    setenv("SCR_CACHE_DIR", own, 1);
    setenv("XDG_CACHE_HOME", xdg, 1);
    setenv("HOME", home, 1);
    assert_true(lands_in(p, given, "given"));
    assert_true(lands_in(p, NULL, "own"));
    unsetenv("SCR_CACHE_DIR");
    assert_true(lands_in(p, NULL, "xdg/screening"));
    setenv("XDG_CACHE_HOME", "relative", 1);
    assert_true(lands_in(p, NULL, "home/.cache/screening"));
    unsetenv("XDG_CACHE_HOME");
    assert_true(lands_in(p, NULL, "home/.cache/screening"));
    remove_all(own);
    remove_all(xdg);
    remove_all(home);
    remove_all(given);
    assert_int_equal(count_files(p->folder), 0);
    lands_in(p, "", "x"); /* none */
    setenv("SCR_CACHE_DIR", "", 1);
    lands_in(p, NULL, "x");
    unsetenv("SCR_CACHE_DIR");
    unsetenv("HOME");
    lands_in(p, NULL, "x");
    assert_int_equal(count_files(p->folder), 0);
    assert_int_equal(p->worst, SCR_LOG_DEBUG);
}

static void test_ahead(void **state)
{
    struct place *p = *state;
    char folder[PATH_MAX], list[PATH_MAX + 32], why[200] = "";
    struct scr_cache_key key = key_of("1");
    scr_context *ctx;

    snprintf(folder, sizeof folder, "%s/ahead", p->folder);
    snprintf(list, sizeof list, "/nonexistent::%s:", folder);
    assert_int_equal(scr_cache_put_ahead(folder, &key, "ahead", 5, why, sizeof why), SCR_OK);
    setenv("SCR_KERNELS", list, 1);
    ctx = context(p, p->folder);
    key.device = "whatever";
    key.driver = "any";
    expect(ctx, key, "ahead");
    put(ctx, key, "own");
    expect(ctx, key, "own"); /* the cache comes first */
    key.target = "sm_100";
    expect(ctx, key, NULL);
    scr_context_destroy(&ctx);
    unsetenv("SCR_KERNELS");
    ctx = context(p, "");
    expect(ctx, key_of("1"), NULL);
    scr_context_destroy(&ctx);
    assert_int_equal(scr_cache_put_ahead("/proc/self/screening", &key, "ahead", 5, why, sizeof why),
                     SCR_ERR_INVALID);
    assert_non_null(strstr(why, "/proc/self/screening: "));
}

/* Under `meson test` no test uses the user's cache. */
static int check_environment(void **state)
{
    const char *folder = getenv("SCR_CACHE_DIR");

    (void)state;
    if (getenv("MESON_TEST_ITERATION") != NULL &&
        (folder == NULL || strstr(folder, "/tests/") == NULL)) {
        fprintf(stderr, "SCR_CACHE_DIR is not that of tests/meson.build\n");
        return 1;
    }
    return 0;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_found_again), TEST(test_all_of_the_key_counts),
        TEST(test_damaged),     TEST(test_not_a_file),
        TEST(test_collision),   TEST(test_two_processes),
        TEST(test_unwritable),  TEST(test_full),
        TEST(test_bounded),     TEST(test_of_all_users),
        TEST(test_environment), TEST(test_ahead),
    };

    return cmocka_run_group_tests(tests, check_environment, NULL);
}
