/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OpenCL kernels with inline PTX compile for NVIDIA's GPUs: by Clang's OpenCL C and back end, which
 * NVIDIA's own compiler resembles, and ptxas, which assembles what either writes. Each pair of head
 * dims with one type and one kind of skipping, in turn; at (64, 64) each value of each tunable, and
 * the builds that count and that skip too much. Defaults must not spill registers, and local memory
 * must be what the declaration says. Of the probe each type and each value of its tunable, which
 * must not spill.
 *
 * Usage: test_opencl_ptx BUILTINS CLANG PTXAS; exit status 77 where CLANG or PTXAS is empty.
 */
#include "backend.h"
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct tools {
    const char *builtins, *clang, *ptxas;
    char folder[64];
    int n, n_failed;
};

static const scr_device_info gpu = {
    .id = "opencl:0.0",
    .backend = "opencl",
    .sm = 80,
    .compute_units = 108,
    .max_group_size = 1024,
    .local_mem = 48u << 10,
};

static scr_problem problem_of(scr_dtype dtype, int dk, int dv)
{
    return (scr_problem){
        .batch = 1,
        .heads_q = 1,
        .heads_kv = 1,
        .len_q = 1024,
        .len_k = 1024,
        .dk = dk,
        .dv = dv,
        .q_pos0 = SCR_Q_POS0_DEFAULT,
        .dtype = dtype,
        .dtype_out = dk % 32 == 0 ? SCR_F32 : dtype,
        .causal = true,
    };
}

static bool write_source(const struct tools *t, const char *source)
{
    char path[80];
    FILE *f;
    bool ok;

    snprintf(path, sizeof path, "%s/kernel.cl", t->folder);
    f = fopen(path, "w");
    if (f == NULL)
        return false;
    ok = fputs(source, f) >= 0;
    return fclose(f) == 0 && ok;
}

static bool run(const struct tools *t, const struct scr_defines *defines)
{
    char command[4096];
    int n = snprintf(command, sizeof command,
                     "cd %s && { '%s' -x cl -cl-std=CL1.2 -cl-no-stdinc -include opencl-c.h "
                     "-include '%s' -target nvptx64-nvidia-nvcl -Xclang -target-cpu -Xclang sm_80 "
                     "-Xclang -target-feature -Xclang +ptx70 -O3 -w -S -DSCR_IS_CPU=0 "
                     "-DSCR_HAS_FP16=0 -DSCR_HAS_SUBGROUPS=0",
                     t->folder, t->clang, t->builtins);

    for (int i = 0; defines->list[i] != NULL; i++)
        n += snprintf(command + n, sizeof command - (size_t)n, " -D%s", defines->list[i]);
    snprintf(command + n, sizeof command - (size_t)n,
             " -o kernel.ptx kernel.cl && '%s' -v -arch=sm_80 -o kernel.cubin kernel.ptx; }"
             " > log 2>&1",
             t->ptxas);
    return system(command) == 0;
}

/* The first number before `unit` in what ptxas -v says of an entry; -1 where there is none. */
static long number_of(const char *log, const char *entry, const char *unit)
{
    const char *s = strstr(log, entry), *end;

    s = s != NULL ? strstr(s, "Function properties") : NULL;
    end = s != NULL ? strstr(s, unit) : NULL;
    if (end == NULL)
        return -1;
    while (end > s && end[-1] >= '0' && end[-1] <= '9')
        end--;
    return strtol(end, NULL, 10);
}

static void compile(struct tools *t, const struct scr_kernel_decl *d, const scr_problem *p,
                    scr_config c, unsigned flags, bool no_spills)
{
    char log[16384] = "", path[80], why[200] = "it does not compile", entry[80];
    struct scr_defines defines;
    struct scr_decl_env env;
    bool ok;
    FILE *f;

    scr_env_init(&env, &gpu, p, c.skip);
    scr_env_set_tunables(&env, d, &c);
    scr_config_defines(p, &c, flags, &defines);
    ok = write_source(t, d->source) && run(t, &defines);
    snprintf(path, sizeof path, "%s/log", t->folder);
    f = fopen(path, "r");
    if (f != NULL) {
        log[fread(log, 1, sizeof log - 1, f)] = '\0';
        fclose(f);
    }
    snprintf(entry, sizeof entry, "entry function '%s'", d->steps[0].entry);
    if (ok) {
        const long local = number_of(log, entry, " bytes smem");
        const long declared = (long)d->steps[0].local_bytes(&env);

        if (no_spills && number_of(log, entry, " bytes spill stores") != 0) {
            snprintf(why, sizeof why, "registers spill");
            ok = false;
        } else if (local > declared || local < declared - 1024) {
            snprintf(why, sizeof why, "%ld bytes of local memory, declared %ld", local, declared);
            ok = false;
        }
    }
    t->n++;
    if (ok)
        return;
    t->n_failed++;
    printf("%s: %s:", d->file, why);
    for (int i = 0; defines.list[i] != NULL; i++)
        printf(" -D%s", defines.list[i]);
    printf("\n%s\n", log);
}

