/* SPDX-License-Identifier: Apache-2.0 */
/* Lines and files of lookup tables: exact words, other locales, damage of every kind. */
#include "table.h"

#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct scr_table_entry sample(void)
{
    struct scr_table_entry e = {
        .backend = "cuda",
        .name = "NVIDIA H200",
        .vendor = "NVIDIA",
        .arch = "sm_90",
        .units = 132,
        .config = {.kernel = "tile-skip", .variant = "mma", .skip = SCR_SKIP_TILE},
        .source = 0x0123456789abcdefu,
        .space = 0xfedcba9876543210u,
        .dtype = SCR_BF16,
        .dk = 64,
        .dv = 64,
        .causal = true,
        .len_q = 8192,
        .len_k = 8192,
        .heads = 8,
        .window = INFINITY,
        .density = 0.05,
        .ns = 123456,
        .best = true,
        .from = 0xdeadbeefu,
    };

    scr_config_set(&e.config, "TILE_Q", 64);
    scr_config_set(&e.config, "TILE_K", 128);
    return e;
}

static const char sample_line[] =
    "backend=cuda device=NVIDIA%20H200 vendor=NVIDIA arch=sm_90 cpu=0 units=132 dtype=bf16 dk=64 "
    "dv=64 causal=1 len_q=8192 len_k=8192 heads=8 window=inf density=0.05 kernel=tile-skip "
    "skip=tile variant=mma source=0123456789abcdef space=fedcba9876543210 "
    "params=TILE_Q:64,TILE_K:128 ns=123456 best=1 from=00000000deadbeef sum=";

/* Bitwise, apart from the library's. */
static unsigned crc32(const char *s, size_t n)
{
    unsigned crc = ~0u;

    while (n-- > 0) {
        crc ^= (unsigned char)*s++;
        for (int i = 0; i < 8; i++)
            crc = crc & 1 ? crc >> 1 ^ 0xedb88320u : crc >> 1;
    }
    return ~crc;
}

static int parse(const char *body, struct scr_table_entry *e, char *why)
{
    char line[4096 + 32];

    snprintf(line, sizeof line, "%s sum=%08x", body, crc32(body, strlen(body)));
    return scr_table_entry_parse(line, strlen(line), e, why, 160);
}

static void expect_same(const struct scr_table_entry *e)
{
    char line[SCR_TABLE_LINE], again[SCR_TABLE_LINE], why[160] = "";
    struct scr_table_entry back;
    size_t n = scr_table_entry_format(e, line, sizeof line);

    assert_true(n > 0 && line[n - 1] == '\n' && strlen(line) == n);
    if (scr_table_entry_parse(line, n - 1, &back, why, sizeof why) != SCR_OK)
        fail_msg("%s: %s", why, line);
    assert_int_equal(scr_table_entry_compare(e, &back), 0);
    assert_int_equal(scr_table_entry_format(&back, again, sizeof again), n);
    assert_string_equal(line, again);
}

static void test_line(void **state)
{
    struct scr_table_entry e = sample();
    char line[SCR_TABLE_LINE], want[SCR_TABLE_LINE];
    size_t n = scr_table_entry_format(&e, line, sizeof line);

    (void)state;
    snprintf(want, sizeof want, "%s%08x\n", sample_line,
             crc32(sample_line, strlen(sample_line) - strlen(" sum=")));
    assert_string_equal(line, want);
    assert_int_equal(n, strlen(want));
    expect_same(&e);
    /* One byte too few is nothing, not a part. */
    assert_int_equal(scr_table_entry_format(&e, line, n), 0);
    assert_string_equal(line, "");
    assert_int_equal(scr_table_entry_format(&e, line, n + 1), n);
    assert_int_equal(scr_table_entry_format(&e, line, 0), 0);
}

