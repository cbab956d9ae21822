/* SPDX-License-Identifier: Apache-2.0 */
#include "device_limits.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "64", "16K" or "1M" up to 2^30, > 0. */
static bool parse_size(const char *text, size_t *out)
{
    char *end;
    unsigned long long n;
    int shift = 0;

    if (!isdigit((unsigned char)*text) || strlen(text) > 10)
        return false;
    n = strtoull(text, &end, 10);
    if (*end == 'K' || *end == 'M')
        shift = *end++ == 'K' ? 10 : 20;
    if (*end != '\0' || n == 0 || n > 1ull << (30 - shift))
        return false;
    *out = (size_t)n << shift;
    return true;
}

static bool parse_word(const char *word, struct scr_limits *l)
{
    size_t n;

    if (strncmp(word, "local=", 6) == 0)
        return parse_size(word + 6, &l->local_mem);
    if (strncmp(word, "group=", 6) == 0 && parse_size(word + 6, &n)) {
        l->max_group = (int32_t)n;
        return true;
    }
    if (strcmp(word, "fp16=0") == 0)
        return l->no_fp16 = true;
    if (strcmp(word, "subgroups=0") == 0)
        return l->no_subgroups = true;
    if (strcmp(word, "sm=0") == 0)
        return l->no_sm = true;
    return false;
}

int scr_limits_parse(const char *text, struct scr_limits *out, char *why, size_t why_size)
{
    *out = (struct scr_limits){0};
    if (text == NULL || text[0] == '\0')
        return SCR_OK;
    if (strlen(text) >= sizeof out->text) {
        snprintf(why, why_size, "more than %zu characters", sizeof out->text - 1);
        return SCR_ERR_INVALID;
    }
    for (const char *s = text;;) {
        size_t len = strcspn(s, ",");
        char word[sizeof out->text];

        memcpy(word, s, len);
        word[len] = '\0';
        if (!parse_word(word, out)) {
            snprintf(why, why_size,
                     "'%s' is not one of local=BYTES, group=ITEMS, fp16=0, subgroups=0, sm=0",
                     word);
            return SCR_ERR_INVALID;
        }
        if (s[len] == '\0')
            break;
        s += len + 1;
    }
    strcpy(out->text, text);
    return SCR_OK;
}

void scr_limits_apply(const struct scr_limits *limits, scr_device_info *info)
{
    size_t n = strlen(info->name);

    if (limits->text[0] == '\0')
        return;
    if (limits->local_mem != 0 && info->local_mem > limits->local_mem)
        info->local_mem = limits->local_mem;
    if (limits->max_group != 0 && info->max_group_size > limits->max_group)
        info->max_group_size = limits->max_group;
    info->has_fp16 = info->has_fp16 && !limits->no_fp16;
    info->has_subgroups = info->has_subgroups && !limits->no_subgroups;
    /* CUDA compiles for it. */
    if (limits->no_sm && strcmp(info->backend, "cuda") != 0)
        info->sm = 0;
    /* Whole, if the name is cut for it. */
    if (n > sizeof info->name - strlen(limits->text) - 4)
        n = sizeof info->name - strlen(limits->text) - 4;
    snprintf(info->name + n, sizeof info->name - n, " (%s)", limits->text);
}
