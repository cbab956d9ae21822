/* SPDX-License-Identifier: Apache-2.0 */
#include "random_draw.h"

#include "config.h"
#include "decl.h"
#include "philox.h"
#include "text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Streams of the generator; their keys are not those of any data, which has seeds of its own. */
enum { STREAM_BUILD = 0x100, STREAM_TUNABLES, STREAM_PROBLEM, STREAM_DATA };

enum {
    BUILD_ATTEMPTS = 2000,   /* draws of a kernel, of which some device supports a fair part */
    TUNABLE_ATTEMPTS = 2000, /* draws of its tunables: at least one in a hundred is valid */
    FAR = 1 << 23,           /* a position at which f32 still tells tokens apart */
};

/* Pairs over batch and heads, above which a problem is made smaller, so that float64 stays quick;
 * one head may have as many as its lengths give. */
static const double MAX_PAIRS = 1.2e6;

struct dice {
    uint64_t seed;
    uint32_t index, stream, attempt;
    uint32_t n; /* numbers drawn */
};

/* In (0, 1). */
static double unit(struct dice *d)
{
    uint32_t counter[4] = {(uint32_t)d->index, d->attempt, d->n++, d->stream};
    uint32_t words[4];

    scr_philox(d->seed, counter, words);
    return scr_philox_unit(words[0], words[1]);
}

static bool chance(struct dice *d, double p)
{
    return unit(d) < p;
}

/* A whole number from lo to hi. */
static int between(struct dice *d, int lo, int hi)
{
    int n = lo + (int)floor(unit(d) * ((double)hi - lo + 1));

    return n > hi ? hi : n;
}

static double real(struct dice *d, double lo, double hi)
{
    return lo + unit(d) * (hi - lo);
}

/* As often between 1 and 10 as between 10 and 100. */
static double scale(struct dice *d, double lo, double hi)
{
    return exp(real(d, log(lo), log(hi)));
}

static size_t one_of(struct dice *d, size_t n)
{
    return (size_t)between(d, 0, (int)n - 1);
}

#define PICK(d, list) ((list)[one_of(d, sizeof(list) / sizeof((list)[0]))])

uint64_t scr_random_data_seed(uint64_t seed, uint32_t index)
{
    uint32_t counter[4] = {(uint32_t)index, 0, 0, STREAM_DATA};
    uint32_t words[4];

    scr_philox(seed, counter, words);
    return ((uint64_t)words[0] << 32 | words[1]) & INT64_MAX;
}

/* One of the values that an axis was set to, or NULL: it is free. */
static const char *given(const struct scr_random *r, struct dice *d, const char *axis)
{
    size_t n = scr_axes_values(r->only, axis);

    return n == 0 ? NULL : scr_axes_value(r->only, axis, one_of(d, n));
}

static void add(char *words, const char *axis, const char *value)
{
    scr_append(words, SCR_RANDOM_WORDS, "%s%s=%s", words[0] != '\0' ? " " : "", axis, value);
}

static void add_int(char *words, const char *axis, int value)
{
    scr_append(words, SCR_RANDOM_WORDS, "%s%s=%d", words[0] != '\0' ? " " : "", axis, value);
}

/* The number that an axis was set to, or what was drawn for it. */
static int int_of(const struct scr_random *r, struct dice *d, const char *axis, int drawn)
{
    const char *text = given(r, d, axis);

    return text != NULL && strcmp(text, "auto") != 0 ? atoi(text) : drawn;
}

/* Kernel, types and dims of a build, before its tunables. */
struct choice {
    const struct scr_kernel_decl *decl;
    const scr_device_info *device;
    scr_problem problem; /* lengths are of no matter */
    scr_skip skip;
    char out[8];
    const char *tile; /* as given, or NULL: it is drawn */
    char param[200];  /* as given, or "" */
};

