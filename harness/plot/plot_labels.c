/* SPDX-License-Identifier: Apache-2.0 */
#include "plot_labels.h"

#include "text.h"
#include "verdict.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Cuts text to at most max bytes, not inside a UTF-8 character. */
static void cut(char *text, size_t max)
{
    if (strlen(text) <= max)
        return;
    while (max > 0 && ((unsigned char)text[max] & 0xc0) == 0x80)
        max--;
    text[max] = '\0';
}

bool scr_label_is_trace(const struct scr_row *r)
{
    return strncmp(r->workload, "trace:", 6) == 0;
}

void scr_label_workload(const struct scr_row *r, char *out, size_t size)
{
    const char *base;
    char *dot;

    if (!scr_label_is_trace(r)) {
        snprintf(out, size, "%s", r->workload);
    } else {
        base = strrchr(r->workload, '/');
        snprintf(out, size, "trace %s", base != NULL ? base + 1 : r->workload + 6);
        dot = strstr(out, ".safetensors");
        if (dot != NULL)
            *dot = '\0';
    }
    cut(out, 26);
}

static bool is_word(const char *word, const char *text, size_t length)
{
    return strlen(word) == length && strncmp(text, word, length) == 0;
}

/* Without its place in the order. */
static void name_family(const struct scr_row *r, const char *window, struct scr_plot_label *out)
{
    static const char *const in_runs[] = {"planted", "shuffled", "skewed"};
    static const char *const plain[] = {"window", "iid", "ends"};
    const char *workload = r->workload;
    size_t length = strcspn(workload, ":");
    const char *run = strchr(workload, 'x');

    out->rank = 40000;
    for (int i = 0; i < 3; i++) {
        if (is_word(plain[i], workload, length))
            out->rank = 31000 + i;
        if (is_word(in_runs[i], workload, length)) {
            int tokens = run != NULL ? atoi(run + 1) : 64;

            out->rank = 10000 * (i + 1) - tokens;
            snprintf(out->text, sizeof out->text, "%s, runs of %d%s", in_runs[i], tokens, window);
            return;
        }
    }
    snprintf(out->text, sizeof out->text, "%.*s%s", (int)(length < 20 ? length : 20), workload,
             window);
}

void scr_label_family(const struct scr_row *r, struct scr_plot_label *out)
{
    bool windowed = scr_row_has_window(r), head = isfinite(r->trace_head);
    char window[24] = "";

    /* Of a trace its own windows are what one expects; those of its heads are numbers. */
    if (scr_label_is_trace(r)) {
        if (!windowed || (!head && strcmp(r->window, "own") != 0))
            snprintf(window, sizeof window, ", w %.16s", r->window);
        scr_label_workload(r, out->text, sizeof out->text);
        scr_append(out->text, sizeof out->text, "%s%s", head ? ", heads" : "", window);
        out->rank = 40000;
    } else {
        if (windowed)
            snprintf(window, sizeof window, ", w %.16s", r->window);
        name_family(r, window, out);
    }
    if (windowed)
        out->rank += SCR_RANK_APART;
}

void scr_label_kernel(const struct scr_row *r, struct scr_plot_label *out)
{
    static const char *const names[] = {"dense", "masked-dense", "tile-skip, skip=none",
                                        "tile-skip, skip=tile", "tile-skip, skip=slice"};
    bool softmax = strcmp(r->op, "softmax") == 0;

    out->rank = 6;
    if (r->peer[0] != '\0' || softmax) {
        snprintf(out->text, sizeof out->text, "%.24s (%.20s)", r->kernel,
                 softmax ? "softmax" : r->peer);
        cut(out->text, 46);
        out->rank += softmax;
        return;
    }
    if (strcmp(r->kernel, "tile-skip") == 0)
        snprintf(out->text, sizeof out->text, "tile-skip, skip=%.20s", r->skip);
    else
        snprintf(out->text, sizeof out->text, "%.40s", r->kernel);
    for (int i = 0; i < 5; i++)
        if (strcmp(out->text, names[i]) == 0)
            out->rank = i + 1;
}

void scr_label_shape(const struct scr_row *r, char *out, size_t size)
{
    snprintf(out, size, "%s", r->dtype);
    if (r->dtype_out[0] != '\0' && strcmp(r->dtype_out, "f32") != 0)
        scr_append(out, size, " to %s", r->dtype_out);
    scr_append(out, size, ", dk %g, dv %g", r->dk, r->dv);
    if (r->batch != 1)
        scr_append(out, size, ", batch %g", r->batch);
    scr_append(out, size, ", %g head%s", r->heads, r->heads == 1 ? "" : "s");
    if (r->kv_heads != r->heads)
        scr_append(out, size, " (kv %g)", r->kv_heads);
    scr_append(out, size, ", %s%s", r->causal ? "causal" : "bidirectional",
               r->norm ? ", tanh norm" : "");
    if (r->kv_len[0] != '\0' && strcmp(r->kv_len, "none") != 0)
        scr_append(out, size, ", kv_len %s", r->kv_len);
}

void scr_label_doubts(const struct scr_row *r, bool compared, bool roofline, char *out, size_t size)
{
    const struct {
        const char *flag;
        bool matters;
    } special[] = {{"events-missing", false},
                   {"events-reversed", false},
                   {"apart", compared},
                   {"over-ideal", compared},
                   {"over-roofline", roofline}};

    out[0] = '\0';
    for (const char *s = r->flags; *s != '\0';) {
        size_t n = strcspn(s, ",");
        bool matters = true;

        for (size_t i = 0; i < sizeof special / sizeof special[0]; i++)
            matters &= special[i].matters || !is_word(special[i].flag, s, n);
        if (matters)
            scr_append(out, size, "%s%.*s", out[0] != '\0' ? "," : "", (int)n, s);
        s += n + (s[n] == ',');
    }
    if (scr_row_is_wide(r))
        scr_append(out, size, "%swide-interval", out[0] != '\0' ? "," : "");
    if (isnan(r->rel_err))
        scr_append(out, size, "%sunverified", out[0] != '\0' ? "," : "");
    if (out[0] == '\0')
        snprintf(out, size, "-");
}
