/* SPDX-License-Identifier: Apache-2.0 */
#include "case.h"

#include "decl.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int scr_shell_quote(const char *word, char *out, size_t size)
{
    size_t n = 0;
    bool plain = *word != '\0' && strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVW"
                                               "XYZ0123456789_-+=:,./@%") == strlen(word);

    if (plain)
        return snprintf(out, size, "%s", word);
#define PUT(c)                                                                                     \
    do {                                                                                           \
        if (n + 1 < size)                                                                          \
            out[n] = (c);                                                                          \
        n++;                                                                                       \
    } while (0)
    PUT('\'');
    for (; *word != '\0'; word++) {
        if (*word == '\'') {
            PUT('\'');
            PUT('\\');
            PUT('\'');
        }
        PUT(*word);
    }
    PUT('\'');
#undef PUT
    if (size > 0)
        out[n < size ? n : size - 1] = '\0';
    return (int)n;
}

static void add_word(char *out, size_t size, const char *axis, const char *value)
{
    char word[700];
    char quoted[2900];

    snprintf(word, sizeof word, "%s=%s", axis, value);
    scr_shell_quote(word, quoted, sizeof quoted);
    scr_append(out, size, "%s-a %s", *out != '\0' ? " " : "", quoted);
}

static void add_int(char *out, size_t size, const char *axis, long value)
{
    scr_append(out, size, "%s-a %s=%ld", *out != '\0' ? " " : "", axis, value);
}

/* The workload with the path of a trace made absolute, where an axis can hold that. */
static struct scr_workload anywhere(const struct scr_workload *w)
{
    struct scr_workload found = *w;
    char *path = w->kind == SCR_WORKLOAD_TRACE ? realpath(w->path, NULL) : NULL;

    if (path != NULL && strlen(path) < sizeof found.path && strchr(path, ',') == NULL)
        strcpy(found.path, path);
    free(path);
    return found;
}

void scr_case_kv_len(const struct scr_case *c, char *out, size_t size)
{
    if (!c->spec.problem.has_kv_len)
        snprintf(out, size, "none");
    else if (c->spec.ragged_kv_len || c->spec.kv_missing == 0)
        snprintf(out, size, "%s", c->spec.ragged_kv_len ? "ragged" : "full");
    else
        snprintf(out, size, "%d", c->spec.problem.len_k - c->spec.kv_missing);
}

/* Everything of a case that decides its data, its shape and its truth. */
static char *data_words(const struct scr_case *c)
{
    const scr_problem *p = &c->spec.problem;
    bool trace = c->spec.workload.kind == SCR_WORKLOAD_TRACE;
    struct scr_workload workload = anywhere(&c->spec.workload);
    char out[3000] = "";
    char text[640];

    scr_workload_name(&workload, text, sizeof text);
    add_word(out, sizeof out, "workload", text);
    if (!trace) {
        add_int(out, sizeof out, "seq", p->len_q);
        if (p->len_k != p->len_q)
            add_int(out, sizeof out, "kv", p->len_k);
        add_int(out, sizeof out, "batch", p->batch);
        add_int(out, sizeof out, "heads", p->heads_q);
        if (p->heads_kv != p->heads_q)
            add_int(out, sizeof out, "kv_heads", p->heads_kv);
        add_int(out, sizeof out, "dk", p->dk);
        add_int(out, sizeof out, "dv", p->dv);
    } else if (c->max_len != 0) {
        add_int(out, sizeof out, "seq", c->max_len);
    }
    if (c->spec.one_head)
        add_int(out, sizeof out, "trace_head", c->spec.trace_head);
    add_word(out, sizeof out, "dtype", scr_dtype_name(p->dtype));
    if (p->dtype_out != SCR_F32)
        add_word(out, sizeof out, "out", "same");
    add_int(out, sizeof out, "causal", p->causal);
    scr_window_name(&c->spec.window, text, sizeof text);
    add_word(out, sizeof out, "window", text);
    if (c->spec.r > 0)
        snprintf(text, sizeof text, "%.12g", c->spec.r);
    else
        snprintf(text, sizeof text, "auto");
    add_word(out, sizeof out, "r", text);
    if (p->tanh_norm)
        add_word(out, sizeof out, "norm", "1");
    if (p->q_pos0 != SCR_Q_POS0_DEFAULT)
        add_int(out, sizeof out, "q_pos0", p->q_pos0);
    if (p->has_kv_len) {
        scr_case_kv_len(c, text, sizeof text);
        add_word(out, sizeof out, "kv_len", text);
    }
    return strdup(out);
}

