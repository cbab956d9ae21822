#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A peer: softmax attention by PyTorch's scaled_dot_product_attention, a kernel a backend.

Another operator than screening: no threshold, no window. Scale 1 / sqrt(dk); causal and kv_len as
the problem says. Usage: harness --sweep --peer 'python3 torch_sdpa.py'
"""
import warnings

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.attention.bias import causal_lower_right

import peer
import torch_peer

BACKENDS = {
    "sdpa-flash": SDPBackend.FLASH_ATTENTION,
    "sdpa-efficient": SDPBackend.EFFICIENT_ATTENTION,
    "sdpa-cudnn": SDPBackend.CUDNN_ATTENTION,
    "sdpa-math": SDPBackend.MATH,
}


def make_mask(problem, device):
    """The mask as PyTorch knows it best: (is_causal, attn_mask, its name)."""
    exist = torch_peer.keys_exist(problem, device)
    first, len_q, len_k = problem["q_pos0"], problem["seq_q"], problem["seq_k"]
    if exist is None:
        if not problem["causal"] or first >= len_k - 1:
            return False, None, "none"
        if first == 0:
            return True, None, "causal"
        if first == len_k - len_q:
            return False, causal_lower_right(len_q, len_k), "lower-right"
    mask = exist
    if problem["causal"]:
        position = first + torch.arange(len_q, device=device)
        causal = torch.arange(len_k, device=device) <= position[:, None]
        mask = causal if exist is None else causal & exist
    return False, mask, "matrix"


def refusal(problems, error):
    """Of PyTorch's warnings the first that gives a reason. Others are headings, and backends that
    sdpa_kernel() left out."""
    lines = [str(w.message).split(" (Triggered")[0].strip() for w in problems]
    lines = [line for line in lines if line and "kernel not used because" not in line
             and "runtime disabled" not in line]
    return lines[0] if lines else peer.one_line(error)


def make(problem, t, device):
    backend = BACKENDS[problem["kernel"]]
    if device.type == "cpu" and backend in (SDPBackend.EFFICIENT_ATTENTION,
                                            SDPBackend.CUDNN_ATTENTION):
        raise peer.Unsupported("PyTorch has this backend on CUDA devices only")
    if backend == SDPBackend.MATH:
        pairs = problem["batch"] * problem["heads"] * problem["seq_q"] * problem["seq_k"]
        torch_peer.require_memory(device, 8 * pairs, "the matrix of scores")
    is_causal, mask, mask_name = make_mask(problem, device)
    q, k, v = t["q"], t["k"], t["v"]
    grouped = problem["heads"] != problem["kv_heads"]

    def attend():
        with sdpa_kernel([backend]):
            return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=is_causal,
                                                  enable_gqa=grouped)

    with warnings.catch_warnings(record=True) as problems:
        warnings.simplefilter("always")
        try:
            attend()
        except RuntimeError as e:
            if "No available kernel" in str(e) or "No viable backend" in str(e):
                raise peer.Unsupported(refusal(problems, e)) from e
            raise
    return attend, "mask=" + mask_name


if __name__ == "__main__":
    peer.serve("torch-sdpa", torch.__version__, "softmax", list(BACKENDS),
               lambda problem: torch_peer.run(problem, make))
