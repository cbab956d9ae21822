/* SPDX-License-Identifier: Apache-2.0 */
#include "peer.h"

#include "json_text.h"
#include "peer_process.h"
#include "safetensors.h"
#include "softmax_truth.h"
#include "timer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Importing a framework from a cold disk takes its time. */
static const double GREETING_S = 120;
/* To end by itself once its input is closed. */
static const double GRACE_S = 2;

enum { MAX_SAMPLES = 100000 };

static const char DATA_FILE[] = "peer-data.safetensors", O_FILE[] = "peer-o.safetensors";

struct scr_peer {
    char *command;
    struct scr_peer_watch watch;
    struct scr_peer_info info;
    struct scr_process process;
    int64_t id; /* of the last request */
};

struct scr_peer_problem {
    const struct scr_dataset *data;
    const struct scr_truth *truth;
    struct scr_softmax_truth *softmax; /* made when the first softmax peer runs */
    int threads;
    uint64_t max_pairs;
    char *path, *o_path;
};

/* Copies text from outside for a message: no control characters, cut to the buffer between two
 * characters of UTF-8. */
static void quote(const char *text, char *out, size_t size)
{
    size_t n = 0;

    for (; text[n] != '\0' && n + 1 < size; n++)
        out[n] = (unsigned char)text[n] < 0x20 || text[n] == 0x7f ? '?' : text[n];
    while (n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80)
        n--;
    out[n] = '\0';
}

/* A name that can stand on a command line as it is. */
static bool is_name(const char *text, size_t size)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                  "._-+:";
    size_t n = text != NULL ? strspn(text, allowed) : 0;

    return n > 0 && n < size && text[n] == '\0' && text[0] != '-';
}

static const char *text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

/* Reads what a peer is; returns what is wrong with it, or NULL. */
static const char *read_info(const json_t *g, struct scr_peer_info *info)
{
    const char *name = text_of(g, "peer"), *version = text_of(g, "version");
    const char *op = text_of(g, "operator");
    const json_t *kernels = json_object_get(g, "kernels");
    size_t n = json_array_size(kernels);

    memset(info, 0, sizeof *info);
    if (!is_name(name, sizeof info->name))
        return "its \"peer\" is not a short name";
    if (op == NULL || (strcmp(op, "screening") != 0 && strcmp(op, "softmax") != 0))
        return "its \"operator\" is neither \"screening\" nor \"softmax\"";
    if (n == 0 || n > SCR_PEER_MAX_KERNELS)
        return "its \"kernels\" is not a list of 1 to 32 names";
    for (size_t i = 0; i < n; i++) {
        const char *kernel = json_string_value(json_array_get(kernels, i));

        if (!is_name(kernel, sizeof info->kernels[i]))
            return "its \"kernels\" has what is not a short name";
        for (size_t j = 0; j < i; j++) {
            if (strcmp(info->kernels[j], kernel) == 0)
                return "its \"kernels\" has a name twice";
        }
        snprintf(info->kernels[i], sizeof info->kernels[i], "%s", kernel);
    }
    snprintf(info->name, sizeof info->name, "%s", name);
    quote(version != NULL ? version : "", info->version, sizeof info->version);
    snprintf(info->op, sizeof info->op, "%s", op);
    info->n_kernels = (int)n;
    return NULL;
}

static const char *read_greeting(const json_t *g, struct scr_peer_info *info)
{
    if (!json_is_integer(json_object_get(g, "hello")))
        return "its first line is no greeting";
    if (json_integer_value(json_object_get(g, "hello")) != SCR_PEER_PROTOCOL)
        return "it speaks another version of the protocol";
    return read_info(g, info);
}

/* ": LINE" of what the peer said last on stderr, or "". */
static void last_words(const struct scr_peer *peer, char *out, size_t size)
{
    char line[sizeof peer->process.last_error];

    quote(peer->process.last_error, line, sizeof line);
    snprintf(out, size, "%s%s", line[0] != '\0' ? ": " : "", line);
}

/*
 * Waits for a line and reads it as a JSON object. On failure NULL, with the status of a row and a
 * reason; both are "" when *stop was raised. The peer has ended then, in any case.
 *
 * greeting  it is the greeting that is waited for
 */
