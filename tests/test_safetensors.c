/* SPDX-License-Identifier: Apache-2.0 */
/* Reading well-formed files, and surviving the others: each gives one line and no tensor. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "philox.h"
#include "safetensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct folder {
    char dir[64];
    char file[80];
};

static int setup(void **state)
{
    struct folder *f = calloc(1, sizeof *f);

    *state = f;
    if (f == NULL)
        return -1;
    strcpy(f->dir, "/tmp/scr-test-XXXXXX");
    if (mkdtemp(f->dir) == NULL)
        return -1;
    snprintf(f->file, sizeof f->file, "%s/t.safetensors", f->dir);
    return 0;
}

static int teardown(void **state)
{
    struct folder *f = *state;

    unlink(f->file);
    rmdir(f->dir);
    free(f);
    return 0;
}

static void write_bytes(const char *path, const void *bytes, size_t n)
{
    FILE *f = fopen(path, "wb");

    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

/* A file with this header and so many bytes of data, counting 0, 1, 2 ... */
static void write_file(const char *path, const char *header, size_t data_bytes)
{
    size_t n = strlen(header);
    unsigned char *bytes = calloc(1, 8 + n + data_bytes);

    assert_non_null(bytes);
    for (int i = 0; i < 8; i++)
        bytes[i] = (unsigned char)(n >> (8 * i));
    memcpy(bytes + 8, header, n);
    for (size_t i = 0; i < data_bytes; i++)
        bytes[8 + n + i] = (unsigned char)i;
    write_bytes(path, bytes, 8 + n + data_bytes);
    free(bytes);
}

/* Refused with one line that contains `expected`. */
static void refused(const char *path, const char *expected)
{
    struct scr_safetensors *f = NULL;
    char why[160] = "";

    assert_int_equal(scr_safetensors_open(path, &f, why, sizeof why), SCR_ERR_INVALID);
    assert_null(f);
    if (strstr(why, expected) == NULL || strchr(why, '\n') != NULL)
        fail_msg("'%s' does not say '%s' on one line", why, expected);
}

static void reads(void **state)
{
    struct folder *dir = *state;
    struct scr_safetensors *f;
    const struct scr_tensor *t;
    char why[160];
    const unsigned char *data;

    /* 7 bytes of padding before: the data is unaligned, and the mask is of a type left out */
    write_file(dir->file,
               "{\"__metadata__\":{\"a\":\"b\"},"
               "\"x\":{\"dtype\":\"F16\",\"shape\":[2,3],\"data_offsets\":[5,17]},"
               "\"mask\":{\"dtype\":\"BOOL\",\"shape\":[5],\"data_offsets\":[0,5]},"
               "\"one\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[17,21]},"
               "\"none\":{\"dtype\":\"BF16\",\"shape\":[0,9],\"data_offsets\":[17,17]}}  ",
               21);
    assert_int_equal(scr_safetensors_open(dir->file, &f, why, sizeof why), SCR_OK);
    t = scr_safetensors_find(f, "x");
    assert_non_null(t);
    assert_int_equal(t->dtype, SCR_F16);
    assert_int_equal(t->n_dims, 2);
    assert_int_equal(t->dims[0], 2);
    assert_int_equal(t->dims[1], 3);
    assert_int_equal(t->bytes, 12);
    data = t->data;
    assert_int_equal(data[0], 5);
    assert_int_equal(data[11], 16);
    assert_int_equal(scr_safetensors_find(f, "one")->bytes, 4);
    assert_int_equal(scr_safetensors_find(f, "none")->bytes, 0);
    assert_null(scr_safetensors_find(f, "mask"));
    assert_string_equal(scr_safetensors_left_out(f, "mask"), "BOOL");
    assert_null(scr_safetensors_left_out(f, "x"));
    assert_null(scr_safetensors_left_out(f, "nosuch"));
    assert_null(scr_safetensors_find(f, "__metadata__"));
    scr_safetensors_close(&f);
    assert_null(f);
}

static void writes(void **state)
{
    struct folder *dir = *state;
    float o[6] = {1, 2, 3, 4, 5, 6};
    uint16_t h[3] = {7, 8, 9};
    struct scr_tensor tensors[2] = {
        {.name = "h", .dtype = SCR_BF16, .n_dims = 1, .dims = {3}, .bytes = 6, .data = h},
        {.name = "o", .dtype = SCR_F32, .n_dims = 2, .dims = {2, 3}, .bytes = 24, .data = o},
    };
    struct scr_safetensors *f;
    char why[160];

    assert_int_equal(scr_safetensors_write(dir->file, tensors, 2, why, sizeof why), SCR_OK);
    assert_int_equal(scr_safetensors_open(dir->file, &f, why, sizeof why), SCR_OK);
    for (int i = 0; i < 2; i++) {
        const struct scr_tensor *t = scr_safetensors_find(f, tensors[i].name);

        assert_non_null(t);
        assert_int_equal(t->dtype, tensors[i].dtype);
        assert_int_equal(t->n_dims, tensors[i].n_dims);
        assert_memory_equal(t->dims, tensors[i].dims, sizeof t->dims[0] * (size_t)t->n_dims);
        assert_memory_equal(t->data, tensors[i].data, tensors[i].bytes);
    }
    scr_safetensors_close(&f);
    assert_int_equal(
        scr_safetensors_write("/nonexistent/x.safetensors", tensors, 2, why, sizeof why),
        SCR_ERR_INVALID);
    assert_non_null(strstr(why, "cannot be written"));
}

