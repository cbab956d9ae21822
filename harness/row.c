/* SPDX-License-Identifier: Apache-2.0 */
#include "row.h"

#include "json_text.h"
#include "truth.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

enum kind { TEXT, REAL, WHOLE, FLAG, SEED };

static const struct column {
    const char *name;
    enum kind kind;
    size_t offset;
    size_t size;
} columns[] = {
#define COLUMN(field, kind)                                                                        \
    {                                                                                              \
#field, kind, offsetof(struct scr_row, field), sizeof(((struct scr_row *)0)->field)        \
    }
    COLUMN(status, TEXT),
    COLUMN(reason, TEXT),
    COLUMN(backend, TEXT),
    COLUMN(device, TEXT),
    COLUMN(device_name, TEXT),
    COLUMN(on_cpu, FLAG),
    COLUMN(peer, TEXT),
    COLUMN(op, TEXT),
    COLUMN(kernel, TEXT),
    COLUMN(variant, TEXT),
    COLUMN(params, TEXT),
    COLUMN(choice, TEXT),
    COLUMN(dtype, TEXT),
    COLUMN(dtype_out, TEXT),
    COLUMN(batch, WHOLE),
    COLUMN(heads, WHOLE),
    COLUMN(kv_heads, WHOLE),
    COLUMN(seq_q, WHOLE),
    COLUMN(seq_k, WHOLE),
    COLUMN(dk, WHOLE),
    COLUMN(dv, WHOLE),
    COLUMN(causal, FLAG),
    COLUMN(norm, FLAG),
    COLUMN(q_pos0, WHOLE),
    COLUMN(kv_len, TEXT),
    COLUMN(tile_q, WHOLE),
    COLUMN(tile_k, WHOLE),
    COLUMN(skip, TEXT),
    COLUMN(r, REAL),
    COLUMN(window, TEXT),
    COLUMN(workload, TEXT),
    COLUMN(trace_head, WHOLE),
    COLUMN(seed, SEED),
    COLUMN(data_hash, TEXT),
    COLUMN(timer, TEXT),
    COLUMN(cache, TEXT),
    COLUMN(stop, TEXT),
    COLUMN(flags, TEXT),
    COLUMN(t_median_ns, REAL),
    COLUMN(t_ci_lo_ns, REAL),
    COLUMN(t_ci_hi_ns, REAL),
    COLUMN(t_min_ns, REAL),
    COLUMN(t_q1_ns, REAL),
    COLUMN(t_q3_ns, REAL),
    COLUMN(n_samples, WHOLE),
    COLUMN(n_outliers, WHOLE),
    COLUMN(t_wall_ns, REAL),
    COLUMN(t_event_ns, REAL),
    COLUMN(t_floor_ns, REAL),
    COLUMN(n_throttled, WHOLE),
    COLUMN(clock_mhz, REAL),
    COLUMN(temperature_c, REAL),
    COLUMN(power_w, REAL),
    COLUMN(pairs_admissible, WHOLE),
    COLUMN(pairs_live, WHOLE),
    COLUMN(pairs_near_tau, WHOLE),
    COLUMN(pair_density, REAL),
    COLUMN(tiles_admissible, WHOLE),
    COLUMN(tiles_live, WHOLE),
    COLUMN(tile_density, REAL),
    COLUMN(qk_tiles, WHOLE),
    COLUMN(pv_tiles, WHOLE),
    COLUMN(pv_slices, WHOLE),
    COLUMN(qk_executed, REAL),
    COLUMN(pv_executed, REAL),
    COLUMN(speedup_vs_masked, REAL),
    COLUMN(speedup_vs_masked_lo, REAL),
    COLUMN(speedup_vs_masked_hi, REAL),
    COLUMN(vs_no_skip, REAL),
    COLUMN(vs_no_skip_lo, REAL),
    COLUMN(vs_no_skip_hi, REAL),
    COLUMN(speedup_vs_dense, REAL),
    COLUMN(speedup_vs_dense_lo, REAL),
    COLUMN(speedup_vs_dense_hi, REAL),
    COLUMN(vs_softmax, REAL),
    COLUMN(vs_softmax_lo, REAL),
    COLUMN(vs_softmax_hi, REAL),
    COLUMN(vs_framework, REAL),
    COLUMN(vs_framework_lo, REAL),
    COLUMN(vs_framework_hi, REAL),
    COLUMN(masked_params, TEXT),
    COLUMN(t_masked_ns, REAL),
    COLUMN(pct_ideal, REAL),
    COLUMN(flop, REAL),
    COLUMN(bytes, REAL),
    COLUMN(flop_per_s, REAL),
    COLUMN(pct_roofline, REAL),
    COLUMN(bound, TEXT),
    COLUMN(rel_err, REAL),
    COLUMN(tol, REAL),
    COLUMN(rows_checked, WHOLE),
    COLUMN(rows, WHOLE),
    COLUMN(heads_zero, WHOLE),
    COLUMN(heads_ill, WHOLE),
    COLUMN(output_hash, TEXT),
    COLUMN(working_set_bytes, WHOLE),
    COLUMN(cache_copies, WHOLE),
    COLUMN(mem_peak_bytes, WHOLE),
    COLUMN(workspace_bytes, WHOLE),
    COLUMN(repro, TEXT),
};
enum { N_COLUMNS = sizeof columns / sizeof columns[0] };

