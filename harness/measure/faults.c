/* SPDX-License-Identifier: Apache-2.0 */
#include "faults.h"

#include "axes.h"
#include "hash.h"

#include <screening/error.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct {
    const char *name;
    enum scr_inject kind;
} faults[] = {
    {"hang", SCR_INJECT_HANG},
    {"crash", SCR_INJECT_CRASH},
    {"oom", SCR_INJECT_OOM},
    {"throttle", SCR_INJECT_THROTTLE},
    {"reversed", SCR_INJECT_REVERSED},
    {"missing", SCR_INJECT_MISSING},
    {"short", SCR_INJECT_SHORT},
    {"long", SCR_INJECT_LONG},
    {"short-run", SCR_INJECT_SHORT_RUN},
    {"drift", SCR_INJECT_DRIFT},
    {"visit", SCR_INJECT_VISIT},
    {"busy", SCR_INJECT_BUSY},
    {"wrong-skip", SCR_INJECT_WRONG_SKIP},
    {"wrong", SCR_INJECT_WRONG},
    {"overrun", SCR_INJECT_OVERRUN},
    {"harm", SCR_INJECT_HARM},
    {"compile", SCR_INJECT_COMPILE},
    {"compile-crash", SCR_INJECT_COMPILE_CRASH},
    {"compile-hang", SCR_INJECT_COMPILE_HANG},
    {"fixed-times", SCR_INJECT_FIXED_TIMES},
};

/* Takes the next "NAME=VALUE" of a comma list apart. False at its end, or where that is none. */
static bool next_word(const char **text, char *name, size_t name_size, char *value,
                      size_t value_size)
{
    size_t len = strcspn(*text, ",");
    const char *equals = memchr(*text, '=', len);
    size_t n = equals != NULL ? (size_t)(equals - *text) : 0;

    if (n == 0 || n >= name_size || len - n - 1 == 0 || len - n - 1 >= value_size)
        return false;
    snprintf(name, name_size, "%.*s", (int)n, *text);
    snprintf(value, value_size, "%.*s", (int)(len - n - 1), equals + 1);
    *text += len + ((*text)[len] == ',');
    return true;
}

static bool is_parameter(const char *name)
{
    return name[strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")] == '\0';
}

/* Which cases and configurations: what stands behind '@'. */
static bool parse_where(const char *text, struct scr_faults *out)
{
    char name[20], value[20];
    long number;

    if (scr_parse_int(text, 0, 1000000, &out->at))
        return true;
    if (strlen(text) >= sizeof out->config || text[0] == '\0')
        return false;
    snprintf(out->config, sizeof out->config, "%s", text);
    while (*text != '\0') {
        if (!next_word(&text, name, sizeof name, value, sizeof value))
            return false;
        if (strcmp(name, "case") == 0) {
            if (!scr_parse_int(value, 0, 1000000, &out->at))
                return false;
        } else if (is_parameter(name)
                       ? !scr_parse_int(value, 0, 1000000, &number)
                       : strcmp(name, "kernel") != 0 && strcmp(name, "variant") != 0 &&
                             strcmp(name, "skip") != 0) {
            return false;
        }
    }
    return true;
}

/* One word of parse_where, of a configuration. */
static bool holds(const char *name, const char *value, const scr_config *c)
{
    char text[20];

    if (strcmp(name, "case") == 0)
        return true;
    if (strcmp(name, "kernel") == 0)
        return strcmp(value, c->kernel) == 0;
    if (strcmp(name, "variant") == 0)
        return strcmp(value, c->variant) == 0;
    if (strcmp(name, "skip") == 0)
        return strcmp(value, scr_skip_name(c->skip)) == 0;
    snprintf(text, sizeof text, "%d", (int)scr_config_get(c, name, -1));
    return strcmp(value, text) == 0;
}

struct scr_faults scr_faults_of(const struct scr_faults *f, size_t at, const scr_config *config)
{
    struct scr_faults of = {.kinds = f->kinds, .at = -1};
    const char *text = f->config;
    char name[20], value[20];

    if (f->at >= 0 && (size_t)f->at != at)
        of.kinds = 0;
    while (of.kinds != 0 && next_word(&text, name, sizeof name, value, sizeof value)) {
        if (!holds(name, value, config))
            of.kinds = 0;
    }
    return of;
}

double scr_faults_fixed_ns(size_t at, const scr_config *c)
{
    char text[400];
    int n = snprintf(text, sizeof text, "%zu %s %s %d", at, c->kernel, c->variant, (int)c->skip);

    for (int i = 0; i < c->n_params && n < (int)sizeof text; i++)
        n += snprintf(text + n, sizeof text - (size_t)n, " %s=%d", c->params[i].name,
                      (int)c->params[i].value);
    return 1e6 + (double)(scr_hash(SCR_HASH_START, text, strlen(text)) % 1000000);
}

void scr_faults_strike(const struct scr_faults *f, enum scr_inject crash, enum scr_inject hang)
{
    if (scr_faults_has(f, crash, 0)) {
        signal(SIGSEGV, SIG_DFL); /* drivers have handlers */
        raise(SIGSEGV);
    }
    while (scr_faults_has(f, hang, 0))
        pause();
}

int scr_faults_parse(const char *text, struct scr_faults *out, char *why, size_t why_size)
{
    size_t end = strcspn(text, "@");

    *out = (struct scr_faults){.at = -1};
    for (size_t i = 0; i < end;) {
        size_t len = strcspn(text + i, ",@");
        unsigned kind = 0;

        for (size_t j = 0; j < sizeof faults / sizeof faults[0]; j++) {
            if (strlen(faults[j].name) == len && strncmp(text + i, faults[j].name, len) == 0)
                kind = faults[j].kind;
        }
        if (kind == 0) {
            snprintf(why, why_size, "--inject: '%.*s' is no fault", (int)len, text + i);
            return SCR_ERR_INVALID;
        }
        out->kinds |= kind;
        i += len + (text[i + len] == ',');
    }
    if (out->kinds != 0 && text[end - 1] != ',' &&
        (text[end] == '\0' || parse_where(text + end + 1, out)))
        return SCR_OK;
    snprintf(why, why_size,
             "--inject: '%s' is not FAULT[,FAULT][@CASE] or FAULT[,FAULT]@NAME=VALUE[,NAME=VALUE]",
             text);
    return SCR_ERR_INVALID;
}
