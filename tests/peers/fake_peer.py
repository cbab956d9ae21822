#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A peer for tests, in plain Python: each of its kernels behaves in another way.

Usage: fake_peer.py PEERS_FOLDER [screening|softmax]; the folder holds peer.py. f32 only.
"""
import array
import math
import os
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, sys.argv[1])

import peer  # noqa: E402

OPERATOR = sys.argv[2] if len(sys.argv) > 2 else "screening"
TIMES = [1000.0 + 7 * i % 20 for i in range(20)]


def weight(p, t, h, i, j, s):
    """Of key j for query row i with dot product s, before any division by a sum."""
    if OPERATOR == "softmax":
        return math.exp(s / math.sqrt(p["dk"]))
    d = j - p["q_pos0"] - i
    r, w = t["r"][h], t["w"][h]
    if abs(d) >= w:
        return 0.0
    return max(0.0, 1 - r * (1 - s)) ** 2 * (1 + math.cos(math.pi * d / w)) / 2


def compute(p):
    """o as a flat array of float."""
    t = {name: array.array("f", bytes(data))
         for name, (_, _, data) in peer.read_tensors(p["data"]).items()}
    dk, dv, len_q, len_k = p["dk"], p["dv"], p["seq_q"], p["seq_k"]
    o = array.array("f")
    for row in range(p["batch"] * p["heads"] * len_q):
        head, i = divmod(row, len_q)
        b, h = divmod(head, p["heads"])
        head_kv = b * p["kv_heads"] + h // (p["heads"] // p["kv_heads"])
        keys = len_k if p["kv_len"] is None else min(len_k, p["kv_len"][b])
        if p["causal"]:
            keys = min(keys, p["q_pos0"] + i + 1)
        sums, total = [0.0] * dv, 0.0
        q = t["q"][row * dk:(row + 1) * dk]
        for j in range(max(keys, 0)):
            at = head_kv * len_k + j
            s = sum(x * y for x, y in zip(q, t["k"][at * dk:(at + 1) * dk]))
            x = weight(p, t, h, i, j, s)
            total += x
            if x > 0:
                v = t["v"][at * dv:(at + 1) * dv]
                sums = [have + x * more for have, more in zip(sums, v)]
        if OPERATOR == "softmax":
            sums = [x / total if total > 0 else 0.0 for x in sums]
        o.extend(sums)
    return o


def leave(p, o, shape=None, name="o"):
    if shape is None:
        shape = [p["batch"], p["heads"], p["seq_q"], p["dv"]]
    peer.write_tensor(p["out"], name, "F32", shape, o.tobytes())


def right(p):
    leave(p, compute(p))
    return {"t_ns": TIMES, "timer": "wall", "cache": p["cache"], "stop": "count",
            "params": "answer=42"}


def one_wrong(p):
    """One element of the last row is off by more than a row may be."""
    o = compute(p)
    o[-1] += 0.25
    leave(p, o)
    return {"t_ns": TIMES, "timer": "wall", "cache": "cold"}


def a_nan(p):
    o = compute(p)
    o[-2] = math.nan
    leave(p, o)
    return {"t_ns": TIMES, "timer": "wall", "cache": "cold"}


def unsupported(_):
    raise peer.Unsupported("not on a\tMonday")


def oom(_):
    raise MemoryError("4 PB are too many")


def failed(_):
    raise ValueError("first line\nsecond line")


def crash(_):
    print("about to go", file=sys.stderr, flush=True)
    os.kill(os.getpid(), signal.SIGSEGV)


def leaves(_):
    print("no more today", file=sys.stderr, flush=True)
    os._exit(3)


def beget():
    """A child that holds the pipes open."""
    child = subprocess.Popen(["sleep", "1000"])
    if len(sys.argv) > 3:
        with open(sys.argv[3], "w", encoding="utf-8") as f:
            f.write("%d %d\n" % (os.getpid(), child.pid))


def hang(_):
    """With a child, and deaf to the polite signal."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("thinking", file=sys.stderr, flush=True)
    beget()
    time.sleep(1000)


def kills_parent(_):
    """Whoever started it dies, and the peer has a child."""
    beget()
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(1000)


def output():
    """The stream of the protocol: serve() keeps it as a copy, the lowest free number."""
    return 3


def babble(p):
    os.write(output(), b"Loading weights... \x1b[32m100 %\n")
    return right(p)


def flood(_):
    while True:
        os.write(output(), b"x" * 65536)


def noise(p):
    """Loud on stderr and on what looks like stdout, which is nobody's business."""
    for _ in range(200):
        print("y" * 1000)
        print("z" * 1000, file=sys.stderr)
    return right(p)


def other_id(p):
    leave(p, compute(p))
    os.write(output(), b'{"id": 12345, "status": "ok"}\n')
    time.sleep(1000)


def no_output(_):
    return {"t_ns": TIMES, "timer": "wall", "cache": "cold"}


def bad_file(p):
    with open(p["out"], "wb") as f:
        f.write(b"\xff" * 100)
    return {"t_ns": TIMES, "timer": "wall", "cache": "cold"}


def bad_shape(p):
    leave(p, compute(p), shape=[p["heads"], p["batch"], p["dv"], p["seq_q"]])
    return {"t_ns": TIMES, "timer": "wall", "cache": "cold"}


def bad_name(p):
    leave(p, compute(p), name="output")
    return {"t_ns": TIMES, "timer": "wall", "cache": "cold"}


def no_times(p):
    return dict(right(p), t_ns=[])


def bad_times(p):
    return dict(right(p), t_ns=[1000, "soon"])


def bad_timer(p):
    return dict(right(p), timer="sundial")


def few(p):
    return dict(right(p), t_ns=[3, 1, 2])


def warm(p):
    return dict(right(p), cache="warm", host_bound=True)


def no_status(p):
    os.write(output(), b'{"id": %d}\n' % p["id"])
    signal.pause()


def quits(p):
    """Answers, and ends a moment later."""
    threading.Timer(0.1, os._exit, [0]).start()
    return right(p)


KERNELS = {f.__name__.replace("_", "-"): f for f in (
    right, one_wrong, a_nan, unsupported, oom, failed, crash, leaves, hang, kills_parent, babble, flood, noise,
    other_id, no_output, bad_file, bad_shape, bad_name, no_times, bad_times, bad_timer, few, warm,
    no_status, quits)}

if __name__ == "__main__":
    peer.serve("fake", "1.0", OPERATOR, list(KERNELS), lambda p: KERNELS[p["kernel"]](p))