static const char *text_at(const struct scr_row *row, const struct column *c)
{
    return (const char *)row + c->offset;
}

static double number_at(const struct scr_row *row, const struct column *c)
{
    return *(const double *)(const void *)((const char *)row + c->offset);
}

static void set_unknown(struct scr_row *row)
{
    memset(row, 0, sizeof *row);
    for (int i = 0; i < N_COLUMNS; i++) {
        if (columns[i].kind == REAL || columns[i].kind == WHOLE)
            *(double *)(void *)((char *)row + columns[i].offset) = NAN;
    }
}

void scr_row_init(struct scr_row *row, const struct scr_case *c)
{
    const scr_problem *p = &c->spec.problem;
    size_t used = 0;

    set_unknown(row);
    snprintf(row->op, sizeof row->op, "screening");
    snprintf(row->backend, sizeof row->backend, "%s", c->device->backend);
    snprintf(row->device, sizeof row->device, "%s", c->device->id);
    row->on_cpu = c->device->is_cpu;
    snprintf(row->device_name, sizeof row->device_name, "%s", c->device->name);
    snprintf(row->kernel, sizeof row->kernel, "%s", c->config.kernel);
    snprintf(row->variant, sizeof row->variant, "%s", c->config.variant);
    for (int i = 0; i < c->config.n_params && used < sizeof row->params; i++)
        used += (size_t)snprintf(row->params + used, sizeof row->params - used, "%s%s=%d",
                                 i > 0 ? " " : "", c->config.params[i].name,
                                 (int)c->config.params[i].value);
    snprintf(row->choice, sizeof row->choice, "%s", c->choice);
    snprintf(row->dtype, sizeof row->dtype, "%s", scr_dtype_name(p->dtype));
    snprintf(row->dtype_out, sizeof row->dtype_out, "%s", scr_dtype_name(p->dtype_out));
    row->batch = p->batch;
    row->heads = p->heads_q;
    row->kv_heads = p->heads_kv;
    row->seq_q = p->len_q;
    row->seq_k = p->len_k;
    row->dk = p->dk;
    row->dv = p->dv;
    row->causal = p->causal;
    row->norm = p->tanh_norm;
    row->q_pos0 = scr_problem_q_pos0(p);
    scr_case_kv_len(c, row->kv_len, sizeof row->kv_len);
    if (c->tile_q > 0) {
        row->tile_q = c->tile_q;
        row->tile_k = c->tile_k;
    }
    snprintf(row->skip, sizeof row->skip, "%s", scr_skip_name(c->config.skip));
    scr_window_name(&c->spec.window, row->window, sizeof row->window);
    scr_workload_name(&c->spec.workload, row->workload, sizeof row->workload);
    if (c->spec.r > 0)
        row->r = c->spec.r;
    if (c->spec.one_head)
        row->trace_head = c->spec.trace_head;
    row->seed = c->spec.seed;
    scr_case_repro(c, "--sweep", row->repro, sizeof row->repro);
}

void scr_row_status(struct scr_row *row, const char *status, const char *format, ...)
{
    va_list ap;

    snprintf(row->status, sizeof row->status, "%s", status);
    va_start(ap, format);
    vsnprintf(row->reason, sizeof row->reason, format, ap);
    va_end(ap);
    row->reason[strcspn(row->reason, "\r\n")] = '\0';
}

void scr_row_forget_times(struct scr_row *row)
{
    row->t_median_ns = row->t_ci_lo_ns = row->t_ci_hi_ns = row->t_min_ns = NAN;
    row->t_q1_ns = row->t_q3_ns = row->t_wall_ns = row->t_event_ns = NAN;
    row->n_samples = row->n_outliers = row->n_throttled = NAN;
    row->clock_mhz = row->temperature_c = row->power_w = NAN;
    row->timer[0] = row->stop[0] = row->flags[0] = '\0';
}

