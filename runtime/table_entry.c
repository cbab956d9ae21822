/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A line of a table. Numbers are read and written without the C library's, which follow the locale
 * of the program that the library is in.
 */
#include "table.h"

#include "table_text.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* What a line has to say, in the order in which it does. */
enum key {
    BACKEND,
    DEVICE,
    VENDOR,
    ARCH,
    CPU,
    UNITS,
    DTYPE,
    DK,
    DV,
    CAUSAL,
    LEN_Q,
    LEN_K,
    HEADS,
    WINDOW,
    DENSITY,
    KERNEL,
    SKIP,
    VARIANT,
    SOURCE,
    SPACE,
    PARAMS,
    NS,
    BEST,
    FROM,
    N_KEYS
};

static const char *const key_names[N_KEYS] = {
    "backend", "device",  "vendor", "arch",  "cpu",    "units",  "dtype",   "dk",
    "dv",      "causal",  "len_q",  "len_k", "heads",  "window", "density", "kernel",
    "skip",    "variant", "source", "space", "params", "ns",     "best",    "from",
};

#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
static int
refuse(char *why, size_t size, const char *format, ...)
{
    va_list ap;

    if (why != NULL && size > 0) {
        va_start(ap, format);
        vsnprintf(why, size, format, ap);
        va_end(ap);
    }
    return SCR_ERR_INVALID;
}

static bool is_flag(const char *s, size_t n, bool *out)
{
    *out = n == 1 && s[0] == '1';
    return n == 1 && (s[0] == '0' || s[0] == '1');
}

static bool is_word(const char *s, size_t n, const char *word)
{
    return n == strlen(word) && memcmp(s, word, n) == 0;
}

/* "any" as 0, "inf", or a number in (0, most]. */
static bool read_hint(const char *s, size_t n, double most, double *out)
{
    if (is_word(s, n, "any")) {
        *out = 0;
        return true;
    }
    if (is_word(s, n, "inf")) {
        *out = INFINITY;
        return most == INFINITY;
    }
    return scr_text_real(s, n, out) && *out > 0 && *out <= most && isfinite(*out);
}

static bool is_name(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        bool letter = (s[i] >= 'A' && s[i] <= 'Z') || (s[i] >= 'a' && s[i] <= 'z') || s[i] == '_';

        if (!letter && (i == 0 || s[i] < '0' || s[i] > '9'))
            return false;
    }
    return n > 0;
}

/* "TILE_Q:64,TILE_K:128", or nothing. */
static bool read_params(const char *s, size_t n, scr_config *c)
{
    const char *end = s + n;

    while (s < end) {
        const char *comma = memchr(s, ',', (size_t)(end - s));
        const char *stop = comma != NULL ? comma : end;
        const char *colon = memchr(s, ':', (size_t)(stop - s));
        char name[sizeof c->params[0].name];
        int32_t value;

        if (colon == NULL || (size_t)(colon - s) >= sizeof name ||
            !is_name(s, (size_t)(colon - s)) ||
            !scr_text_int(colon + 1, (size_t)(stop - colon - 1), INT32_MIN, &value))
            return false;
        memcpy(name, s, (size_t)(colon - s));
        name[colon - s] = '\0';
        for (int i = 0; i < c->n_params; i++) {
            if (strcmp(c->params[i].name, name) == 0)
                return false;
        }
        if (scr_config_set(c, name, value) != SCR_OK || stop + 1 == end)
            return false;
        s = comma != NULL ? comma + 1 : end;
    }
    return true;
}

static bool read_dtype(const char *s, size_t n, scr_dtype *out)
{
    for (int t = SCR_F32; t <= SCR_BF16; t++) {
        if (is_word(s, n, scr_dtype_name((scr_dtype)t))) {
            *out = (scr_dtype)t;
            return true;
        }
    }
    return false;
}

static bool read_skip(const char *s, size_t n, scr_skip *out)
{
    for (int k = SCR_SKIP_NONE; k <= SCR_SKIP_SLICE; k++) {
        if (is_word(s, n, scr_skip_name((scr_skip)k))) {
            *out = (scr_skip)k;
            return true;
        }
    }
    return false;
}