static void test_round_trip(void **state)
{
    static const double numbers[] = {1, 0.1, 1e-6, 0.999999999, 1.0 / 3, 1e-300, 0.0123456789};
    struct scr_table_entry e = sample(), back;
    char line[SCR_TABLE_LINE];
    size_t n;

    (void)state;
    snprintf(e.name, sizeof e.name, "100%% = \xc2\xb5 \t\x01\x7f\xff(R)#");
    snprintf(e.vendor, sizeof e.vendor, "end 3 sum=");
    e.arch[0] = '\0';
    e.is_cpu = true;
    expect_same(&e);
    e = sample();
    e.window = e.density = 0;
    e.config.n_params = 0;
    e.best = false;
    expect_same(&e);
    e = sample();
    scr_config_set(&e.config, "SPLIT", -3);
    scr_config_set(&e.config, "BIG", INT32_MIN);
    scr_config_set(&e.config, "BIGGER", INT32_MAX);
    expect_same(&e);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        e = sample();
        e.density = numbers[i];
        e.ns = 1e9 * numbers[i];
        e.window = 4096 * numbers[i];
        n = scr_table_entry_format(&e, line, sizeof line);
        assert_int_equal(scr_table_entry_parse(line, n - 1, &back, NULL, 0), SCR_OK);
        assert_true(fabs(back.density / e.density - 1) < 1e-8);
        assert_true(fabs(back.ns / e.ns - 1) < 1e-8);
        expect_same(&back); /* nine digits are the same after the first time */
    }
    /* The longest entry there can be. */
    memset(e.name, '=', sizeof e.name - 1);
    memset(e.vendor, '%', sizeof e.vendor - 1);
    memset(e.arch, '\xff', sizeof e.arch - 1);
    memset(e.backend, ' ', sizeof e.backend - 1);
    memset(e.config.kernel, '=', sizeof e.config.kernel - 1);
    memset(e.config.variant, '=', sizeof e.config.variant - 1);
    e.name[sizeof e.name - 1] = e.vendor[sizeof e.vendor - 1] = e.arch[sizeof e.arch - 1] = '\0';
    e.config.n_params = SCR_MAX_PARAMS;
    for (int i = 0; i < SCR_MAX_PARAMS; i++) {
        snprintf(e.config.params[i].name, sizeof e.config.params[i].name, "P%018d", i);
        e.config.params[i].value = INT32_MIN;
    }
    e.units = e.dk = e.dv = e.len_q = e.len_k = e.heads = INT32_MAX;
    e.window = e.ns = 1.23456789e-300;
    e.density = 1.23456789e-100;
    n = scr_table_entry_format(&e, line, sizeof line);
    assert_true(n > 1200);
    assert_int_equal(scr_table_entry_parse(line, n - 1, &back, NULL, 0), SCR_OK);
    assert_true(fabs(back.window / e.window - 1) < 1e-8);
    expect_same(&back);
}

static void test_refuses_to_write(void **state)
{
    char line[SCR_TABLE_LINE];
    struct scr_table_entry e;

    (void)state;
#define REFUSES(change)                                                                            \
    do {                                                                                           \
        e = sample();                                                                              \
        change;                                                                                    \
        assert_int_equal(scr_table_entry_format(&e, line, sizeof line), 0);                        \
    } while (0)
    REFUSES(e.backend[0] = '\0');
    REFUSES(e.name[0] = '\0');
    REFUSES(e.ns = NAN);
    REFUSES(e.ns = 0);
    REFUSES(e.ns = INFINITY);
    REFUSES(e.window = NAN);
    REFUSES(e.window = -1);
    REFUSES(e.density = 1.5);
    REFUSES(e.density = NAN);
    REFUSES(e.len_q = 0);
    REFUSES(e.config.n_params = SCR_MAX_PARAMS + 1);
    REFUSES(e.config.n_params = -1);
    REFUSES(strcpy(e.config.params[0].name, "A B"));
    REFUSES(strcpy(e.config.params[0].name, ""));
    REFUSES(e.dtype = (scr_dtype)7);
    REFUSES(e.config.skip = (scr_skip)7);
}

