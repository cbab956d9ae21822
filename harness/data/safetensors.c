/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A safetensors file is the length of its header as 8 bytes little-endian, the header as JSON, and
 * the tensors' bytes without gaps: {"name": {"dtype": "F16", "shape": [..], "data_offsets": [begin,
 * end]}, ..., "__metadata__": {"key": "text"}}. Offsets count from the end of the header.
 */
#include "safetensors.h"

#include <fcntl.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_HEADER = 100 * 1000 * 1000, PREFIX = 8 };

struct scr_safetensors {
    void *map;
    size_t map_bytes;
    struct scr_tensor *tensors; /* those of a type that is read */
    size_t n_tensors;
    struct left_out {
        char name[sizeof((struct scr_tensor *)0)->name];
        const char *type;
    } * left_out;
    size_t n_left_out;
};

/* Where a message goes. */
struct report {
    const char *path;
    char *why;
    size_t why_size;
};

static struct report report_for(const char *path, char *why, size_t why_size)
{
    return (struct report){path, why, why_size};
}

void scr_path_message(const char *path, const char *text, char *why, size_t why_size)
{
    static const char cut[] = "...";
    size_t len = strlen(path);
    size_t rest = strlen(text) + strlen(": ") + 1;

    if (len + rest <= why_size) {
        snprintf(why, why_size, "%s: %s", path, text);
        return;
    }
    rest += strlen(cut);
    if (rest >= why_size)
        snprintf(why, why_size, "%s", text);
    else
        snprintf(why, why_size, "%s%s: %s", cut, path + len - (why_size - rest), text);
}

#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
static int
refuse(const struct report *r, const char *format, ...)
{
    char text[256];
    va_list ap;

    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    /* Names come from the file: what would break the line or the terminal is replaced. */
    for (char *c = text; *c != '\0'; c++) {
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = '?';
    }
    scr_path_message(r->path, text, r->why, r->why_size);
    return SCR_ERR_INVALID;
}

struct type {
    const char *name;
    size_t bytes;
    int dtype; /* scr_dtype, or -1: known but not read */
};

static const struct type *find_type(const char *name)
{
    static const struct type types[] = {
        {"F32", 4, SCR_F32}, {"F16", 2, SCR_F16}, {"BF16", 2, SCR_BF16}, {"BOOL", 1, -1},
        {"U8", 1, -1},       {"I8", 1, -1},       {"F8_E5M2", 1, -1},    {"F8_E4M3", 1, -1},
        {"F8_E8M0", 1, -1},  {"I16", 2, -1},      {"U16", 2, -1},        {"I32", 4, -1},
        {"U32", 4, -1},      {"F64", 8, -1},      {"I64", 8, -1},        {"U64", 8, -1},
        {"C64", 8, -1},
    };

    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (strcmp(types[i].name, name) == 0)
            return &types[i];
    }
    return NULL;
}

/* One entry of the header with its place in the file. */
struct entry {
    const char *name; /* in the JSON document */
    const char *type;
    size_t begin, end;
    int dtype;
    int n_dims;
    int64_t dims[SCR_TENSOR_MAX_DIMS];
};

static int by_offset(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;

    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return (x->end > y->end) - (x->end < y->end);
}

static int read_shape(const struct report *r, const json_t *shape, size_t element, size_t *bytes,
                      struct entry *e)
{
    if (!json_is_array(shape))
        return refuse(r, "tensor '%.40s': shape is not a list", e->name);
    if (json_array_size(shape) > SCR_TENSOR_MAX_DIMS)
        return refuse(r, "tensor '%.40s': more than %d dimensions", e->name, SCR_TENSOR_MAX_DIMS);
    e->n_dims = (int)json_array_size(shape);
    *bytes = element;
    for (int i = 0; i < e->n_dims; i++) {
        const json_t *dim = json_array_get(shape, (size_t)i);

        if (!json_is_integer(dim) || json_integer_value(dim) < 0)
            return refuse(r, "tensor '%.40s': a dimension is not a whole number >= 0", e->name);
        e->dims[i] = json_integer_value(dim);
        if (__builtin_mul_overflow(*bytes, (size_t)e->dims[i], bytes))
            return refuse(r, "tensor '%.40s': the shape is too large", e->name);
    }
    return SCR_OK;
}

