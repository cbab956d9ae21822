/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "records_fixture.h"
#include "sweep.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/scr_merge_XXXXXX";

static int go_there(void **state)
{
    (void)state;
    return mkdtemp(folder) != NULL && chdir(folder) == 0 ? 0 : -1;
}

static int remove_all(void **state)
{
    char command[64];

    (void)state;
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command);
}

static char *read_text(const char *path, size_t *size)
{
    char *text = NULL;
    FILE *f = fopen(path, "r"), *out = open_memstream(&text, size);
    int c;

    assert_non_null(f);
    assert_non_null(out);
    while ((c = getc(f)) != EOF)
        putc(c, out);
    fclose(f);
    fclose(out);
    return text;
}

static void assert_same_files(const char *a, const char *b)
{
    size_t na, nb;
    char *ta = read_text(a, &na), *tb = read_text(b, &nb);

    assert_int_equal(na, nb);
    assert_memory_equal(ta, tb, na);
    free(ta);
    free(tb);
}

/* out, then the inputs, then NULL */
static void merge(const char *out, ...)
{
    const char *files[64];
    struct scr_tuner_options o = {.mode = SCR_TUNER_MERGE, .out = out, .files = files};
    va_list ap;

    va_start(ap, out);
    while ((files[o.n_files] = va_arg(ap, const char *)) != NULL)
        o.n_files++;
    va_end(ap);
    assert_int_equal(scr_merge_run(&o), SCR_EXIT_FINE);
}

static struct scr_record draw(uint64_t *seed)
{
    struct scr_record r = fixture_record((enum scr_record_kind)(fixture_random(seed) % 3));

    r.shape.len_q = 512 << fixture_random(seed) % 2;
    r.shape.density = 0.1 * (fixture_random(seed) % 3);
    r.config.skip = (scr_skip)(fixture_random(seed) % 3);
    r.config.params[0].value = 16 << fixture_random(seed) % 3;
    r.device.compute_units = 4 + (int)(fixture_random(seed) % 2);
    r.ns = fixture_random(seed) % 4 == 0 ? NAN : 1e6 / (1 + fixture_random(seed) % 5);
    return r;
}

/* Records that other files have too, and lines that are none. */
static void draw_file(const char *path, int n, uint64_t *seed)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    for (int i = 0; i < n; i++) {
        struct scr_record r = draw(seed);
        json_t *j = scr_record_json(&r);
        char *text = json_dumps(j, SCR_RECORD_DUMP);

        if (fixture_random(seed) % 8 == 0)
            text[fixture_random(seed) % strlen(text)] = '\0';
        fprintf(f, "%s\n", text);
        free(text);
        json_decref(j);
    }
    fclose(f);
}

static void any_order_and_grouping_gives_the_same_bytes(void **state)
{
    uint64_t seed = 7;

    (void)state;
    for (int round = 0; round < 3; round++) {
        draw_file("a", 60, &seed);
        draw_file("b", 40, &seed);
        draw_file("c", 80, &seed);
        merge("abc", "a", "b", "c", NULL);
        merge("x", "c", "b", "a", NULL);
        assert_same_files("abc", "x");
        merge("x", "b", "a", "c", NULL);
        assert_same_files("abc", "x");
        merge("ab", "a", "b", NULL);
        merge("x", "ab", "c", NULL);
        assert_same_files("abc", "x");
        merge("bc", "c", "b", NULL);
        merge("x", "bc", "a", NULL);
        assert_same_files("abc", "x");
        merge("x", "abc", NULL);
        assert_same_files("abc", "x");
        merge("x", "abc", "a", "abc", "ab", NULL);
        assert_same_files("abc", "x");
        /* An output may be an input. */
        merge("a", "a", "b", "c", NULL);
        assert_same_files("abc", "a");
    }
}

static void write_record(const char *path, const struct scr_record *r)
{
    struct scr_record_file *f = NULL;
    char why[200];

    unlink(path);
    assert_int_equal(scr_record_file_open(path, &f, why, sizeof why), SCR_OK);
    assert_int_equal(scr_record_file_append(f, r, 1), SCR_OK);
    scr_record_file_close(&f);
}

static void read_one(const char *path, struct scr_record *out)
{
    struct scr_records records = {0};
    char why[200];

    assert_int_equal(scr_records_read(path, &records, why, sizeof why), SCR_OK);
    assert_int_equal(records.n, 1);
    *out = records.items[0];
    scr_records_clear(&records);
}

