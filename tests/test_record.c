/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "records_fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[] = "/tmp/scr_record_XXXXXX";
static char path[64];

static int make_folder(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/r.jsonl", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

static char *text_of(const struct scr_record *r)
{
    json_t *j = scr_record_json(r);
    char *text;

    assert_non_null(j);
    text = json_dumps(j, SCR_RECORD_DUMP);
    assert_non_null(text);
    json_decref(j);
    return text;
}

static int parse(const char *text, struct scr_record *out, char *why, size_t size)
{
    json_t *j = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    int status;

    assert_non_null(j);
    status = scr_record_from_json(j, out, why, size);
    json_decref(j);
    return status;
}

static void a_record_survives_writing(void **state)
{
    (void)state;
    for (int kind = SCR_RECORD_CANDIDATE; kind <= SCR_RECORD_WINNER; kind++) {
        struct scr_record r = fixture_record((enum scr_record_kind)kind), back;
        char why[200], *first, *second;

        r.source = 0xfedcba9876543210u;
        r.ns = 1.0 / 3;
        snprintf(r.from, sizeof r.from, "a.jsonl,b.jsonl");
        first = text_of(&r);
        assert_int_equal(strncmp(first, "{\"record\": 1, \"kind\": ", 22), 0);
        assert_null(strchr(first, '\n'));
        assert_int_equal(parse(first, &back, why, sizeof why), SCR_OK);
        second = text_of(&back);
        assert_string_equal(first, second);
        assert_true(scr_record_id(&r) == scr_record_id(&back));
        assert_true(scr_record_same_trial(&r, &back));
        assert_int_equal(back.kind, kind);
        assert_true(back.source == r.source);
        assert_true(isinf(back.shape.window));
        assert_true(isnan(back.registers));
        assert_true(back.local_bytes == 0);
        assert_int_equal(scr_config_get(&back.config, "TILE_Q", 0), 64);
        assert_int_equal(back.n_verified, kind == SCR_RECORD_WINNER ? 2 : 0);
        free(first);
        free(second);
    }
}

static void json_has_no_infinity(void **state)
{
    struct scr_record r = fixture_record(SCR_RECORD_WINNER), back;
    char *text, why[200];

    (void)state;
    r.ns = INFINITY;
    r.lo = -INFINITY;
    r.gain = NAN;
    r.shape.density = 0;
    r.shape.window = NAN;
    text = text_of(&r);
    assert_non_null(strstr(text, "\"ns\": null"));
    assert_non_null(strstr(text, "\"density\": null"));
    assert_non_null(strstr(text, "\"window\": null"));
    assert_int_equal(parse(text, &back, why, sizeof why), SCR_OK);
    assert_true(isnan(back.ns) && isnan(back.gain));
    assert_true(back.shape.density == 0 && back.shape.window == 0);
    free(text);
}

static void the_id_is_of_all_but_from(void **state)
{
    struct scr_record r = fixture_record(SCR_RECORD_WINNER), other;
    uint64_t id = scr_record_id(&r);

    (void)state;
    other = r;
    snprintf(other.from, sizeof other.from, "x.jsonl");
    assert_true(scr_record_id(&other) == id);
    /* The order of parameters says nothing. */
    other = r;
    other.config.params[0] = r.config.params[1];
    other.config.params[1] = r.config.params[0];
    assert_true(scr_record_id(&other) == id);
    assert_true(scr_record_same_trial(&r, &other));
#define DIFFERS(change)                                                                            \
    do {                                                                                           \
        other = r;                                                                                 \
        change;                                                                                    \
        assert_true(scr_record_id(&other) != id);                                                  \
    } while (0)
    DIFFERS(other.kind = SCR_RECORD_CANDIDATE);
    DIFFERS(other.ns *= 1.0001);
    DIFFERS(other.when[0] = '3');
    DIFFERS(other.host[0] = 'x');
    DIFFERS(other.source++);
    DIFFERS(other.space++);
    DIFFERS(other.device.driver[0] = 'x');
    DIFFERS(other.shape.density = 0.2);
    DIFFERS(other.config.params[0].value++);
    DIFFERS(other.baseline.params[0].value++);
    DIFFERS(other.verified[0][0] = 'x');
    DIFFERS(other.seed++);
    DIFFERS(other.best = false);
#undef DIFFERS
}

static void trials_are_the_same_or_not(void **state)
{
    struct scr_record r = fixture_record(SCR_RECORD_CANDIDATE), other;

    (void)state;
    other = r;
    other.ns *= 2;
    snprintf(other.host, sizeof other.host, "elsewhere");
    snprintf(other.device.id, sizeof other.device.id, "ref:1");
    assert_true(scr_record_same_trial(&r, &other));
#define DIFFERS(change)                                                                            \
    do {                                                                                           \
        other = r;                                                                                 \
        change;                                                                                    \
        assert_false(scr_record_same_trial(&r, &other));                                           \
    } while (0)
    DIFFERS(other.source++);
    DIFFERS(other.device.driver[0] = 'x');
    DIFFERS(other.device.name[0] = 'x');
    DIFFERS(other.device.compute_units++);
    DIFFERS(other.shape.window = 256);
    DIFFERS(other.shape.kv_heads = 4);
    DIFFERS(other.shape.words[0] = 'x');
    DIFFERS(other.config.skip = SCR_SKIP_SLICE);
    DIFFERS(other.config.params[1].value++);
    DIFFERS(other.config.params[1].name[0] = 'X');
    DIFFERS(other.config.n_params--);
#undef DIFFERS
}

static void traces_are_named_without_folders(void **state)
{
    static const char *const words[][2] = {
        {"-a workload=trace:/home/me/t.safetensors -a seq=64",
         "-a workload=trace:t.safetensors -a seq=64"},
        {"-a 'workload=trace:/my data/t 1.safetensors' -a seq=64",
         "-a 'workload=trace:t 1.safetensors' -a seq=64"},
        {"-a workload=trace:t.safetensors", "-a workload=trace:t.safetensors"},
        {"-a workload=trace:/", "-a workload=trace:"},
        {"", ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        struct scr_record r = fixture_record(SCR_RECORD_CANDIDATE), back;
        char *text, why[200];

        snprintf(r.shape.words, sizeof r.shape.words, "%s", words[i][0]);
        text = text_of(&r);
        assert_int_equal(parse(text, &back, why, sizeof why), SCR_OK);
        assert_string_equal(back.shape.words, words[i][1]);
        assert_true(scr_record_same_trial(&r, &back));
        assert_true(scr_record_id(&r) == scr_record_id(&back));
        free(text);
    }
}

static void what_is_no_record_is_refused(void **state)
{
#define HEAD   "{\"record\": 1, \"kind\": \"candidate\""
#define DEVICE ", \"device\": {\"backend\": \"ref\"}"
#define CONFIG ", \"config\": {\"kernel\": \"dense\"}"
    static const char *const lines[][2] = {
        {"[]", "no JSON object"},
        {"{}", "record: expected a version"},
        {"{\"record\": 2, \"kind\": \"candidate\"}", "version 2; this program reads up to 1"},
        {"{\"record\": 0}", "record"},
        {"{\"record\": 1}", "kind: expected candidate, verified or winner"},
        {"{\"record\": 1, \"kind\": \"guess\"}", "kind"},
        {HEAD CONFIG "}", "device.backend"},
        {HEAD DEVICE "}", "config.kernel"},
        {HEAD DEVICE CONFIG ", \"ns\": -1}", "ns: expected a number >= 0"},
        {HEAD DEVICE CONFIG ", \"ns\": \"1\"}", "ns"},
        {HEAD DEVICE CONFIG ", \"source\": \"12\"}", "source: expected 16 hex digits"},
        {HEAD DEVICE CONFIG ", \"source\": \"FFFFFFFFFFFFFFFF\"}", "source"},
        {HEAD DEVICE CONFIG ", \"status\": \"a status that is too long\"}",
         "status: expected text"},
        {HEAD DEVICE CONFIG ", \"shape\": {\"dtype\": \"f64\"}}", "shape.dtype"},
        {HEAD DEVICE CONFIG ", \"shape\": {\"dk\": 2147483648}}", "shape.dk"},
        {HEAD DEVICE CONFIG ", \"shape\": {\"window\": \"wide\"}}", "shape.window"},
        {HEAD DEVICE CONFIG ", \"shape\": {\"causal\": 1}}",
         "shape.causal: expected true or false"},
        {HEAD DEVICE ", \"config\": {\"kernel\": \"dense\", \"skip\": \"some\"}}", "config.skip"},
        {HEAD DEVICE ", \"config\": {\"kernel\": \"dense\", \"params\": {\"A\": 1.5}}}",
         "config.params"},
        {HEAD DEVICE ", \"config\": {\"kernel\": \"dense\", \"params\": {\"A B\": 1}}}",
         "config.params"},
        {HEAD DEVICE CONFIG ", \"verified\": [1]}", "verified"},
    };
    char why[200];
    struct scr_record r;

    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        why[0] = '\0';
        assert_int_equal(parse(lines[i][0], &r, why, sizeof why), SCR_ERR_INVALID);
        if (strstr(why, lines[i][1]) == NULL)
            fail_msg("%s: '%s' lacks '%s'", lines[i][0], why, lines[i][1]);
        assert_null(strchr(why, '\n'));
    }
    /* What a later program of this version adds, and what an earlier one lacked. */
    assert_int_equal(parse(HEAD DEVICE CONFIG ", \"mood\": {\"x\": [1]}}", &r, why, sizeof why),
                     SCR_OK);
    assert_true(isnan(r.ns) && isnan(r.gain) && isnan(r.regret) && isnan(r.registers));
    assert_string_equal(r.status, "");
    assert_int_equal(r.n_verified, 0);
}

static void control_characters_become_blanks(void **state)
{
    struct scr_record r;
    char why[200], *text;

    (void)state;
    assert_int_equal(
        parse(HEAD DEVICE CONFIG ", \"host\": \"a\\u001b[2Jb\\n\"}", &r, why, sizeof why), SCR_OK);
    assert_string_equal(r.host, "a [2Jb ");
    snprintf(r.host, sizeof r.host, "x\n\xff");
    text = text_of(&r);
    assert_non_null(strstr(text, "\"host\": \"x ?\""));
    free(text);
}

static void version_1_stays_loadable(void **state)
{
    struct scr_records records = {0};
    char golden[600], why[600];
    const struct scr_record *r;

    (void)state;
    snprintf(golden, sizeof golden, "%s/tuning/records-v1.jsonl", getenv("SCR_TEST_DATA"));
    assert_int_equal(scr_records_read(golden, &records, why, sizeof why), SCR_OK);
    assert_int_equal(records.n_bad, 0);
    assert_int_equal(records.n, 9);
    r = &records.items[0];
    assert_int_equal(r->kind, SCR_RECORD_CANDIDATE);
    assert_string_equal(r->device.name, "Model 3 CPU @ 2.0GHz");
    assert_string_equal(r->device.id, "ref:0");
    assert_true(r->device.global_mem == (size_t)16 << 30);
    assert_string_equal(r->host, "bench-1");
    assert_string_equal(r->when, "2026-01-31T23:59:59Z");
    assert_true(r->source == 0x0123456789abcdefu && r->space == 0xfedcba9876543210u);
    assert_int_equal(r->shape.dtype, SCR_BF16);
    assert_true(isinf(r->shape.window) && r->shape.density == 0.05);
    assert_string_equal(r->config.kernel, "tile-skip");
    assert_string_equal(r->config.variant, "c");
    assert_int_equal(r->config.skip, SCR_SKIP_TILE);
    assert_int_equal(scr_config_get(&r->config, "TILE_Q", 0), 16);
    assert_true(r->ns == 100000 && r->n == 31 && isnan(r->registers));
    r = &records.items[4];
    assert_string_equal(r->status, "pruned");
    assert_string_equal(r->reason, "spills: 128 bytes");
    assert_true(isnan(r->ns));
    r = &records.items[7];
    assert_int_equal(r->kind, SCR_RECORD_WINNER);
    assert_true(r->best && r->gain == 1.62 && r->gain_lo == 1.6 && r->regret == 0.0125);
    assert_int_equal(scr_config_get(&r->baseline, "TILE_Q", 0), 32);
    assert_string_equal(r->strategy, "local");
    assert_int_equal(r->n_verified, 2);
    assert_string_equal(r->verified[1], "nothing alive");
    scr_records_clear(&records);
}

static void write_text(const char *text, size_t n)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, n, f), n);
    fclose(f);
}

