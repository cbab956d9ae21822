/* SPDX-License-Identifier: Apache-2.0 */
#include "tuner_options.h"

#include "options.h" /* the harness's durations */
#include "strategy.h"

#include <screening/error.h>

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

enum {
    OPT_FIRST = 256,
    OPT_TUNE = OPT_FIRST,
    OPT_SHOW,
    OPT_MERGE,
    OPT_TABLE,
    OPT_LOOKUP,
    OPT_STALE,
    OPT_EXPORT,
    OPT_HELP,
    OPT_VERSION,
    OPT_DEVICE,
    OPT_STRATEGY,
    OPT_TRIES,
    OPT_START,
    OPT_BUDGET,
    OPT_TIME_LIMIT,
    OPT_TIMEOUT,
    OPT_SEED,
    OPT_RECORDS,
    OPT_RESUME,
    OPT_SHARD,
    OPT_JOBS,
    OPT_INJECT,
    OPT_WORKER,
    OPT_AHEAD,
    OPT_ARCH,
    OPT_AXIS, /* -a */
    OPT_OUT,  /* -o */
};

static const struct option long_options[] = {
    {"tune", no_argument, NULL, OPT_TUNE},
    {"show", no_argument, NULL, OPT_SHOW},
    {"merge", no_argument, NULL, OPT_MERGE},
    {"table", no_argument, NULL, OPT_TABLE},
    {"lookup", no_argument, NULL, OPT_LOOKUP},
    {"stale", no_argument, NULL, OPT_STALE},
    {"export", required_argument, NULL, OPT_EXPORT},
    {"help", no_argument, NULL, OPT_HELP},
    {"version", no_argument, NULL, OPT_VERSION},
    {"device", required_argument, NULL, OPT_DEVICE},
    {"strategy", required_argument, NULL, OPT_STRATEGY},
    {"tries", required_argument, NULL, OPT_TRIES},
    {"start", required_argument, NULL, OPT_START},
    {"budget", required_argument, NULL, OPT_BUDGET},
    {"time-limit", required_argument, NULL, OPT_TIME_LIMIT},
    {"timeout", required_argument, NULL, OPT_TIMEOUT},
    {"seed", required_argument, NULL, OPT_SEED},
    {"records", required_argument, NULL, OPT_RECORDS},
    {"resume", no_argument, NULL, OPT_RESUME},
    {"shard", required_argument, NULL, OPT_SHARD},
    {"jobs", required_argument, NULL, OPT_JOBS},
    {"inject", required_argument, NULL, OPT_INJECT},
    {"worker", required_argument, NULL, OPT_WORKER},
    {"compile-ahead", required_argument, NULL, OPT_AHEAD},
    {"arch", required_argument, NULL, OPT_ARCH},
    {NULL, 0, NULL, 0},
};

static const char *const mode_names[] = {
    [SCR_TUNER_TUNE] = "--tune",     [SCR_TUNER_SHOW] = "--show",
    [SCR_TUNER_MERGE] = "--merge",   [SCR_TUNER_TABLE] = "--table",
    [SCR_TUNER_LOOKUP] = "--lookup", [SCR_TUNER_STALE] = "--stale",
    [SCR_TUNER_EXPORT] = "--export", [SCR_TUNER_AHEAD] = "--compile-ahead",
};

static int refuse(char *why, size_t why_size, const char *option, const char *value,
                  const char *expected)
{
    snprintf(why, why_size, "%s: '%s' is not %s", option, value, expected);
    return SCR_ERR_INVALID;
}

static int parse_seed(const char *text, uint64_t *out, char *why, size_t why_size)
{
    char *end;

    errno = 0;
    *out = strtoull(text, &end, 10);
    if (*text >= '0' && *text <= '9' && *end == '\0' && errno == 0 && *out <= INT64_MAX)
        return SCR_OK;
    return refuse(why, why_size, "--seed", text, "a number from 0 to 9223372036854775807");
}

static int add_start(struct scr_tuner_options *o, const char *text, char *why, size_t why_size)
{
    struct scr_tuner_start *start = &o->starts[o->n_starts];

    if (o->n_starts == SCR_TUNER_STARTS) {
        snprintf(why, why_size, "--start: more than %d", SCR_TUNER_STARTS);
        return SCR_ERR_INVALID;
    }
    if (!scr_params_parse(text, start->params, &start->n_params))
        return refuse(why, why_size, "--start", text,
                      "NAME=NUMBER[+NAME=NUMBER], such as TILE_Q=128+TILE_K=64");
    o->n_starts++;
    return SCR_OK;
}