/* What the data words leave to the default, of axes for which the preset of --check has lists. */
static void default_words(const struct scr_case *c, char *out, size_t size)
{
    const scr_problem *p = &c->spec.problem;

    if (p->dtype_out == SCR_F32)
        add_word(out, size, "out", "f32");
    if (!p->tanh_norm)
        add_word(out, size, "norm", "0");
    if (p->q_pos0 == SCR_Q_POS0_DEFAULT)
        add_word(out, size, "q_pos0", "auto");
    if (!p->has_kv_len)
        add_word(out, size, "kv_len", "none");
}

/* What chooses the kernel and its parameters, complete. */
static void kernel_words(const struct scr_case *c, char *out, size_t size)
{
    const scr_config *config = &c->config;
    char text[400] = "";

    add_word(out, size, "kernel", config->kernel);
    add_word(out, size, "skip", scr_skip_name(config->skip));
    add_word(out, size, "variant", config->variant[0] != '\0' ? config->variant : "auto");
    if (c->tile_q > 0) {
        snprintf(text, sizeof text, "%dx%d", c->tile_q, c->tile_k);
        add_word(out, size, "tile", text);
        text[0] = '\0';
    } else {
        add_word(out, size, "tile", "default"); /* and so no table can change it */
    }
    for (int i = 0; i < config->n_params; i++) {
        const scr_param *q = &config->params[i];

        if (c->tile_q > 0 && (strcmp(q->name, "TILE_Q") == 0 || strcmp(q->name, "TILE_K") == 0))
            continue;
        scr_append(text, sizeof text, "%s%s=%d", text[0] != '\0' ? "+" : "", q->name,
                   (int)q->value);
    }
    add_word(out, size, "param", text[0] != '\0' ? text : "auto");
}

void scr_case_repro(const struct scr_case *c, const char *mode, char *out, size_t size)
{
    char words[1600] = "", program[600];

    bool timed = strcmp(mode, "--sweep") == 0 && c->extra != NULL && c->extra[0] != '\0';

    if (strcmp(mode, "--check") == 0)
        default_words(c, words, sizeof words);
    kernel_words(c, words, sizeof words);
    scr_shell_quote(c->program != NULL ? c->program : "harness", program, sizeof program);
    snprintf(out, size, "%s %s --device %s%s%s %s %s --seed %llu%s%s", program, mode, c->device->id,
             c->limits != NULL ? " --limit " : "", c->limits != NULL ? c->limits : "",
             c->data_words, words, (unsigned long long)c->spec.seed, timed ? " " : "",
             timed ? c->extra : "");
}

/* The length without a time limit, which is the last word where there is one. */
static size_t length_untimed(const char *repro)
{
    static const char option[] = " --time-limit ";
    const char *last = NULL;

    for (const char *s = strstr(repro, option); s != NULL; s = strstr(s + 1, option))
        last = s;
    if (last != NULL && strchr(last + sizeof option - 1, ' ') == NULL)
        return (size_t)(last - repro);
    return strlen(repro);
}

bool scr_case_repro_same(const char *a, const char *b)
{
    size_t n = length_untimed(a);

    return n == length_untimed(b) && strncmp(a, b, n) == 0;
}