static json_t *receive(struct scr_peer *peer, bool greeting, double limit_s, const char **status,
                       char *why, size_t why_size)
{
    char words[220], how[80], excerpt[60];
    json_error_t error;
    json_t *object = NULL;
    char *line = NULL;
    size_t bytes = 0;

    *status = "failed";
    why[0] = '\0';
    switch (scr_process_read(&peer->process, limit_s, peer->watch.stop, &line, &bytes)) {
    case SCR_LINE_THERE:
        object = json_loadb(line, bytes, JSON_REJECT_DUPLICATES, &error);
        if (json_is_object(object))
            return object;
        json_decref(object);
        quote(line, excerpt, sizeof excerpt);
        snprintf(why, why_size, "it wrote what is no JSON object: '%s'", excerpt);
        break;
    case SCR_LINE_LONG:
        snprintf(why, why_size, "it wrote 4 MiB without a newline");
        break;
    case SCR_LINE_LATE:
        *status = "timeout";
        last_words(peer, words, sizeof words);
        snprintf(why, why_size, "no answer within %g s%s", limit_s, words);
        break;
    case SCR_LINE_ENDED:
        *status = "crashed";
        last_words(peer, words, sizeof words);
        scr_process_end(&peer->process, GRACE_S, how, sizeof how);
        if (greeting)
            snprintf(why, why_size, "ended (%s) before its greeting%.170s", how, words);
        else
            snprintf(why, why_size, "%s%s", how, words);
        break;
    case SCR_LINE_STOPPED:
        *status = "";
        break;
    }
    scr_process_end(&peer->process, 0, NULL, 0);
    return NULL;
}

/* Starts the process and reads its greeting. SCR_OK or SCR_ERR_*, with one line in why. */
static int greet(struct scr_peer *peer, struct scr_peer_info *info, char *why, size_t why_size)
{
    const char *status, *wrong;
    char hello[40];
    json_t *greeting;
    int result = scr_process_start(&peer->process, peer->command, why, why_size);

    if (result != SCR_OK)
        return result;
    if (peer->watch.started != NULL)
        peer->watch.started(peer->watch.user, peer->process.pid);
    snprintf(hello, sizeof hello, "{\"hello\": %d}", SCR_PEER_PROTOCOL);
    /* Where it cannot be sent, the peer has ended, and receive says how. */
    scr_process_send(&peer->process, hello);
    greeting = receive(peer, true, GREETING_S, &status, why, why_size);
    if (greeting == NULL) {
        if (status[0] == '\0')
            snprintf(why, why_size, "interrupted");
        return strcmp(status, "failed") == 0 ? SCR_ERR_INVALID : SCR_ERR_DEVICE;
    }
    wrong = read_greeting(greeting, info);
    json_decref(greeting);
    if (wrong == NULL)
        return SCR_OK;
    snprintf(why, why_size, "%s", wrong);
    scr_process_end(&peer->process, 0, NULL, 0);
    return SCR_ERR_INVALID;
}

static struct scr_peer *make(const char *command, const struct scr_peer_watch *watch)
{
    struct scr_peer *peer = calloc(1, sizeof *peer);

    if (peer == NULL || (peer->command = strdup(command)) == NULL) {
        free(peer);
        return NULL;
    }
    if (watch != NULL)
        peer->watch = *watch;
    return peer;
}

int scr_peer_recall(const char *command, const struct scr_peer_info *info,
                    const struct scr_peer_watch *watch, struct scr_peer **out)
{
    *out = make(command, watch);
    if (*out == NULL)
        return SCR_ERR_NO_MEMORY;
    (*out)->info = *info;
    return SCR_OK;
}