static bool read_value(enum key key, const char *s, size_t n, struct scr_table_entry *e)
{
#define TEXT(field) scr_text_unescape(s, n, e->field, sizeof e->field)
    switch (key) {
    case BACKEND:
        return n > 0 && TEXT(backend);
    case DEVICE:
        return n > 0 && TEXT(name);
    case VENDOR:
        return TEXT(vendor);
    case ARCH:
        return TEXT(arch);
    case CPU:
        return is_flag(s, n, &e->is_cpu);
    case UNITS:
        return scr_text_int(s, n, 0, &e->units);
    case DTYPE:
        return read_dtype(s, n, &e->dtype);
    case DK:
        return scr_text_int(s, n, 1, &e->dk);
    case DV:
        return scr_text_int(s, n, 1, &e->dv);
    case CAUSAL:
        return is_flag(s, n, &e->causal);
    case LEN_Q:
        return scr_text_int(s, n, 1, &e->len_q);
    case LEN_K:
        return scr_text_int(s, n, 1, &e->len_k);
    case HEADS:
        return scr_text_int(s, n, 1, &e->heads);
    case WINDOW:
        return read_hint(s, n, INFINITY, &e->window);
    case DENSITY:
        return read_hint(s, n, 1, &e->density);
    case KERNEL:
        return n > 0 && TEXT(config.kernel);
    case SKIP:
        return read_skip(s, n, &e->config.skip);
    case VARIANT:
        return n > 0 && TEXT(config.variant);
    case SOURCE:
        return scr_text_hex(s, n, 16, &e->source);
    case SPACE:
        return scr_text_hex(s, n, 16, &e->space);
    case PARAMS:
        return read_params(s, n, &e->config);
    case NS:
        return scr_text_real(s, n, &e->ns) && e->ns > 0 && isfinite(e->ns);
    case BEST:
        return is_flag(s, n, &e->best);
    case FROM:
        return scr_text_hex(s, n, 16, &e->from);
    default:
        return false;
    }
#undef TEXT
}

/* Takes the words of a line apart; words with other keys are from a later program. */
static int read_words(const char *text, size_t n, struct scr_table_entry *e, char *why,
                      size_t why_size)
{
    const char *end = text + n;
    bool seen[N_KEYS] = {false};

    for (const char *s = text; s < end;) {
        const char *space = memchr(s, ' ', (size_t)(end - s));
        const char *stop = space != NULL ? space : end;
        const char *equal = memchr(s, '=', (size_t)(stop - s));
        int key = 0;

        if (equal == NULL || equal == s)
            return refuse(why, why_size, "'%.*s' is not KEY=VALUE",
                          (int)(stop - s < 40 ? stop - s : 40), s);
        while (key < N_KEYS && !is_word(s, (size_t)(equal - s), key_names[key]))
            key++;
        if (key < N_KEYS) {
            if (seen[key])
                return refuse(why, why_size, "%s= stands twice", key_names[key]);
            seen[key] = true;
            if (!read_value((enum key)key, equal + 1, (size_t)(stop - equal - 1), e))
                return refuse(why, why_size, "%s= has no such value", key_names[key]);
        }
        s = space != NULL ? space + 1 : end;
    }
    for (int key = 0; key < N_KEYS; key++) {
        if (!seen[key])
            return refuse(why, why_size, "%s= is missing", key_names[key]);
    }
    return SCR_OK;
}

int scr_table_entry_parse(const char *text, size_t n, struct scr_table_entry *out, char *why,
                          size_t why_size)
{
    static const size_t sum_chars = sizeof " sum=12345678" - 1;
    uint64_t sum;
    int status;

    memset(out, 0, sizeof *out);
    if (n < sum_chars || memcmp(text + n - sum_chars, " sum=", 5) != 0 ||
        !scr_text_hex(text + n - 8, 8, 8, &sum))
        return refuse(why, why_size, "no sum= at its end");
    n -= sum_chars;
    if (scr_text_crc32(text, n) != sum)
        return refuse(why, why_size, "its checksum is wrong");
    status = read_words(text, n, out, why, why_size);
    if (status != SCR_OK)
        memset(out, 0, sizeof *out);
    return status;
}

/* Whether reading would take what is here. */
static bool can_be_read(const struct scr_table_entry *e)
{
    const scr_config *c = &e->config;

    if (e->backend[0] == '\0' || e->name[0] == '\0' || c->kernel[0] == '\0' ||
        c->variant[0] == '\0' || e->units < 0 || e->dk < 1 || e->dv < 1 || e->len_q < 1 ||
        e->len_k < 1 || e->heads < 1 || !(e->ns > 0) || !isfinite(e->ns) || !(e->window >= 0) ||
        !(e->density >= 0 && e->density <= 1) || c->n_params < 0 || c->n_params > SCR_MAX_PARAMS)
        return false;
    if (e->dtype < SCR_F32 || e->dtype > SCR_BF16 || c->skip < SCR_SKIP_NONE ||
        c->skip > SCR_SKIP_SLICE)
        return false;
    for (int i = 0; i < c->n_params; i++) {
        if (!is_name(c->params[i].name, strnlen(c->params[i].name, sizeof c->params[i].name)))
            return false;
    }
    return true;
}

