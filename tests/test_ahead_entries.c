/* SPDX-License-Identifier: Apache-2.0 */
/* --compile-ahead compiles what the entries of a table name, and passes over stale ones. */
#include "../runtime/table.h" /* not the harness's */
#include "cache.h"
#include "compile_ahead.h"
#include "config.h"
#include "cuda_compile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const scr_problem problem = {.batch = 1,
                                    .heads_q = 1,
                                    .heads_kv = 1,
                                    .len_q = 4096,
                                    .len_k = 4096,
                                    .dk = 64,
                                    .dv = 64,
                                    .q_pos0 = SCR_Q_POS0_DEFAULT,
                                    .dtype = SCR_BF16,
                                    .dtype_out = SCR_BF16};

static const scr_device_info gpu = {.backend = "cuda",
                                    .sm = 80,
                                    .has_fp16 = true,
                                    .has_subgroups = true,
                                    .compute_units = 108,
                                    .max_group_size = 1024,
                                    .local_mem = 163 * 1024};

static int write_table(const char *path, const scr_config *c, uint64_t source)
{
    struct scr_table_entry e = {.backend = "cuda",
                                .name = "a GPU",
                                .vendor = "NVIDIA",
                                .arch = "sm_80",
                                .units = 108,
                                .config = *c,
                                .source = source,
                                .dtype = SCR_BF16,
                                .dk = 64,
                                .dv = 64,
                                .len_q = 4096,
                                .len_k = 4096,
                                .heads = 1,
                                .ns = 1000,
                                .best = true,
                                .from = 1};
    char line[SCR_TABLE_LINE], head[80], tail[120];
    FILE *f = fopen(path, "w");

    e.space = scr_space_hash("cuda", c->kernel, c->variant);
    if (f == NULL || scr_table_head(head, sizeof head) == 0 ||
        scr_table_entry_format(&e, line, sizeof line) == 0 ||
        scr_table_tail(1, scr_hash(SCR_HASH_START, line, strlen(line)), tail, sizeof tail) == 0)
        return 1;
    fprintf(f, "%s%s%s", head, line, tail);
    return fclose(f);
}

/* Whether a context finds the program of c. */
static bool found(const scr_config *c)
{
    const scr_context_options options = {.backends = "ref", .table = "", .cache_dir = ""};
    struct scr_defines defines;
    struct scr_cache_key key = {scr_decl_find("cuda", c->kernel, c->variant), defines.list, "sm_80",
                                "a GPU", "a driver"};
    scr_context *ctx;
    size_t size;
    void *data;
    int status;

    scr_config_defines(&problem, c, 0, &defines);
    if (scr_context_create(&options, &ctx) != SCR_OK)
        exit(1);
    status = scr_cache_get(ctx, &key, &data, &size);
    free(data);
    scr_context_destroy(&ctx);
    return status == SCR_OK;
}

/* Another configuration than the default: the first that the kernel offers. */
static int take_other(void *user, const scr_config *c)
{
    scr_config *other = user;
    scr_config first = {.kernel = "tile-skip", .skip = SCR_SKIP_SLICE};

    if (scr_config_resolve(&gpu, &problem, &first, NULL, 0) == SCR_OK &&
        memcmp(first.params, c->params, sizeof first.params) == 0)
        return 0;
    *other = *c;
    return 1;
}

int main(void)
{
    scr_config want = {.kernel = "tile-skip", .skip = SCR_SKIP_SLICE}, other = {.n_params = 0};
    scr_config none = {.kernel = "tile-skip", .skip = SCR_SKIP_TILE};
    char root[] = "/tmp/scr-test-entries-XXXXXX";
    char folder[64], table[64], command[64], why[256];
    const char *files[] = {table};
    struct scr_tuner_options o = {
        .mode = SCR_TUNER_AHEAD, .ahead = folder, .arch = "sm_80", .files = files, .n_files = 1};
    struct scr_nvrtc *nvrtc;
    int failures = 0;
    uint64_t source;

    if (scr_nvrtc_load(&nvrtc, why, sizeof why) != SCR_OK) {
        printf("skipped: %s\n", why);
        return 77;
    }
    scr_nvrtc_unload(&nvrtc);
    if (mkdtemp(root) == NULL || scr_config_resolve(&gpu, &problem, &none, NULL, 0) != SCR_OK ||
        scr_config_enumerate(&gpu, &problem, &want, NULL, take_other, &other) != 1)
        return 1;
    snprintf(folder, sizeof folder, "%s/ahead", root);
    snprintf(table, sizeof table, "%s/table", root);
    setenv("SCR_KERNELS", folder, 1);
    source = scr_source_hash("cuda", other.kernel, other.variant);

    failures += write_table(table, &other, source ^ 1) != 0;
    failures += scr_compile_ahead_run(&o) != 0;
    failures += found(&other); /* stale */
    failures += !found(&none); /* the default is there all the same */
    failures += write_table(table, &other, source) != 0;
    failures += scr_compile_ahead_run(&o) != 0;
    failures += !found(&other);
    printf("%d failures\n", failures);
    snprintf(command, sizeof command, "rm -rf %s", root);
    return system(command) != 0 || failures != 0;
}
