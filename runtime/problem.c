/* SPDX-License-Identifier: Apache-2.0 */
#include <screening/screening.h>

int scr_version(void)
{
    return SCR_VERSION;
}

#define TEXT_(x) #x
#define TEXT(x)  TEXT_(x)

const char *scr_version_text(void)
{
    return TEXT(SCR_VERSION_MAJOR) "." TEXT(SCR_VERSION_MINOR) "." TEXT(SCR_VERSION_PATCH);
}

const char *scr_status_text(int status)
{
    switch (status) {
    case SCR_OK:
        return "success";
    case SCR_ERR_INVALID:
        return "invalid argument";
    case SCR_ERR_NO_MEMORY:
        return "out of memory";
    case SCR_ERR_DEVICE:
        return "the device's driver reported an error";
    case SCR_ERR_UNSUPPORTED:
        return "not supported by this device";
    case SCR_ERR_COMPILE:
        return "the kernel does not compile";
    case SCR_ERR_NOT_FOUND:
        return "not found";
    default:
        return "unknown status";
    }
}

size_t scr_dtype_bytes(scr_dtype t)
{
    return t == SCR_F32 ? 4 : 2;
}

const char *scr_dtype_name(scr_dtype t)
{
    static const char *const names[] = {"f32", "f16", "bf16"};

    return t >= SCR_F32 && t <= SCR_BF16 ? names[t] : "?";
}

static bool head_dim_ok(int32_t d)
{
    return d == 16 || d == 32 || d == 64 || d == 128;
}

/* Lengths stay exact in f32, and sums of positions and tile sizes stay within int. */
enum { MAX_LEN = 1 << 24 };

int scr_problem_validate(const scr_problem *p, const char **why)
{
    const char *reason = NULL;

    if (p->batch < 1 || p->heads_q < 1 || p->heads_kv < 1)
        reason = "batch and heads must be at least 1";
    else if (p->heads_q % p->heads_kv != 0)
        reason = "heads must be a multiple of kv_heads";
    else if (p->heads_q > 65535 || p->batch > 65535)
        reason = "batch and heads must be at most 65535";
    else if (p->len_q < 1 || p->len_k < 1 || p->len_q > MAX_LEN || p->len_k > MAX_LEN)
        reason = "lengths must be 1 to 16777216";
    else if (!head_dim_ok(p->dk) || !head_dim_ok(p->dv))
        reason = "dk and dv must be 16, 32, 64 or 128";
    else if (p->q_pos0 != SCR_Q_POS0_DEFAULT && (p->q_pos0 > MAX_LEN || p->q_pos0 < -MAX_LEN))
        reason = "q_pos0 must be within 16777216 of 0";
    else if (p->dtype < SCR_F32 || p->dtype > SCR_BF16)
        reason = "unknown dtype";
    else if (p->dtype_out != SCR_F32 && p->dtype_out != p->dtype)
        reason = "the output is f32 or of the input's type";
    if (why != NULL && reason != NULL)
        *why = reason;
    return reason == NULL ? SCR_OK : SCR_ERR_INVALID;
}

int32_t scr_problem_q_pos0(const scr_problem *p)
{
    return p->q_pos0 == SCR_Q_POS0_DEFAULT ? p->len_k - p->len_q : p->q_pos0;
}