int scr_peer_start(const char *command, const struct scr_peer_watch *watch, struct scr_peer **out,
                   char *why, size_t why_size)
{
    struct scr_peer *peer;
    char text[300], shown[120];
    int status;

    *out = NULL;
    quote(command, shown, sizeof shown);
    if (command[strspn(command, " \t\r\n")] == '\0') {
        snprintf(why, why_size, "--peer: a command is missing");
        return SCR_ERR_INVALID;
    }
    if (strlen(command) > SCR_PEER_MAX_COMMAND) {
        snprintf(why, why_size, "--peer %s...: the command is longer than %d bytes", shown,
                 SCR_PEER_MAX_COMMAND);
        return SCR_ERR_INVALID;
    }
    peer = make(command, watch);
    if (peer == NULL) {
        snprintf(why, why_size, "out of memory");
        return SCR_ERR_NO_MEMORY;
    }
    status = greet(peer, &peer->info, text, sizeof text);
    if (status != SCR_OK) {
        snprintf(why, why_size, "--peer %s: %s", shown, text);
        scr_peer_stop(&peer);
    }
    *out = peer;
    return status;
}

void scr_peer_stop(struct scr_peer **ppeer)
{
    struct scr_peer *peer = *ppeer;

    if (peer == NULL)
        return;
    scr_process_end(&peer->process, GRACE_S, NULL, 0);
    free(peer->command);
    free(peer);
    *ppeer = NULL;
}

const struct scr_peer_info *scr_peer_describe(const struct scr_peer *peer)
{
    return &peer->info;
}

json_t *scr_peer_json(const struct scr_peer *peer)
{
    const struct scr_peer_info *info = &peer->info;
    json_t *kernels = json_array();

    for (int i = 0; i < info->n_kernels; i++)
        json_array_append_new(kernels, json_string(info->kernels[i]));
    return json_pack("{s:o, s:s, s:o, s:s, s:o}", "command", scr_json_text(peer->command), "peer",
                     info->name, "version", scr_json_text(info->version), "operator", info->op,
                     "kernels", kernels);
}

bool scr_peer_info_from_json(const json_t *object, struct scr_peer_info *info)
{
    return read_info(object, info) == NULL;
}

static void add_tensor(struct scr_tensor *t, const char *name, scr_dtype type, int64_t heads,
                       const scr_problem *p, int64_t len, int64_t dim, const void *data)
{
    *t =
        (struct scr_tensor){.dtype = type,
                            .n_dims = 4,
                            .dims = {p->batch, heads, len, dim},
                            .bytes = (size_t)(p->batch * heads * len * dim) * scr_dtype_bytes(type),
                            .data = data};
    snprintf(t->name, sizeof t->name, "%s", name);
}

static void add_heads(struct scr_tensor *t, const char *name, const scr_problem *p,
                      const float *data)
{
    *t = (struct scr_tensor){.dtype = SCR_F32,
                             .n_dims = 1,
                             .dims = {p->heads_q},
                             .bytes = (size_t)p->heads_q * sizeof *data,
                             .data = data};
    snprintf(t->name, sizeof t->name, "%s", name);
}

static int write_data(const struct scr_dataset *d, const char *path, char *why, size_t why_size)
{
    const scr_problem *p = &d->spec.problem;
    struct scr_tensor t[5];

    add_tensor(&t[0], "q", p->dtype, p->heads_q, p, p->len_q, p->dk, d->q);
    add_tensor(&t[1], "k", p->dtype, p->heads_kv, p, p->len_k, p->dk, d->k);
    add_tensor(&t[2], "v", p->dtype, p->heads_kv, p, p->len_k, p->dv, d->v);
    add_heads(&t[3], "r", p, d->r);
    add_heads(&t[4], "w", p, d->w);
    return scr_safetensors_write(path, t, 5, why, why_size);
}

int scr_peer_problem_create(const struct scr_dataset *data, const struct scr_truth *truth,
                            int threads, uint64_t max_pairs, const char *folder,
                            struct scr_peer_problem **out, char *why, size_t why_size)
{
    struct scr_peer_problem *problem = calloc(1, sizeof *problem);
    char *absolute = realpath(folder, NULL);
    int status = SCR_ERR_NO_MEMORY;

