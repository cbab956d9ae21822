/* SPDX-License-Identifier: Apache-2.0 */
#include "choice.h"

#include "workload.h"

#include <math.h>
#include <stdio.h>

static const double NOTHING_ALIVE = 1e-6;

static double mean_window(const struct scr_dataset_spec *spec, int heads)
{
    const scr_problem *p = &spec->problem;
    double sum = 0;

    switch (spec->window.kind) {
    case SCR_WINDOW_VALUE:
        return fmin(spec->window.value, p->len_k);
    case SCR_WINDOW_INF:
        return INFINITY;
    case SCR_WINDOW_INIT:
        for (int h = 0; h < p->heads_q; h++) {
            float w = scr_window_init(spec->one_head ? spec->trace_head : h, heads);

            sum += fmin((double)w, p->len_k);
        }
        return sum / p->heads_q;
    default:
        return 0;
    }
}

static double nominal_density(const struct scr_workload *w)
{
    switch (w->kind) {
    case SCR_WORKLOAD_PLANTED:
    case SCR_WORKLOAD_SHUFFLED:
    case SCR_WORKLOAD_SKEWED:
    case SCR_WORKLOAD_ENDS:
        return w->density > NOTHING_ALIVE ? w->density : NOTHING_ALIVE;
    case SCR_WORKLOAD_WINDOW:
        return 1;
    default:
        return 0;
    }
}

void scr_choice_hint(const struct scr_dataset_spec *spec, int heads, scr_hint *out)
{
    *out = (scr_hint){.window = mean_window(spec, heads),
                      .pair_density = nominal_density(&spec->workload)};
}

int scr_choice_complete(const scr_context *tables, const scr_device_info *device,
                        const scr_problem *p, const scr_hint *hint, scr_config *config, char *why,
                        size_t why_size, char from[SCR_CHOICE_TEXT])
{
    scr_choice choice;

    snprintf(from, SCR_CHOICE_TEXT, "default");
    if (tables == NULL || scr_lookup_for(tables, device, p, hint, config, &choice) != SCR_OK ||
        choice.level == SCR_MATCH_DEFAULT)
        return scr_config_resolve(device, p, config, why, why_size);
    *config = choice.config;
    snprintf(from, SCR_CHOICE_TEXT, "%s %s", scr_match_level_name(choice.level),
             scr_table_source_name(choice.source));
    return SCR_OK;
}
