/* SPDX-License-Identifier: Apache-2.0 */
/* Declarations seen with a problem and a device: which variant, which values, how large. */
#ifndef SCR_RUNTIME_CONFIG_H
#define SCR_RUNTIME_CONFIG_H

#include "decl.h"

#include <screening/plan.h>

/* Everything but the tunables. */
void scr_env_init(struct scr_decl_env *env, const scr_device_info *info, const scr_problem *p,
                  scr_skip skip);

/* The declaration that a resolved configuration names, or NULL. */
const struct scr_kernel_decl *scr_decl_find(const char *backend, const char *kernel,
                                            const char *variant);

/* Copies the parameters of c, by name, into env->tunable. c is resolved for decl. */
void scr_env_set_tunables(struct scr_decl_env *env, const struct scr_kernel_decl *decl,
                          const scr_config *c);

/* The constraints of decl hold and every step fits the device's group and local-memory limits. */
bool scr_decl_fits(const struct scr_kernel_decl *decl, const struct scr_decl_env *env);

/* What a kernel is compiled with: a NULL-terminated list of "NAME=value". */
struct scr_defines {
    char text[8 + SCR_MAX_TUNABLES][40];
    const char *list[8 + SCR_MAX_TUNABLES + 1];
};

/*
 * The macros of kernels/shape.h for a problem and a resolved configuration; flags as in
 * scr_plan_create.
 */
void scr_config_defines(const scr_problem *p, const scr_config *c, unsigned flags,
                        struct scr_defines *out);

/* Kernel, variant, skip and the parameters, by name, are the same. */
bool scr_config_same(const scr_config *a, const scr_config *b);

/* name is an item of a comma list; every name is in the list NULL. */
bool scr_list_has(const char *list, const char *name);

#endif