    *out = NULL;
    snprintf(why, why_size, "out of memory");
    if (problem == NULL)
        goto done;
    *problem = (struct scr_peer_problem){
        .data = data, .truth = truth, .threads = threads, .max_pairs = max_pairs};
    if (absolute == NULL) {
        scr_path_message(folder, "is no folder", why, why_size);
        status = SCR_ERR_INVALID;
        goto done;
    }
    if (asprintf(&problem->path, "%s/%s", absolute, DATA_FILE) < 0)
        problem->path = NULL;
    if (asprintf(&problem->o_path, "%s/%s", absolute, O_FILE) < 0)
        problem->o_path = NULL;
    if (problem->path == NULL || problem->o_path == NULL)
        goto done;
    status = write_data(data, problem->path, why, why_size);
done:
    free(absolute);
    if (status == SCR_OK)
        *out = problem;
    else
        scr_peer_problem_destroy(&problem);
    return status;
}

void scr_peer_problem_destroy(struct scr_peer_problem **pproblem)
{
    struct scr_peer_problem *problem = *pproblem;

    if (problem == NULL)
        return;
    if (problem->path != NULL)
        unlink(problem->path);
    if (problem->o_path != NULL)
        unlink(problem->o_path);
    scr_softmax_truth_destroy(&problem->softmax);
    free(problem->path);
    free(problem->o_path);
    free(problem);
    *pproblem = NULL;
}

void scr_peer_remove_files(const char *folder)
{
    const char *const names[] = {DATA_FILE, O_FILE};

    for (int i = 0; i < 2; i++) {
        char *path;

        if (asprintf(&path, "%s/%s", folder, names[i]) < 0)
            return;
        unlink(path);
        free(path);
    }
}

void scr_peer_row_init(const struct scr_peer *peer, const struct scr_case *c, int kernel,
                       struct scr_row *row)
{
    scr_peer_row_identify(&peer->info, peer->command, c, kernel, row);
}

void scr_peer_row_identify(const struct scr_peer_info *info, const char *command,
                           const struct scr_case *c, int kernel, struct scr_row *row)
{
    char quoted[2 * SCR_PEER_MAX_COMMAND], program[600];

    scr_row_init(row, c);
    snprintf(row->peer, sizeof row->peer, "%s", info->name);
    snprintf(row->op, sizeof row->op, "%s", info->op);
    snprintf(row->kernel, sizeof row->kernel, "%s", info->kernels[kernel]);
    snprintf(row->variant, sizeof row->variant, "%.*s", (int)sizeof row->variant - 1,
             info->version);
    row->params[0] = row->skip[0] = row->choice[0] = '\0';
    row->tile_q = row->tile_k = NAN;
    scr_shell_quote(c->program != NULL ? c->program : "harness", program, sizeof program);
    scr_shell_quote(command, quoted, sizeof quoted);
    snprintf(
        row->repro, sizeof row->repro,
        "%s --sweep --device %s %s -a kernel=tile-skip --seed %llu --peer %s --peer-kernel %s%s",
        program, c->device->id, c->data_words, (unsigned long long)c->spec.seed, quoted,
        info->kernels[kernel],
        c->extra != NULL && strstr(c->extra, "--cache warm") != NULL ? " --cache warm" : "");
}

static json_t *kv_len_json(const struct scr_dataset *d)
{
    json_t *list;

    if (d->kv_len == NULL)
        return json_null();
    list = json_array();
    for (int b = 0; b < d->spec.problem.batch; b++)
        json_array_append_new(list, json_integer(d->kv_len[b]));
    return list;
}

/* The request as a line, or NULL when memory runs out or a path is not UTF-8. */
static char *make_request(const struct scr_peer *peer, const struct scr_peer_problem *problem,
                          const scr_device_info *device, int kernel,
                          const struct scr_peer_options *options)
{
    const scr_problem *p = &problem->data->spec.problem;
    json_t *request = json_pack(
        "{s:I, s:s, s:s, s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:s, s:s, s:b, s:b, s:i, s:o}",
        "id", (json_int_t)peer->id, "kernel", peer->info.kernels[kernel], "data", problem->path,
        "out", problem->o_path, "batch", p->batch, "heads", p->heads_q, "kv_heads", p->heads_kv,
        "seq_q", p->len_q, "seq_k", p->len_k, "dk", p->dk, "dv", p->dv, "dtype",
        scr_dtype_name(p->dtype), "dtype_out", scr_dtype_name(p->dtype_out), "causal", p->causal,
        "norm", p->tanh_norm, "q_pos0", scr_problem_q_pos0(p), "kv_len",
        kv_len_json(problem->data));
    json_t *where = json_pack(
        "{s:s, s:s, s:b, s:s, s:f, s:s, s:I}", "device", device->id, "device_name", device->name,
        "is_cpu", device->is_cpu, "pci", device->pci, "time_limit_s", options->time_limit_s,
        "cache", options->warm ? "warm" : "cold", "cache_bytes", (json_int_t)options->cache_bytes);
    char *line = NULL;

    if (request != NULL && where != NULL && json_object_update(request, where) == 0)
        line = json_dumps(request, JSON_COMPACT);
    json_decref(request);
    json_decref(where);
    return line;
}