static int parse_shard(struct scr_tuner_options *o, const char *text, char *why, size_t why_size)
{
    const char *slash = strchr(text, '/');
    char first[12];
    long k, n;

    if (slash != NULL && (size_t)(slash - text) < sizeof first) {
        snprintf(first, sizeof first, "%.*s", (int)(slash - text), text);
        if (scr_parse_int(slash + 1, 1, 1000000, &n) && scr_parse_int(first, 1, n, &k)) {
            o->shard = (int)k;
            o->n_shards = (int)n;
            return SCR_OK;
        }
    }
    return refuse(why, why_size, "--shard", text, "K/N with 1 <= K <= N, such as 3/8");
}

/* "-a" words of a command in one string: "-a seq=64 -a dtype=f16", "seq=64 dtype=f16". */
static int set_axes(struct scr_tuner_options *o, const char *text, char *why, size_t why_size)
{
    char *line, *word, *rest;
    int status = SCR_OK;

    if (text[strcspn(text, " \t")] == '\0' || strstr(text, "trace:") != NULL)
        return scr_axes_set(&o->axes, text, why, why_size);
    line = rest = strdup(text);
    if (line == NULL) {
        snprintf(why, why_size, "out of memory");
        return SCR_ERR_NO_MEMORY;
    }
    while (status == SCR_OK && (word = strsep(&rest, " \t")) != NULL) {
        if (strncmp(word, "-a", 2) == 0)
            word += 2;
        if (*word != '\0')
            status = scr_axes_set(&o->axes, word, why, why_size);
    }
    free(line);
    return status;
}

static int bad_option(int argc, char **argv, int c, char *why, size_t why_size)
{
    const char *word = optind > 0 && optind <= argc ? argv[optind - 1] : "";

    if (c == ':')
        snprintf(why, why_size, "%s: a value is missing; see --help", word);
    else if (optopt >= OPT_FIRST)
        snprintf(why, why_size, "%s: takes no value; see --help", word);
    else if (optopt != 0)
        snprintf(why, why_size, "-%c: unknown option; see --help", optopt);
    else
        snprintf(why, why_size, "%s: unknown option; see --help", word);
    return SCR_ERR_INVALID;
}

/* An option that the mode does not look at is a mistake of the user's, so it is not passed over. */
static int check_effect(const struct scr_tuner_options *o, unsigned given, char *why,
                        size_t why_size)
{
    enum {
        TUNE = 1 << SCR_TUNER_TUNE,
        MERGE = 1 << SCR_TUNER_MERGE,
        TABLE = 1 << SCR_TUNER_TABLE,
        LOOKUP = 1 << SCR_TUNER_LOOKUP,
        EXPORT = 1 << SCR_TUNER_EXPORT,
        AHEAD = 1 << SCR_TUNER_AHEAD,
    };
    static const struct {
        const char *name;
        int option;
        unsigned effect; /* bits of the modes in which it has one */
    } options[] = {
        {"-a", OPT_AXIS, TUNE | LOOKUP},
        {"--device", OPT_DEVICE, TUNE | LOOKUP},
        {"--strategy", OPT_STRATEGY, TUNE},
        {"--tries", OPT_TRIES, TUNE},
        {"--start", OPT_START, TUNE},
        {"--budget", OPT_BUDGET, TUNE},
        {"--time-limit", OPT_TIME_LIMIT, TUNE},
        {"--timeout", OPT_TIMEOUT, TUNE},
        {"--seed", OPT_SEED, TUNE},
        {"--records", OPT_RECORDS, TUNE},
        {"--resume", OPT_RESUME, TUNE},
        {"--shard", OPT_SHARD, TUNE},
        {"--jobs", OPT_JOBS, TUNE | AHEAD},
        {"--inject", OPT_INJECT, TUNE},
        {"--worker", OPT_WORKER, TUNE},
        {"--arch", OPT_ARCH, AHEAD},
        {"-o", OPT_OUT, MERGE | TABLE | EXPORT},
    };

    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        if ((given >> (options[i].option - OPT_FIRST) & 1) == 0 ||
            (options[i].effect >> o->mode & 1) != 0)
            continue;
        snprintf(why, why_size, "%s has no effect with %s", options[i].name, mode_names[o->mode]);
        return SCR_ERR_INVALID;
    }
    if (o->n_starts > 0 && o->strategy >= 0 && o->strategy != SCR_SEARCH_LOCAL) {
        snprintf(why, why_size, "--start has no effect with --strategy exhaustive or random");
        return SCR_ERR_INVALID;
    }
    return SCR_OK;
}