/* Builds a German locale where none is installed, if the means are there. */
static bool make_locale(void)
{
    char folder[] = "/tmp/screening-locale-XXXXXX", command[160];
    bool found;

    if (mkdtemp(folder) == NULL)
        return false;
    snprintf(command, sizeof command, "localedef -i de_DE -f UTF-8 %s/de_DE.UTF-8 >%s/log 2>&1",
             folder, folder);
    setenv("LOCPATH", folder, 1);
    found = system(command) >= 0 && setlocale(LC_ALL, "de_DE.UTF-8") != NULL;
    unsetenv("LOCPATH");
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command) == 0 && found;
}

/* A program may have a locale whose numbers have a comma. */
static void test_comma_locale(void **state)
{
    static const char *const names[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "de_DE",
                                        "nl_NL.UTF-8"};
    struct scr_table_entry e = sample(), back;
    char line[SCR_TABLE_LINE], text[16];
    bool found = false;
    size_t n;

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0] && !found; i++)
        found = setlocale(LC_ALL, names[i]) != NULL;
    if (!found)
        found = make_locale();
    if (!found)
        skip();
    snprintf(text, sizeof text, "%g", 0.5);
    assert_string_equal(text, "0,5");
    e.window = 137.25;
    e.ns = 1.5e-7;
    n = scr_table_entry_format(&e, line, sizeof line);
    assert_non_null(strstr(line, " window=137.25 density=0.05 "));
    assert_non_null(strstr(line, " ns=1.5e-07 "));
    assert_int_equal(scr_table_entry_parse(line, n - 1, &back, NULL, 0), SCR_OK);
    assert_true(back.density == 0.05 && back.window == 137.25 && back.ns == 1.5e-7);
    expect_same(&e);
    setlocale(LC_ALL, "C");
}

/* The body of the sample with one text in place of another. */
static void replaced(const char *what, const char *by, char *out, size_t size)
{
    const char *at = strstr(sample_line, what);

    assert_non_null(at);
    snprintf(out, size, "%.*s%s%.*s", (int)(at - sample_line), sample_line, by,
             (int)(strlen(at + strlen(what)) - strlen(" sum=")), at + strlen(what));
}