static void a_record_tells_where_it_comes_from(void **state)
{
    struct scr_record r = fixture_record(SCR_RECORD_WINNER);

    (void)state;
    assert_int_equal(mkdir("sub", 0777), 0);
    write_record("sub/z,1.jsonl", &r);
    write_record("b.jsonl", &r);
    merge("zb", "sub/z,1.jsonl", "b.jsonl", "sub/z,1.jsonl", NULL);
    read_one("zb", &r);
    assert_string_equal(r.from, "b.jsonl,z_1.jsonl");
}

/* More names than there is room for are "many", however the files are put together. */
static void many_names(void **state)
{
    struct scr_record r = fixture_record(SCR_RECORD_WINNER);
    char names[12][64];

    (void)state;
    for (int i = 0; i < 12; i++) {
        snprintf(names[i], sizeof names[i], "shard-with-a-long-name-%d%s", i,
                 i % 2 == 0 ? "" : "-and-longer.jsonl");
        write_record(names[i], &r);
    }
    unlink("x");
    unlink("y");
    merge("x", names[0], names[1], NULL);
    for (int i = 2; i < 12; i++)
        merge("x", names[i], "x", NULL);
    merge("y", names[11], names[10], NULL);
    for (int i = 9; i >= 0; i--)
        merge("y", "y", names[i], NULL);
    assert_same_files("x", "y");
    read_one("x", &r);
    assert_string_equal(r.from, "many");
}

/* The table. */

static char *table_of(struct scr_records *records, struct scr_table *t, size_t *n_stale)
{
    char *text;
    size_t size;

    *t = (struct scr_table){0};
    assert_int_equal(scr_table_from_records(records, t, n_stale), SCR_OK);
    text = scr_table_text(t, &size);
    assert_non_null(text);
    assert_int_equal(strlen(text), size);
    return text;
}

static void put(struct scr_records *records, struct scr_record *r, int tile_q, double us)
{
    scr_config_set(&r->config, "TILE_Q", tile_q);
    r->ns = us * 1e3;
    assert_true(fixture_refresh(r));
    assert_int_equal(scr_records_add(records, r), SCR_OK);
}

static const struct scr_table_entry *entry_at(const struct scr_table *t, double density,
                                              double window)
{
    for (size_t i = 0; i < t->n; i++) {
        if (t->entries[i].density == density && t->entries[i].window == window)
            return &t->entries[i];
    }
    return NULL;
}

static void shuffle(struct scr_records *records, uint64_t *seed)
{
    for (size_t i = records->n; i > 1; i--) {
        size_t j = fixture_random(seed) % i;
        struct scr_record kept = records->items[i - 1];

        records->items[i - 1] = records->items[j];
        records->items[j] = kept;
    }
}

/* Two densities and a window: what wins where is known, so is the best compromise. */
static void a_table_of_winners_and_compromises(void **state)
{
    /* us of TILE_Q 16, 32, 64 at densities 0.1, 1 without, and at 0.1 with a window; 0: untimed */
    static const double times[3][3] = {{100, 120, 300}, {900, 500, 480}, {50, 0, 40}};
    static const double densities[] = {0.1, 1, 0.1}, windows[] = {INFINITY, INFINITY, 256};
    static const int winners[] = {16, 64, 64};
    struct scr_records records = {0};
    struct scr_table t, again;
    const struct scr_table_entry *e;
    uint64_t seed = 3;
    size_t n_stale;
    char *text, *other;

    (void)state;
    for (int s = 0; s < 3; s++) {
        struct scr_record r = fixture_record(SCR_RECORD_CANDIDATE);

        r.shape.density = densities[s];
        r.shape.window = windows[s];
        for (int q = 0; q < 3; q++) {
            if (times[s][q] > 0)
                put(&records, &r, 16 << q, times[s][q]);
        }
        r.kind = SCR_RECORD_WINNER;
        r.best = true;
        put(&records, &r, winners[s], times[s][winners[s] == 16 ? 0 : 2]);
    }
    text = table_of(&records, &t, &n_stale);
    assert_int_equal(n_stale, 0);
    assert_int_equal(t.n, 6);
    e = entry_at(&t, 0.1, INFINITY);
    assert_non_null(e);
    assert_int_equal(scr_config_get(&e->config, "TILE_Q", 0), 16);
    assert_true(e->best && e->ns == 100000);
    assert_true(e->heads == 8 && e->units == 8);
    /* 16 loses log 1.875 over the two shapes, 64 log 3; 32 never won. */
    e = entry_at(&t, 0, INFINITY);
    assert_non_null(e);
    assert_int_equal(scr_config_get(&e->config, "TILE_Q", 0), 16);
    assert_true(e->best && fabs(e->ns - 300000) < 1);
    e = entry_at(&t, 0, 256);
    assert_non_null(e);
    assert_int_equal(scr_config_get(&e->config, "TILE_Q", 0), 64);
    /* Over all three 16 loses log 1.875 1.25, 64 log 3. */
    e = entry_at(&t, 0, 0);
    assert_non_null(e);
    assert_int_equal(scr_config_get(&e->config, "TILE_Q", 0), 16);
    for (int i = 0; i < 20; i++) {
        shuffle(&records, &seed);
        other = table_of(&records, &again, &n_stale);
        assert_string_equal(text, other);
        free(other);
        scr_table_clear(&again);
    }
    /* The library reads it. */
    again = (struct scr_table){0};
    assert_int_equal(scr_table_parse(text, strlen(text), SCR_TABLE_GIVEN, &again), SCR_OK);
    assert_int_equal(again.n, 6);
    assert_int_equal(again.n_bad, 0);
    assert_false(again.cut);
    scr_table_clear(&again);
    free(text);
    scr_table_clear(&t);
    scr_records_clear(&records);
}

