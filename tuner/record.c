/* SPDX-License-Identifier: Apache-2.0 */
/* A record as JSON, and what makes it the same as another. */
#include "config.h"
#include "hash.h"
#include "json_text.h"
#include "record_members.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static json_t *json_number(double x)
{
    x = scr_nine_digits(x);
    if (!isfinite(x))
        return json_null();
    return x == floor(x) && fabs(x) < 1e15 ? json_integer((json_int_t)x) : json_real(x);
}

static json_t *json_of_text(const char *text)
{
    char plain[SCR_RECORD_TEXT];

    snprintf(plain, sizeof plain, "%s", text);
    scr_blank_controls(plain);
    return scr_json_text(plain);
}

static json_t *member_json(const struct scr_member *m, const void *base)
{
    const void *at = (const char *)base + m->offset;
    char text[SCR_RECORD_TEXT];
    double x;

    switch (m->kind) {
    case TEXT:
        return json_of_text(at);
    case WORDS:
        scr_words_without_folders(at, text, sizeof text);
        return json_of_text(text);
    case REAL:
        return json_number(*(const double *)at);
    case WHOLE:
        return json_integer(*(const int32_t *)at);
    case SIZE:
        return json_integer((json_int_t)(*(const size_t *)at & INT64_MAX));
    case FLAG:
        return json_boolean(*(const bool *)at);
    case HASH:
        snprintf(text, sizeof text, "%016" PRIx64, *(const uint64_t *)at);
        return json_string(text);
    case SEED:
        return json_integer((json_int_t)(*(const uint64_t *)at & INT64_MAX));
    case DTYPE:
        return json_string(scr_dtype_name(*(const scr_dtype *)at));
    case WINDOW:
        x = *(const double *)at;
        return isinf(x) ? json_string("inf") : x > 0 ? json_number(x) : json_null();
    }
    return json_null();
}

static void members_json(json_t *object, const struct scr_members *m, const void *base, bool winner,
                         bool from)
{
    const struct scr_member *list = m->list;

    for (size_t i = 0; i < m->n; i++) {
        const char *text = (const char *)base + list[i].offset;

        if (list[i].winner && !winner)
            continue;
        if (strcmp(list[i].name, "from") == 0 && (!from || *text == '\0'))
            continue;
        json_object_set_new(object, list[i].name, member_json(&list[i], base));
    }
}

static int32_t n_params(const scr_config *c)
{
    return c->n_params < 0                ? 0
           : c->n_params > SCR_MAX_PARAMS ? (int32_t)SCR_MAX_PARAMS
                                          : c->n_params;
}

/* Parameters in the order of their names, so that equal configurations are equal texts. */
static json_t *config_json(const scr_config *config)
{
    scr_config c = *config;
    json_t *object = json_object(), *params = json_object();

    c.n_params = n_params(config);
    qsort(c.params, (size_t)c.n_params, sizeof c.params[0], scr_param_by_name);
    for (int i = 0; i < c.n_params; i++)
        json_object_set_new(params, c.params[i].name, json_integer(c.params[i].value));
    json_object_set_new(object, "kernel", json_of_text(c.kernel));
    json_object_set_new(object, "variant", json_of_text(c.variant));
    json_object_set_new(object, "skip", json_string(scr_skip_name(c.skip)));
    json_object_set_new(object, "params", params);
    return object;
}

static json_t *record_json(const struct scr_record *r, bool from)
{
    bool winner = r->kind == SCR_RECORD_WINNER;
    json_t *j = json_object(), *device = json_object(), *shape = json_object(), *verified;

    if (j == NULL || device == NULL || shape == NULL) {
        json_decref(j);
        json_decref(device);
        json_decref(shape);
        return NULL;
    }
    json_object_set_new(j, "record", json_integer(SCR_RECORD_VERSION));
    json_object_set_new(j, "kind", json_string(scr_record_kind_names[r->kind]));
    members_json(device, &scr_device_members, &r->device, false, false);
    json_object_set_new(j, "device", device);
    members_json(shape, &scr_shape_members, &r->shape, false, false);
    if (!(r->shape.density > 0))
        json_object_set_new(shape, "density", json_null());
    json_object_set_new(j, "shape", shape);
    json_object_set_new(j, "config", config_json(&r->config));
    if (winner && r->baseline.kernel[0] != '\0')
        json_object_set_new(j, "baseline", config_json(&r->baseline));
    members_json(j, &scr_result_members, r, winner, false);
    if (r->n_verified > 0) {
        json_object_set_new(j, "verified", verified = json_array());
        for (int i = 0; i < r->n_verified && i < SCR_RECORD_SHAPES; i++)
            json_array_append_new(verified, json_of_text(r->verified[i]));
    }
    members_json(j, &scr_origin_members, r, winner, from);
    return j;
}

json_t *scr_record_json(const struct scr_record *r)
{
    return record_json(r, true);
}

uint64_t scr_record_id(const struct scr_record *r)
{
    json_t *j = record_json(r, false);
    char *text = j != NULL ? json_dumps(j, SCR_RECORD_DUMP) : NULL;
    uint64_t id = text != NULL ? scr_hash(SCR_HASH_START, text, strlen(text)) : 0;

    free(text);
    json_decref(j);
    return id;
}

static bool same_number(double a, double b)
{
    char ta[40], tb[40];

    snprintf(ta, sizeof ta, "%.9g", a);
    snprintf(tb, sizeof tb, "%.9g", b);
    return strcmp(ta, tb) == 0;
}

static bool same_shape(const struct scr_shape_key *a, const struct scr_shape_key *b)
{
    char wa[SCR_RECORD_TEXT], wb[SCR_RECORD_TEXT];

    scr_words_without_folders(a->words, wa, sizeof wa);
    scr_words_without_folders(b->words, wb, sizeof wb);
    return a->dtype == b->dtype && a->dtype_out == b->dtype_out && a->dk == b->dk &&
           a->dv == b->dv && a->causal == b->causal && a->batch == b->batch &&
           a->heads == b->heads && a->kv_heads == b->kv_heads && a->len_q == b->len_q &&
           a->len_k == b->len_k && same_number(a->window, b->window) &&
           same_number(a->density, b->density) && strcmp(wa, wb) == 0;
}

bool scr_record_same_trial(const struct scr_record *a, const struct scr_record *b)
{
    return strcmp(a->device.backend, b->device.backend) == 0 &&
           strcmp(a->device.name, b->device.name) == 0 &&
           strcmp(a->device.platform, b->device.platform) == 0 &&
           strcmp(a->device.driver, b->device.driver) == 0 &&
           a->device.compute_units == b->device.compute_units && a->source == b->source &&
           same_shape(&a->shape, &b->shape) && scr_config_same(&a->config, &b->config);
}
