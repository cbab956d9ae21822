/* SPDX-License-Identifier: Apache-2.0 */
#include "options.h"

#include "device_limits.h"
#include "presets.h"

#include <screening/error.h>

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

static const double DEFAULT_TIMEOUT_S = 120;

enum { OPT_FIRST = 256 };
enum {
    OPT_LIST_DEVICES = OPT_FIRST,
    OPT_SWEEP,
    OPT_CHECK,
    OPT_EVAL,
    OPT_PLOT,
    OPT_DRY_RUN,
    OPT_STRICT,
    OPT_HELP,
    OPT_VERSION,
    OPT_DEVICE,
    OPT_PRESET,
    OPT_SEED,
    OPT_OUT,
    OPT_FORMAT,
    OPT_BUDGET,
    OPT_CASES,
    OPT_RESUME,
    OPT_COMPARE,
    OPT_MAX_REGRESS,
    OPT_PEAK,
    OPT_CACHE,
    OPT_TIMEOUT,
    OPT_TIME_LIMIT,
    OPT_PEER,
    OPT_PEER_KERNEL,
    OPT_WORKER,
    OPT_INJECT,
    OPT_RANDOM,
    OPT_JOBS,
    OPT_LIMIT,
    OPT_AXIS, /* -a */
};

static const struct option long_options[] = {
    {"list-devices", no_argument, NULL, OPT_LIST_DEVICES},
    {"sweep", no_argument, NULL, OPT_SWEEP},
    {"check", no_argument, NULL, OPT_CHECK},
    {"eval", required_argument, NULL, OPT_EVAL},
    {"plot", required_argument, NULL, OPT_PLOT},
    {"dry-run", no_argument, NULL, OPT_DRY_RUN},
    {"strict", no_argument, NULL, OPT_STRICT},
    {"help", no_argument, NULL, OPT_HELP},
    {"version", no_argument, NULL, OPT_VERSION},
    {"device", required_argument, NULL, OPT_DEVICE},
    {"preset", required_argument, NULL, OPT_PRESET},
    {"seed", required_argument, NULL, OPT_SEED},
    {"out", required_argument, NULL, OPT_OUT},
    {"format", required_argument, NULL, OPT_FORMAT},
    {"budget", required_argument, NULL, OPT_BUDGET},
    {"cases", required_argument, NULL, OPT_CASES},
    {"resume", required_argument, NULL, OPT_RESUME},
    {"compare", required_argument, NULL, OPT_COMPARE},
    {"max-regress", required_argument, NULL, OPT_MAX_REGRESS},
    {"peak", no_argument, NULL, OPT_PEAK},
    {"cache", required_argument, NULL, OPT_CACHE},
    {"timeout", required_argument, NULL, OPT_TIMEOUT},
    {"time-limit", required_argument, NULL, OPT_TIME_LIMIT},
    {"peer", required_argument, NULL, OPT_PEER},
    {"peer-kernel", required_argument, NULL, OPT_PEER_KERNEL},
    {"worker", required_argument, NULL, OPT_WORKER},
    {"inject", required_argument, NULL, OPT_INJECT},
    {"random", required_argument, NULL, OPT_RANDOM},
    {"jobs", required_argument, NULL, OPT_JOBS},
    {"limit", required_argument, NULL, OPT_LIMIT},
    {NULL, 0, NULL, 0},
};

bool scr_parse_duration(const char *text, double *seconds)
{
    char *end;
    double x;

    if (*text < '0' || *text > '9' || strpbrk(text, "xXnN") != NULL)
        return false;
    x = strtod(text, &end);
    if (strcmp(end, "m") == 0)
        x *= 60;
    else if (strcmp(end, "h") == 0)
        x *= 3600;
    else if (*end != '\0' && strcmp(end, "s") != 0)
        return false;
    *seconds = x;
    return x > 0 && x < 1e9;
}

bool scr_parse_part(const char *text, double *part)
{
    char *end;
    double x;

    if (*text < '0' || *text > '9' || strpbrk(text, "xXnN") != NULL)
        return false;
    x = strtod(text, &end);
    if (strcmp(end, "%") == 0)
        x /= 100;
    else if (*end != '\0')
        return false;
    *part = x;
    return x < 100;
}