static size_t count(size_t *n_bad)
{
    struct scr_records records = {0};
    char why[200];
    size_t n;

    assert_int_equal(scr_records_read(path, &records, why, sizeof why), SCR_OK);
    n = records.n;
    *n_bad = records.n_bad;
    scr_records_clear(&records);
    return n;
}

/* Cut anywhere, as by kill -9: that record is lost, at most, and no other. */
static void a_cut_line_costs_itself(void **state)
{
    struct scr_record r = fixture_record(SCR_RECORD_CANDIDATE);
    char why[200], *text = text_of(&r);
    size_t len = strlen(text), n_bad;

    (void)state;
    for (size_t cut = 0; cut <= len + 1; cut += cut + 40 < len ? 37 : 1) {
        struct scr_record_file *f = NULL;
        off_t size;
        struct stat st;

        unlink(path);
        for (int i = 0; i < 2; i++) {
            assert_int_equal(scr_record_file_open(path, &f, why, sizeof why), SCR_OK);
            assert_int_equal(scr_record_file_append(f, &r, 1), SCR_OK);
            scr_record_file_close(&f);
        }
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_size, 2 * (len + 1));
        size = (off_t)(len + 1 + cut);
        assert_int_equal(truncate(path, size), 0);
        assert_int_equal(count(&n_bad), cut == len + 1 ? 2 : 1);
        assert_int_equal(n_bad, cut > 0 && cut < len + 1);
        assert_int_equal(scr_record_file_open(path, &f, why, sizeof why), SCR_OK);
        assert_int_equal(scr_record_file_append(f, &r, 1), SCR_OK);
        assert_int_equal(count(&n_bad), cut >= len ? 3 : 2);
        assert_int_equal(n_bad, cut > 0 && cut < len);
        /* Another process is cut while this one has the file open. */
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(truncate(path, st.st_size - 5), 0);
        assert_int_equal(scr_record_file_append(f, &r, 1), SCR_OK);
        assert_int_equal(count(&n_bad), cut >= len ? 3 : 2);
        scr_record_file_close(&f);
    }
    free(text);
}