static int set_mode(struct scr_tuner_options *o, enum scr_tuner_mode mode, char *why,
                    size_t why_size)
{
    /* Help and version win over everything. */
    if (mode == SCR_TUNER_HELP || mode == SCR_TUNER_VERSION) {
        o->mode = mode;
        return SCR_OK;
    }
    if (o->mode == SCR_TUNER_HELP || o->mode == SCR_TUNER_VERSION)
        return SCR_OK;
    if (o->mode != SCR_TUNER_NONE && o->mode != mode) {
        snprintf(why, why_size,
                 "only one of --tune, --show, --merge, --table, --lookup, --stale, --export and "
                 "--compile-ahead at a time");
        return SCR_ERR_INVALID;
    }
    o->mode = mode;
    return SCR_OK;
}

static int take_time(const char *option, double *out, char *why, size_t why_size)
{
    if (scr_parse_duration(optarg, out))
        return SCR_OK;
    return refuse(why, why_size, option, optarg, "a time such as 90, 90s, 5m or 1h");
}

static int take_tuning(struct scr_tuner_options *o, int c, char *why, size_t why_size)
{
    long n;

    switch (c) {
    case OPT_STRATEGY:
        o->strategy = scr_strategy_parse(optarg);
        if (o->strategy >= 0)
            return SCR_OK;
        snprintf(why, why_size, "--strategy: '%s' is not one of exhaustive, local, random", optarg);
        return SCR_ERR_INVALID;
    case OPT_TRIES:
        if (!scr_parse_int(optarg, 1, 1000000, &n))
            return refuse(why, why_size, "--tries", optarg, "a number from 1 to 1000000");
        o->tries = (int)n;
        return SCR_OK;
    case OPT_START:
        return add_start(o, optarg, why, why_size);
    case OPT_BUDGET:
        return take_time("--budget", &o->budget_s, why, why_size);
    case OPT_TIME_LIMIT:
        return take_time("--time-limit", &o->time_limit_s, why, why_size);
    case OPT_TIMEOUT:
        return take_time("--timeout", &o->timeout_s, why, why_size);
    case OPT_SEED:
        return parse_seed(optarg, &o->seed, why, why_size);
    case OPT_RECORDS:
        o->records = optarg;
        if (*optarg != '\0')
            return SCR_OK;
        snprintf(why, why_size, "--records: expected a file");
        return SCR_ERR_INVALID;
    case OPT_RESUME:
        o->resume = true;
        return SCR_OK;
    case OPT_SHARD:
        return parse_shard(o, optarg, why, why_size);
    case OPT_JOBS:
        if (!scr_parse_int(optarg, 1, 1024, &n))
            return refuse(why, why_size, "--jobs", optarg, "a number from 1 to 1024");
        o->jobs = (int)n;
        return SCR_OK;
    case OPT_INJECT:
        return scr_faults_parse(optarg, &o->faults, why, why_size);
    case OPT_WORKER:
        o->worker = optarg;
        return SCR_OK;
    default:
        return SCR_ERR_INVALID;
    }
}

static int take(struct scr_tuner_options *o, int c, char *why, size_t why_size)
{
    switch (c) {
    case OPT_TUNE:
        return set_mode(o, SCR_TUNER_TUNE, why, why_size);
    case OPT_SHOW:
        return set_mode(o, SCR_TUNER_SHOW, why, why_size);
    case OPT_MERGE:
        return set_mode(o, SCR_TUNER_MERGE, why, why_size);
    case OPT_TABLE:
        return set_mode(o, SCR_TUNER_TABLE, why, why_size);
    case OPT_LOOKUP:
        return set_mode(o, SCR_TUNER_LOOKUP, why, why_size);
    case OPT_STALE:
        return set_mode(o, SCR_TUNER_STALE, why, why_size);
    case OPT_EXPORT:
        if (strcmp(optarg, "t4") != 0)
            return refuse(why, why_size, "--export", optarg, "a format; expected t4");
        return set_mode(o, SCR_TUNER_EXPORT, why, why_size);
    case OPT_AHEAD:
        o->ahead = optarg;
        if (*optarg != '\0')
            return set_mode(o, SCR_TUNER_AHEAD, why, why_size);
        snprintf(why, why_size, "--compile-ahead: expected a folder");
        return SCR_ERR_INVALID;
    case OPT_ARCH:
        o->arch = optarg;
        return SCR_OK;
    case OPT_HELP:
        return set_mode(o, SCR_TUNER_HELP, why, why_size);
    case OPT_VERSION:
        return set_mode(o, SCR_TUNER_VERSION, why, why_size);
    case OPT_AXIS:
        return set_axes(o, optarg, why, why_size);
    case OPT_DEVICE:
        o->device = optarg;
        if (*optarg != '\0')
            return SCR_OK;
        snprintf(why, why_size, "--device: expected an id, a backend or all");
        return SCR_ERR_INVALID;
    case OPT_OUT:
        o->out = optarg;
        if (*optarg != '\0')
            return SCR_OK;
        snprintf(why, why_size, "-o: expected a file");
        return SCR_ERR_INVALID;
    default:
        return take_tuning(o, c, why, why_size);
    }
}

