/* SPDX-License-Identifier: Apache-2.0 */
#include "choice.h"

#include <stdio.h>

static const double NOTHING_ALIVE = 1e-6;

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

int scr_choice_hint(const struct scr_dataset_spec *spec, scr_hint *out, char *why, size_t why_size)
{
    int status;

    *out = (scr_hint){.pair_density = nominal_density(&spec->workload)};
    status = scr_dataset_mean_window(spec, &out->window, why, why_size);
    if (status != SCR_OK)
        out->window = 0;
    return status;
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