void scr_row_judge(struct scr_row *row, const struct scr_verdict *v)
{
    row->rel_err = v->rel_err < 0 ? NAN : v->rel_err;
    row->tol = v->tol;
    row->rows_checked = (double)v->rows_checked;
    row->rows = (double)v->rows;
    row->heads_zero = v->heads_zero;
    row->heads_ill = v->heads_ill;
    if (!v->pass)
        scr_row_status(row, "wrong", "%s", v->reason);
}

bool scr_row_has_flag(const struct scr_row *row, const char *word)
{
    size_t len = strlen(word);

    for (const char *s = row->flags; *s != '\0';) {
        size_t n = strcspn(s, ",");

        if (n == len && strncmp(s, word, n) == 0)
            return true;
        s += n + (s[n] == ',');
    }
    return false;
}

void scr_row_flag(struct scr_row *row, const char *word)
{
    size_t used = strlen(row->flags);

    if (!scr_row_has_flag(row, word) && used + 1 + strlen(word) < sizeof row->flags)
        snprintf(row->flags + used, sizeof row->flags - used, "%s%s", used > 0 ? "," : "", word);
}

json_t *scr_row_json(const struct scr_row *row)
{
    json_t *object = json_object();

    for (int i = 0; i < N_COLUMNS; i++) {
        const struct column *c = &columns[i];
        double x = c->kind == REAL || c->kind == WHOLE ? number_at(row, c) : 0;
        json_t *value;

        if (c->kind == TEXT)
            value = scr_json_text(text_at(row, c));
        else if (c->kind == FLAG)
            value = json_boolean(*(const bool *)text_at(row, c));
        else if (c->kind == SEED)
            value = json_integer((json_int_t)row->seed);
        else if (!isfinite(x))
            value = json_null();
        else
            value = c->kind == WHOLE ? json_integer((json_int_t)x) : json_real(x);
        if (json_object_set_new(object, c->name, value) != 0) {
            json_decref(object);
            return NULL;
        }
    }
    return object;
}

static bool read_column(const struct column *c, const json_t *value, struct scr_row *row)
{
    char *at = (char *)row + c->offset;

    if (value == NULL || json_is_null(value))
        return true;
    switch (c->kind) {
    case TEXT:
        if (!json_is_string(value))
            return false;
        snprintf(at, c->size, "%s", json_string_value(value));
        return true;
    case FLAG:
        if (!json_is_boolean(value))
            return false;
        *(bool *)(void *)at = json_is_true(value);
        return true;
    case SEED:
        if (!json_is_integer(value))
            return false;
        *(uint64_t *)(void *)at = (uint64_t)json_integer_value(value);
        return true;
    default:
        if (!json_is_number(value))
            return false;
        *(double *)(void *)at = json_number_value(value);
        return true;
    }
}

bool scr_row_from_json(const json_t *object, struct scr_row *row)
{
    set_unknown(row);
    for (int i = 0; i < N_COLUMNS; i++) {
        if (!read_column(&columns[i], json_object_get(object, columns[i].name), row))
            return false;
    }
    return row->status[0] != '\0';
}

bool scr_row_write_jsonl(const struct scr_row *row, FILE *f)
{
    json_t *object = scr_row_json(row);
    bool ok =
        object != NULL &&
        json_dumpf(object, f, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(9)) == 0 &&
        fputc('\n', f) != EOF && fflush(f) == 0;

    json_decref(object);
    return ok;
}

bool scr_row_write_csv_header(FILE *f)
{
    for (int i = 0; i < N_COLUMNS; i++)
        fprintf(f, "%s%s", i > 0 ? "," : "", columns[i].name);
    return fputc('\n', f) != EOF && !ferror(f);
}

static void csv_text(const char *text, FILE *f)
{
    if (strpbrk(text, ",\"\r\n") == NULL) {
        fputs(text, f);
        return;
    }
    fputc('"', f);
    for (; *text != '\0'; text++) {
        if (*text == '"')
            fputc('"', f);
        fputc(*text, f);
    }
    fputc('"', f);
}

bool scr_row_write_csv(const struct scr_row *row, FILE *f)
{
    for (int i = 0; i < N_COLUMNS; i++) {
        const struct column *c = &columns[i];

        if (i > 0)
            fputc(',', f);
        if (c->kind == TEXT)
            csv_text(text_at(row, c), f);
        else if (c->kind == FLAG)
            fputs(*(const bool *)text_at(row, c) ? "1" : "0", f);
        else if (c->kind == SEED)
            fprintf(f, "%llu", (unsigned long long)row->seed);
        else if (isfinite(number_at(row, c)))
            fprintf(f, c->kind == WHOLE ? "%.0f" : "%.9g", number_at(row, c));
    }
    return fputc('\n', f) != EOF && !ferror(f);
}