static const struct scr_kernel_decl *draw_decl(const struct scr_random *r, struct dice *d,
                                               const char *backend)
{
    /* The kernel with more of its own to get wrong comes more often. */
    static const char *const kernels[] = {"dense", "masked-dense", "tile-skip", "tile-skip"};
    const char *kernel = given(r, d, "kernel");
    const char *variant = given(r, d, "variant");
    const struct scr_kernel_decl *found[16];
    size_t n = 0;

    if (kernel == NULL)
        kernel = PICK(d, kernels);
    for (size_t i = 0; i < scr_kernel_decl_count && n < 16; i++) {
        const struct scr_kernel_decl *decl = &scr_kernel_decls[i];

        if (strcmp(decl->backend, backend) == 0 && strcmp(decl->kernel, kernel) == 0 &&
            (variant == NULL || strcmp(variant, "auto") == 0 ||
             strcmp(variant, decl->variant) == 0))
            found[n++] = decl;
    }
    return n > 0 ? found[one_of(d, n)] : NULL;
}

static scr_skip draw_skip(const struct scr_random *r, struct dice *d, const char *kernel)
{
    static const scr_skip skips[] = {SCR_SKIP_NONE, SCR_SKIP_TILE, SCR_SKIP_TILE, SCR_SKIP_SLICE,
                                     SCR_SKIP_SLICE};
    const char *text = given(r, d, "skip");
    scr_skip skip = PICK(d, skips);

    if (strcmp(kernel, "tile-skip") != 0)
        return SCR_SKIP_NONE;
    for (scr_skip s = SCR_SKIP_NONE; s <= SCR_SKIP_SLICE && text != NULL; s++) {
        if (strcmp(text, scr_skip_name(s)) == 0)
            skip = s;
    }
    return skip;
}

static scr_dtype draw_dtype(const struct scr_random *r, struct dice *d)
{
    const char *text = given(r, d, "dtype");
    scr_dtype dtype = (scr_dtype)between(d, SCR_F32, SCR_BF16);

    for (scr_dtype t = SCR_F32; t <= SCR_BF16 && text != NULL; t++) {
        if (strcmp(text, scr_dtype_name(t)) == 0)
            dtype = t;
    }
    return dtype;
}

/* False, and *why, where a draw comes to nothing. */
static bool draw_choice(const struct scr_random *r, struct dice *d, struct choice *c, char *why,
                        size_t why_size)
{
    static const int dims[] = {16, 32, 64, 128};
    int both = int_of(r, d, "head_dim", 0);
    const char *out = given(r, d, "out");
    const char *tile = given(r, d, "tile");
    const char *param = given(r, d, "param");
    struct scr_decl_env env;

    c->decl = draw_decl(r, d, c->device->backend);
    if (c->decl == NULL) {
        snprintf(why, why_size, "%s has no such kernel or variant", c->device->backend);
        return false;
    }
    c->skip = draw_skip(r, d, c->decl->kernel);
    c->problem = (scr_problem){.batch = 1, .heads_q = 1, .heads_kv = 1, .len_q = 64, .len_k = 64};
    c->problem.dtype = draw_dtype(r, d);
    c->problem.dk = PICK(d, dims);
    c->problem.dv = PICK(d, dims);
    c->problem.dk = int_of(r, d, "dk", both != 0 ? both : c->problem.dk);
    c->problem.dv = int_of(r, d, "dv", both != 0 ? both : c->problem.dv);
    snprintf(c->out, sizeof c->out, "%s", out != NULL ? out : chance(d, 0.6) ? "f32" : "same");
    c->tile = tile != NULL && (*tile == 'd' || strchr(tile, 'x') != NULL) ? tile : NULL;
    snprintf(c->param, sizeof c->param, "%s",
             param != NULL && strcmp(param, "auto") != 0 ? param : "");
    scr_env_init(&env, c->device, &c->problem, c->skip);
    if (c->decl->supports(&env))
        return true;
    /* What is said of the values of one that does tells more. */
    if (strncmp(why, "no values", 9) != 0)
        snprintf(why, why_size, "%s/%s does not support this problem on %s", c->decl->kernel,
                 c->decl->variant, c->device->id);
    return false;
}

/* The value of a tunable among what the axes tile and param say; false: they do not. */
static bool fixed_value(const struct choice *c, const struct scr_tunable *t, long *value)
{
    size_t name = strlen(t->name);
    bool is_q = strcmp(t->name, "TILE_Q") == 0;

    for (const char *s = c->param; *s != '\0'; s += strcspn(s, "+"), s += *s == '+') {
        if (strncmp(s, t->name, name) == 0 && s[name] == '=') {
            *value = atol(s + name + 1);
            return true;
        }
    }
    if (c->tile == NULL || (!is_q && strcmp(t->name, "TILE_K") != 0))
        return false;
    *value = *c->tile == 'd' ? t->value_default : atol(is_q ? c->tile : strchr(c->tile, 'x') + 1);
    return true;
}