#define ENTRY(shape, offsets) "{\"dtype\":\"F16\",\"shape\":" shape ",\"data_offsets\":" offsets "}"

static void malformed_headers(void **state)
{
    static const struct {
        const char *header;
        size_t data_bytes;
        const char *expected;
    } cases[] = {
        {"", 0, "not JSON"},
        {"{", 0, "not JSON"},
        {"{}x", 0, "not JSON"},
        {"\xff\xfe{}", 0, "not JSON"},
        {"[]", 0, "not a JSON object"},
        {"{}", 3, "3 bytes at the end"},
        {"{\"x\":" ENTRY("[2]", "[0,4]") ",\"x\":" ENTRY("[2]", "[0,4]") "}", 4, "not JSON"},
        {"{\"x\":3}", 0, "not an object"},
        {"{\"x\":{\"shape\":[1],\"data_offsets\":[0,2]}}", 2, "no dtype"},
        {"{\"x\":{\"dtype\":16,\"shape\":[1],\"data_offsets\":[0,2]}}", 2, "no dtype"},
        {"{\"x\":{\"dtype\":\"F12\",\"shape\":[1],\"data_offsets\":[0,2]}}", 2, "unknown dtype"},
        {"{\"x\":{\"dtype\":\"F16\",\"data_offsets\":[0,2]}}", 2, "shape is not a list"},
        {"{\"x\":" ENTRY("{}", "[0,2]") "}", 2, "shape is not a list"},
        {"{\"x\":" ENTRY("[-1]", "[0,2]") "}", 2, "a dimension is not"},
        {"{\"x\":" ENTRY("[1.0]", "[0,2]") "}", 2, "a dimension is not"},
        {"{\"x\":" ENTRY("[\"1\"]", "[0,2]") "}", 2, "a dimension is not"},
        {"{\"x\":" ENTRY("[1,1,1,1,1,1,1,1,1]", "[0,2]") "}", 2, "more than 8 dimensions"},
        {"{\"x\":" ENTRY("[4294967296,4294967296]", "[0,0]") "}", 0, "too large"},
        {"{\"x\":" ENTRY("[9223372036854775807]", "[0,0]") "}", 0, "its shape says"},
        {"{\"x\":" ENTRY("[99999999999999999999]", "[0,0]") "}", 0, "not JSON"},
        {"{\"x\":{\"dtype\":\"F16\",\"shape\":[1]}}", 2, "data_offsets is not"},
        {"{\"x\":" ENTRY("[1]", "[0]") "}", 2, "data_offsets is not"},
        {"{\"x\":" ENTRY("[1]", "[0,2,4]") "}", 2, "data_offsets is not"},
        {"{\"x\":" ENTRY("[1]", "[0,2.5]") "}", 2, "data_offsets is not"},
        {"{\"x\":" ENTRY("[1]", "[-2,0]") "}", 2, "negative"},
        {"{\"x\":" ENTRY("[1]", "[2,0]") "}", 2, "end before they begin"},
        {"{\"x\":" ENTRY("[2]", "[0,4]") "}", 2, "ends at byte 4 of 2"},
        {"{\"x\":" ENTRY("[2]", "[9223372036854775800,9223372036854775804]") "}", 4, "ends at"},
        {"{\"x\":" ENTRY("[3]", "[0,4]") "}", 4, "its shape says 6"},
        {"{\"x\":" ENTRY("[2]", "[0,4]") ",\"y\":" ENTRY("[2]", "[2,6]") "}", 6, "overlaps"},
        {"{\"x\":" ENTRY("[2]", "[0,4]") ",\"y\":" ENTRY("[2]", "[0,4]") "}", 4, "overlaps"},
        {"{\"x\":" ENTRY("[2]", "[0,4]") ",\"y\":" ENTRY("[1]", "[6,8]") "}", 8, "2 bytes before"},
        {"{\"x\":" ENTRY("[1]", "[2,4]") "}", 4, "2 bytes before"},
        {"{\"x\":" ENTRY("[1]", "[0,2]") "}", 4, "2 bytes at the end"},
        {"{\"__metadata__\":[]}", 0, "__metadata__ is not an object"},
        {"{\"__metadata__\":{\"a\":1}}", 0, "something else than text"},
        {"{\"a\\nb\\u001b[31m\":3}", 0, "a?b?[31m"},
    };
    struct folder *dir = *state;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        write_file(dir->file, cases[i].header, cases[i].data_bytes);
        refused(dir->file, cases[i].expected);
    }
}