void scr_case_name(const struct scr_case *c, char *out, size_t size)
{
    const scr_problem *p = &c->spec.problem;
    char workload[540], window[32];

    scr_workload_name(&c->spec.workload, workload, sizeof workload);
    scr_window_name(&c->spec.window, window, sizeof window);
    if (c->spec.workload.kind == SCR_WORKLOAD_TRACE && strrchr(workload, '/') != NULL)
        memmove(workload + strlen("trace:"), strrchr(workload, '/') + 1,
                strlen(strrchr(workload, '/')));
    snprintf(out, size, "%s %s", c->device->id, c->config.kernel);
    if (strcmp(c->config.kernel, "tile-skip") == 0)
        scr_append(out, size, " skip=%s", scr_skip_name(c->config.skip));
    if (c->tile_q > 0)
        scr_append(out, size, " %dx%d", c->tile_q, c->tile_k);
    scr_append(out, size, " %s %s seq=%d window=%s q=[%d,%d,%d,%d] kv=[%d,%d] dv=%d%s%s%s",
               scr_dtype_name(p->dtype), workload, p->len_q, window, p->batch, p->heads_q, p->len_q,
               p->dk, p->heads_kv, p->len_k, p->dv, p->causal ? "" : " bidirectional",
               p->tanh_norm ? " norm" : "", p->has_kv_len ? " kv_len" : "");
    if (c->spec.one_head)
        scr_append(out, size, " head=%d", c->spec.trace_head);
    if (c->spec.r > 0)
        scr_append(out, size, " r=%g", c->spec.r);
}

struct adder {
    struct scr_case_list *list;
    size_t room;
    const scr_device_info *const *devices;
    size_t n_devices;
    uint64_t seed;
    scr_hint hint;               /* of the problem whose configurations are added */
    const struct scr_case *base; /* while the tiles of one case are enumerated */
    char *why;
    size_t why_size;
    /* Whole shape of the trace read last: points differ in kernels far more often than in file. */
    char trace_path[512];
    scr_problem trace_problem;
};

static int push(struct adder *a, const struct scr_case *c)
{
    struct scr_case_list *l = a->list;

    if (l->n >= SCR_MAX_CASES) {
        snprintf(a->why, a->why_size, "more than %d configurations; narrow the axes",
                 SCR_MAX_CASES);
        return SCR_ERR_INVALID;
    }
    if (l->n == a->room) {
        size_t room = a->room == 0 ? 64 : 2 * a->room;
        struct scr_case *grown = realloc(l->cases, room * sizeof *grown);

        if (grown == NULL)
            return SCR_ERR_NO_MEMORY;
        l->cases = grown;
        a->room = room;
    }
    l->cases[l->n] = *c;
    l->cases[l->n].data_words = data_words(c);
    l->cases[l->n].order = l->n;
    if (l->cases[l->n].data_words == NULL)
        return SCR_ERR_NO_MEMORY;
    l->n++;
    return SCR_OK;
}

/* The kernel exists on the backend (in that variant); *tiled: its tile is a parameter. */
static bool kernel_there(const char *backend, const char *kernel, const char *variant, bool *tiled)
{
    bool there = false;

    *tiled = false;
    for (size_t i = 0; i < scr_kernel_decl_count; i++) {
        const struct scr_kernel_decl *d = &scr_kernel_decls[i];
        int sides = 0;

        if (strcmp(d->backend, backend) != 0 || strcmp(d->kernel, kernel) != 0 ||
            (variant[0] != '\0' && strcmp(d->variant, variant) != 0))
            continue;
        there = true;
        for (int j = 0; j < d->n_tunables; j++)
            sides += strcmp(d->tunables[j].name, "TILE_Q") == 0 ||
                     strcmp(d->tunables[j].name, "TILE_K") == 0;
        *tiled |= sides == 2;
    }
    return there;
}

static void set_tile(struct scr_case *c)
{
    c->tile_q = scr_config_get(&c->config, "TILE_Q", 0);
    c->tile_k = scr_config_get(&c->config, "TILE_K", 0);
    if (c->tile_q == 0 || c->tile_k == 0)
        c->tile_q = c->tile_k = 0;
}

/*
 * Of several variants that refuse, the reason of the preferred one is what a user can act on: the
 * one that would run with parameters of its own choice.
 */
static void blame_preferred(struct scr_case *c)
{
    scr_config probe = c->config;

    if (probe.variant[0] != '\0')
        return;
    probe.n_params = 0;
    if (scr_config_resolve(c->device, &c->spec.problem, &probe, NULL, 0) != SCR_OK)
        return;
    probe.n_params = c->config.n_params;
    memcpy(probe.params, c->config.params, sizeof probe.params);
    scr_config_resolve(c->device, &c->spec.problem, &probe, c->why, sizeof c->why);
}