static int read_offsets(const struct report *r, const json_t *offsets, struct entry *e)
{
    const json_t *begin = json_array_get(offsets, 0);
    const json_t *end = json_array_get(offsets, 1);

    if (!json_is_array(offsets) || json_array_size(offsets) != 2 || !json_is_integer(begin) ||
        !json_is_integer(end))
        return refuse(r, "tensor '%.40s': data_offsets is not [begin, end]", e->name);
    if (json_integer_value(begin) < 0 || json_integer_value(end) < json_integer_value(begin))
        return refuse(r, "tensor '%.40s': data_offsets are negative or end before they begin",
                      e->name);
    e->begin = (size_t)json_integer_value(begin);
    e->end = (size_t)json_integer_value(end);
    return SCR_OK;
}

static int read_entry(const struct report *r, const json_t *json, size_t data_bytes,
                      struct entry *e)
{
    const char *type_name;
    const struct type *type;
    size_t bytes = 0;
    int status;

    if (!json_is_object(json))
        return refuse(r, "tensor '%.40s': its entry is not an object", e->name);
    type_name = json_string_value(json_object_get(json, "dtype"));
    if (type_name == NULL)
        return refuse(r, "tensor '%.40s': no dtype", e->name);
    type = find_type(type_name);
    if (type == NULL)
        return refuse(r, "tensor '%.40s': unknown dtype '%.20s'", e->name, type_name);
    e->type = type->name;
    e->dtype = type->dtype;
    status = read_shape(r, json_object_get(json, "shape"), type->bytes, &bytes, e);
    if (status == SCR_OK)
        status = read_offsets(r, json_object_get(json, "data_offsets"), e);
    if (status != SCR_OK)
        return status;
    if (e->end > data_bytes)
        return refuse(r, "tensor '%.40s' ends at byte %zu of %zu", e->name, e->end, data_bytes);
    if (e->end - e->begin != bytes)
        return refuse(r, "tensor '%.40s' has %zu bytes, its shape says %zu", e->name,
                      e->end - e->begin, bytes);
    return SCR_OK;
}

static int check_metadata(const struct report *r, const json_t *json)
{
    const char *key;
    json_t *value;

    if (!json_is_object(json))
        return refuse(r, "__metadata__ is not an object");
    json_object_foreach((json_t *)json, key, value)
    {
        if (!json_is_string(value))
            return refuse(r, "__metadata__ holds something else than text");
    }
    return SCR_OK;
}

/* The tensors lie one after the other and fill the data. */
static int check_layout(const struct report *r, struct entry *entries, size_t n, size_t data_bytes)
{
    size_t end = 0;

    qsort(entries, n, sizeof *entries, by_offset);
    for (size_t i = 0; i < n; i++) {
        if (entries[i].begin < end)
            return refuse(r, "tensor '%.40s' overlaps another", entries[i].name);
        if (entries[i].begin > end)
            return refuse(r, "%zu bytes before tensor '%.40s' belong to no tensor",
                          entries[i].begin - end, entries[i].name);
        end = entries[i].end;
    }
    return end == data_bytes
               ? SCR_OK
               : refuse(r, "%zu bytes at the end belong to no tensor", data_bytes - end);
}

static void keep_tensors(struct scr_safetensors *f, const struct entry *entries, size_t n,
                         const char *data)
{
    for (size_t i = 0; i < n; i++) {
        struct scr_tensor *t = &f->tensors[f->n_tensors];

        if (strlen(entries[i].name) >= sizeof t->name)
            continue;
        if (entries[i].dtype < 0) {
            strcpy(f->left_out[f->n_left_out].name, entries[i].name);
            f->left_out[f->n_left_out++].type = entries[i].type;
            continue;
        }
        strcpy(t->name, entries[i].name);
        t->dtype = (scr_dtype)entries[i].dtype;
        t->n_dims = entries[i].n_dims;
        memcpy(t->dims, entries[i].dims, sizeof t->dims);
        t->bytes = entries[i].end - entries[i].begin;
        t->data = data + entries[i].begin;
        f->n_tensors++;
    }
}