static int parse_formats(const char *list, unsigned *out, char *why, size_t why_size)
{
    static const struct {
        const char *name;
        unsigned bit;
    } formats[] = {{"table", SCR_FORMAT_TABLE},
                   {"csv", SCR_FORMAT_CSV},
                   {"json", SCR_FORMAT_JSON},
                   {"md", SCR_FORMAT_MD}};

    *out = 0;
    for (const char *s = list;;) {
        size_t len = strcspn(s, ",");
        unsigned bit = 0;

        for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
            if (strlen(formats[i].name) == len && strncmp(s, formats[i].name, len) == 0)
                bit = formats[i].bit;
        }
        if (bit == 0) {
            snprintf(why, why_size, "--format: '%.*s' is not one of table, csv, json, md", (int)len,
                     s);
            return SCR_ERR_INVALID;
        }
        *out |= bit;
        if (s[len] == '\0')
            return SCR_OK;
        s += len + 1;
    }
}

static int parse_seed(const char *text, uint64_t *out, char *why, size_t why_size)
{
    char *end;

    errno = 0;
    *out = strtoull(text, &end, 10);
    if (*text >= '0' && *text <= '9' && *end == '\0' && errno == 0 && *out <= INT64_MAX)
        return SCR_OK;
    snprintf(why, why_size, "--seed: '%s' is not a number from 0 to 9223372036854775807", text);
    return SCR_ERR_INVALID;
}

/* The number of an option, from 1 to hi. */
static int parse_count(const char *option, const char *text, int hi, int *out, char *why,
                       size_t why_size)
{
    long n;

    if (!scr_parse_int(text, 1, hi, &n)) {
        snprintf(why, why_size, "%s: '%s' is not a number from 1 to %d", option, text, hi);
        return SCR_ERR_INVALID;
    }
    *out = (int)n;
    return SCR_OK;
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
static int check_effect(const struct scr_options *o, unsigned given, char *why, size_t why_size)
{
    enum {
        SWEEP = 1 << SCR_MODE_SWEEP,
        CHECK = 1 << SCR_MODE_CHECK,
        EVAL = 1 << SCR_MODE_EVAL,
        COMPARE = 1 << SCR_MODE_COMPARE,
        PEAK = 1 << SCR_MODE_PEAK,
        RESUME = 1 << SCR_MODE_RESUME,
        LIST = 1 << SCR_MODE_LIST_DEVICES,
    };
    static const char *const modes[] = {
        [SCR_MODE_SWEEP] = "--sweep",     [SCR_MODE_CHECK] = "--check",
        [SCR_MODE_EVAL] = "--eval",       [SCR_MODE_RESUME] = "--resume",
        [SCR_MODE_COMPARE] = "--compare", [SCR_MODE_PEAK] = "--peak",
        [SCR_MODE_PLOT] = "--plot",       [SCR_MODE_LIST_DEVICES] = "--list-devices",
    };
    static const struct {
        const char *name;
        int option;
        unsigned effect; /* bits of the modes in which it has one */
    } options[] = {
        {"-a", OPT_AXIS, SWEEP | CHECK | EVAL},
        {"--device", OPT_DEVICE, SWEEP | CHECK | EVAL | PEAK},
        {"--limit", OPT_LIMIT, SWEEP | CHECK | EVAL | PEAK | LIST},
        {"--dry-run", OPT_DRY_RUN, SWEEP | CHECK | EVAL},
        {"--preset", OPT_PRESET, SWEEP | CHECK},
        {"--cases", OPT_CASES, SWEEP | CHECK},
        {"--seed", OPT_SEED, SWEEP | CHECK},
        {"--out", OPT_OUT, SWEEP | CHECK},
        {"--budget", OPT_BUDGET, SWEEP | CHECK | RESUME},
        {"--format", OPT_FORMAT, SWEEP | COMPARE},
        {"--cache", OPT_CACHE, SWEEP},
        {"--timeout", OPT_TIMEOUT, SWEEP | CHECK | PEAK | RESUME},
        {"--time-limit", OPT_TIME_LIMIT, SWEEP | RESUME},
        {"--peer", OPT_PEER, SWEEP},
        {"--peer-kernel", OPT_PEER_KERNEL, SWEEP},
        {"--max-regress", OPT_MAX_REGRESS, COMPARE},
        {"--inject", OPT_INJECT, SWEEP | CHECK},
        {"--strict", OPT_STRICT, CHECK},
        {"--random", OPT_RANDOM, CHECK},
        {"--jobs", OPT_JOBS, CHECK},
    };

    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        if ((given >> (options[i].option - OPT_FIRST) & 1) == 0 ||
            (options[i].effect >> o->mode & 1) != 0)
            continue;
        snprintf(why, why_size, "%s has no effect with %s", options[i].name, modes[o->mode]);
        return SCR_ERR_INVALID;
    }
    return SCR_OK;
}