/* A race's records are there as a whole or, by a disk that is full, not at all. */
static void several_at_once(void **state)
{
    struct scr_record race[3];
    struct scr_record_file *f = NULL;
    struct rlimit all, little;
    struct stat one, three, after;
    char why[200];
    size_t n_bad;

    (void)state;
    unlink(path);
    for (int i = 0; i < 3; i++) {
        race[i] = fixture_record(SCR_RECORD_WINNER);
        race[i].ns = 1000 + i;
    }
    assert_int_equal(scr_record_file_open(path, &f, why, sizeof why), SCR_OK);
    assert_int_equal(scr_record_file_append(f, race, 1), SCR_OK);
    assert_int_equal(stat(path, &one), 0);
    assert_int_equal(scr_record_file_append(f, race, 3), SCR_OK);
    assert_int_equal(count(&n_bad), 4);
    assert_int_equal(n_bad, 0);
    assert_int_equal(stat(path, &three), 0);
    assert_int_equal(three.st_size, 4 * one.st_size);
    /* Room for one and a half. */
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &all), 0);
    little = all;
    little.rlim_cur = (rlim_t)(three.st_size + one.st_size * 3 / 2);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &little), 0);
    assert_int_equal(scr_record_file_append(f, race, 3), SCR_ERR_INVALID);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &all), 0);
    assert_int_equal(stat(path, &after), 0);
    assert_int_equal(after.st_size, three.st_size);
    /* A last line that was cut is ended before the first of them. */
    assert_int_equal(truncate(path, three.st_size - 5), 0);
    assert_int_equal(scr_record_file_append(f, race, 3), SCR_OK);
    assert_int_equal(count(&n_bad), 6);
    assert_int_equal(n_bad, 1);
    scr_record_file_close(&f);
}

