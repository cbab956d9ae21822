#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Cut a small trace out of a large one: some heads, the first tokens. Standard library only.

Usage: make_trace_slice.py IN.safetensors OUT.safetensors HEAD[,HEAD...] TOKENS

IN holds q, k, v as [H,T,d] and r, w as [H]; HEAD counts from 0 in that file. The metadata of IN is
kept, with the name of the file and the slice added. The files in data/ were made from the two
traces of the project, with heads and tokens as their metadata says.
"""
import json
import os
import struct
import sys

BYTES = {"F16": 2, "BF16": 2, "F32": 4}


def read(path):
    with open(path, "rb") as f:
        (n,) = struct.unpack("<Q", f.read(8))
        header = json.loads(f.read(n))
        return header, f.read()


def cut(entry, data, heads, tokens):
    """The header entry (without offsets) and bytes of one tensor's slice."""
    shape, size = entry["shape"], BYTES[entry["dtype"]]
    begin = entry["data_offsets"][0]
    row = size * (shape[2] if len(shape) == 3 else 1)
    rows = shape[1] if len(shape) == 3 else 1
    keep = min(tokens, rows)
    parts = [data[begin + h * rows * row:][:keep * row] for h in heads]
    new_shape = [len(heads)] + ([keep, shape[2]] if len(shape) == 3 else [])
    return {"dtype": entry["dtype"], "shape": new_shape}, b"".join(parts)


def main():
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    source, target = sys.argv[1:3]
    heads = [int(h) for h in sys.argv[3].split(",")]
    tokens = int(sys.argv[4])
    header, data = read(source)
    metadata = header.get("__metadata__", {})
    metadata["slice_of"] = os.path.basename(source)
    metadata["slice"] = f"heads {heads} of the file, tokens 0..{tokens - 1}"
    out = {"__metadata__": metadata}
    body = b""
    for name in ("r", "w", "q", "k", "v"):
        entry, part = cut(header[name], data, heads, tokens)
        entry["data_offsets"] = [len(body), len(body) + len(part)]
        out[name] = entry
        body += part
    text = json.dumps(out, sort_keys=True).encode()
    text += b" " * (-len(text) % 8)
    with open(target, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + body)


if __name__ == "__main__":
    main()
