/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prints cases for the first OpenCL device, with limits, that have every value of a tunable which
 * some valid configuration of a kernel and variant has, or every two of them together.
 *
 * Usage: cover_configs values|pairs LIMITS AXES...   (AXES: words of a case that say the problem:
 * dk=16 dv=64 dtype=f16, and others, which are printed as they are)
 * Exit status 77 where there is no such device.
 */
#include "decl.h"

#include <screening/screening.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_PAIRS = SCR_MAX_TUNABLES * SCR_MAX_TUNABLE_VALUES };

struct cover {
    const struct scr_kernel_decl *decl;
    bool pairs;
    scr_config *all; /* valid ones */
    size_t n, room;
    bool wanted[MAX_PAIRS][MAX_PAIRS]; /* not printed so far */
};

static int keep(void *user, const scr_config *c)
{
    struct cover *v = user;

    if (v->n == v->room) {
        v->room = v->room * 2 + 64;
        v->all = realloc(v->all, v->room * sizeof *v->all);
        if (v->all == NULL)
            exit(1);
    }
    v->all[v->n++] = *c;
    return SCR_OK;
}

/* The number of tunable t with its value in c, among all tunables and values. */
static int item(const struct scr_kernel_decl *d, const scr_config *c, int t)
{
    int value = scr_config_get(c, d->tunables[t].name, 0);
    int i = 0;

    while (i < d->tunables[t].n_values - 1 && d->tunables[t].values[i] != value)
        i++;
    return t * SCR_MAX_TUNABLE_VALUES + i;
}

/* Visits the values of c, as pairs with themselves, and the pairs: counts those wanted, sets all.
 */
static int visit(struct cover *v, const scr_config *c, bool set, bool value)
{
    int n = 0;

    for (int a = 0; a < v->decl->n_tunables; a++) {
        int ia = item(v->decl, c, a);

        for (int b = a; b < (v->pairs ? v->decl->n_tunables : a + 1); b++) {
            bool *wanted = &v->wanted[ia][item(v->decl, c, b)];

            n += *wanted;
            if (set)
                *wanted = value;
        }
    }
    return n;
}

static void print(const struct cover *v, const scr_config *c, char *const *words, int n_words)
{
    const char *between = " param=";

    for (int i = 0; i < n_words; i++)
        printf("%s ", words[i]);
    printf("kernel=%s variant=%s skip=%s", c->kernel, c->variant, scr_skip_name(c->skip));
    for (int t = 0; t < v->decl->n_tunables; t++) {
        printf("%s%s=%d", between, v->decl->tunables[t].name,
               (int)scr_config_get(c, v->decl->tunables[t].name, 0));
        between = "+";
    }
    printf("\n");
}

static void cover(const scr_device_info *info, const struct scr_kernel_decl *d, bool pairs,
                  const scr_problem *p, char *const *words, int n_words)
{
    struct cover *v = calloc(1, sizeof *v);
    scr_config c = {.skip = strcmp(d->kernel, "tile-skip") == 0 ? SCR_SKIP_SLICE : SCR_SKIP_NONE};

    if (v == NULL)
        exit(1);
    v->decl = d;
    v->pairs = pairs;
    snprintf(c.kernel, sizeof c.kernel, "%s", d->kernel);
    snprintf(c.variant, sizeof c.variant, "%s", d->variant);
    scr_config_enumerate(info, p, &c, NULL, keep, v);
    for (size_t i = 0; i < v->n; i++)
        visit(v, &v->all[i], true, true);
    for (;;) {
        size_t best = 0;
        int most = 0;

        for (size_t i = 0; i < v->n; i++) {
            int n = visit(v, &v->all[i], false, false);

            if (n > most) {
                most = n;
                best = i;
            }
        }
        if (most == 0)
            break;
        print(v, &v->all[best], words, n_words);
        visit(v, &v->all[best], true, false);
    }
    free(v->all);
    free(v);
}

static int number(char *const *words, int n, const char *name, int fallback)
{
    for (int i = 0; i < n; i++) {
        if (strncmp(words[i], name, strlen(name)) == 0)
            return atoi(words[i] + strlen(name));
    }
    return fallback;
}

int main(int argc, char **argv)
{
    scr_context_options options = {
        .backends = "opencl", .table = "", .cache_dir = "", .limits = argc > 2 ? argv[2] : NULL};
    scr_problem p = {.batch = 1, .heads_q = 1, .heads_kv = 1, .q_pos0 = SCR_Q_POS0_DEFAULT};
    const scr_device_info *info;
    bool pairs = argc > 1 && strcmp(argv[1], "pairs") == 0;
    scr_context *ctx;

    if (argc < 4 || scr_context_create(&options, &ctx) != SCR_OK)
        return 2;
    argv += 3;
    argc -= 3;
    p.dk = number(argv, argc, "dk=", 64);
    p.dv = number(argv, argc, "dv=", 64);
    p.len_q = number(argv, argc, "seq=", 64);
    p.len_k = number(argv, argc, "kv=", p.len_q);
    for (int i = 0; i < argc; i++) {
        if (strncmp(argv[i], "dtype=", 6) == 0)
            p.dtype = strcmp(argv[i] + 6, "f16") == 0    ? SCR_F16
                      : strcmp(argv[i] + 6, "bf16") == 0 ? SCR_BF16
                                                         : SCR_F32;
    }
    info = scr_context_device_info(ctx, 0);
    if (info == NULL)
        return 77;
    for (size_t i = 0; i < scr_kernel_decl_count; i++) {
        const struct scr_kernel_decl *d = &scr_kernel_decls[i];

        if (strcmp(d->backend, "opencl") == 0)
            cover(info, d, pairs, &p, argv, argc);
    }
    scr_context_destroy(&ctx);
    return 0;
}