static int push_config(void *user, const scr_config *config)
{
    struct adder *a = user;
    struct scr_case c = *a->base;

    c.config = *config;
    c.refused = SCR_OK;
    snprintf(c.choice, sizeof c.choice, "given");
    set_tile(&c);
    return push(a, &c);
}

static int complete(const struct adder *a, const struct scr_point *p, struct scr_case *c)
{
    const scr_context *tables = p->tile_q == SCR_TILE_AUTO ? a->list->tables : NULL;
    int status = scr_choice_complete(tables, c->device, &c->spec.problem, &a->hint, &c->config,
                                     c->why, sizeof c->why, c->choice);

    if (p->tile_q > 0)
        snprintf(c->choice, sizeof c->choice, "given");
    return status;
}

/* Whichever pairs are alive masked-dense computes all: data of one shape have one baseline. */
static void look_up_masked(const struct adder *a, struct scr_case *c)
{
    scr_config config = {.kernel = "masked-dense"};
    scr_hint hint = {.window = a->hint.window};
    char from[SCR_CHOICE_TEXT];

    if (scr_choice_complete(a->list->tables, c->device, &c->spec.problem, &hint, &config, NULL, 0,
                            from) == SCR_OK &&
        strcmp(from, "default") != 0)
        c->masked = config;
}

static int add_on_device(struct adder *a, const struct scr_point *p, struct scr_case *c)
{
    bool tiled;

    c->config = (scr_config){.skip = p->skip, .n_params = p->n_params};
    memcpy(c->config.params, p->params, sizeof p->params);
    snprintf(c->config.kernel, sizeof c->config.kernel, "%s", p->kernel);
    snprintf(c->config.variant, sizeof c->config.variant, "%s", p->variant);
    c->why[0] = '\0';
    if (!kernel_there(c->device->backend, p->kernel, p->variant, &tiled)) {
        snprintf(a->list->dropped, sizeof a->list->dropped, "%s has no kernel %s%s%s",
                 c->device->backend, p->kernel, p->variant[0] != '\0' ? "/" : "", p->variant);
        a->list->kernel_missing = true;
        return SCR_OK;
    }
    if (strcmp(p->kernel, "tile-skip") != 0)
        c->config.skip = SCR_SKIP_NONE;
    if (tiled && p->tile_q == SCR_TILE_ALL) {
        size_t before = a->list->n;
        int status;

        a->base = c;
        status = scr_config_enumerate(c->device, &c->spec.problem, &c->config, "TILE_Q,TILE_K",
                                      push_config, a);
        if (a->list->n > before || status == SCR_ERR_NO_MEMORY || status == SCR_ERR_INVALID)
            return status;
    }
    if (tiled && p->tile_q > 0 &&
        (scr_config_set(&c->config, "TILE_Q", p->tile_q) != SCR_OK ||
         scr_config_set(&c->config, "TILE_K", p->tile_k) != SCR_OK)) {
        snprintf(a->why, a->why_size, "-a param: too many parameters beside the tile");
        return SCR_ERR_INVALID;
    }
    c->refused = complete(a, p, c);
    if (c->refused == SCR_OK)
        c->why[0] = '\0';
    else
        blame_preferred(c);
    set_tile(c);
    return push(a, c);
}

/* Sets the shape from the file; max_len as it cuts it. head < 0: all of them. */
static int trace_shape(struct adder *a, const struct scr_point *p, int head, struct scr_case *c)
{
    scr_problem *problem = &c->spec.problem;

    if (head >= a->trace_problem.heads_q) {
        snprintf(a->why, a->why_size, "-a trace_head=%d: the heads of %.100s are 0 to %d", head,
                 a->trace_path, a->trace_problem.heads_q - 1);
        return SCR_ERR_INVALID;
    }
    problem->batch = a->trace_problem.batch;
    problem->heads_q = a->trace_problem.heads_q;
    problem->heads_kv = a->trace_problem.heads_kv;
    problem->len_q = a->trace_problem.len_q;
    problem->len_k = a->trace_problem.len_k;
    problem->dk = a->trace_problem.dk;
    problem->dv = a->trace_problem.dv;
    if (head >= 0) {
        c->spec.one_head = true;
        c->spec.trace_head = head;
        problem->heads_q = problem->heads_kv = 1;
    }
    if (p->seq > 0 && (p->seq < problem->len_q || p->seq < problem->len_k)) {
        c->max_len = p->seq;
        problem->len_q = p->seq < problem->len_q ? p->seq : problem->len_q;
        problem->len_k = p->seq < problem->len_k ? p->seq : problem->len_k;
    }
    return SCR_OK;
}