/* Has a process that is ready for a request. False when the row got a status. */
static bool be_ready(struct scr_peer *peer, struct scr_row *row)
{
    struct scr_peer_info info;
    char why[300];

    if (scr_process_runs(&peer->process))
        return true;
    scr_process_end(&peer->process, 0, NULL, 0);
    if (greet(peer, &info, why, sizeof why) != SCR_OK) {
        scr_row_status(row, "failed", "the peer does not start again: %s", why);
        return false;
    }
    if (memcmp(&info, &peer->info, sizeof info) == 0)
        return true;
    scr_process_end(&peer->process, 0, NULL, 0);
    scr_row_status(row, "failed", "the peer, started again, says that it is another");
    return false;
}

/* Sends a request and returns the answer to it; NULL when the row got a status, or on *stop. */
static json_t *ask(struct scr_peer *peer, struct scr_peer_problem *problem,
                   const struct scr_case *c, int kernel, const struct scr_peer_options *options,
                   struct scr_row *row)
{
    const char *status;
    char why[300];
    json_t *answer;
    char *line;

    if (!be_ready(peer, row))
        return NULL;
    unlink(problem->o_path);
    peer->id++;
    line = make_request(peer, problem, c->device, kernel, options);
    if (line == NULL) {
        scr_row_status(row, "failed", "the problem cannot be put into words");
        return NULL;
    }
    scr_process_send(&peer->process, line); /* a peer that has ended is found out below */
    free(line);
    answer = receive(peer, false, options->timeout_s, &status, why, sizeof why);
    if (answer == NULL) {
        scr_row_status(row, status, "%s", why);
        return NULL;
    }
    if (!json_is_integer(json_object_get(answer, "id")) ||
        json_integer_value(json_object_get(answer, "id")) != peer->id) {
        json_decref(answer);
        scr_process_end(&peer->process, 0, NULL, 0);
        scr_row_status(row, "failed", "it answered what it was not asked: another \"id\"");
        return NULL;
    }
    return answer;
}

static bool is_dtype(const struct scr_row *row, scr_dtype type, const scr_problem *p)
{
    /* A softmax library gives its output in the type of its input, whatever else was asked. */
    return type == p->dtype_out || (strcmp(row->op, "softmax") == 0 && type == p->dtype);
}

