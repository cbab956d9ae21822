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

static struct scr_program *find(const scr_device *dev, const struct scr_kernel_decl *decl,
                                const char *key)
{
    for (struct scr_program *p = dev->programs; p != NULL; p = p->next) {
        if (p->decl == decl && strcmp(p->key, key) == 0)
            return p;
    }
    return NULL;
}

static void unlink_program(scr_device *dev, struct scr_program *p)
{
    struct scr_program **at = &dev->programs;

    while (*at != p)
        at = &(*at)->next;
    *at = p->next;
}

static void free_program(struct scr_program *p)
{
    if (p != NULL)
        free(p->key);
    free(p);
}

int scr_program_get(scr_device *dev, const struct scr_kernel_decl *decl, const char *const *defines,
                    struct scr_program **out)
{
    struct scr_program *fresh = calloc(1, sizeof *fresh);
    struct scr_program *p;
    int status;

    *out = NULL;
    if (fresh != NULL)
        fresh->key = join(defines);
    if (fresh == NULL || fresh->key == NULL) {
        free_program(fresh);
        return SCR_ERR_NO_MEMORY;
    }
    fresh->dev = dev;
    fresh->decl = decl;
    fresh->building = true;
    pthread_mutex_lock(&dev->mutex);
    /* One that its maker gives up leaves the list; then it is this thread's turn. */
    while ((p = find(dev, decl, fresh->key)) != NULL && p->building)
        pthread_cond_wait(&dev->built, &dev->mutex);
    if (p == NULL) {
        fresh->next = dev->programs;
        dev->programs = fresh;
    }
    pthread_mutex_unlock(&dev->mutex);
    if (p != NULL) {
        free_program(fresh);
        *out = p;
        return SCR_OK;
    }
    status = dev->backend->program_create(fresh, defines);
    pthread_mutex_lock(&dev->mutex);
    fresh->building = false;
    if (status != SCR_OK)
        unlink_program(dev, fresh);
    pthread_cond_broadcast(&dev->built);
    pthread_mutex_unlock(&dev->mutex);
    if (status != SCR_OK)
        free_program(fresh);
    else
        *out = fresh;
    return status;
}

void scr_run_set_launches(struct scr_run *run, const struct scr_kernel_decl *decl,
                          const struct scr_decl_env *env)
{
    run->n_launches = 0;
    for (int i = 0; i < decl->n_steps; i++) {
        struct scr_launch *l = &run->launches[run->n_launches];

        l->step = i;
        decl->steps[i].groups(env, l->groups);
        decl->steps[i].group(env, l->group);
        l->local_bytes = decl->steps[i].local_bytes(env);
        run->n_launches += l->groups[0] * l->groups[1] * l->groups[2] != 0;
    }
    run->n_maps = decl->n_tensor_maps;
    for (int i = 0; i < decl->n_tensor_maps; i++)
        run->maps[i] = (struct scr_run_map){decl->tensor_maps[i].tensor,
                                            (int)decl->tensor_maps[i].box_rows(env)};
}

static int32_t group_size(const struct scr_launch *l)
{
    return (int32_t)(l->group[0] * l->group[1] * l->group[2]);
}

int scr_launch_check(const struct scr_program *prog, const struct scr_launch *l, int32_t max_group,
                     size_t local_bytes)
{
    const scr_device *dev = prog->dev;
    const char *entry = prog->decl->steps[l->step].entry;

    if (max_group > 0 && group_size(l) > max_group) {
        scr_log(dev->ctx, SCR_LOG_ERROR, "%s: %s has groups of %d, as compiled at most %d fit",
                dev->info->id, entry, (int)group_size(l), (int)max_group);
        return SCR_ERR_UNSUPPORTED;
    }
    if (local_bytes > dev->info->local_mem) {
        scr_log(dev->ctx, SCR_LOG_ERROR, "%s: %s needs %zu bytes of local memory, there are %zu",
                dev->info->id, entry, local_bytes, dev->info->local_mem);
        return SCR_ERR_UNSUPPORTED;
    }
    return SCR_OK;
}

void scr_resources_add(scr_resources *r, int32_t registers, int32_t spill_bytes,
                       const struct scr_launch *l, int32_t max_group, size_t local_bytes)
{
    int32_t group = group_size(l);

    r->registers = registers > r->registers ? registers : r->registers;
    r->spill_bytes = spill_bytes > r->spill_bytes ? spill_bytes : r->spill_bytes;
    r->local_bytes = local_bytes > r->local_bytes ? local_bytes : r->local_bytes;
    if (max_group > 0 && r->max_group > 0
            ? (int64_t)group * r->max_group > (int64_t)r->group_size * max_group
            : max_group > 0 || (r->max_group == 0 && group > r->group_size)) {
        r->group_size = group;
        r->max_group = max_group;
    }
}

void scr_programs_destroy(scr_device *dev)
{
    while (dev->programs != NULL) {
        struct scr_program *p = dev->programs;

        dev->programs = p->next;
        dev->backend->program_destroy(p);
        free_program(p);
    }
}