/* Options that do not go together although the mode looks at each. */
static int check_together(const struct scr_options *o, unsigned given, char *why, size_t why_size)
{
    static const struct {
        const char *name;
        int option;
    } not_gbench[] = {{"--format", OPT_FORMAT}, {"--peer", OPT_PEER}, {"--dry-run", OPT_DRY_RUN}};

    if (o->n_gbench > 0 && o->mode != SCR_MODE_SWEEP) {
        snprintf(why, why_size, "%s: has an effect with --sweep only", o->gbench[0]);
        return SCR_ERR_INVALID;
    }
    for (size_t i = 0; i < sizeof not_gbench / sizeof not_gbench[0] && o->n_gbench > 0; i++) {
        if ((given >> (not_gbench[i].option - OPT_FIRST) & 1) == 0)
            continue;
        snprintf(why, why_size, "%s and %s exclude each other", not_gbench[i].name, o->gbench[0]);
        return SCR_ERR_INVALID;
    }
    if (o->mode == SCR_MODE_COMPARE && (o->formats & (SCR_FORMAT_CSV | SCR_FORMAT_JSON)) != 0) {
        snprintf(why, why_size, "--format: --compare prints table or md");
        return SCR_ERR_INVALID;
    }
    if (o->n_cases > 0 && o->preset != NULL) {
        snprintf(why, why_size, "--cases and --preset exclude each other");
        return SCR_ERR_INVALID;
    }
    if (o->n_random > 0 && (o->n_cases > 0 || o->preset != NULL)) {
        snprintf(why, why_size, "--random and %s exclude each other",
                 o->n_cases > 0 ? "--cases" : "--preset");
        return SCR_ERR_INVALID;
    }
    return SCR_OK;
}

static int set_mode(struct scr_options *o, enum scr_mode mode, bool *chosen, char *why,
                    size_t why_size)
{
    /* Help and version win over everything. */
    if (mode == SCR_MODE_HELP || mode == SCR_MODE_VERSION) {
        o->mode = mode;
        *chosen = true;
        return SCR_OK;
    }
    if (o->mode == SCR_MODE_HELP || o->mode == SCR_MODE_VERSION)
        return SCR_OK;
    if (*chosen && o->mode != mode) {
        snprintf(why, why_size,
                 "only one of --sweep, --check, --eval, --resume, --compare, --peak, --plot and "
                 "--list-devices at a time");
        return SCR_ERR_INVALID;
    }
    o->mode = mode;
    *chosen = true;
    return SCR_OK;
}

static int take_limits(struct scr_options *o, const char *list, char *why, size_t why_size)
{
    struct scr_limits unused;
    char wrong[160];

    o->limits = list;
    if (scr_limits_parse(list, &unused, wrong, sizeof wrong) == SCR_OK)
        return SCR_OK;
    snprintf(why, why_size, "--limit: %s", wrong);
    return SCR_ERR_INVALID;
}

static int bad_preset(const char *name, char *why, size_t why_size)
{
    char names[100];

    scr_preset_names(names, sizeof names);
    snprintf(why, why_size, "--preset: '%s' is not one of %s", name, names);
    return SCR_ERR_INVALID;
}