/* Judges the output that the peer left behind. False when the row got a status. */
static bool judge(struct scr_peer_problem *problem, struct scr_row *row)
{
    const scr_problem *p = &problem->data->spec.problem;
    const int64_t dims[4] = {p->batch, p->heads_q, p->len_q, p->dv};
    bool softmax = strcmp(row->op, "softmax") == 0;
    struct scr_safetensors *file = NULL;
    const struct scr_tensor *o;
    struct scr_verdict v;
    void *copy = NULL; /* in the file it may lie at an odd address */
    char why[180];
    bool good = false;

    if (access(problem->o_path, F_OK) != 0) {
        scr_row_status(row, "failed", "it left no output behind");
        return false;
    }
    if (scr_safetensors_open(problem->o_path, &file, why, sizeof why) != SCR_OK) {
        scr_row_status(row, "failed", "its output: %s", why);
        return false;
    }
    o = scr_safetensors_find(file, "o");
    if (o == NULL || !is_dtype(row, o->dtype, p)) {
        scr_row_status(row, "failed", "its output has no tensor \"o\" of type %s",
                       scr_dtype_name(p->dtype_out));
        goto done;
    }
    if (o->n_dims != 4 || memcmp(o->dims, dims, sizeof dims) != 0) {
        scr_row_status(row, "failed", "its \"o\" is not of shape [%d,%d,%d,%d]", p->batch,
                       p->heads_q, p->len_q, p->dv);
        goto done;
    }
    snprintf(row->dtype_out, sizeof row->dtype_out, "%s", scr_dtype_name(o->dtype));
    copy = malloc(o->bytes);
    if (copy == NULL ||
        (softmax && problem->softmax == NULL &&
         scr_softmax_truth_create(problem->data, problem->threads, problem->max_pairs,
                                  &problem->softmax) != SCR_OK)) {
        scr_row_status(row, "failed", "out of memory while checking");
        goto done;
    }
    memcpy(copy, o->data, o->bytes);
    if (softmax)
        scr_softmax_truth_judge(problem->softmax, copy, o->dtype, &v);
    else
        scr_truth_judge(problem->truth, copy, &v);
    scr_row_judge(row, &v);
    good = v.pass;
done:
    free(copy);
    scr_safetensors_close(&file);
    return good;
}

static bool one_of(const char *word, const char *const *words)
{
    for (; word != NULL && *words != NULL; words++) {
        if (strcmp(word, *words) == 0)
            return true;
    }
    return false;
}

/* Reads "t_ns" and describes it. False when the row got a status. */
static bool read_times(const json_t *list, struct scr_row *row)
{
    size_t n = json_array_size(list);
    double *samples;
    struct scr_time_stats t;

    if (n == 0 || n > MAX_SAMPLES) {
        scr_row_status(row, "failed", "its \"t_ns\" is not a list of 1 to %d times", MAX_SAMPLES);
        return false;
    }
    samples = malloc(n * sizeof *samples);
    if (samples == NULL) {
        scr_row_status(row, "failed", "out of memory");
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        samples[i] = json_number_value(json_array_get(list, i));
        if (!(samples[i] > 0)) {
            scr_row_status(row, "failed", "its \"t_ns\" has what is no time above 0");
            free(samples);
            return false;
        }
    }
    scr_time_describe(samples, n, &t);
    row->n_samples = (double)n;
    row->t_median_ns = t.median;
    row->t_ci_lo_ns = t.ci_lo;
    row->t_ci_hi_ns = t.ci_hi;
    row->t_min_ns = t.min;
    row->t_q1_ns = t.q1;
    row->t_q3_ns = t.q3;
    row->n_outliers = (double)t.n_outliers;
    free(samples);
    return true;
}

/* Everything of an answer about times. False when the row got a status. */
static bool read_timing(const json_t *answer, bool warm, struct scr_row *row)
{
    static const char *const timers[] = {"event", "wall", NULL};
    static const char *const caches[] = {"cold", "warm", NULL};
    static const char *const stops[] = {"interval", "time", "count", NULL};
    const char *timer = text_of(answer, "timer"), *cache = text_of(answer, "cache");
    const char *stop = text_of(answer, "stop");

    if (!one_of(timer, timers)) {
        scr_row_status(row, "failed", "its \"timer\" is neither \"event\" nor \"wall\"");
        return false;
    }
    if (!one_of(cache, caches)) {
        scr_row_status(row, "failed", "its \"cache\" is neither \"cold\" nor \"warm\"");
        return false;
    }
    if (!read_times(json_object_get(answer, "t_ns"), row))
        return false;
    snprintf(row->timer, sizeof row->timer, "%s", timer);
    snprintf(row->cache, sizeof row->cache, "%s", cache);
    if (one_of(stop, stops))
        snprintf(row->stop, sizeof row->stop, "%s", stop);
    if (!warm && strcmp(cache, "warm") == 0)
        scr_row_flag(row, "not-cold");
    if (json_is_true(json_object_get(answer, "host_bound")))
        scr_row_flag(row, "host-bound");
    return true;
}

