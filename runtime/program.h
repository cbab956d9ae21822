/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compiled programs, each made once a device: many problems differ in lengths and masks only, which
 * a program takes at run time.
 */
#ifndef SCR_RUNTIME_PROGRAM_H
#define SCR_RUNTIME_PROGRAM_H

#include "backend.h"

/*
 * The program of a declaration and a NULL-terminated list of "NAME=value", compiled unless the
 * device has it already. It belongs to the device. Threads may compile different programs at once;
 * who asks for one that another thread compiles waits for it.
 * Returns SCR_OK, SCR_ERR_COMPILE, SCR_ERR_NO_MEMORY or SCR_ERR_DEVICE.
 */
int scr_program_get(scr_device *dev, const struct scr_kernel_decl *decl, const char *const *defines,
                    struct scr_program **out);

/* The geometry of each step that has a work-group to run; the others are left out. And the tensor
 * maps. */
void scr_run_set_launches(struct scr_run *run, const struct scr_kernel_decl *decl,
                          const struct scr_decl_env *env);

/*
 * A compiled kernel may take less of a device than the declaration knows of: registers limit the
 * group. SCR_OK, or SCR_ERR_UNSUPPORTED and a message in the log where the launch would be refused.
 * max_group    work-items that the kernel can have; 0: unknown
 * local_bytes  that a work-group would have, static and dynamic
 */
int scr_launch_check(const struct scr_program *prog, const struct scr_launch *l, int32_t max_group,
                     size_t local_bytes);

/* Takes what one step needs into the resources of its plan: zeroed before the first. */
void scr_resources_add(scr_resources *r, int32_t registers, int32_t spill_bytes,
                       const struct scr_launch *l, int32_t max_group, size_t local_bytes);

/* Destroys all programs of a device. */
void scr_programs_destroy(scr_device *dev);

#endif