/* The default, which wins nowhere, may be the best where the shape is not known. */
static void the_default_may_be_the_compromise(void **state)
{
    /* us of TILE_Q 16, 32, 64 at densities 0.1 and 1; 32 is the default */
    static const double times[2][3] = {{100, 120, 400}, {400, 120, 100}};
    struct scr_records records = {0};
    struct scr_table t;
    size_t n_stale;

    (void)state;
    for (int s = 0; s < 2; s++) {
        struct scr_record r = fixture_record(SCR_RECORD_CANDIDATE);

        r.shape.density = s == 0 ? 0.1 : 1;
        for (int q = 0; q < 3; q++)
            put(&records, &r, 16 << q, times[s][q]);
        r.kind = SCR_RECORD_WINNER;
        r.best = true;
        r.baseline = r.config;
        scr_config_set(&r.baseline, "TILE_Q", 32);
        put(&records, &r, s == 0 ? 16 : 64, 100);
    }
    free(table_of(&records, &t, &n_stale));
    assert_int_equal(scr_config_get(&entry_at(&t, 0, INFINITY)->config, "TILE_Q", 0), 32);
    assert_int_equal(scr_config_get(&entry_at(&t, 0.1, INFINITY)->config, "TILE_Q", 0), 16);
    assert_int_equal(scr_config_get(&entry_at(&t, 1, INFINITY)->config, "TILE_Q", 0), 64);
    scr_table_clear(&t);
    scr_records_clear(&records);
}

static void the_newest_winner_counts(void **state)
{
    struct scr_records records = {0};
    struct scr_record r = fixture_record(SCR_RECORD_WINNER);
    struct scr_table t;
    const struct scr_table_entry *e;
    size_t n_stale;

    (void)state;
    put(&records, &r, 16, 10);
    snprintf(r.when, sizeof r.when, "2026-02-01T00:00:00Z");
    put(&records, &r, 64, 30);
    put(&records, &r, 32, 20);
    snprintf(r.when, sizeof r.when, "2025-12-31T00:00:00Z");
    put(&records, &r, 128, 5);
    /* Newer, but of another version of the kernel. */
    snprintf(r.when, sizeof r.when, "2026-03-01T00:00:00Z");
    put(&records, &r, 16, 1);
    records.items[4].source++;
    put(&records, &r, 16, 1);
    records.items[5].space++;
    free(table_of(&records, &t, &n_stale));
    assert_int_equal(n_stale, 2);
    assert_int_equal(t.n, 3);
    e = entry_at(&t, 0.1, INFINITY);
    assert_non_null(e);
    assert_int_equal(scr_config_get(&e->config, "TILE_Q", 0), 32);
    scr_table_clear(&t);
    scr_records_clear(&records);
}

/* Of a shape's kernels one is the best, of an unknown density as well. */
static void the_best_kernel(void **state)
{
    struct scr_records records = {0};
    struct scr_table t;
    size_t n_stale, n_best = 0;

    (void)state;
    for (int d = 1; d <= 2; d++) {
        struct scr_record r = fixture_record(SCR_RECORD_WINNER);

        /* tile-skip is much better on the one, a little worse on the other */
        r.shape.density = 0.5 * d;
        r.best = d == 1;
        put(&records, &r, 16, d == 1 ? 100 : 420);
        r.config.skip = SCR_SKIP_NONE;
        snprintf(r.config.kernel, sizeof r.config.kernel, "masked-dense");
        r.best = d == 2;
        put(&records, &r, 16, 400);
    }
    free(table_of(&records, &t, &n_stale));
    assert_int_equal(t.n, 8);
    for (size_t i = 0; i < t.n; i++) {
        const struct scr_table_entry *e = &t.entries[i];
        bool skips = strcmp(e->config.kernel, "tile-skip") == 0;

        assert_int_equal(e->best, skips == (e->density != 1));
        n_best += e->best;
    }
    assert_int_equal(n_best, 4);
    scr_table_clear(&t);
    scr_records_clear(&records);
}