static int take(struct scr_options *o, int c, bool *mode_chosen, char *why, size_t why_size)
{
    switch (c) {
    case 'a':
        return scr_axes_set(&o->axes, optarg, why, why_size);
    case OPT_LIST_DEVICES:
        return set_mode(o, SCR_MODE_LIST_DEVICES, mode_chosen, why, why_size);
    case OPT_SWEEP:
        return set_mode(o, SCR_MODE_SWEEP, mode_chosen, why, why_size);
    case OPT_CHECK:
        return set_mode(o, SCR_MODE_CHECK, mode_chosen, why, why_size);
    case OPT_EVAL:
        o->eval_in = optarg;
        return set_mode(o, SCR_MODE_EVAL, mode_chosen, why, why_size);
    case OPT_RESUME:
        o->resume_dir = optarg;
        return set_mode(o, SCR_MODE_RESUME, mode_chosen, why, why_size);
    case OPT_COMPARE:
        o->compare_base = optarg;
        return set_mode(o, SCR_MODE_COMPARE, mode_chosen, why, why_size);
    case OPT_PEAK:
        return set_mode(o, SCR_MODE_PEAK, mode_chosen, why, why_size);
    case OPT_PLOT:
        o->plot_dir = optarg;
        return set_mode(o, SCR_MODE_PLOT, mode_chosen, why, why_size);
    case OPT_DRY_RUN:
        o->dry_run = true;
        return SCR_OK;
    case OPT_STRICT:
        o->strict = true;
        return SCR_OK;
    case OPT_HELP:
    case 'h':
        return set_mode(o, SCR_MODE_HELP, mode_chosen, why, why_size);
    case OPT_VERSION:
        return set_mode(o, SCR_MODE_VERSION, mode_chosen, why, why_size);
    case OPT_DEVICE:
        o->device = optarg;
        if (*optarg != '\0' && *optarg != ',' && strstr(optarg, ",,") == NULL &&
            optarg[strlen(optarg) - 1] != ',')
            return SCR_OK;
        snprintf(why, why_size, "--device: an empty word; expected an id, a backend or all");
        return SCR_ERR_INVALID;
    case OPT_PRESET:
        o->preset = optarg;
        if (scr_preset_find(optarg) != NULL)
            return SCR_OK;
        return bad_preset(optarg, why, why_size);
    case OPT_SEED:
        return parse_seed(optarg, &o->seed, why, why_size);
    case OPT_OUT:
        o->out = optarg;
        if (*optarg != '\0')
            return SCR_OK;
        snprintf(why, why_size, "--out: expected a folder");
        return SCR_ERR_INVALID;
    case OPT_FORMAT:
        return parse_formats(optarg, &o->formats, why, why_size);
    case OPT_BUDGET:
        if (scr_parse_duration(optarg, &o->budget_s))
            return SCR_OK;
        snprintf(why, why_size, "--budget: '%s' is not a time such as 90, 90s, 5m or 1h", optarg);
        return SCR_ERR_INVALID;
    case OPT_MAX_REGRESS:
        if (scr_parse_part(optarg, &o->max_regress))
            return SCR_OK;
        snprintf(why, why_size, "--max-regress: '%s' is not a part such as 5%% or 0.05", optarg);
        return SCR_ERR_INVALID;
    case OPT_CACHE:
        o->warm = strcmp(optarg, "warm") == 0;
        if (o->warm || strcmp(optarg, "cold") == 0)
            return SCR_OK;
        snprintf(why, why_size, "--cache: '%s' is not one of cold, warm", optarg);
        return SCR_ERR_INVALID;
    case OPT_TIMEOUT:
        if (scr_parse_duration(optarg, &o->timeout_s))
            return SCR_OK;
        snprintf(why, why_size, "--timeout: '%s' is not a time such as 90, 90s, 5m or 1h", optarg);
        return SCR_ERR_INVALID;
    case OPT_TIME_LIMIT:
        if (scr_parse_duration(optarg, &o->time_limit_s))
            return SCR_OK;
        snprintf(why, why_size, "--time-limit: '%s' is not a time such as 0.1s or 2s", optarg);
        return SCR_ERR_INVALID;
    case OPT_PEER:
        if (o->n_peers == SCR_MAX_PEERS) {
            snprintf(why, why_size, "--peer: more than %d", SCR_MAX_PEERS);
            return SCR_ERR_INVALID;
        }
        o->peers[o->n_peers++] = optarg;
        return SCR_OK;
    case OPT_PEER_KERNEL:
        o->peer_kernel = optarg;
        return SCR_OK;
    case OPT_WORKER:
        o->worker = optarg;
        return SCR_OK;
    case OPT_RANDOM:
        return parse_count("--random", optarg, SCR_MAX_RANDOM, &o->n_random, why, why_size);
    case OPT_JOBS:
        return parse_count("--jobs", optarg, SCR_MAX_JOBS, &o->jobs, why, why_size);
    case OPT_LIMIT:
        return take_limits(o, optarg, why, why_size);
    case OPT_INJECT:
        return scr_faults_parse(optarg, &o->faults, why, why_size);
    case OPT_CASES:
        if (o->n_cases == SCR_MAX_CASE_FILES) {
            snprintf(why, why_size, "--cases: more than %d files", SCR_MAX_CASE_FILES);
            return SCR_ERR_INVALID;
        }
        o->cases[o->n_cases++] = optarg;
        return SCR_OK;
    default:
        return SCR_ERR_INVALID;
    }
}