static void put_hint(struct scr_text *t, const char *key, double x)
{
    scr_text_put(t, " %s=", key);
    if (x == 0)
        scr_text_put(t, "any");
    else
        scr_text_put_real(t, x);
}

size_t scr_table_entry_format(const struct scr_table_entry *e, char *out, size_t size)
{
    struct scr_text t = {.out = out, .size = size};
    const scr_config *c = &e->config;

    if (size > 0)
        out[0] = '\0';
    if (!can_be_read(e))
        return 0;
    scr_text_put(&t, "backend=");
    scr_text_put_escaped(&t, e->backend);
    scr_text_put(&t, " device=");
    scr_text_put_escaped(&t, e->name);
    scr_text_put(&t, " vendor=");
    scr_text_put_escaped(&t, e->vendor);
    scr_text_put(&t, " arch=");
    scr_text_put_escaped(&t, e->arch);
    scr_text_put(&t, " cpu=%d units=%" PRId32 " dtype=%s dk=%" PRId32 " dv=%" PRId32 " causal=%d",
                 e->is_cpu, e->units, scr_dtype_name(e->dtype), e->dk, e->dv, e->causal);
    scr_text_put(&t, " len_q=%" PRId32 " len_k=%" PRId32 " heads=%" PRId32, e->len_q, e->len_k,
                 e->heads);
    put_hint(&t, "window", e->window);
    put_hint(&t, "density", e->density);
    scr_text_put(&t, " kernel=");
    scr_text_put_escaped(&t, c->kernel);
    scr_text_put(&t, " skip=%s variant=", scr_skip_name(c->skip));
    scr_text_put_escaped(&t, c->variant);
    scr_text_put(&t, " source=%016" PRIx64 " space=%016" PRIx64 " params=", e->source, e->space);
    for (int i = 0; i < c->n_params; i++)
        scr_text_put(&t, "%s%s:%" PRId32, i > 0 ? "," : "", c->params[i].name, c->params[i].value);
    scr_text_put(&t, " ns=");
    scr_text_put_real(&t, e->ns);
    scr_text_put(&t, " best=%d from=%016" PRIx64, e->best, e->from);
    if (t.n < size)
        scr_text_put(&t, " sum=%08" PRIx32 "\n", scr_text_crc32(out, t.n));
    if (t.n >= size) {
        if (size > 0)
            out[0] = '\0';
        return 0;
    }
    return t.n;
}

#define ORDER(a, b)                                                                                \
    do {                                                                                           \
        if ((a) != (b))                                                                            \
            return (a) < (b) ? -1 : 1;                                                             \
    } while (0)
#define ORDER_TEXT(a, b)                                                                           \
    do {                                                                                           \
        int order_ = strcmp(a, b);                                                                 \
        if (order_ != 0)                                                                           \
            return order_ < 0 ? -1 : 1;                                                            \
    } while (0)

static int compare_params(const scr_config *a, const scr_config *b)
{
    for (int i = 0; i < a->n_params && i < b->n_params; i++) {
        ORDER_TEXT(a->params[i].name, b->params[i].name);
        ORDER(a->params[i].value, b->params[i].value);
    }
    ORDER(a->n_params, b->n_params);
    return 0;
}

int scr_table_entry_compare(const struct scr_table_entry *a, const struct scr_table_entry *b)
{
    int order;

    ORDER_TEXT(a->backend, b->backend);
    ORDER_TEXT(a->name, b->name);
    ORDER_TEXT(a->vendor, b->vendor);
    ORDER_TEXT(a->arch, b->arch);
    ORDER(a->is_cpu, b->is_cpu);
    ORDER(a->units, b->units);
    ORDER(a->dtype, b->dtype);
    ORDER(a->dk, b->dk);
    ORDER(a->dv, b->dv);
    ORDER(a->causal, b->causal);
    ORDER(a->len_q, b->len_q);
    ORDER(a->len_k, b->len_k);
    ORDER(a->heads, b->heads);
    ORDER(a->window, b->window);
    ORDER(a->density, b->density);
    ORDER_TEXT(a->config.kernel, b->config.kernel);
    ORDER(a->config.skip, b->config.skip);
    ORDER_TEXT(a->config.variant, b->config.variant);
    ORDER(a->source, b->source);
    ORDER(a->space, b->space);
    order = compare_params(&a->config, &b->config);
    if (order != 0)
        return order;
    ORDER(a->ns, b->ns);
    ORDER(a->best, b->best);
    ORDER(a->from, b->from);
    return 0;
}