static void test_values(void **state)
{
    static const struct {
        const char *what, *by, *why; /* NULL: it is taken */
    } cases[] = {
        {"cpu=0 units=132 ", "units=132 cpu=0 ", NULL}, /* any order */
        {" best=1", " new=%zz best=1", NULL},           /* a later program's word */
        {"window=inf", "window=any", NULL},
        {"density=0.05", "density=1", NULL},
        {"ns=123456", "ns=.5e3", NULL},
        {" units=132", "", "units= is missing"},
        {" from=00000000deadbeef", "", "from= is missing"},
        {" units=132", " units=132 units=132", "units= stands twice"},
        {" units=132", " units", "'units' is not KEY=VALUE"},
        {" units=132", "  units=132", "'' is not KEY=VALUE"},
        {" units=132", " =132", "'=132' is not KEY=VALUE"},
        {"units=132", "units=-1", "units= has no such value"},
        {"units=132", "units=0x84", "units="},
        {"units=132", "units=99999999999", "units="},
        {"units=132", "units=", "units="},
        {"cpu=0", "cpu=2", "cpu="},
        {"dtype=bf16", "dtype=f64", "dtype="},
        {"dk=64", "dk=0", "dk="},
        {"len_q=8192", "len_q=0", "len_q="},
        {"window=inf", "window=0", "window="},
        {"window=inf", "window=nan", "window="},
        {"window=inf", "window=1e999", "window="},
        {"window=inf", "window=1e", "window="},
        {"window=inf", "window=0x10", "window="},
        {"window=inf", "window=-1", "window="},
        {"density=0.05", "density=1.01", "density="},
        {"density=0.05", "density=inf", "density="},
        {"density=0.05", "density=0,05", "density="},
        {"density=0.05", "density=0.0.5", "density="},
        {"ns=123456", "ns=0", "ns="},
        {"ns=123456", "ns=any", "ns="},
        {"kernel=tile-skip", "kernel=a-name-of-20-charact", "kernel="},
        {"kernel=tile-skip", "kernel=", "kernel="},
        {"device=NVIDIA%20H200", "device=a%2", "device="},
        {"device=NVIDIA%20H200", "device=a%2g", "device="},
        {"device=NVIDIA%20H200", "device=a%00b", "device="},
        {"skip=tile", "skip=all", "skip="},
        {"source=0", "source=", "source="},
        {"source=0", "source=g", "source="},
        {"TILE_K:128", "TILE_K", "params="},
        {"TILE_K:128", "TILE_K:", "params="},
        {"TILE_K:128", "TILE_K:128,", "params="},
        {"TILE_K:128", "TILE_Q:128", "params="},
        {"TILE_K:128", "1:1", "params="},
        {"TILE_K:128", ":1", "params="},
        {"TILE_K:128", "A_NAME_OF_20_CHARACT:1", "params="},
        {"TILE_K:128", "A:1,B:1,C:1,D:1,E:1,F:1,G:1,H:1,I:1,J:1,K:1,L:1", "params="},
        {"best=1", "best=yes", "best="},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char body[4096], why[160] = "";
        struct scr_table_entry e, zero;
        int status;

        replaced(cases[i].what, cases[i].by, body, sizeof body);
        status = parse(body, &e, why);
        if (cases[i].why == NULL && status != SCR_OK)
            fail_msg("%s: %s", cases[i].by, why);
        if (cases[i].why == NULL)
            continue;
        if (status != SCR_ERR_INVALID || strstr(why, cases[i].why) == NULL)
            fail_msg("'%s' instead of '%s': %d '%s'", cases[i].by, cases[i].what, status, why);
        memset(&zero, 0, sizeof zero);
        assert_memory_equal(&e, &zero, sizeof e);
    }
}

/* A heap copy of exactly n bytes, so that a sanitizer sees what is read beyond. */
static char *exact(const char *text, size_t n)
{
    char *copy = malloc(n + (n == 0));

    assert_non_null(copy);
    memcpy(copy, text, n);
    return copy;
}

static void test_damaged_line(void **state)
{
    struct scr_table_entry e = sample(), back;
    char line[SCR_TABLE_LINE], why[160];
    size_t n = scr_table_entry_format(&e, line, sizeof line) - 1;

    (void)state;
    for (size_t i = 0; i < n; i++) {
        for (int bit = 0; bit < 8; bit++) {
            line[i] = (char)(line[i] ^ 1 << bit);
            /* Hexadecimal digits of the sum may be of either case. */
            if (scr_table_entry_parse(line, n, &back, why, sizeof why) == SCR_OK)
                assert_true(i >= n - 8 && bit == 5 && scr_table_entry_compare(&e, &back) == 0);
            line[i] = (char)(line[i] ^ 1 << bit);
        }
    }
    for (size_t i = 0; i < n; i++) {
        char *cut = exact(line, i);

        assert_int_equal(scr_table_entry_parse(cut, i, &back, why, sizeof why), SCR_ERR_INVALID);
        free(cut);
    }
}

static void test_order(void **state)
{
    struct scr_table_entry a = sample(), b = sample();

    (void)state;
    assert_int_equal(scr_table_entry_compare(&a, &b), 0);
    b.line = 7;
    b.origin = SCR_TABLE_USER;
    assert_int_equal(scr_table_entry_compare(&a, &b), 0); /* where it was read says nothing */
#define LESS(change)                                                                               \
    do {                                                                                           \
        a = b = sample();                                                                          \
        change;                                                                                    \
        assert_true(scr_table_entry_compare(&a, &b) < 0);                                          \
        assert_true(scr_table_entry_compare(&b, &a) > 0);                                          \
    } while (0)
    LESS(strcpy(b.backend, "opencl"));
    LESS(b.units = 144);
    LESS(b.len_q = 16384); /* as numbers */
    LESS(a.window = 4096);
    LESS(a.density = 0);
    LESS(b.config.skip = SCR_SKIP_SLICE);
    LESS(b.config.params[1].value = 256);
    LESS(a.config.n_params = 1);
    LESS(b.ns = 123457);
    LESS(a.best = false);
    LESS(a.from = 1);
    LESS(b.arch[4] = 'x');
}