/* Takes the words that are Google Benchmark's out of argv, which has room; the number left. */
static int take_gbench(int argc, char **argv, struct scr_options *o, char **left)
{
    int n = 0;

    for (int i = 0; i < argc; i++) {
        if (strncmp(argv[i], "--benchmark_", strlen("--benchmark_")) == 0 &&
            o->n_gbench < SCR_MAX_GBENCH_WORDS)
            o->gbench[o->n_gbench++] = argv[i];
        else
            left[n++] = argv[i];
    }
    left[n] = NULL;
    return n;
}

static int parse_words(int argc, char **argv, struct scr_options *o, char *why, size_t why_size)
{
    const char *rest[2] = {NULL, NULL};
    const char *topic = NULL; /* the first word behind --help */
    int n_rest = 0;
    bool mode_chosen = false;
    unsigned given = 0; /* a bit an option, from OPT_FIRST */
    int c;

    optind = 0; /* glibc: start over, so that a test may parse twice */
    opterr = 0;
    while ((c = getopt_long(argc, argv, "-:a:h", long_options, NULL)) != -1) {
        int status;

        if (c == 1) {
            if (o->mode == SCR_MODE_HELP && topic == NULL)
                topic = optarg;
            if (n_rest < 2)
                rest[n_rest] = optarg;
            n_rest++;
            continue;
        }
        status = c == '?' || c == ':' ? bad_option(argc, argv, c, why, why_size)
                                      : take(o, c, &mode_chosen, why, why_size);
        if (status != SCR_OK)
            return status;
        if (c == 'a')
            c = OPT_AXIS;
        if (c >= OPT_FIRST)
            given |= 1u << (c - OPT_FIRST);
    }
    for (; optind < argc; optind++) {
        if (n_rest < 2)
            rest[n_rest] = argv[optind];
        n_rest++;
    }
    if (topic != NULL && strcmp(topic, "axes") != 0) {
        snprintf(why, why_size, "--help: '%s' is no topic; there is one: axes", topic);
        return SCR_ERR_INVALID;
    }
    if (o->mode == SCR_MODE_HELP || o->mode == SCR_MODE_VERSION) {
        o->help_axes = n_rest > 0 && strcmp(rest[0], "axes") == 0;
        return SCR_OK;
    }
    if (o->mode == SCR_MODE_EVAL) {
        if (n_rest < 1) {
            snprintf(why, why_size, "--eval: expected two files, IN.safetensors OUT.safetensors");
            return SCR_ERR_INVALID;
        }
        o->eval_out = rest[0];
        n_rest--;
        rest[0] = rest[1];
    }
    if (o->mode == SCR_MODE_COMPARE) {
        if (n_rest < 1) {
            snprintf(why, why_size, "--compare: expected two results folders, BASE NEW");
            return SCR_ERR_INVALID;
        }
        o->compare_new = rest[0];
        n_rest--;
        rest[0] = rest[1];
    }
    if (n_rest > 0) {
        snprintf(why, why_size, "%s: unexpected word; see --help", rest[0] != NULL ? rest[0] : "");
        return SCR_ERR_INVALID;
    }
    if (check_effect(o, given, why, why_size) != SCR_OK)
        return SCR_ERR_INVALID;
    return check_together(o, given, why, why_size);
}

int scr_options_parse(int argc, char **argv, struct scr_options *o, char *why, size_t why_size)
{
    char **words = malloc(((size_t)argc + 1) * sizeof *words);
    int status;

    *o = (struct scr_options){
        .formats = SCR_FORMAT_TABLE, .seed = 1, .jobs = 1, .max_regress = 0.05};
    if (words == NULL) {
        snprintf(why, why_size, "out of memory");
        return SCR_ERR_NO_MEMORY;
    }
    argc = take_gbench(argc, argv, o, words);
    status = parse_words(argc, words, o, why, why_size);
    if (o->timeout_s == 0 && o->mode != SCR_MODE_RESUME)
        o->timeout_s = DEFAULT_TIMEOUT_S;
    free(words);
    return status;
}

void scr_options_clear(struct scr_options *o)
{
    scr_axes_clear(&o->axes);
}
