/* SPDX-License-Identifier: Apache-2.0 */
/* A record from JSON. Files come from anywhere: what does not fit is refused. */
#include "record_members.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct source {
    const char *part; /* "shape." or "" */
    char *why;
    size_t why_size;
};

static int refuse(const struct source *s, const char *name, const char *expected)
{
    snprintf(s->why, s->why_size, "%s%s: expected %s", s->part, name, expected);
    return SCR_ERR_INVALID;
}

static bool parse_hash(const char *text, uint64_t *out)
{
    char *end;

    if (text == NULL || strlen(text) != 16 || strspn(text, "0123456789abcdef") != 16)
        return false;
    *out = strtoull(text, &end, 16);
    return *end == '\0';
}

static bool parse_dtype(const char *text, scr_dtype *out)
{
    for (int t = SCR_F32; text != NULL && t <= SCR_BF16; t++) {
        if (strcmp(text, scr_dtype_name((scr_dtype)t)) != 0)
            continue;
        *out = (scr_dtype)t;
        return true;
    }
    return false;
}

static int read_text(const struct source *s, const struct scr_member *m, const json_t *j, char *out)
{
    char expected[60];

    if (json_is_string(j) && json_string_length(j) < m->size) {
        memcpy(out, json_string_value(j), json_string_length(j) + 1);
        scr_blank_controls(out);
        return SCR_OK;
    }
    snprintf(expected, sizeof expected, "text of less than %zu bytes", m->size);
    return refuse(s, m->name, expected);
}

static int read_member(const struct source *s, const struct scr_member *m, const json_t *j,
                       void *base)
{
    void *at = (char *)base + m->offset;
    json_int_t whole = json_integer_value(j);
    double x = json_number_value(j);
    char plain[SCR_RECORD_TEXT];

    switch (m->kind) {
    case TEXT:
        return read_text(s, m, j, at);
    case WORDS:
        if (read_text(s, m, j, at) != SCR_OK)
            return SCR_ERR_INVALID;
        scr_words_without_folders(at, plain, sizeof plain);
        snprintf(at, m->size, "%s", plain);
        return SCR_OK;
    case REAL:
        if (!json_is_number(j) || (x < 0 && !m->any))
            return refuse(s, m->name, m->any ? "a number or null" : "a number >= 0 or null");
        *(double *)at = scr_nine_digits(x);
        return SCR_OK;
    case WHOLE:
        if (!json_is_integer(j) || whole < 0 || whole > INT32_MAX)
            return refuse(s, m->name, "a whole number from 0 to 2147483647");
        *(int32_t *)at = (int32_t)whole;
        return SCR_OK;
    case SIZE:
        if (!json_is_integer(j) || whole < 0)
            return refuse(s, m->name, "a whole number >= 0");
        *(size_t *)at = (size_t)whole;
        return SCR_OK;
    case FLAG:
        if (!json_is_boolean(j))
            return refuse(s, m->name, "true or false");
        *(bool *)at = json_is_true(j);
        return SCR_OK;
    case HASH:
        return parse_hash(json_string_value(j), at) ? SCR_OK : refuse(s, m->name, "16 hex digits");
    case SEED:
        if (!json_is_integer(j) || whole < 0)
            return refuse(s, m->name, "a whole number >= 0");
        *(uint64_t *)at = (uint64_t)whole;
        return SCR_OK;
    case DTYPE:
        return parse_dtype(json_string_value(j), at) ? SCR_OK
                                                     : refuse(s, m->name, "f32, f16 or bf16");
    case WINDOW:
        if (json_is_string(j) && strcmp(json_string_value(j), "inf") == 0)
            x = INFINITY;
        else if (!json_is_number(j) || !(x > 0))
            return refuse(s, m->name, "a number > 0, \"inf\" or null");
        *(double *)at = scr_nine_digits(x);
        return SCR_OK;
    }
    return SCR_ERR_INVALID;
}

/* Missing and null members stay what they are. */
static int read_members(const struct source *s, const struct scr_members *m, const json_t *object,
                        void *base)
{
    const struct scr_member *list = m->list;

    for (size_t i = 0; i < m->n; i++) {
        const json_t *j = json_object_get(object, list[i].name);

        if (j != NULL && !json_is_null(j) && read_member(s, &list[i], j, base) != SCR_OK)
            return SCR_ERR_INVALID;
    }
    return SCR_OK;
}

static bool read_name(const json_t *j, char *out, size_t size)
{
    if (j != NULL && (!json_is_string(j) || json_string_length(j) >= size))
        return false;
    if (j != NULL)
        memcpy(out, json_string_value(j), json_string_length(j) + 1);
    scr_blank_controls(out);
    return true;
}

