#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A peer: screening attention written plainly in PyTorch, eager and compiled.

What framework code does: the whole matrix of scores, relevance and mask elementwise on it, then
the product with v. Scores and weights are f32, both products read the type of the input, as a
careful user would have it. Usage: harness --sweep --peer 'python3 torch_screening.py'
"""
import math

import torch

import peer
import torch_peer


def product(a, b, dtype):
    """a @ b summed in f32, in dtype. CUDA multiplies narrow types into f32; elsewhere they are
    widened first."""
    if a.dtype == dtype:
        return a @ b
    if a.is_cuda:
        return torch.bmm(a.flatten(0, 1), b.flatten(0, 1), out_dtype=dtype).unflatten(
            0, a.shape[:2])
    return a.to(dtype) @ b.to(dtype)


def screen(q, k, v, r, w, exist, q_pos0, causal, norm, dtype_out):
    """o [batch, heads, seq_q, dv]; shapes as in the README of kernels/."""
    batch, heads, len_q, _ = q.shape
    kv_heads, len_k = k.shape[1], k.shape[2]
    group = heads // kv_heads
    # The heads of a group share their keys: one product for all of their rows.
    s = product(q.reshape(batch, kv_heads, group * len_q, -1), k.transpose(-1, -2), torch.float32)
    s = s.reshape(batch, heads, len_q, len_k)
    r, w = r[:, None, None], w[:, None, None]
    position = q_pos0 + torch.arange(len_q, device=q.device)
    d = (torch.arange(len_k, device=q.device) - position[:, None]).float()
    seen = d.abs() < w
    if causal:
        seen = seen & (d <= 0)
    if exist is not None:
        seen = seen & exist
    # Relevance times window, (max(0, 1 - r (1 - s)) cos(pi d / (2 w)))^2, by the half angle.
    a = torch.relu(r * s + (1 - r)) * torch.cos(math.pi / 2 * (d / w))
    a = torch.where(seen, a * a, 0.0).to(v.dtype)
    o = product(a.reshape(batch, kv_heads, group * len_q, len_k), v,
                torch.float32 if norm else dtype_out)
    o = o.reshape(batch, heads, len_q, -1)
    if norm:
        size = torch.linalg.vector_norm(o, dim=-1, keepdim=True)
        o = o * torch.where(size > 0, torch.tanh(size) / size, 0.0)
    return o.to(dtype_out)


def make(problem, t, device):
    pairs = problem["batch"] * problem["heads"] * problem["seq_q"] * problem["seq_k"]
    torch_peer.require_memory(device, 16 * pairs, "the matrices of scores and weights")
    torch.backends.cuda.matmul.allow_tf32 = False
    exist = torch_peer.keys_exist(problem, device)
    fn = screen
    if problem["kernel"] == "compiled":
        torch.compiler.reset()  # a problem must not be slowed by the shapes of those before it
        fn = torch.compile(screen, dynamic=False)

    def attend():
        return fn(t["q"], t["k"], t["v"], t["r"], t["w"], exist, problem["q_pos0"],
                  problem["causal"], problem["norm"], torch_peer.DTYPES[problem["dtype_out"]])

    return attend, "scores=f32"


if __name__ == "__main__":
    peer.serve("torch-screening", torch.__version__, "screening", ["eager", "compiled"],
               lambda problem: torch_peer.run(problem, make))