/* A table of n entries that differ in their lengths, which are 1 to n; the caller frees it. */
static char *make_table(size_t n, size_t *size)
{
    char *text = malloc((n + 2) * SCR_TABLE_LINE);
    uint64_t checksum = SCR_HASH_START;
    size_t used;

    assert_non_null(text);
    used = scr_table_head(text, SCR_TABLE_LINE);
    for (size_t i = 0; i < n; i++) {
        struct scr_table_entry e = sample();
        size_t len;

        e.len_q = (int32_t)i + 1;
        len = scr_table_entry_format(&e, text + used, SCR_TABLE_LINE);
        checksum = scr_hash(checksum, text + used, len);
        used += len;
    }
    used += scr_table_tail(n, checksum, text + used, SCR_TABLE_LINE);
    *size = used;
    return text;
}

static void test_table(void **state)
{
    struct scr_table t = {.entries = NULL};
    size_t size;
    char *text = make_table(100, &size);
    char *crlf;
    size_t n = 0;

    (void)state;
    assert_int_equal(scr_table_parse(text, size, SCR_TABLE_USER, &t), SCR_OK);
    assert_int_equal(t.n, 100);
    assert_int_equal(t.n_bad, 0);
    assert_false(t.cut);
    for (size_t i = 0; i < t.n; i++) {
        assert_int_equal(t.entries[i].len_q, i + 1);
        assert_int_equal(t.entries[i].line, i + 2);
        assert_int_equal(t.entries[i].origin, SCR_TABLE_USER);
    }
    /* Tables add up. */
    assert_int_equal(scr_table_parse(text, size, SCR_TABLE_SYSTEM, &t), SCR_OK);
    assert_int_equal(t.n, 200);
    assert_int_equal(t.entries[99].origin, SCR_TABLE_USER);
    assert_int_equal(t.entries[100].origin, SCR_TABLE_SYSTEM);
    assert_false(t.cut);
    scr_table_clear(&t);
    /* Newlines as other systems have them. */
    crlf = malloc(2 * size);
    assert_non_null(crlf);
    for (size_t i = 0; i < size; i++) {
        if (text[i] == '\n')
            crlf[n++] = '\r';
        crlf[n++] = text[i];
    }
    assert_int_equal(scr_table_parse(crlf, n, SCR_TABLE_USER, &t), SCR_OK);
    assert_int_equal(t.n, 100);
    assert_false(t.cut);
    scr_table_clear(&t);
    free(crlf);
    free(text);
}

