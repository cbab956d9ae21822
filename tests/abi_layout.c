/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The layout of every public struct and the value of every public constant on x86-64, as programs
 * that were built against an earlier library see them. A line here changes with the major version
 * only. Compiling this file is the test.
 */
#include <screening/screening.h>

#include <stddef.h>

#if defined(__x86_64__) && defined(__LP64__)
#define SIZE(type, bytes) _Static_assert(sizeof(type) == (bytes), #type)
#define AT(type, member, offset)                                                                   \
    _Static_assert(offsetof(type, member) == (offset), #type "." #member)
#define VALUE(name, value) _Static_assert((name) == (value), #name)

SIZE(scr_device_info, 592);
AT(scr_device_info, id, 0);
AT(scr_device_info, backend, 32);
AT(scr_device_info, name, 48);
AT(scr_device_info, vendor, 176);
AT(scr_device_info, platform, 240);
AT(scr_device_info, driver, 368);
AT(scr_device_info, arch, 496);
AT(scr_device_info, is_cpu, 528);
AT(scr_device_info, has_fp16, 529);
AT(scr_device_info, has_subgroups, 530);
AT(scr_device_info, has_warpgroups, 531);
AT(scr_device_info, sm, 532);
AT(scr_device_info, compute_units, 536);
AT(scr_device_info, max_group_size, 540);
AT(scr_device_info, global_mem, 544);
AT(scr_device_info, max_alloc, 552);
AT(scr_device_info, local_mem, 560);
AT(scr_device_info, cache_bytes, 568);
AT(scr_device_info, pci, 576);

SIZE(scr_context_options, 48);
AT(scr_context_options, log, 0);
AT(scr_context_options, log_user, 8);
AT(scr_context_options, backends, 16);
AT(scr_context_options, table, 24);
AT(scr_context_options, cache_dir, 32);
AT(scr_context_options, limits, 40);

SIZE(scr_native, 24);
AT(scr_native, context, 0);
AT(scr_native, device, 8);
AT(scr_native, queue, 16);

SIZE(scr_param, 24);
AT(scr_param, name, 0);
AT(scr_param, value, 20);

SIZE(scr_config, 336);
AT(scr_config, kernel, 0);
AT(scr_config, variant, 20);
AT(scr_config, skip, 40);
AT(scr_config, n_params, 44);
AT(scr_config, params, 48);

SIZE(scr_args, 64);
AT(scr_args, q, 0);
AT(scr_args, k, 8);
AT(scr_args, v, 16);
AT(scr_args, r, 24);
AT(scr_args, w, 32);
AT(scr_args, kv_len, 40);
AT(scr_args, o, 48);
AT(scr_args, o_offset, 56);

SIZE(scr_counts, 16);
AT(scr_counts, qk, 0);
AT(scr_counts, pv, 4);
AT(scr_counts, pv_slices, 8);
AT(scr_counts, reserved, 12);

SIZE(scr_pointers, 64);
AT(scr_pointers, q, 0);
AT(scr_pointers, k, 8);
AT(scr_pointers, v, 16);
AT(scr_pointers, r, 24);
AT(scr_pointers, w, 32);
AT(scr_pointers, kv_len, 40);
AT(scr_pointers, o, 48);
AT(scr_pointers, o_offset, 56);

SIZE(scr_resources, 24);
AT(scr_resources, registers, 0);
AT(scr_resources, spill_bytes, 4);
AT(scr_resources, group_size, 8);
AT(scr_resources, max_group, 12);
AT(scr_resources, local_bytes, 16);

SIZE(scr_problem, 44);
AT(scr_problem, batch, 0);
AT(scr_problem, heads_q, 4);
AT(scr_problem, heads_kv, 8);
AT(scr_problem, len_q, 12);
AT(scr_problem, len_k, 16);
AT(scr_problem, dk, 20);
AT(scr_problem, dv, 24);
AT(scr_problem, q_pos0, 28);
AT(scr_problem, dtype, 32);
AT(scr_problem, dtype_out, 36);
AT(scr_problem, causal, 40);
AT(scr_problem, tanh_norm, 41);
AT(scr_problem, has_kv_len, 42);

SIZE(scr_hint, 16);
AT(scr_hint, window, 0);
AT(scr_hint, pair_density, 8);

SIZE(scr_choice, 376);
AT(scr_choice, config, 0);
AT(scr_choice, level, 336);
AT(scr_choice, source, 340);
AT(scr_choice, distance, 344);
AT(scr_choice, any_window, 352);
AT(scr_choice, any_density, 353);
AT(scr_choice, stale, 356);
AT(scr_choice, unfit, 360);
AT(scr_choice, far, 364);
AT(scr_choice, entry, 368);

VALUE(SCR_OK, 0);
VALUE(SCR_ERR_INVALID, -1);
VALUE(SCR_ERR_NO_MEMORY, -2);
VALUE(SCR_ERR_DEVICE, -3);
VALUE(SCR_ERR_UNSUPPORTED, -4);
VALUE(SCR_ERR_COMPILE, -5);
VALUE(SCR_ERR_NOT_FOUND, -6);
VALUE(SCR_LOG_ERROR, 0);
VALUE(SCR_LOG_WARNING, 1);
VALUE(SCR_LOG_INFO, 2);
VALUE(SCR_LOG_DEBUG, 3);
VALUE(SCR_F32, 0);
VALUE(SCR_F16, 1);
VALUE(SCR_BF16, 2);
VALUE(SCR_Q_POS0_DEFAULT, INT32_MIN);
VALUE(SCR_SKIP_NONE, 0);
VALUE(SCR_SKIP_TILE, 1);
VALUE(SCR_SKIP_SLICE, 2);
VALUE(SCR_MAX_PARAMS, 12);
VALUE(SCR_PLAN_COUNT, 1);
VALUE(SCR_PROBE_EMPTY, 0);
VALUE(SCR_PROBE_MATRIX, 1);
VALUE(SCR_PROBE_BANDWIDTH, 2);
VALUE(SCR_MATCH_DEVICE, 0);
VALUE(SCR_MATCH_ARCH, 1);
VALUE(SCR_MATCH_VENDOR, 2);
VALUE(SCR_MATCH_DEFAULT, 3);
VALUE(SCR_TABLE_NONE, 0);
VALUE(SCR_TABLE_GIVEN, 1);
VALUE(SCR_TABLE_ENV, 2);
VALUE(SCR_TABLE_USER, 3);
VALUE(SCR_TABLE_SYSTEM, 4);
VALUE(SCR_TABLE_BUILTIN, 5);
#endif

/* Something to link. */
int scr_abi_layout(void);
int scr_abi_layout(void)
{
    return 0;
}