static void append_many(int child)
{
    struct scr_record r = fixture_record(SCR_RECORD_CANDIDATE);
    struct scr_record_file *f;
    char why[200];

    for (int i = 0; i < 40; i++) {
        r.ns = 1000 * child + i;
        if (scr_record_file_open(path, &f, why, sizeof why) != SCR_OK ||
            scr_record_file_append(f, &r, 1) != SCR_OK ||
            scr_record_file_append(f, &r, 1) != SCR_OK)
            _exit(1);
        scr_record_file_close(&f);
    }
    _exit(0);
}

static void processes_append_side_by_side(void **state)
{
    size_t n_bad;
    int status;

    (void)state;
    unlink(path);
    for (int child = 0; child < 4; child++) {
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid == 0)
            append_many(child);
    }
    for (int child = 0; child < 4; child++) {
        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
    }
    assert_int_equal(count(&n_bad), 4 * 40 * 2);
    assert_int_equal(n_bad, 0);
}

static void files_that_are_none(void **state)
{
    struct scr_records records = {0};
    struct scr_record_file *f;
    char why[200];
    size_t n_bad;

    (void)state;
    unlink(path);
    assert_int_equal(scr_records_read(path, &records, why, sizeof why), SCR_ERR_NOT_FOUND);
    assert_non_null(strstr(why, path));
    assert_int_equal(scr_records_read(folder, &records, why, sizeof why), SCR_ERR_INVALID);
    assert_non_null(strstr(why, "directory"));
    assert_int_equal(scr_record_file_open(folder, &f, why, sizeof why), SCR_ERR_INVALID);
    assert_int_equal(scr_record_file_open("/dev/full", &f, why, sizeof why), SCR_ERR_INVALID);
    assert_non_null(strstr(why, "not a regular file"));
    assert_null(f);
    write_text("\n \n\r\n", 5);
    assert_int_equal(count(&n_bad), 0);
    assert_int_equal(n_bad, 0);
}