static void test_head_and_tail(void **state)
{
    static const struct {
        const char *text;
        int status;
        bool cut;
    } cases[] = {
        {"screening-table 1\nend 0 cbf29ce484222325\n", SCR_OK, false},
        {"screening-table 1\nend 0 cbf29ce484222325", SCR_OK, false},
        {"screening-table 1\n# a\n\nend 0 cbf29ce484222325\n# b\n", SCR_OK, false},
        {"screening-table 1\nend 1 cbf29ce484222325\n", SCR_OK, true},
        {"screening-table 1\nend 0 cbf29ce484222326\n", SCR_OK, true},
        {"screening-table 1\n", SCR_OK, true},
        {"screening-table 1", SCR_OK, true},
        {"screening-table 2\nend 0 cbf29ce484222325\n", SCR_ERR_INVALID, false},
        {"screening-table 10\n", SCR_ERR_INVALID, false},
        {"screening-table\n", SCR_ERR_INVALID, false},
        {"\nscreening-table 1\n", SCR_ERR_INVALID, false},
        {"{\"version\": 1}\n", SCR_ERR_INVALID, false},
        {"", SCR_ERR_INVALID, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct scr_table t = {.entries = NULL};
        char *text = exact(cases[i].text, strlen(cases[i].text));

        assert_int_equal(scr_table_parse(text, strlen(cases[i].text), SCR_TABLE_USER, &t),
                         cases[i].status);
        assert_int_equal(t.cut, cases[i].cut);
        assert_int_equal(t.n, 0);
        assert_int_equal(t.n_bad, 0);
        scr_table_clear(&t);
        free(text);
    }
}

/* A later version is not read, be its lines ever so well known. */
static void test_later_version(void **state)
{
    struct scr_table t = {.entries = NULL};
    size_t size;
    char *text = make_table(3, &size);

    (void)state;
    text[strlen("screening-table ")] = '2';
    assert_int_equal(scr_table_parse(text, size, SCR_TABLE_USER, &t), SCR_ERR_INVALID);
    assert_int_equal(t.n, 0);
    assert_null(t.entries);
    free(text);
}

/* A file cut at any byte: the whole lines before are there, and it is told that it was cut. */
static void test_truncated(void **state)
{
    size_t size;
    char *text = make_table(5, &size);

    (void)state;
    for (size_t n = 0; n < size; n++) {
        struct scr_table t = {.entries = NULL};
        char *part = exact(text, n);
        int status = scr_table_parse(part, n, SCR_TABLE_USER, &t);
        size_t whole = 0;

        for (size_t i = 0; i < n; i++) /* a line is whole without its newline, too */
            whole += text[i + 1] == '\n';
        if (whole == 0) {
            assert_int_equal(status, SCR_ERR_INVALID);
        } else {
            assert_int_equal(status, SCR_OK);
            assert_int_equal(t.n, whole - 1 < 5 ? whole - 1 : 5);
            assert_true(t.n_bad <= 1);
            assert_int_equal(t.cut, n < size - 1);
            for (size_t i = 0; i < t.n; i++)
                assert_int_equal(t.entries[i].len_q, i + 1);
        }
        scr_table_clear(&t);
        free(part);
    }
    free(text);
}

static uint32_t next(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*seed >> 33);
}

/* Bytes changed, put in, taken out, lines swapped and doubled: each costs only what it touches. */
static void test_fuzz(void **state)
{
    enum { ENTRIES = 12, ROUNDS = 6000 };
    uint64_t seed = 4;
    size_t size;
    char *text = make_table(ENTRIES, &size);

    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        struct scr_table t = {.entries = NULL};
        char *hurt = malloc(size + 64);
        int n_changes = 1 + (int)(next(&seed) % 4);
        size_t n = size;
        bool same;
        int status;

        assert_non_null(hurt);
        memcpy(hurt, text, size);
        for (int i = 0; i < n_changes; i++) {
            size_t at = next(&seed) % n, len = 1 + next(&seed) % 8;

            switch (next(&seed) % 4) {
            case 0:
                hurt[at] = (char)next(&seed);
                break;
            case 1:
                len = len < n - at ? len : n - at;
                memmove(hurt + at, hurt + at + len, n - at - len);
                n -= len;
                break;
            case 2:
                memmove(hurt + at + len, hurt + at, n - at);
                for (size_t j = 0; j < len; j++)
                    hurt[at + j] = (char)next(&seed);
                n += len;
                break;
            default:
                hurt[at] = " =%\n#:,\0"[next(&seed) % 8];
                break;
            }
        }
        same = n == size && memcmp(hurt, text, n) == 0;
        hurt = realloc(hurt, n);
        assert_non_null(hurt);
        status = scr_table_parse(hurt, n, SCR_TABLE_USER, &t);
        assert_true(status == SCR_OK || (status == SCR_ERR_INVALID && t.n == 0));
        if (status == SCR_OK) {
            /* A change costs the line it is in, or two if it takes the newline out. */
            assert_true(t.n + 2 * (size_t)n_changes >= ENTRIES && t.n <= ENTRIES);
            assert_true(same || t.cut || t.n == ENTRIES);
            for (size_t i = 0; i < t.n; i++) {
                struct scr_table_entry e = sample();

                e.len_q = t.entries[i].len_q;
                assert_int_equal(scr_table_entry_compare(&t.entries[i], &e), 0);
            }
        }
        assert_true(memchr(t.first_bad, '\0', sizeof t.first_bad) != NULL);
        scr_table_clear(&t);
        free(hurt);
    }
    free(text);
}