static void messages_name_the_file(void **state)
{
    char why[32];

    (void)state;
    scr_path_message("/a/b/c", "is bad", why, sizeof why);
    assert_string_equal(why, "/a/b/c: is bad");
    scr_path_message("/a/long/path/to/the/file.safetensors", "is bad", why, sizeof why);
    assert_string_equal(why, "...the/file.safetensors: is bad");
    assert_int_equal(strlen(why), sizeof why - 1);
    scr_path_message("/a", "a text that is longer than the room", why, sizeof why);
    assert_string_equal(why, "a text that is longer than the ");
}

static void malformed_files(void **state)
{
    struct folder *dir = *state;
    unsigned char bytes[16] = {3, 0, 0, 0, 0, 0, 0, 0, '{', '}'};
    char nested[8 + 5000];

    refused("/nonexistent/x.safetensors", "/nonexistent/x.safetensors: cannot be opened");
    refused(dir->dir, "not a regular file");
    write_bytes(dir->file, "", 0);
    refused(dir->file, "too few");
    write_bytes(dir->file, bytes, 7);
    refused(dir->file, "too few");
    write_bytes(dir->file, bytes, 10); /* header of 3 bytes in a file with 2 */
    refused(dir->file, "cut short");
    memset(bytes, 0xff, 8);
    write_bytes(dir->file, bytes, 16);
    refused(dir->file, "cut short");
    memset(nested, '[', sizeof nested);
    memcpy(nested, "\x88\x13\0\0\0\0\0\0", 8);
    write_bytes(dir->file, nested, sizeof nested);
    refused(dir->file, "not JSON");
}

/* A header over 100 MB that the file really has: sparse, so nothing is written. */
static void huge_header(void **state)
{
    struct folder *dir = *state;
    unsigned char bytes[8] = {0x00, 0xe1, 0xf5, 0x06}; /* 116,777,216 */

    write_bytes(dir->file, bytes, 8);
    assert_int_equal(truncate(dir->file, 120 * 1000 * 1000), 0);
    refused(dir->file, "its header should have");
}

static void mutations(void **state)
{
    static const char header[] = "{\"__metadata__\":{\"a\":\"b\"},\"q\":" ENTRY(
        "[2,2,4]", "[0,32]") ",\"k\":" ENTRY("[16]", "[32,64]") "}";
    enum { N = 8 + sizeof header - 1 + 64, TRIALS = 600 };
    struct folder *dir = *state;
    unsigned char good[N], bytes[N];
    FILE *file;
    int refusals = 0;

    write_file(dir->file, header, 64);
    file = fopen(dir->file, "rb");
    assert_non_null(file);
    assert_int_equal(fread(good, 1, N, file), N);
    fclose(file);
    for (int i = 0; i < TRIALS; i++) {
        struct scr_safetensors *f;
        char why[160] = "";
        uint32_t counter[4] = {(uint32_t)i, 0, 0, 0}, words[4];
        size_t n = N;

        memcpy(bytes, good, N);
        scr_philox(42, counter, words);
        for (uint32_t m = 0; m <= words[0] % 3; m++) {
            scr_philox(42 + m, counter, words);
            bytes[words[1] % (N - 64)] = (unsigned char)words[2];
        }
        if (words[3] % 8 == 0)
            n = words[3] / 8 % N;
        write_bytes(dir->file, bytes, n);
        if (scr_safetensors_open(dir->file, &f, why, sizeof why) == SCR_OK) {
            const struct scr_tensor *t = scr_safetensors_find(f, "k");
            unsigned sum = 0;

            /* What was accepted can be read to its end. */
            for (size_t j = 0; t != NULL && j < t->bytes; j++)
                sum += ((const unsigned char *)t->data)[j];
            assert_true(t == NULL || sum > 0);
            scr_safetensors_close(&f);
        } else {
            assert_null(f);
            assert_true(why[0] != '\0');
            assert_null(strchr(why, '\n'));
            refusals++;
        }
    }
    assert_true(refusals > TRIALS / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(reads, setup, teardown),
        cmocka_unit_test_setup_teardown(writes, setup, teardown),
        cmocka_unit_test_setup_teardown(malformed_headers, setup, teardown),
        cmocka_unit_test(messages_name_the_file),
        cmocka_unit_test_setup_teardown(malformed_files, setup, teardown),
        cmocka_unit_test_setup_teardown(huge_header, setup, teardown),
        cmocka_unit_test_setup_teardown(mutations, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