static int read_header(struct scr_safetensors *f, const struct report *r, json_t *header,
                       const char *data, size_t data_bytes)
{
    size_t n = 0;
    size_t count = json_object_size(header);
    struct entry *entries = calloc(count + 1, sizeof *entries);
    const char *key;
    json_t *value;
    int status = SCR_OK;

    f->tensors = calloc(count + 1, sizeof *f->tensors);
    f->left_out = calloc(count + 1, sizeof *f->left_out);
    if (entries == NULL || f->tensors == NULL || f->left_out == NULL) {
        free(entries);
        return SCR_ERR_NO_MEMORY;
    }
    json_object_foreach(header, key, value)
    {
        if (strcmp(key, "__metadata__") == 0) {
            status = check_metadata(r, value);
        } else {
            entries[n].name = key;
            status = read_entry(r, value, data_bytes, &entries[n++]);
        }
        if (status != SCR_OK)
            break;
    }
    if (status == SCR_OK)
        status = check_layout(r, entries, n, data_bytes);
    if (status == SCR_OK)
        keep_tensors(f, entries, n, data);
    free(entries);
    return status;
}

static int map_file(struct scr_safetensors *f, const struct report *r, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;
    int status = SCR_OK;

    if (fd < 0)
        return refuse(r, "cannot be opened: %m");
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        status = refuse(r, "not a regular file");
    } else if (st.st_size < PREFIX) {
        status = refuse(r, "%lld bytes are too few for a safetensors file", (long long)st.st_size);
    } else {
        f->map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        f->map_bytes = (size_t)st.st_size;
        if (f->map == MAP_FAILED) {
            f->map = NULL;
            status = refuse(r, "cannot be mapped: %m");
        }
    }
    close(fd);
    return status;
}

int scr_safetensors_open(const char *path, struct scr_safetensors **out, char *why, size_t why_size)
{
    struct report r = report_for(path, why, why_size);
    struct scr_safetensors *f = calloc(1, sizeof *f);
    json_t *header = NULL;
    json_error_t error;
    uint64_t header_bytes = 0;
    const unsigned char *bytes;
    int status;

    *out = NULL;
    if (f == NULL) {
        refuse(&r, "out of memory");
        return SCR_ERR_NO_MEMORY;
    }
    status = map_file(f, &r, path);
    if (status != SCR_OK)
        goto done;
    bytes = f->map;
    for (int i = PREFIX - 1; i >= 0; i--)
        header_bytes = header_bytes << 8 | bytes[i];
    if (header_bytes > MAX_HEADER || header_bytes > f->map_bytes - PREFIX) {
        status = refuse(&r,
                        "not a safetensors file, or cut short: its header should have %llu "
                        "bytes",
                        (unsigned long long)header_bytes);
        goto done;
    }
    header = json_loadb((const char *)bytes + PREFIX, (size_t)header_bytes, JSON_REJECT_DUPLICATES,
                        &error);
    if (header == NULL) {
        status = refuse(&r, "its header is not JSON: %s", error.text);
        goto done;
    }
    if (!json_is_object(header)) {
        status = refuse(&r, "its header is not a JSON object");
        goto done;
    }
    status = read_header(f, &r, header, (const char *)bytes + PREFIX + header_bytes,
                         f->map_bytes - PREFIX - (size_t)header_bytes);
    if (status == SCR_ERR_NO_MEMORY)
        refuse(&r, "out of memory");
done:
    json_decref(header);
    if (status != SCR_OK) {
        scr_safetensors_close(&f);
        return status;
    }
    *out = f;
    return SCR_OK;
}

