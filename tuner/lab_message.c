/* SPDX-License-Identifier: Apache-2.0 */
#include "lab_message.h"

#include "json_text.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

json_t *scr_lab_number(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

double scr_lab_number_from(const json_t *json)
{
    return json_is_number(json) ? json_number_value(json) : NAN;
}

/* Copies a string; false where it is none or does not fit. */
static bool take_text(const json_t *object, const char *name, char *out, size_t size)
{
    const char *text = json_string_value(json_object_get(object, name));

    return text != NULL && snprintf(out, size, "%s", text) < (int)size;
}

json_t *scr_lab_config_json(const scr_config *c)
{
    json_t *params = json_object();

    for (int i = 0; i < c->n_params; i++)
        json_object_set_new(params, c->params[i].name, json_integer(c->params[i].value));
    return json_pack("{s:s, s:s, s:i, s:o}", "kernel", c->kernel, "variant", c->variant, "skip",
                     (int)c->skip, "params", params);
}

bool scr_lab_config_from_json(const json_t *json, scr_config *out)
{
    const json_t *skip = json_object_get(json, "skip");
    json_t *params = json_object_get(json, "params");
    const char *name;
    json_t *value;

    *out = (scr_config){.skip = (scr_skip)json_integer_value(skip)};
    if (!take_text(json, "kernel", out->kernel, sizeof out->kernel) ||
        !take_text(json, "variant", out->variant, sizeof out->variant) || !json_is_integer(skip) ||
        out->skip < SCR_SKIP_NONE || out->skip > SCR_SKIP_SLICE || !json_is_object(params))
        return false;
    json_object_foreach(params, name, value)
    {
        if (!json_is_integer(value) ||
            scr_config_set(out, name, (int32_t)json_integer_value(value)) != SCR_OK)
            return false;
    }
    return true;
}

json_t *scr_lab_trial_json(const struct scr_trial *t)
{
    const scr_resources *r = &t->resources;

    return json_pack("{s:s, s:o, s:[o,o,o,o], s:s, s:s, s:s, s:[i,i,i,i,I], s:o}", "status",
                     t->status, "reason", scr_json_text(t->reason), "times", scr_lab_number(t->ns),
                     scr_lab_number(t->lo), scr_lab_number(t->hi), scr_lab_number(t->n), "timer",
                     t->timer, "cache", t->cache, "stop", t->stop, "resources", (int)r->registers,
                     (int)r->spill_bytes, (int)r->group_size, (int)r->max_group,
                     (json_int_t)r->local_bytes, "density", scr_lab_number(t->pair_density));
}

bool scr_lab_trial_from_json(const json_t *json, struct scr_trial *out)
{
    const json_t *times = json_object_get(json, "times");
    const json_t *resources = json_object_get(json, "resources");

    scr_lab_trial_init(out);
    if (!take_text(json, "status", out->status, sizeof out->status) ||
        !take_text(json, "reason", out->reason, sizeof out->reason) ||
        !take_text(json, "timer", out->timer, sizeof out->timer) ||
        !take_text(json, "cache", out->cache, sizeof out->cache) ||
        !take_text(json, "stop", out->stop, sizeof out->stop) || json_array_size(times) != 4 ||
        json_array_size(resources) != 5)
        return false;
    out->ns = scr_lab_number_from(json_array_get(times, 0));
    out->lo = scr_lab_number_from(json_array_get(times, 1));
    out->hi = scr_lab_number_from(json_array_get(times, 2));
    out->n = scr_lab_number_from(json_array_get(times, 3));
    out->resources = (scr_resources){
        .registers = (int32_t)json_integer_value(json_array_get(resources, 0)),
        .spill_bytes = (int32_t)json_integer_value(json_array_get(resources, 1)),
        .group_size = (int32_t)json_integer_value(json_array_get(resources, 2)),
        .max_group = (int32_t)json_integer_value(json_array_get(resources, 3)),
        .local_bytes = (size_t)json_integer_value(json_array_get(resources, 4)),
    };
    out->pair_density = scr_lab_number_from(json_object_get(json, "density"));
    return true;
}

json_t *scr_lab_ratio_json(const struct scr_ratio *r)
{
    return json_pack("[o,o,o]", scr_lab_number(r->value), scr_lab_number(r->lo),
                     scr_lab_number(r->hi));
}

bool scr_lab_ratio_from_json(const json_t *json, struct scr_ratio *out)
{
    out->value = scr_lab_number_from(json_array_get(json, 0));
    out->lo = scr_lab_number_from(json_array_get(json, 1));
    out->hi = scr_lab_number_from(json_array_get(json, 2));
    return json_array_size(json) == 3;
}

void scr_lab_trial_init(struct scr_trial *t)
{
    *t = (struct scr_trial){.ns = NAN, .lo = NAN, .hi = NAN, .n = NAN, .pair_density = NAN};
}

void scr_lab_trial_status(struct scr_trial *t, const char *status, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(t->reason, sizeof t->reason, format, args);
    va_end(args);
    snprintf(t->status, sizeof t->status, "%s", status);
}
