/* SPDX-License-Identifier: Apache-2.0 */
/* --tune's records: made, kept, and found again. */
#include "tune_state.h"

#include "../runtime/table.h" /* not the harness's */
#include "commit.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <time.h>

static void now(char *out, size_t size)
{
    time_t t = time(NULL);
    struct tm tm;

    gmtime_r(&t, &tm);
    strftime(out, size, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

void scr_tune_record(struct scr_tune *t, enum scr_record_kind kind, const scr_config *config,
                     struct scr_record *out)
{
    *out = (struct scr_record){
        .kind = kind,
        .device = *t->info,
        .source = scr_source_hash(t->info->backend, config->kernel, config->variant),
        .space = scr_space_hash(t->info->backend, config->kernel, config->variant),
        .shape = t->key,
        .config = *config,
        .ns = NAN,
        .lo = NAN,
        .hi = NAN,
        .n = NAN,
        .registers = NAN,
        .spill_bytes = NAN,
        .local_bytes = NAN,
        .gain = NAN,
        .gain_lo = NAN,
        .gain_hi = NAN,
        .n_space = NAN,
        .n_tried = NAN,
        .regret = NAN,
        .seed = t->o->seed,
    };
    snprintf(out->host, sizeof out->host, "%s", t->host);
    snprintf(out->program, sizeof out->program, "tuner %s (%s)", scr_version_text(), SCR_COMMIT);
    now(out->when, sizeof out->when);
}

void scr_tune_record_trial(struct scr_record *r, const struct scr_trial *trial)
{
    const scr_resources *have = &trial->resources;

    memcpy(r->status, trial->status, sizeof r->status);
    memcpy(r->reason, trial->reason, sizeof r->reason);
    r->ns = trial->ns;
    r->lo = trial->lo;
    r->hi = trial->hi;
    r->n = trial->n;
    memcpy(r->timer, trial->timer, sizeof r->timer);
    memcpy(r->cache, trial->cache, sizeof r->cache);
    memcpy(r->stop, trial->stop, sizeof r->stop);
    if (have->registers > 0)
        r->registers = have->registers;
    if (have->registers > 0 || have->spill_bytes > 0)
        r->spill_bytes = have->spill_bytes;
    if (have->group_size > 0)
        r->local_bytes = (double)have->local_bytes;
}

void scr_tune_keep(struct scr_tune *t, const struct scr_record *r, size_t n)
{
    int status = SCR_OK;

    for (size_t i = 0; i < n && status == SCR_OK; i++)
        status = scr_records_add(&t->records, &r[i]);
    errno = 0;
    if (status == SCR_OK)
        status = scr_record_file_append(t->file, r, n);
    if (status == SCR_OK)
        return;
    t->end = SCR_TUNE_BROKEN;
    snprintf(t->why, sizeof t->why, "%s: %s", t->o->records,
             errno != 0 ? strerror(errno) : scr_status_text(status));
}

const struct scr_record *scr_tune_find(const struct scr_tune *t, enum scr_record_kind kind,
                                       const scr_config *config)
{
    struct scr_record want;
    bool made = false;

    for (size_t i = t->records.n; i > 0; i--) {
        const struct scr_record *r = &t->records.items[i - 1];

        if (r->kind != kind || !scr_config_same(&r->config, config))
            continue;
        if (!made)
            want = (struct scr_record){
                .device = *t->info,
                .source = scr_source_hash(t->info->backend, config->kernel, config->variant),
                .shape = t->key,
                .config = *config,
            };
        made = true;
        if (scr_record_same_trial(r, &want))
            return r;
    }
    return NULL;
}

/* The record with the shape at hand in place of its own, where that is compiled alike. */
static bool compiled_alike(const struct scr_record *r, const struct scr_shape_key *key)
{
    return r->shape.dtype == key->dtype && r->shape.dtype_out == key->dtype_out &&
           r->shape.dk == key->dk && r->shape.dv == key->dv;
}

const struct scr_record *scr_tune_find_verified(const struct scr_tune *t, const scr_config *config)
{
    for (size_t i = t->records.n; i > 0; i--) {
        const struct scr_record *r = &t->records.items[i - 1];
        struct scr_record want;

        if (r->kind != SCR_RECORD_VERIFIED || !compiled_alike(r, &t->key) ||
            !scr_config_same(&r->config, config))
            continue;
        want = (struct scr_record){
            .device = *t->info,
            .source = scr_source_hash(t->info->backend, config->kernel, config->variant),
            .shape = r->shape,
            .config = *config,
        };
        if (scr_record_same_trial(r, &want))
            return r;
    }
    return NULL;
}

const struct scr_record *scr_tune_find_winner(const struct scr_tune *t, const char *kernel,
                                              scr_skip skip)
{
    for (size_t i = t->records.n; i > 0; i--) {
        const struct scr_record *r = &t->records.items[i - 1];

        if (r->kind != SCR_RECORD_WINNER)
            continue;
        if (kernel == NULL ? !r->best
                           : strcmp(r->config.kernel, kernel) != 0 || r->config.skip != skip)
            continue;
        if (scr_tune_find(t, SCR_RECORD_WINNER, &r->config) != NULL &&
            strcmp(r->shape.words, t->key.words) == 0)
            return r;
    }
    return NULL;
}

double scr_tune_known_density(const struct scr_tune *t, const struct scr_case *c)
{
    for (size_t i = t->records.n; i > 0; i--) {
        const struct scr_record *r = &t->records.items[i - 1];

        if (strcmp(r->shape.words, c->data_words) == 0 && r->shape.density > 0)
            return r->shape.density;
    }
    return NAN;
}
