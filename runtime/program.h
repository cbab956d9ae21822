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
 * device has it already. It belongs to the device.
 * Returns SCR_OK, SCR_ERR_COMPILE, SCR_ERR_NO_MEMORY or SCR_ERR_DEVICE.
 */
int scr_program_get(scr_device *dev, const struct scr_kernel_decl *decl, const char *const *defines,
                    struct scr_program **out);

/* The geometry of each step. */
void scr_run_set_launches(struct scr_run *run, const struct scr_kernel_decl *decl,
                          const struct scr_decl_env *env);

/* Destroys all programs of a device. */
void scr_programs_destroy(scr_device *dev);

#endif
