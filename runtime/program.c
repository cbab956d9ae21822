/* SPDX-License-Identifier: Apache-2.0 */
#include "program.h"

#include <stdlib.h>
#include <string.h>

static char *join(const char *const *defines)
{
    size_t bytes = 1;
    char *key;

    for (int i = 0; defines[i] != NULL; i++)
        bytes += strlen(defines[i]) + 1;
    key = calloc(bytes, 1);
    for (int i = 0; key != NULL && defines[i] != NULL; i++) {
        strcat(key, defines[i]);
        strcat(key, " ");
    }
    return key;
}

int scr_program_get(scr_device *dev, const struct scr_kernel_decl *decl, const char *const *defines,
                    struct scr_program **out)
{
    char *key = join(defines);
    struct scr_program *p;
    int status = SCR_ERR_NO_MEMORY;

    *out = NULL;
    if (key == NULL)
        return SCR_ERR_NO_MEMORY;
    for (p = dev->programs; p != NULL; p = p->next) {
        if (p->decl == decl && strcmp(p->key, key) == 0) {
            free(key);
            *out = p;
            return SCR_OK;
        }
    }
    p = calloc(1, sizeof *p);
    if (p == NULL)
        goto fail;
    p->dev = dev;
    p->decl = decl;
    p->key = key;
    status = dev->backend->program_create(p, defines);
    if (status != SCR_OK)
        goto fail;
    p->next = dev->programs;
    dev->programs = p;
    *out = p;
    return SCR_OK;
fail:
    free(p);
    free(key);
    return status;
}

void scr_run_set_launches(struct scr_run *run, const struct scr_kernel_decl *decl,
                          const struct scr_decl_env *env)
{
    run->n_launches = decl->n_steps;
    for (int i = 0; i < decl->n_steps; i++) {
        struct scr_launch *l = &run->launches[i];

        l->step = i;
        decl->steps[i].groups(env, l->groups);
        decl->steps[i].group(env, l->group);
        l->local_bytes = decl->steps[i].local_bytes(env);
    }
}

void scr_programs_destroy(scr_device *dev)
{
    while (dev->programs != NULL) {
        struct scr_program *p = dev->programs;

        dev->programs = p->next;
        dev->backend->program_destroy(p);
        free(p->key);
        free(p);
    }
}
