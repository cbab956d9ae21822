/* SPDX-License-Identifier: Apache-2.0 */
#include "plot_rows.h"

#include <screening/error.h>

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *text_of(const json_t *row, const char *key)
{
    const char *s = json_string_value(json_object_get(row, key));

    return s != NULL ? s : "";
}

static double number_of(const json_t *row, const char *key)
{
    const json_t *v = json_object_get(row, key);

    return json_is_number(v) ? json_number_value(v) : NAN;
}

/* A value that only tells rows apart: number or text. */
static void label_of(const json_t *row, const char *key, char *out, size_t size)
{
    const json_t *v = json_object_get(row, key);

    if (json_is_number(v))
        snprintf(out, size, "%g", json_number_value(v));
    else
        snprintf(out, size, "%s", json_is_string(v) ? json_string_value(v) : "own");
}

static void fill_row(struct scr_plot_row *r, json_t *json)
{
    const json_t *causal = json_object_get(json, "causal");

    r->json = json;
    r->status = text_of(json, "status");
    r->device = text_of(json, "device");
    r->device_name = text_of(json, "device_name");
    r->kernel = text_of(json, "kernel");
    r->dtype = text_of(json, "dtype");
    r->skip = text_of(json, "skip");
    r->workload = text_of(json, "workload");
    label_of(json, "window", r->window, sizeof r->window);
    label_of(json, "r", r->r, sizeof r->r);
    r->batch = number_of(json, "batch");
    r->heads = number_of(json, "heads");
    r->kv_heads = number_of(json, "kv_heads");
    r->seq_q = number_of(json, "seq_q");
    r->seq_k = number_of(json, "seq_k");
    r->dk = number_of(json, "dk");
    r->dv = number_of(json, "dv");
    r->tile_q = number_of(json, "tile_q");
    r->tile_k = number_of(json, "tile_k");
    r->causal = json_is_true(causal) || json_number_value(causal) != 0;
    r->t_median_ns = number_of(json, "t_median_ns");
    r->t_ci_lo_ns = number_of(json, "t_ci_lo_ns");
    r->t_ci_hi_ns = number_of(json, "t_ci_hi_ns");
    r->speedup_vs_masked = number_of(json, "speedup_vs_masked");
    r->pairs_admissible = number_of(json, "pairs_admissible");
    r->pairs_live = number_of(json, "pairs_live");
    r->tiles_admissible = number_of(json, "tiles_admissible");
    r->tiles_live = number_of(json, "tiles_live");
}

static int append(struct scr_plot_rows *rows, size_t *capacity, json_t *json)
{
    if (rows->n == *capacity) {
        size_t wanted = *capacity ? 2 * *capacity : 64;
        struct scr_plot_row *grown = realloc(rows->row, wanted * sizeof *grown);

        if (grown == NULL)
            return SCR_ERR_NO_MEMORY;
        rows->row = grown;
        *capacity = wanted;
    }
    fill_row(&rows->row[rows->n++], json);
    return SCR_OK;
}

int scr_plot_rows_read(const char *path, struct scr_plot_rows *out, char *why, size_t why_size)
{
    char *line = NULL;
    size_t line_size = 0, capacity = 0, number = 0;
    ssize_t length;
    int status = SCR_ERR_INVALID;
    FILE *f;

    *out = (struct scr_plot_rows){0};
    f = fopen(path, "r");
    if (f == NULL) {
        snprintf(why, why_size, "%s: %s", path, strerror(errno));
        return SCR_ERR_INVALID;
    }
    while (errno = 0, (length = getline(&line, &line_size, f)) >= 0) {
        json_error_t error;
        json_t *json;

        number++;
        if (strspn(line, " \t\r\n") == (size_t)length)
            continue;
        json = json_loadb(line, (size_t)length, 0, &error);
        if (!json_is_object(json)) {
            if (json == NULL && line[length - 1] != '\n')
                break;
            snprintf(why, why_size, "%s:%zu: %s", path, number,
                     json == NULL ? error.text : "not a JSON object");
            json_decref(json);
            goto out;
        }
        if (append(out, &capacity, json) != SCR_OK) {
            json_decref(json);
            snprintf(why, why_size, "out of memory");
            status = SCR_ERR_NO_MEMORY;
            goto out;
        }
    }
    if (length < 0 && !feof(f)) {
        snprintf(why, why_size, "%s: %s", path, strerror(errno));
        goto out;
    }
    status = SCR_OK;
out:
    free(line);
    fclose(f);
    if (status != SCR_OK)
        scr_plot_rows_free(out);
    return status;
}

void scr_plot_rows_free(struct scr_plot_rows *rows)
{
    for (size_t i = 0; i < rows->n; i++)
        json_decref(rows->row[i].json);
    free(rows->row);
    *rows = (struct scr_plot_rows){0};
}
