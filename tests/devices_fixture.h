/* SPDX-License-Identifier: Apache-2.0 */
/* Devices made up for tests of what is chosen for a device, not run on it. */
#ifndef SCR_TESTS_DEVICES_FIXTURE_H
#define SCR_TESTS_DEVICES_FIXTURE_H

#include <screening/device.h>

enum { REF, CPU, GPU, SMALL_GPU, CUDA, N_MADE_UP };

static const scr_device_info made_up[N_MADE_UP] = {
    [REF] = {.id = "ref:0",
             .backend = "ref",
             .is_cpu = true,
             .compute_units = 4,
             .max_group_size = 1,
             .local_mem = 1 << 30},
    [CPU] = {.id = "opencl:0.0",
             .backend = "opencl",
             .is_cpu = true,
             .compute_units = 4,
             .max_group_size = 4096,
             .local_mem = 1 << 20},
    [GPU] = {.id = "opencl:1.0",
             .backend = "opencl",
             .compute_units = 80,
             .max_group_size = 1024,
             .local_mem = 48 << 10,
             .has_fp16 = true},
    [SMALL_GPU] = {.id = "opencl:2.0",
                   .backend = "opencl",
                   .compute_units = 4,
                   .max_group_size = 64,
                   .local_mem = 24 << 10},
    [CUDA] = {.id = "cuda:0",
              .backend = "cuda",
              .sm = 90,
              .compute_units = 132,
              .max_group_size = 1024,
              .local_mem = 227 << 10,
              .has_fp16 = true,
              .has_subgroups = true,
              .has_warpgroups = true},
};

#endif