/* The configuration nearest to the defaults, with one tunable set if not NULL. */
static void try(struct tools *t, const struct scr_kernel_decl *d, const scr_problem *p, int skip,
                const struct scr_tunable *tunable, int value, unsigned flags)
{
    scr_config c = {.skip = (scr_skip)skip};

    snprintf(c.kernel, sizeof c.kernel, "%s", d->kernel);
    snprintf(c.variant, sizeof c.variant, "%s", d->variant);
    if (tunable != NULL)
        scr_config_set(&c, tunable->name, value);
    if (scr_config_resolve(&gpu, p, &c, NULL, 0) == SCR_OK)
        compile(t, d, p, c, flags, tunable == NULL);
}

static void try_all(struct tools *t, const struct scr_kernel_decl *d)
{
    static const int dims[] = {16, 32, 64, 128};
    const int n_skips = strcmp(d->kernel, "tile-skip") == 0 ? 3 : 1;
    const scr_problem middle = problem_of(SCR_F16, 64, 64);
    int n = 0;

    for (int i = 0; i < 16; i++) {
        scr_problem p =
            problem_of(i / 4 % 2 == i % 2 ? SCR_F16 : SCR_BF16, dims[i % 4], dims[i / 4]);

        try(t, d, &p, (i + i / 4) % n_skips, NULL, 0, 0);
    }
    for (int skip = 0; skip < n_skips; skip++) {
        try(t, d, &middle, skip, NULL, 0, 0);
        try(t, d, &middle, skip, NULL, 0, SCR_PLAN_COUNT);
        try(t, d, &middle, skip, NULL, 0, SCR_PLAN_FAULT_SKIP);
    }
    for (int i = 0; i < d->n_tunables; i++) {
        for (int v = 0; v < d->tunables[i].n_values; v++)
            try(t, d, &middle, n++ % n_skips, &d->tunables[i], d->tunables[i].values[v], 0);
    }
}

static void try_probe(struct tools *t, const struct scr_kernel_decl *d)
{
    for (int type = SCR_F16; type <= SCR_BF16; type++) {
        const scr_problem p = problem_of((scr_dtype)type, 16, 16);

        for (int v = 0; v < d->tunables[0].n_values; v++) {
            scr_config c = {0};

            scr_config_set(&c, d->tunables[0].name, d->tunables[0].values[v]);
            compile(t, d, &p, c, 0, true);
        }
    }
}

int main(int argc, char **argv)
{
    struct tools t = {.folder = "/tmp/scr-opencl-ptx-XXXXXX"};
    char command[80];

    if (argc != 4 || argv[2][0] == '\0' || argv[3][0] == '\0') {
        printf("skipped: Clang or ptxas not found\n");
        return 77;
    }
    t.builtins = argv[1];
    t.clang = argv[2];
    t.ptxas = argv[3];
    if (mkdtemp(t.folder) == NULL)
        return 1;
    for (size_t i = 0; i < scr_kernel_decl_count; i++) {
        const struct scr_kernel_decl *d = &scr_kernel_decls[i];

        if (strcmp(d->backend, "opencl") == 0 && strcmp(d->variant, "mma") == 0)
            try_all(&t, d);
    }
    for (size_t i = 0; i < scr_probe_decl_count; i++) {
        const struct scr_kernel_decl *d = &scr_probe_decls[i];

        if (strcmp(d->backend, "opencl") == 0 && strcmp(d->variant, "mma") == 0)
            try_probe(&t, d);
    }
    snprintf(command, sizeof command, "rm -r %s", t.folder);
    printf("%d configurations, %d failed\n", t.n, t.n_failed);
    return system(command) != 0 || t.n == 0 || t.n_failed != 0;
}