/* Lines with a right checksum over nonsense, which no check of sums holds up. */
static void test_fuzz_under_sum(void **state)
{
    uint64_t seed = 5;
    size_t body = strlen(sample_line) - strlen(" sum=");

    (void)state;
    for (int round = 0; round < 20000; round++) {
        char line[4096], why[160];
        struct scr_table_entry e;
        size_t n = body;
        char *copy;

        memcpy(line, sample_line, body);
        for (int i = 1 + (int)(next(&seed) % 3); i > 0; i--)
            line[next(&seed) % n] = (char)next(&seed);
        n += (size_t)sprintf(line + n, " sum=%08x", crc32(line, n));
        copy = exact(line, n);
        if (scr_table_entry_parse(copy, n, &e, why, sizeof why) == SCR_OK)
            expect_same(&e);
        free(copy);
    }
}

static void test_golden(void **state)
{
    static char text[16384];
    struct scr_table t = {.entries = NULL};
    struct scr_table_entry e = sample();
    char path[1024];
    size_t n;
    FILE *f;

    (void)state;
    snprintf(path, sizeof path, "%s/tuning/table-v1.table", getenv("SCR_TEST_DATA"));
    f = fopen(path, "rb");
    assert_non_null(f);
    n = fread(text, 1, sizeof text, f);
    fclose(f);
    assert_int_equal(scr_table_parse(text, n, SCR_TABLE_USER, &t), SCR_OK);
    assert_int_equal(t.n, 3);
    assert_int_equal(t.n_bad, 0);
    assert_false(t.cut);
    assert_int_equal(scr_table_entry_compare(&t.entries[0], &e), 0);
    assert_int_equal(t.entries[0].line, 4);
    assert_true(t.entries[1].density == 0 && t.entries[1].ns == 200000.5 && !t.entries[1].best);
    assert_int_equal(scr_config_get(&t.entries[1].config, "STAGES", 0), 3);
    e = t.entries[2];
    assert_string_equal(e.name, "cpu-haswell-Intel(R) Core(TM) i7 100%=\xc2\xb5");
    assert_true(e.is_cpu && e.arch[0] == '\0' && e.window == 137.25 && e.density == 1.5e-05 &&
                e.ns == 1.23456789e+09 && e.config.n_params == 0 && e.heads == 65535 &&
                e.config.skip == SCR_SKIP_SLICE && e.dtype == SCR_F32 && !e.causal && e.from == 1);
    scr_table_clear(&t);
}

static void test_builtin(void **state)
{
    struct scr_table t = {.entries = NULL};

    (void)state;
    assert_int_equal(
        scr_table_parse(scr_builtin_table, scr_builtin_table_size, SCR_TABLE_BUILTIN, &t), SCR_OK);
    assert_int_equal(t.n_bad, 0);
    assert_false(t.cut);
    scr_table_clear(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_line),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_refuses_to_write),
        cmocka_unit_test(test_comma_locale),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_damaged_line),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_head_and_tail),
        cmocka_unit_test(test_later_version),
        cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_fuzz),
        cmocka_unit_test(test_fuzz_under_sum),
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_builtin),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