/* What dataset.h says that "auto" comes to, so that equal data has equal words. */
static void settle_auto(struct scr_case *c)
{
    struct scr_dataset_spec *spec = &c->spec;
    scr_problem by_default = spec->problem;

    by_default.q_pos0 = SCR_Q_POS0_DEFAULT;
    if (spec->problem.q_pos0 == scr_problem_q_pos0(&by_default))
        spec->problem.q_pos0 = SCR_Q_POS0_DEFAULT;
    scr_dataset_settle(spec);
}

/* The point as a problem, of a trace with one head or, where head is < 0, all. */
static int add_problem(struct adder *a, const struct scr_point *p, int head)
{
    const char *invalid = "";
    struct scr_case c = {
        .spec =
            {
                .problem = scr_point_problem(p),
                .workload = p->workload,
                .window = p->window,
                .r = p->r,
                .ragged_kv_len = p->ragged,
                .seed = a->seed,
            },
        .program = a->list->program,
        .extra = a->list->extra,
        .limits = a->list->limits,
        .no_peers = a->list->no_peers,
    };
    int status = SCR_OK;

    if (p->workload.kind == SCR_WORKLOAD_TRACE) {
        status = trace_shape(a, p, head, &c);
        if (status != SCR_OK)
            return status;
    }
    settle_auto(&c);
    if (p->kv_len != SCR_KV_LEN_ALL)
        c.spec.kv_missing = c.spec.problem.len_k - p->kv_len;
    if (c.spec.kv_missing < 0) {
        snprintf(a->list->dropped, sizeof a->list->dropped, "kv_len %d is above kv", p->kv_len);
        return SCR_OK;
    }
    if (scr_problem_validate(&c.spec.problem, &invalid) != SCR_OK) {
        snprintf(a->list->dropped, sizeof a->list->dropped, "%s", invalid);
        return SCR_OK;
    }
    /* Of a trace that cannot be used nothing is known: its row will say why. */
    status = scr_choice_hint(&c.spec, &a->hint, a->why, a->why_size);
    if (status == SCR_ERR_INVALID)
        status = SCR_OK;
    for (size_t i = 0; i < a->n_devices && status == SCR_OK; i++) {
        struct scr_case on = c;

        if (a->devices[i] == NULL)
            continue;
        on.device = a->devices[i];
        on.device_order = (int)i;
        look_up_masked(a, &on);
        status = add_on_device(a, p, &on);
    }
    return status;
}

/* Reads the whole shape of the point's trace, unless it was the last one read. */
static int read_trace(struct adder *a, const struct scr_point *p)
{
    scr_problem shape = {.q_pos0 = p->q_pos0, .dtype = p->dtype};
    int status;

    if (strcmp(a->trace_path, p->workload.path) == 0)
        return SCR_OK;
    status = scr_dataset_shape(&p->workload, 0, &shape, a->why, a->why_size);
    if (status != SCR_OK)
        return status;
    a->trace_problem = shape;
    snprintf(a->trace_path, sizeof a->trace_path, "%s", p->workload.path);
    return SCR_OK;
}

static int add_point(void *user, const struct scr_point *p)
{
    struct adder *a = user;
    int status = SCR_OK;

    if (p->workload.kind == SCR_WORKLOAD_TRACE) {
        status = read_trace(a, p);
    } else if (p->trace_head != SCR_HEAD_ALL) {
        char workload[540];

        scr_workload_name(&p->workload, workload, sizeof workload);
        snprintf(a->why, a->why_size, "-a trace_head: workload %s is not a trace", workload);
        status = SCR_ERR_INVALID;
    }
    if (status != SCR_OK)
        return status;
    if (p->trace_head != SCR_HEAD_EACH)
        return add_problem(a, p, p->trace_head);
    for (int head = 0; head < a->trace_problem.heads_q && status == SCR_OK; head++)
        status = add_problem(a, p, head);
    return status;
}