/* What the words without an option are, and how many a mode needs. */
static int check_words(struct scr_tuner_options *o, char *why, size_t why_size)
{
    bool records = o->mode != SCR_TUNER_TUNE && o->mode != SCR_TUNER_LOOKUP;

    if (o->mode == SCR_TUNER_AHEAD) {
        if (o->arch != NULL && o->n_files <= 1)
            return SCR_OK;
        snprintf(why, why_size,
                 "--compile-ahead: expected --arch, such as sm_90, and one table at most");
        return SCR_ERR_INVALID;
    }
    if (o->mode == SCR_TUNER_LOOKUP) {
        for (int i = 0; i < o->n_files; i++) {
            if (set_axes(o, o->files[i], why, why_size) != SCR_OK)
                return SCR_ERR_INVALID;
        }
        o->n_files = 0;
    }
    if (!records && o->n_files > 0) {
        snprintf(why, why_size, "%s: unexpected word; see --help", o->files[0]);
        return SCR_ERR_INVALID;
    }
    if (records && o->n_files == 0 && o->mode != SCR_TUNER_STALE) {
        snprintf(why, why_size, "%s: expected files of records", mode_names[o->mode]);
        return SCR_ERR_INVALID;
    }
    if (o->mode == SCR_TUNER_MERGE && o->out == NULL) {
        snprintf(why, why_size, "--merge: expected -o OUT; -o - is the standard output");
        return SCR_ERR_INVALID;
    }
    return SCR_OK;
}

int scr_tuner_options_parse(int argc, char **argv, struct scr_tuner_options *o, char *why,
                            size_t why_size)
{
    unsigned given = 0; /* a bit an option, from OPT_FIRST */
    int c;

    *o = (struct scr_tuner_options){
        .strategy = -1, .seed = 1, .shard = 1, .n_shards = 1, .faults.at = -1};
    o->files = calloc((size_t)argc + 1, sizeof *o->files);
    if (o->files == NULL) {
        snprintf(why, why_size, "out of memory");
        return SCR_ERR_NO_MEMORY;
    }
    optind = 0; /* glibc: start over, so that a test may parse twice */
    opterr = 0;
    while ((c = getopt_long(argc, argv, "-:a:o:h", long_options, NULL)) != -1) {
        int status;

        if (c == 1) {
            o->files[o->n_files++] = optarg;
            continue;
        }
        c = c == 'a' ? OPT_AXIS : c == 'o' ? OPT_OUT : c == 'h' ? OPT_HELP : c;
        status = c == '?' || c == ':' ? bad_option(argc, argv, c, why, why_size)
                                      : take(o, c, why, why_size);
        if (status != SCR_OK)
            return status;
        given |= 1u << (c - OPT_FIRST);
    }
    for (; optind < argc; optind++)
        o->files[o->n_files++] = argv[optind];
    if (o->mode == SCR_TUNER_HELP || o->mode == SCR_TUNER_VERSION)
        return SCR_OK;
    if (o->mode == SCR_TUNER_NONE) {
        snprintf(why, why_size,
                 "expected one of --tune, --show, --merge, --table, --lookup, --stale, --export, "
                 "--compile-ahead; see --help");
        return SCR_ERR_INVALID;
    }
    if (check_effect(o, given, why, why_size) != SCR_OK)
        return SCR_ERR_INVALID;
    if (o->mode == SCR_TUNER_TUNE && o->records == NULL)
        o->records = SCR_DEFAULT_RECORDS;
    return check_words(o, why, why_size);
}

void scr_tuner_options_clear(struct scr_tuner_options *o)
{
    scr_axes_clear(&o->axes);
    free(o->files);
    o->files = NULL;
}