struct bad_lines {
    size_t n, last;
};

static void note(void *user, const char *file, size_t line, const char *why)
{
    struct bad_lines *b = user;

    assert_string_equal(file, path);
    assert_int_not_equal(why[0], '\0');
    assert_true(strlen(why) < 200);
    assert_true(line > b->last);
    b->last = line;
    b->n++;
}

/* Bytes of a line changed, cut, doubled, or all of them noise. */
static size_t damage(char *text, size_t len, size_t room, uint64_t *seed)
{
    static const char likely[] = "{}[]\",:0-9e+\\u\0\n\xff nulltrue";

    switch (fixture_random(seed) % 6) {
    case 0:
        len = fixture_random(seed) % (len + 1);
        break;
    case 1:
        for (size_t i = 0; i < len; i++)
            text[i] = (char)fixture_random(seed);
        break;
    case 2: {
        size_t from = fixture_random(seed) % len, n = fixture_random(seed) % (len - from);

        if (len + n <= room) {
            memmove(text + from + n, text + from, len - from);
            len += n;
        }
        break;
    }
    default:
        for (uint32_t i = 0, n = 1 + fixture_random(seed) % 4; i < n; i++)
            text[fixture_random(seed) % len] = likely[fixture_random(seed) % (sizeof likely - 1)];
    }
    return len;
}