void scr_safetensors_close(struct scr_safetensors **pf)
{
    struct scr_safetensors *f = *pf;

    if (f == NULL)
        return;
    if (f->map != NULL)
        munmap(f->map, f->map_bytes);
    free(f->tensors);
    free(f->left_out);
    free(f);
    *pf = NULL;
}

const struct scr_tensor *scr_safetensors_find(const struct scr_safetensors *f, const char *name)
{
    for (size_t i = 0; i < f->n_tensors; i++) {
        if (strcmp(f->tensors[i].name, name) == 0)
            return &f->tensors[i];
    }
    return NULL;
}

const char *scr_safetensors_left_out(const struct scr_safetensors *f, const char *name)
{
    for (size_t i = 0; i < f->n_left_out; i++) {
        if (strcmp(f->left_out[i].name, name) == 0)
            return f->left_out[i].type;
    }
    return NULL;
}

/* The header of tensors that lie in the order given, padded so that the data starts at a multiple
 * of 8; NULL when memory runs out. */
static char *make_header(const struct scr_tensor *tensors, int n, size_t *bytes)
{
    static const char *const types[] = {"F32", "F16", "BF16"};
    json_t *header = json_object();
    size_t offset = 0;
    char *text = NULL;
    char *padded = NULL;

    for (int i = 0; i < n; i++) {
        const struct scr_tensor *t = &tensors[i];
        json_t *shape = json_array();

        for (int j = 0; j < t->n_dims; j++)
            json_array_append_new(shape, json_integer(t->dims[j]));
        if (json_object_set_new(header, t->name,
                                json_pack("{s:s, s:o, s:[I, I]}", "dtype", types[t->dtype], "shape",
                                          shape, "data_offsets", (json_int_t)offset,
                                          (json_int_t)(offset + t->bytes))) != 0)
            goto done;
        offset += t->bytes;
    }
    text = json_dumps(header, JSON_COMPACT);
    if (text != NULL) {
        *bytes = (strlen(text) + 7) / 8 * 8;
        padded = malloc(*bytes + 1);
    }
    if (padded != NULL)
        snprintf(padded, *bytes + 1, "%-*s", (int)*bytes, text);
done:
    free(text);
    json_decref(header);
    return padded;
}

static bool write_all(FILE *f, const char *header, size_t header_bytes,
                      const struct scr_tensor *tensors, int n)
{
    bool ok = true;

    for (int i = 0; i < PREFIX; i++)
        ok &= putc((int)(header_bytes >> (8 * i) & 0xff), f) != EOF;
    ok = ok && fwrite(header, 1, header_bytes, f) == header_bytes;
    for (int i = 0; i < n && ok; i++)
        ok = tensors[i].bytes == 0 ||
             fwrite(tensors[i].data, 1, tensors[i].bytes, f) == tensors[i].bytes;
    return ok;
}

int scr_safetensors_write(const char *path, const struct scr_tensor *tensors, int n, char *why,
                          size_t why_size)
{
    struct report r = report_for(path, why, why_size);
    size_t header_bytes = 0;
    char *header = make_header(tensors, n, &header_bytes);
    size_t temporary_size = strlen(path) + 32;
    char *temporary = malloc(temporary_size);
    FILE *f = NULL;
    bool ok;
    int status = SCR_OK;

    if (header == NULL || temporary == NULL) {
        refuse(&r, "out of memory");
        status = SCR_ERR_NO_MEMORY;
        goto done;
    }
    snprintf(temporary, temporary_size, "%s.%ld.part", path, (long)getpid());
    f = fopen(temporary, "wb");
    if (f == NULL) {
        status = refuse(&r, "cannot be written: %m");
        goto done;
    }
    ok = write_all(f, header, header_bytes, tensors, n);
    ok = fclose(f) == 0 && ok;
    if (!ok || rename(temporary, path) != 0) {
        status = refuse(&r, "cannot be written: %m");
        unlink(temporary);
    }
done:
    free(header);
    free(temporary);
    return status;
}