static int read_config(const struct source *s, const json_t *object, scr_config *out)
{
    json_t *params = json_object_get(object, "params"), *value;
    const char *skip = json_string_value(json_object_get(object, "skip")), *name;
    bool known = skip == NULL && json_object_get(object, "skip") == NULL;

    if (!read_name(json_object_get(object, "kernel"), out->kernel, sizeof out->kernel) ||
        out->kernel[0] == '\0')
        return refuse(s, "kernel", "a name of less than 20 bytes");
    if (!read_name(json_object_get(object, "variant"), out->variant, sizeof out->variant))
        return refuse(s, "variant", "a name of less than 20 bytes");
    for (int i = SCR_SKIP_NONE; skip != NULL && i <= SCR_SKIP_SLICE; i++) {
        if (strcmp(skip, scr_skip_name((scr_skip)i)) != 0)
            continue;
        out->skip = (scr_skip)i;
        known = true;
    }
    if (!known)
        return refuse(s, "skip", "none, tile or slice");
    if (params != NULL && !json_is_object(params))
        return refuse(s, "params", "an object of whole numbers");
    json_object_foreach(params, name, value)
    {
        json_int_t x = json_integer_value(value);

        if (!json_is_integer(value) || x < INT32_MIN || x > INT32_MAX || *name == '\0' ||
            strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") !=
                strlen(name) ||
            scr_config_set(out, name, (int32_t)x) != SCR_OK)
            return refuse(s, "params", "at most 12 names, of less than 20 bytes, of whole numbers");
    }
    qsort(out->params, (size_t)out->n_params, sizeof out->params[0], scr_param_by_name);
    return SCR_OK;
}

static int read_verified(const struct source *s, const json_t *list, struct scr_record *out)
{
    const json_t *name;
    size_t i;

    if (list == NULL || json_is_null(list))
        return SCR_OK;
    if (!json_is_array(list) || json_array_size(list) > SCR_RECORD_SHAPES)
        return refuse(s, "verified", "a list of at most 16 names");
    json_array_foreach(list, i, name)
    {
        if (!json_is_string(name) ||
            !read_name(name, out->verified[out->n_verified], sizeof out->verified[0]))
            return refuse(s, "verified", "names of less than 80 bytes");
        out->n_verified++;
    }
    return SCR_OK;
}

static void set_unknown(struct scr_record *r)
{
    *r = (struct scr_record){.kind = SCR_RECORD_CANDIDATE};
    for (size_t i = 0; i < scr_result_members.n; i++) {
        if (scr_result_members.list[i].kind == REAL)
            *(double *)(void *)((char *)r + scr_result_members.list[i].offset) = NAN;
    }
}

static int read_head(const struct source *s, const json_t *json, struct scr_record *out)
{
    const json_t *version = json_object_get(json, "record");
    const char *kind = json_string_value(json_object_get(json, "kind"));
    bool known = false;

    if (!json_is_integer(version) || json_integer_value(version) < 1)
        return refuse(s, "record", "a version, 1");
    if (json_integer_value(version) > SCR_RECORD_VERSION) {
        snprintf(s->why, s->why_size, "record: version %lld; this program reads up to %d",
                 (long long)json_integer_value(version), SCR_RECORD_VERSION);
        return SCR_ERR_INVALID;
    }
    for (size_t i = 0; kind != NULL && i < 3; i++) {
        if (strcmp(kind, scr_record_kind_names[i]) != 0)
            continue;
        out->kind = (enum scr_record_kind)i;
        known = true;
    }
    return known ? SCR_OK : refuse(s, "kind", "candidate, verified or winner");
}

int scr_record_from_json(const json_t *json, struct scr_record *out, char *why, size_t why_size)
{
    struct source top = {"", why, why_size};
    struct source device = {"device.", why, why_size}, shape = {"shape.", why, why_size};
    struct source config = {"config.", why, why_size}, baseline = {"baseline.", why, why_size};
    const json_t *base = json_object_get(json, "baseline");

    set_unknown(out);
    if (!json_is_object(json)) {
        snprintf(why, why_size, "no JSON object");
        return SCR_ERR_INVALID;
    }
    if (read_head(&top, json, out) != SCR_OK ||
        read_members(&device, &scr_device_members, json_object_get(json, "device"), &out->device) !=
            SCR_OK ||
        read_members(&shape, &scr_shape_members, json_object_get(json, "shape"), &out->shape) !=
            SCR_OK ||
        read_members(&top, &scr_result_members, json, out) != SCR_OK ||
        read_members(&top, &scr_origin_members, json, out) != SCR_OK ||
        read_config(&config, json_object_get(json, "config"), &out->config) != SCR_OK ||
        read_verified(&top, json_object_get(json, "verified"), out) != SCR_OK)
        return SCR_ERR_INVALID;
    if (out->device.backend[0] == '\0')
        return refuse(&device, "backend", "a name");
    if (base != NULL && !json_is_null(base) && out->kind == SCR_RECORD_WINNER)
        return read_config(&baseline, base, &out->baseline);
    return SCR_OK;
}
