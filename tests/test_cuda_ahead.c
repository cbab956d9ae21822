/* SPDX-License-Identifier: Apache-2.0 */
/* A kernel compiled ahead, which needs NVRTC and no GPU, is found for its target alone. */
#include "cache.h"
#include "config.h"
#include "cuda_compile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failures;

#define WANT(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            printf("line %d: %s\n", __LINE__, #condition);                                         \
            failures++;                                                                            \
        }                                                                                          \
    } while (0)

static void find(const struct scr_kernel_decl *decl, const struct scr_defines *defines,
                 const char *target, bool there)
{
    struct scr_cache_key key = {decl, defines->list, target, "a GPU", "a driver"};
    scr_context_options options = {.backends = "ref", .table = "", .cache_dir = ""};
    scr_context *ctx;
    void *data = NULL;
    size_t size = 0;
    int status;

    if (scr_context_create(&options, &ctx) != SCR_OK)
        exit(1);
    status = scr_cache_get(ctx, &key, &data, &size);
    WANT(status == (there ? SCR_OK : SCR_ERR_NOT_FOUND));
    WANT(!there || (size > 1000 && memcmp(data, "\177ELF", 4) == 0));
    free(data);
    scr_context_destroy(&ctx);
}

int main(void)
{
    scr_device_info info = {.backend = "cuda",
                            .arch = "sm_90",
                            .sm = 90,
                            .has_fp16 = true,
                            .has_subgroups = true,
                            .compute_units = 132,
                            .max_group_size = 1024,
                            .local_mem = 227 * 1024};
    scr_problem p = {.batch = 1,
                     .heads_q = 1,
                     .heads_kv = 1,
                     .len_q = 100,
                     .len_k = 100,
                     .dk = 64,
                     .dv = 64,
                     .q_pos0 = SCR_Q_POS0_DEFAULT,
                     .dtype = SCR_F16};
    scr_config config = {.kernel = "tile-skip", .skip = SCR_SKIP_TILE};
    char folder[] = "/tmp/scr-test-ahead-XXXXXX";
    const struct scr_kernel_decl *decl;
    struct scr_kernel_decl broken;
    struct scr_defines defines, other;
    struct scr_nvrtc *nvrtc;
    char why[400], command[64];

    if (scr_nvrtc_load(&nvrtc, why, sizeof why) != SCR_OK) {
        printf("skipped: %s\n", why);
        return 77;
    }
    if (mkdtemp(folder) == NULL ||
        scr_config_resolve(&info, &p, &config, why, sizeof why) != SCR_OK)
        return 1;
    setenv("SCR_KERNELS", folder, 1);
    decl = scr_decl_find("cuda", config.kernel, config.variant);
    scr_config_defines(&p, &config, 0, &defines);
    scr_config_defines(&p, &config, SCR_PLAN_COUNT, &other);

    find(decl, &defines, "sm_90", false);
    WANT(scr_cuda_compile_ahead(nvrtc, decl, defines.list, "sm_90", folder, why, sizeof why) ==
         SCR_OK);
    find(decl, &defines, "sm_90", true);
    find(decl, &defines, "sm_100", false);
    find(decl, &other, "sm_90", false);

    WANT(scr_cuda_compile_ahead(nvrtc, decl, defines.list, "sm_30", folder, why, sizeof why) ==
         SCR_ERR_UNSUPPORTED);
    WANT(strstr(why, "does not know sm_30") != NULL);
    WANT(scr_cuda_compile_ahead(nvrtc, decl, defines.list, "gfx90a", folder, why, sizeof why) ==
         SCR_ERR_INVALID);
    WANT(strstr(why, "gfx90a") != NULL);
    WANT(scr_cuda_compile_ahead(nvrtc, decl, defines.list, "sm_90", "/proc/self/screening", why,
                                sizeof why) == SCR_ERR_INVALID);
    broken = *decl;
    broken.source = "this is no program";
    WANT(scr_cuda_compile_ahead(nvrtc, &broken, defines.list, "sm_90", folder, why, sizeof why) ==
         SCR_ERR_COMPILE);
    WANT(strstr(why, "error") != NULL);
    scr_nvrtc_unload(&nvrtc);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command) != 0 || failures != 0;
}