/* Whether the kernel has every parameter of the axis param. */
static bool params_known(const struct choice *c)
{
    for (const char *s = c->param; *s != '\0'; s += strcspn(s, "+"), s += *s == '+') {
        bool known = false;

        for (int i = 0; i < c->decl->n_tunables; i++) {
            size_t n = strlen(c->decl->tunables[i].name);

            known |= strncmp(s, c->decl->tunables[i].name, n) == 0 && s[n] == '=';
        }
        if (!known)
            return false;
    }
    return true;
}

static bool offers(const struct scr_tunable *t, long value)
{
    for (int i = 0; i < t->n_values; i++) {
        if (t->values[i] == value)
            return true;
    }
    return false;
}

/* Draws all tunables anew until they are valid together: so every valid point is as likely. */
static bool draw_tunables(const struct choice *c, struct dice *d, struct scr_decl_env *env,
                          char *why, size_t why_size)
{
    struct dice own = {.seed = d->seed, .index = d->index, .stream = STREAM_TUNABLES};
    bool good = params_known(c);

    scr_env_init(env, c->device, &c->problem, c->skip);
    for (unsigned attempt = 0; attempt < TUNABLE_ATTEMPTS && good; attempt++) {
        own.attempt = d->attempt * TUNABLE_ATTEMPTS + attempt;
        own.n = 0;
        for (int i = 0; i < c->decl->n_tunables; i++) {
            const struct scr_tunable *t = &c->decl->tunables[i];

            if (!fixed_value(c, t, &env->tunable[i]))
                env->tunable[i] = t->values[one_of(&own, (size_t)t->n_values)];
            else
                good &= offers(t, env->tunable[i]);
        }
        if (good && scr_decl_fits(c->decl, env))
            return true;
    }
    snprintf(why, why_size, "no values of %s/%s fit %s with those given", c->decl->kernel,
             c->decl->variant, c->device->id);
    return false;
}

/* The words of a build whose tunables are in env. */
static void describe_build(const struct choice *c, const struct scr_decl_env *env,
                           struct scr_random_build *out)
{
    char tile[32], param[200] = "", words[SCR_RANDOM_WORDS] = "";

    for (int i = 0; i < c->decl->n_tunables; i++) {
        const char *name = c->decl->tunables[i].name;

        if (strcmp(name, "TILE_Q") == 0)
            out->tile_q = (int)env->tunable[i];
        else if (strcmp(name, "TILE_K") == 0)
            out->tile_k = (int)env->tunable[i];
        else
            scr_append(param, sizeof param, "%s%s=%ld", param[0] != '\0' ? "+" : "", name,
                       env->tunable[i]);
    }
    snprintf(tile, sizeof tile, "%dx%d", out->tile_q, out->tile_k);
    add(words, "kernel", c->decl->kernel);
    add(words, "variant", c->decl->variant);
    add(words, "skip", scr_skip_name(c->skip));
    add(words, "tile", out->tile_q > 0 && out->tile_k > 0 ? tile : "default");
    add(words, "param", param[0] != '\0' ? param : "auto");
    add(words, "dtype", scr_dtype_name(c->problem.dtype));
    add(words, "out", c->out);
    add_int(words, "dk", c->problem.dk);
    add_int(words, "dv", c->problem.dv);
    out->dk = c->problem.dk;
    snprintf(out->words, sizeof out->words, "%.*s", (int)sizeof out->words - 1, words);
}

/* Axes that a random problem cannot have. */
static int check_axes(const struct scr_random *r, char *why, size_t why_size)
{
    bool trace = scr_axes_has(r->only, "trace_head");

    for (size_t i = 0; i < scr_axes_values(r->only, "workload"); i++)
        trace |= strncmp(scr_axes_value(r->only, "workload", i), "trace", 5) == 0;
    if (!trace)
        return SCR_OK;
    snprintf(why, why_size, "--random: a trace has its own problem, which is not drawn");
    return SCR_ERR_INVALID;
}

