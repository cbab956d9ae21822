# SPDX-License-Identifier: Apache-2.0
"""The protocol of a peer, see README.md beside this file. Python's own library only."""
import json
import os
import struct
import sys

PROTOCOL = 1


class Unsupported(Exception):
    """This kernel cannot do this problem on this device; the text says why."""


class OutOfMemory(Exception):
    """The device or the machine has too little memory; the text says what was needed."""


def one_line(error):
    """The first line of an exception's text that has a word in it, or its type."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def read_tensors(path):
    """{name: (dtype, shape, bytearray)} of a safetensors file; dtype as in the file, "F16"."""
    with open(path, "rb") as f:
        header = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
        begin = f.tell()
        tensors = {}
        for name, t in header.items():
            if name == "__metadata__":
                continue
            first, last = t["data_offsets"]
            data = bytearray(last - first)
            f.seek(begin + first)
            if f.readinto(data) != len(data):
                raise ValueError(path + ": cut short")
            tensors[name] = (t["dtype"], t["shape"], data)
    return tensors


def write_tensor(path, name, dtype, shape, data):
    """Writes a safetensors file of one tensor; data is its bytes."""
    header = json.dumps({name: {"dtype": dtype, "shape": list(shape),
                                "data_offsets": [0, len(data)]}}).encode()
    header += b" " * (-len(header) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(header)) + header)
        f.write(data)


def serve(name, version, operator, kernels, run):
    """Answers requests until the input ends.

    kernels  list of names
    run      run(problem) is given a request as a dict, leaves o in the file problem["out"] and
             returns what an answer of status ok has besides: "t_ns", "timer", "cache", "params".
             It may raise Unsupported, OutOfMemory, MemoryError; anything else is a failure.
    """
    # Libraries print where they like; the protocol keeps the real output for itself.
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(answer):
        out.write(json.dumps(answer) + "\n")
        out.flush()

    for line in sys.stdin:
        request = json.loads(line)
        if "hello" in request:
            say({"hello": PROTOCOL, "peer": name, "version": version, "operator": operator,
                 "kernels": kernels})
            continue
        answer = {"id": request["id"]}
        try:
            answer.update(run(request), status="ok")
        except Unsupported as e:
            answer.update(status="unsupported", reason=one_line(e))
        except (OutOfMemory, MemoryError) as e:
            answer.update(status="oom", reason=one_line(e))
        except Exception as e:  # whatever it is, it is one row's failure
            answer.update(status="failed", reason="%s: %s" % (type(e).__name__, one_line(e)))
        say(answer)