int scr_case_list_add(struct scr_case_list *l, const struct scr_axes *axes,
                      const scr_device_info *const *devices, size_t n_devices, uint64_t seed,
                      char *why, size_t why_size)
{
    struct adder a = {
        .list = l,
        .room = l->n,
        .devices = devices,
        .n_devices = n_devices,
        .seed = seed,
        .why = why,
        .why_size = why_size,
    };
    int status = scr_axes_for_each(axes, add_point, &a);

    if (status == SCR_ERR_NO_MEMORY)
        snprintf(why, why_size, "out of memory");
    return status;
}

static int rank(const struct scr_case *c)
{
    if (strcmp(c->config.kernel, "masked-dense") == 0)
        return 0;
    if (strcmp(c->config.kernel, "dense") == 0)
        return 1;
    return 2 + (int)c->config.skip;
}

static int by_data(const void *pa, const void *pb)
{
    const struct scr_case *a = pa, *b = pb;
    int cmp = strcmp(a->data_words, b->data_words);

    if (cmp == 0)
        cmp = (a->spec.seed > b->spec.seed) - (a->spec.seed < b->spec.seed);
    return cmp != 0 ? cmp : (a->order > b->order) - (a->order < b->order);
}

static int compare_config(const struct scr_case *a, const struct scr_case *b)
{
    char words_a[1400] = "", words_b[1400] = "";

    kernel_words(a, words_a, sizeof words_a);
    kernel_words(b, words_b, sizeof words_b);
    return strcmp(words_a, words_b);
}

static int by_turn(const void *pa, const void *pb)
{
    const struct scr_case *a = pa, *b = pb;

    if (a->group != b->group)
        return a->group < b->group ? -1 : 1;
    if (a->device_order != b->device_order)
        return a->device_order - b->device_order;
    if (rank(a) != rank(b))
        return rank(a) - rank(b);
    return (a->order > b->order) - (a->order < b->order);
}

void scr_case_list_sort(struct scr_case_list *l)
{
    size_t kept = 0;

    l->n_groups = 0;
    if (l->n == 0)
        return;
    /* A group is named by the order of its first case, so that groups keep the order asked for. */
    qsort(l->cases, l->n, sizeof *l->cases, by_data);
    for (size_t i = 0; i < l->n; i++) {
        bool same = i > 0 && strcmp(l->cases[i].data_words, l->cases[i - 1].data_words) == 0 &&
                    l->cases[i].spec.seed == l->cases[i - 1].spec.seed;

        l->cases[i].group = same ? l->cases[i - 1].group : l->cases[i].order;
        l->n_groups += !same;
    }
    qsort(l->cases, l->n, sizeof *l->cases, by_turn);
    for (size_t i = 0; i < l->n; i++) {
        bool repeated = false;

        for (size_t j = kept; j > 0 && !repeated; j--) {
            struct scr_case *other = &l->cases[j - 1];

            if (other->group != l->cases[i].group ||
                other->device_order != l->cases[i].device_order ||
                rank(other) != rank(&l->cases[i]))
                break;
            repeated = compare_config(other, &l->cases[i]) == 0;
            other->no_peers &= !repeated || l->cases[i].no_peers;
        }
        if (repeated) {
            free(l->cases[i].data_words);
            continue;
        }
        l->cases[kept] = l->cases[i];
        l->cases[kept].order = kept;
        kept++;
    }
    l->n = kept;
}

void scr_case_list_print(const struct scr_case_list *l, FILE *f)
{
    size_t n = l->n - l->n_spare;
    char name[SCR_CASE_TEXT];

    for (size_t i = 0; i < n; i++) {
        scr_case_name(&l->cases[i], name, sizeof name);
        fprintf(f, "%s%s%s\n", name, l->cases[i].refused != SCR_OK ? "  unsupported: " : "",
                l->cases[i].why);
    }
    fprintf(f, "%zu configuration%s", n, n == 1 ? "" : "s");
    if (l->n_groups > 0 && l->n_spare == 0) /* sorted */
        fprintf(f, " on %zu data set%s", l->n_groups, l->n_groups == 1 ? "" : "s");
    fputc('\n', f);
}

void scr_case_list_clear(struct scr_case_list *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->cases[i].data_words);
    free(l->cases);
    *l = (struct scr_case_list){0};
}