int scr_random_draw_build(const struct scr_random *r, uint32_t group, struct scr_random_build *out,
                          char *why, size_t why_size)
{
    struct dice d = {.seed = r->seed, .index = group, .stream = STREAM_BUILD};
    struct scr_decl_env env;
    char reason[160] = "";
    struct choice c;

    *out = (struct scr_random_build){0};
    if (check_axes(r, why, why_size) != SCR_OK)
        return SCR_ERR_INVALID;
    for (; d.attempt < BUILD_ATTEMPTS; d.attempt++) {
        d.n = 0;
        out->device = one_of(&d, r->n_devices);
        c = (struct choice){.device = r->devices[out->device]};
        if (draw_choice(r, &d, &c, reason, sizeof reason) &&
            draw_tunables(&c, &d, &env, reason, sizeof reason)) {
            describe_build(&c, &env, out);
            return SCR_OK;
        }
    }
    snprintf(why, why_size, "--random: nothing that may be drawn is supported: %s", reason);
    return SCR_ERR_INVALID;
}

/* One, a few, about a number of tiles, some hundreds, or (rarely) some thousands. */
static int draw_length(struct dice *d, int tile)
{
    static const int tiles[] = {16, 32, 64, 128};
    double u = unit(d);

    if (u < 0.08)
        return 1;
    if (u < 0.2)
        return between(d, 2, 17);
    if (u < 0.5) {
        int n = (tile > 0 && chance(d, 0.7) ? tile : PICK(d, tiles)) * between(d, 1, 4);

        return n + between(d, -1, 1);
    }
    if (u < 0.94)
        return between(d, 18, 699);
    return (int)scale(d, 700, 2400);
}

static void draw_shape(const struct scr_random *r, struct dice *d,
                       const struct scr_random_build *build, char *words, int *seq, int *kv)
{
    static const int batches[] = {1, 1, 1, 2, 2, 3, 5}, heads[] = {1, 1, 2, 3, 4, 6, 8};
    const char *kv_text = given(r, d, "kv");
    int batch, n_heads, kv_heads, divisor;
    double pairs;

    *seq = int_of(r, d, "seq", draw_length(d, build->tile_q));
    *kv = draw_length(d, build->tile_k);
    if (chance(d, 0.3))
        *kv = *seq;
    if (kv_text != NULL)
        *kv = strcmp(kv_text, "auto") == 0 ? *seq : atoi(kv_text);
    pairs = (double)*seq * *kv;
    batch = PICK(d, batches);
    n_heads = PICK(d, heads);
    while (batch > 1 && pairs * batch * n_heads > MAX_PAIRS)
        batch--;
    while (n_heads > 1 && pairs * batch * n_heads > MAX_PAIRS)
        n_heads--;
    batch = int_of(r, d, "batch", batch);
    kv_heads = int_of(r, d, "kv_heads", 0);
    divisor = between(d, 1, n_heads);
    if (kv_heads > 0) /* the heads follow, unless they are given */
        n_heads = kv_heads * divisor;
    n_heads = int_of(r, d, "heads", n_heads);
    while (kv_heads == 0 && n_heads % divisor != 0)
        divisor--;
    add_int(words, "seq", *seq);
    add_int(words, "kv", *kv);
    add_int(words, "batch", batch);
    add_int(words, "heads", n_heads);
    add_int(words, "kv_heads", kv_heads > 0 ? kv_heads : n_heads / divisor);
}

static void draw_positions(const struct scr_random *r, struct dice *d, char *words, int seq, int kv)
{
    const char *q_pos0 = given(r, d, "q_pos0"), *kv_len = given(r, d, "kv_len");
    double u = unit(d), v = unit(d), w = unit(d);

    if (q_pos0 != NULL)
        add(words, "q_pos0", q_pos0);
    else if (u < 0.5)
        add(words, "q_pos0", "auto");
    else if (u < 0.6)
        add_int(words, "q_pos0", 0);
    else if (u < 0.9)
        add_int(words, "q_pos0", between(d, -seq, kv));
    else if (u < 0.97)
        add_int(words, "q_pos0", between(d, kv, kv + 300));
    else
        add_int(words, "q_pos0", chance(d, 0.5) ? FAR : chance(d, 0.5) ? -FAR : -seq - 1);
    if (kv_len != NULL)
        add(words, "kv_len", kv_len);
    else if (v < 0.45)
        add(words, "kv_len", "none");
    else if (v < 0.53)
        add(words, "kv_len", "full");
    else if (v < 0.75)
        add(words, "kv_len", "ragged");
    else
        add_int(words, "kv_len",
                w < 0.06   ? 0
                : w < 0.1  ? 1
                : w < 0.35 ? kv - 1
                           : between(d, 0, kv));
}

