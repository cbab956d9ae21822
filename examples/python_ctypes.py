#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Screening attention on the CPU through ctypes, on memory of Python's own.

Usage: python_ctypes.py [LIBRARY]   (libscreening.so.0 on the loader's path)

With NumPy, `array.ctypes.data` is the pointer to pass. The structures are those of
<screening/problem.h> and <screening/plan.h>, member by member.
"""
import ctypes as c
import math
import random
import sys

T, D, R = 96, 16, 4.0  # tokens, head dim, sharpness


class Problem(c.Structure):
    _fields_ = ([(n, c.c_int32) for n in ("batch", "heads_q", "heads_kv", "len_q", "len_k", "dk", "dv", "q_pos0")]
                + [(n, c.c_int) for n in ("dtype", "dtype_out")]
                + [(n, c.c_bool) for n in ("causal", "tanh_norm", "has_kv_len")])


class Pointers(c.Structure):
    _fields_ = [(n, c.c_void_p) for n in ("q", "k", "v", "r", "w", "kv_len", "o")] + [("o_offset", c.c_size_t)]


scr = c.CDLL(sys.argv[1] if len(sys.argv) > 1 else "libscreening.so.0")
scr.scr_status_text.restype = c.c_char_p


def check(status, what):
    """Every function that can fail returns 0 or a negative code."""
    if status != 0:
        sys.exit(f"{what}: {scr.scr_status_text(status).decode()}")


def rows(seed):
    """T rows of unit length around four directions."""
    rng = random.Random(seed)
    out = []
    for i in range(T):
        x = [(j == i % 4) + rng.uniform(-0.1, 0.1) for j in range(D)]
        norm = math.sqrt(sum(a * a for a in x))
        out += [a / norm for a in x]
    return out


def aligned(values):
    """Floats at an address that is a multiple of 64; kernels want 16."""
    room = (c.c_char * (4 * len(values) + 64))()
    start = -c.addressof(room) % 64
    array = (c.c_float * len(values)).from_buffer(room, start)
    array[:] = values
    return array


def worst_error(q, k, v, o):
    """The operator by its definition, causal, without a window."""
    worst = largest = 0.0
    for i in range(T):
        h = [0.0] * D
        for j in range(i + 1):
            s = sum(q[i * D + d] * k[j * D + d] for d in range(D))
            a = max(0.0, 1.0 - R * (1.0 - s)) ** 2
            for d in range(D):
                h[d] += a * v[j * D + d]
        largest = max(largest, *map(abs, h))
        worst = max([worst] + [abs(h[d] - o[i * D + d]) for d in range(D)])
    return worst / largest


q, k, v, o = (aligned(x) for x in (rows(1), rows(2), rows(3), [math.nan] * (T * D)))
r, w = aligned([R]), aligned([math.inf])
problem = Problem(1, 1, 1, T, T, D, D, q_pos0=-2**31, causal=True)  # INT32_MIN: SCR_Q_POS0_DEFAULT
ctx, dev, plan = c.c_void_p(), c.c_void_p(), c.c_void_p()

check(scr.scr_context_create(None, c.byref(ctx)), "scr_context_create")
check(scr.scr_device_open(ctx, b"ref:0", c.byref(dev)), "scr_device_open")
check(scr.scr_plan_create_tuned(dev, c.byref(problem), None, 0, c.byref(plan)), "scr_plan_create_tuned")
args = Pointers(*(c.addressof(x) for x in (q, k, v, r, w)), o=c.addressof(o))
check(scr.scr_plan_enqueue(plan, c.byref(args), None), "scr_plan_enqueue")  # done when it returns

error = worst_error(q, k, v, o)
print(f"ref:0, library {scr.scr_version()}: relative error {error:.1e}")
scr.scr_plan_destroy(c.byref(plan))
scr.scr_device_close(c.byref(dev))
scr.scr_context_destroy(c.byref(ctx))
sys.exit(not error < 1e-5)
