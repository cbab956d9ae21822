/* SPDX-License-Identifier: Apache-2.0 */
/*
 * --export t4: candidates in the results format T4, version 1.0.0, that tools of the autotuning
 * community read: https://github.com/odgaard/TuningSchema, branch T4, results-schema.json.
 */
#include "tools.h"

#include "json_text.h"
#include "sweep.h" /* exit statuses */

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Our statuses in T4's words, which are fewer. */
static const char *invalidity_of(const char *status)
{
    static const char *const words[][2] = {
        {"ok", "correct"},          {"wrong", "correctness"},  {"timeout", "timeout"},
        {"compile", "compile"},     {"pruned", "constraints"}, {"unsupported", "constraints"},
        {"skipped", "constraints"},
    };

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(status, words[i][0]) == 0)
            return words[i][1];
    }
    return "runtime";
}

/*
 * T4 has no place for the problem: what a configuration is compared with is part of it, as in its
 * other users' files.
 */
static json_t *configuration_of(const struct scr_record *r)
{
    const struct scr_shape_key *s = &r->shape;
    json_t *j = json_object();

    json_object_set_new(j, "device", scr_json_text(r->device.name));
    json_object_set_new(j, "kernel", scr_json_text(r->config.kernel));
    json_object_set_new(j, "variant", scr_json_text(r->config.variant));
    json_object_set_new(j, "skip", json_string(scr_skip_name(r->config.skip)));
    for (int i = 0; i < r->config.n_params; i++)
        json_object_set_new(j, r->config.params[i].name, json_integer(r->config.params[i].value));
    json_object_set_new(j, "dtype", json_string(scr_dtype_name(s->dtype)));
    json_object_set_new(j, "dk", json_integer(s->dk));
    json_object_set_new(j, "dv", json_integer(s->dv));
    json_object_set_new(j, "causal", json_integer(s->causal));
    json_object_set_new(j, "batch", json_integer(s->batch));
    json_object_set_new(j, "heads", json_integer(s->heads));
    json_object_set_new(j, "kv_heads", json_integer(s->kv_heads));
    json_object_set_new(j, "len_q", json_integer(s->len_q));
    json_object_set_new(j, "len_k", json_integer(s->len_k));
    if (isinf(s->window))
        json_object_set_new(j, "window", json_string("inf"));
    else if (s->window > 0)
        json_object_set_new(j, "window", json_real(s->window));
    if (s->density > 0)
        json_object_set_new(j, "density", json_real(s->density));
    return j;
}

static void measure(json_t *list, const char *name, double value, const char *unit)
{
    if (isfinite(value))
        json_array_append_new(
            list, json_pack("{s:s, s:f, s:s}", "name", name, "value", value, "unit", unit));
}

static json_t *result_of(const struct scr_record *r)
{
    json_t *j = json_object(), *list = json_array(), *runtimes = json_array();
    bool ok = strcmp(r->status, "ok") == 0;
    char when[40];

    snprintf(when, sizeof when, "%.10s %.8s+00:00", r->when,
             strlen(r->when) > 11 ? r->when + 11 : "");
    json_object_set_new(j, "timestamp", json_string(strlen(r->when) == 20 ? when : r->when));
    json_object_set_new(j, "configuration", configuration_of(r));
    /* The median is what there is of the runs, in ms as T4's other users have it. */
    if (isfinite(r->ns))
        json_array_append_new(runtimes, json_real(r->ns / 1e6));
    json_object_set_new(j, "times", json_pack("{s:o}", "runtimes", runtimes));
    json_object_set_new(j, "invalidity", json_string(invalidity_of(r->status)));
    json_object_set_new(j, "correctness", json_integer(ok));
    measure(list, "time", r->ns / 1e6, "ms");
    measure(list, "time_lo", r->lo / 1e6, "ms");
    measure(list, "time_hi", r->hi / 1e6, "ms");
    measure(list, "samples", r->n, "");
    measure(list, "registers", r->registers, "");
    measure(list, "spill", r->spill_bytes, "bytes");
    measure(list, "local_memory", r->local_bytes, "bytes");
    json_object_set_new(j, "measurements", list);
    json_object_set_new(j, "objectives", json_pack("[s]", "time"));
    return j;
}

json_t *scr_t4_from_records(const struct scr_records *records)
{
    json_t *results = json_array();

    for (size_t i = 0; results != NULL && i < records->n; i++) {
        if (records->items[i].kind == SCR_RECORD_CANDIDATE)
            json_array_append_new(results, result_of(&records->items[i]));
    }
    return json_pack("{s:o, s:s}", "results", results, "schema_version", "1.0.0");
}

int scr_export_run(const struct scr_tuner_options *o)
{
    struct scr_records records = {0};
    char why[600] = "out of memory", *text = NULL;
    json_t *j = NULL;
    int result = scr_records_read_files(o, &records);

    if (result != SCR_EXIT_FINE)
        goto out;
    result = SCR_EXIT_SOME_FAILED;
    if (scr_records_unite(&records) == SCR_OK && (j = scr_t4_from_records(&records)) != NULL)
        text = json_dumps(j, JSON_INDENT(1) | SCR_RECORD_DUMP);
    if (text == NULL || scr_write_whole(o->out, text, strlen(text), why, sizeof why) != SCR_OK) {
        fprintf(stderr, "tuner: --export: %s\n", why);
        goto out;
    }
    if (o->out == NULL || strcmp(o->out, "-") == 0)
        putchar('\n');
    result = SCR_EXIT_FINE;
    if (json_array_size(json_object_get(j, "results")) == 0) {
        fprintf(stderr, "tuner: --export: no candidate in the records\n");
        result = SCR_EXIT_SOME_FAILED;
    }
out:
    free(text);
    json_decref(j);
    scr_records_clear(&records);
    return result;
}