static void draw_window(const struct scr_random *r, struct dice *d, char *words, int seq, int kv)
{
    const char *text = given(r, d, "window");
    int longer = seq > kv ? seq : kv;
    double u = unit(d), value;
    char number[32];

    if (text == NULL && u < 0.35)
        text = "inf";
    else if (text == NULL && u < 0.47)
        text = u < 0.41 ? "init" : "trained";
    if (u < 0.49)
        value = 1;
    else if (u < 0.53)
        value = real(d, 0.01, 1);
    else if (u < 0.6)
        value = real(d, 1, 9);
    else if (u < 0.74)
        value = between(d, 1, kv);
    else if (u < 0.87)
        value = real(d, 1, kv + 1.0);
    else
        value = longer * real(d, 1, 5);
    snprintf(number, sizeof number, "%.6g", value);
    add(words, "window", text != NULL ? text : number);
}

/* A density and the length of its runs. */
static void draw_planted(struct dice *d, const char *name, char *out, size_t size)
{
    static const int runs[] = {1, 2, 4, 8, 16, 32, 64, 100};
    double density = scale(d, 0.002, strcmp(name, "skewed") == 0 ? 0.5 : 0.95);

    snprintf(out, size, "%s:%.3gx%d", name, density, PICK(d, runs));
}

/* A workload and a sharpness with which it has what it is named for. */
static void draw_data(const struct scr_random *r, struct dice *d, int dk, char *words)
{
    const char *workload = given(r, d, "workload"), *sharp = given(r, d, "r");
    bool blunt = sharp != NULL && strcmp(sharp, "auto") != 0 && atof(sharp) < 0.6;
    double u = unit(d), v = unit(d), value;
    char name[48], number[32];

    if (u < 0.2)
        snprintf(name, sizeof name, "iid");
    else if (u < 0.48)
        draw_planted(d, "planted", name, sizeof name);
    else if (u < 0.61)
        draw_planted(d, "shuffled", name, sizeof name);
    else if (u < 0.74)
        draw_planted(d, "skewed", name, sizeof name);
    else if (u < 0.82)
        snprintf(name, sizeof name, "window");
    else
        snprintf(name, sizeof name, "%s", u < 0.86 && !blunt ? "ends:0" : "ends:1");
    if (workload == NULL)
        workload = name;
    if (strcmp(workload, "iid") == 0) /* the threshold in standard deviations of a similarity */
        value = 1 / (1 - real(d, -1.5, 3.5) / sqrt(dk));
    else if (strcmp(workload, "ends:0") == 0) /* up to 0.5 all pairs are alive */
        value = scale(d, 0.6, 1000);
    else if (strncmp(workload, "ends", 4) == 0 || strcmp(workload, "window") == 0)
        value = v < 0.95 ? scale(d, 0.3, 1000) : 1e5;
    else
        value = v < 0.75 ? scale(d, 2, 200) : v < 0.95 ? scale(d, 0.4, 2) : scale(d, 200, 5000);
    snprintf(number, sizeof number, "%.4g", value);
    add(words, "workload", workload);
    add(words, "r", sharp != NULL ? sharp : v < 0.04 ? "auto" : number);
}

void scr_random_draw_problem(const struct scr_random *r, const struct scr_random_build *build,
                             uint32_t index, unsigned attempt, char words[SCR_RANDOM_WORDS])
{
    struct dice d = {.seed = r->seed, .index = index, .stream = STREAM_PROBLEM, .attempt = attempt};
    int seq, kv;

    words[0] = '\0';
    draw_shape(r, &d, build, words, &seq, &kv);
    add_int(words, "causal", int_of(r, &d, "causal", between(&d, 0, 1)));
    add_int(words, "norm", int_of(r, &d, "norm", chance(&d, 0.3)));
    draw_positions(r, &d, words, seq, kv);
    draw_window(r, &d, words, seq, kv);
    draw_data(r, &d, build->dk, words);
    scr_append(words, SCR_RANDOM_WORDS, " %s", build->words);
}