/* Good lines among damaged ones are all read; what is read can be written and read again. */
static void a_damaged_line_costs_itself(void **state)
{
    enum { ROUNDS = 60, LINES = 50, ROOM = 8000 };
    uint64_t seed = 4;
    char *line = malloc(ROOM);

    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        struct scr_records records = {0};
        struct bad_lines bad = {0};
        size_t good = 0;
        char why[200];
        FILE *f = fopen(path, "w");

        assert_non_null(f);
        for (int i = 0; i < LINES; i++) {
            struct scr_record r =
                fixture_record(i % 2 == 0 ? SCR_RECORD_WINNER : SCR_RECORD_CANDIDATE);
            char *text = text_of(&r);
            size_t len = strlen(text);

            memcpy(line, text, len);
            len = damage(line, len, ROOM, &seed);
            free(text);
            assert_int_equal(fwrite(line, 1, len, f), len);
            putc('\n', f);
            snprintf(r.host, sizeof r.host, "good-%d", i);
            text = text_of(&r);
            fprintf(f, "%s\n", text);
            free(text);
        }
        fclose(f);
        assert_int_equal(scr_records_read_noting(path, &records, note, &bad, why, sizeof why),
                         SCR_OK);
        assert_int_equal(records.n_bad, bad.n);
        assert_true(records.n <= 2 * LINES);
        for (size_t i = 0; i < records.n; i++) {
            struct scr_record *r = &records.items[i], back;
            char *first = text_of(r), *second, expected[32];

            snprintf(expected, sizeof expected, "good-%zu", good);
            good += strcmp(r->host, expected) == 0;
            assert_int_equal(parse(first, &back, why, sizeof why), SCR_OK);
            second = text_of(&back);
            assert_string_equal(first, second);
            free(first);
            free(second);
        }
        assert_int_equal(good, LINES);
        scr_records_clear(&records);
    }
    free(line);
}

static void lines_without_end(void **state)
{
    enum { SIZE = 300000 };
    char *text = malloc(SIZE), *good;
    struct scr_record r = fixture_record(SCR_RECORD_CANDIDATE);
    size_t n_bad;

    (void)state;
    memset(text, '[', SIZE);
    write_text(text, SIZE);
    assert_int_equal(count(&n_bad), 0);
    assert_int_equal(n_bad, 1);
    /* Nested as deep as a line may be, then a record. */
    good = text_of(&r);
    text[60000] = '\n';
    memcpy(text + 60001, good, strlen(good));
    text[60001 + strlen(good)] = '\n';
    write_text(text, 60002 + strlen(good));
    assert_int_equal(count(&n_bad), 1);
    assert_int_equal(n_bad, 1);
    free(good);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_survives_writing),
        cmocka_unit_test(json_has_no_infinity),
        cmocka_unit_test(the_id_is_of_all_but_from),
        cmocka_unit_test(trials_are_the_same_or_not),
        cmocka_unit_test(traces_are_named_without_folders),
        cmocka_unit_test(what_is_no_record_is_refused),
        cmocka_unit_test(control_characters_become_blanks),
        cmocka_unit_test(version_1_stays_loadable),
        cmocka_unit_test(a_cut_line_costs_itself),
        cmocka_unit_test(several_at_once),
        cmocka_unit_test(processes_append_side_by_side),
        cmocka_unit_test(files_that_are_none),
        cmocka_unit_test(a_damaged_line_costs_itself),
        cmocka_unit_test(lines_without_end),
    };

    return cmocka_run_group_tests_name("record", tests, make_folder, remove_folder);
}