/* What is known of the data, whoever runs on it. */
static void describe_data(const struct scr_peer_problem *problem, struct scr_row *row)
{
    struct scr_densities d;

    snprintf(row->data_hash, sizeof row->data_hash, "%016llx",
             (unsigned long long)problem->data->hash);
    scr_truth_densities(problem->truth, 0, 0, &d);
    row->pairs_admissible = (double)d.pairs_admissible;
    row->pairs_live = (double)d.pairs_live;
    row->pairs_near_tau = (double)d.pairs_near_tau;
    if (d.pairs_admissible > 0)
        row->pair_density = (double)d.pairs_live / (double)d.pairs_admissible;
}

bool scr_peer_run(struct scr_peer *peer, struct scr_peer_problem *problem, const struct scr_case *c,
                  int kernel, const struct scr_peer_options *options, struct scr_row *row)
{
    static const char *const failures[] = {"unsupported", "oom", "failed", NULL};
    const char *status, *reason, *params;
    char text[200];
    json_t *answer;

    describe_data(problem, row);
    answer = ask(peer, problem, c, kernel, options, row);
    if (answer == NULL)
        return peer->watch.stop == NULL || !*peer->watch.stop;
    status = text_of(answer, "status");
    reason = text_of(answer, "reason");
    params = text_of(answer, "params");
    if (params != NULL)
        quote(params, row->params, sizeof row->params);
    if (json_is_number(json_object_get(answer, "mem_peak_bytes")))
        row->mem_peak_bytes = json_number_value(json_object_get(answer, "mem_peak_bytes"));
    if (one_of(status, failures)) {
        quote(reason != NULL && reason[0] != '\0' ? reason : "the peer gives no reason", text,
              sizeof text);
        scr_row_status(row, status, "%s", text);
    } else if (status == NULL || strcmp(status, "ok") != 0) {
        scr_process_end(&peer->process, 0, NULL, 0);
        scr_row_status(row, "failed", "its answer has no \"status\" that is known");
    } else if (judge(problem, row) &&
               (options->time_limit_s == 0 || read_timing(answer, options->warm, row))) {
        scr_row_status(row, "ok", "%s", "");
    }
    unlink(problem->o_path);
    json_decref(answer);
    return true;
}

/* Whether a row of this program ran what a peer's row did. */
static bool comparable(const struct scr_row *a, const struct scr_row *peer)
{
    return strcmp(a->status, "ok") == 0 && a->peer[0] == '\0' &&
           strcmp(a->kernel, "tile-skip") == 0 && isfinite(a->t_median_ns) &&
           strcmp(a->data_hash, peer->data_hash) == 0 && strcmp(a->device, peer->device) == 0 &&
           strcmp(a->dtype, peer->dtype) == 0 && strcmp(a->cache, peer->cache) == 0 &&
           a->causal == peer->causal && a->norm == peer->norm && a->q_pos0 == peer->q_pos0;
}

void scr_peer_relate(const struct scr_row *ours, size_t n_ours, struct scr_row *row)
{
    bool softmax = strcmp(row->op, "softmax") == 0;
    const struct scr_row *best = NULL;
    double ratio, below, above;

    if (strcmp(row->status, "ok") != 0 || !(row->n_samples >= SCR_MIN_SAMPLES))
        return;
    for (size_t i = 0; i < n_ours; i++) {
        if (comparable(&ours[i], row) && (best == NULL || ours[i].t_median_ns < best->t_median_ns))
            best = &ours[i];
    }
    if (best == NULL)
        return;
    ratio = row->t_median_ns / best->t_median_ns;
    /* Independent errors of the two logarithms add as squares. */
    below =
        hypot(log(row->t_median_ns / row->t_ci_lo_ns), log(best->t_ci_hi_ns / best->t_median_ns));
    above =
        hypot(log(row->t_ci_hi_ns / row->t_median_ns), log(best->t_median_ns / best->t_ci_lo_ns));
    *(softmax ? &row->vs_softmax : &row->vs_framework) = ratio;
    *(softmax ? &row->vs_softmax_lo : &row->vs_framework_lo) = ratio * exp(-below);
    *(softmax ? &row->vs_softmax_hi : &row->vs_framework_hi) = ratio * exp(above);
    scr_row_flag(row, "apart");
}