/* What no line can say costs itself, not the table. */
static void winners_that_lack_something(void **state)
{
    struct scr_records records = {0};
    struct scr_record r = fixture_record(SCR_RECORD_WINNER), good = r;
    struct scr_table t;
    size_t n_stale;

    (void)state;
    put(&records, &good, 16, 100);
    r.shape.density = 0.7;
    r.shape.dk = 0;
    put(&records, &r, 16, 100);
    r.shape.dk = 64;
    r.shape.density = 1.5;
    put(&records, &r, 16, 100);
    r.shape.density = 0.7;
    r.device.name[0] = '\0';
    put(&records, &r, 16, 100);
    free(table_of(&records, &t, &n_stale));
    assert_int_equal(t.n, 3);
    scr_table_clear(&t);
    scr_records_clear(&records);
}

static void verdict_is(struct scr_records *records, const char *expected)
{
    char text[300];

    assert_int_equal(scr_records_verdict(records, text, sizeof text), SCR_OK);
    assert_string_equal(text, expected);
}

static void the_verdict(void **state)
{
    static const double gains[][3] = {
        {1.5, 1.4, 1.6}, {1.1, 1.05, 1.15}, {1.02, 0.99, 1.05}, {0.9, 0.85, 0.95}, {NAN, NAN, NAN}};
    static const char *const expected[] = {
        "Faster than the built-in default on 1 of 1 shape, by 1.50x; slower on none.",
        "Faster than the built-in default on 2 of 2 shapes, by 1.10x to 1.50x, median 1.30x; "
        "slower on none.",
        "Faster than the built-in default on 2 of 3 shapes, by 1.10x to 1.50x, median 1.30x; "
        "slower on none.",
        "Faster than the built-in default on 2 of 4 shapes, by 1.10x to 1.50x, median 1.30x; "
        "slower on 1.",
        "Faster than the built-in default on 2 of 5 shapes, by 1.10x to 1.50x, median 1.30x; "
        "slower on 1. Not compared on 1.",
    };
    struct scr_records records = {0};

    (void)state;
    verdict_is(&records, "No winner.");
    for (int i = 0; i < 5; i++) {
        struct scr_record r = fixture_record(SCR_RECORD_WINNER);

        r.shape.len_q = 64 << i;
        r.gain = gains[i][0];
        r.gain_lo = gains[i][1];
        r.gain_hi = gains[i][2];
        put(&records, &r, 16, 100);
        /* Another kernel of the shape, not the best, has no say. */
        r.config.skip = SCR_SKIP_NONE;
        r.best = false;
        r.gain = r.gain_lo = r.gain_hi = 9;
        put(&records, &r, 16, 90);
        verdict_is(&records, expected[i]);
    }
    scr_records_clear(&records);
}

static void whole_files(void **state)
{
    char why[600];
    struct stat st;

    (void)state;
    umask(022);
    assert_int_equal(scr_write_whole("w", "one\n", 4, why, sizeof why), SCR_OK);
    assert_int_equal(stat("w", &st), 0);
    assert_int_equal(st.st_mode & 0777, 0644);
    assert_int_equal(chmod("w", 0600), 0);
    assert_int_equal(symlink("w", "link"), 0);
    assert_int_equal(scr_write_whole("link", "three\n", 6, why, sizeof why), SCR_OK);
    assert_int_equal(lstat("link", &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    assert_int_equal(stat("w", &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(st.st_size, 6);
    assert_int_equal(scr_write_whole("no/such", "x", 1, why, sizeof why), SCR_ERR_INVALID);
    assert_non_null(strstr(why, "no/such: No such file"));
    assert_int_equal(scr_write_whole("/dev/null", "x", 1, why, sizeof why), SCR_ERR_INVALID);
    assert_int_equal(scr_write_whole(".", "x", 1, why, sizeof why), SCR_ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_order_and_grouping_gives_the_same_bytes),
        cmocka_unit_test(a_record_tells_where_it_comes_from),
        cmocka_unit_test(many_names),
        cmocka_unit_test(a_table_of_winners_and_compromises),
        cmocka_unit_test(the_default_may_be_the_compromise),
        cmocka_unit_test(the_newest_winner_counts),
        cmocka_unit_test(the_best_kernel),
        cmocka_unit_test(winners_that_lack_something),
        cmocka_unit_test(the_verdict),
        cmocka_unit_test(whole_files),
    };

    return cmocka_run_group_tests_name("merge", tests, go_there, remove_all);
}
