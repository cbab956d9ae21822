# SPDX-License-Identifier: Apache-2.0
"""What peers that use PyTorch share: devices, data, memory, timing. Needs PyTorch 2.5 or newer."""
import ctypes
import math
import os
import time

import torch

import peer

DTYPES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
STORED = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
NAMES = {dtype: name for name, dtype in STORED.items()}

MIN_SAMPLES, MAX_SAMPLES = 6, 2000
UNKNOWN_CACHE = 128 << 20
WARM_UP_S = 0.02
MIN_WAIT, MAX_WAIT = 1 << 17, 1 << 22  # clock cycles of a GPU: 0.07 and 2.2 ms at 1.9 GHz
SHORT_CYCLE_NS = 0.3  # no GPU's is shorter
CALM = 10  # samples on end for which half the wait is enough, before it is halved
HOST_PART = 0.05  # of a sample's time, from which on it matters
WAKING_NS = 50e3  # at most, for the host that has waited for a GPU


def find_device(problem):
    """The torch.device that is the harness's device of a problem."""
    if problem["is_cpu"]:
        return torch.device("cpu")
    backend, _, number = problem["device"].partition(":")
    if backend != "cuda":
        raise peer.Unsupported("PyTorch has no device for %s" % problem["device"])
    if not torch.cuda.is_available():
        raise peer.Unsupported("this PyTorch has no CUDA device")
    # Drivers and PyTorch may count in different orders.
    for i in range(torch.cuda.device_count()):
        p = torch.cuda.get_device_properties(i)
        if problem["pci"] and hasattr(p, "pci_domain_id") and problem["pci"].lower() == \
                "%04x:%02x:%02x.0" % (p.pci_domain_id, p.pci_bus_id, p.pci_device_id):
            return torch.device("cuda", i)
    if int(number) >= torch.cuda.device_count():
        raise peer.Unsupported("PyTorch has no %s" % problem["device"])
    return torch.device("cuda", int(number))


def load(problem, device):
    """{"q", "k", "v", "r", "w"} on the device. Keys that do not exist are zeros."""
    tensors = {}
    for name, (dtype, shape, data) in peer.read_tensors(problem["data"]).items():
        tensors[name] = torch.frombuffer(data, dtype=STORED[dtype]).reshape(shape).to(device)
    if problem["kv_len"] is not None:
        for b, n in enumerate(problem["kv_len"]):
            tensors["k"][b, :, n:] = 0
            tensors["v"][b, :, n:] = 0
    return tensors


def keys_exist(problem, device):
    """[batch, 1, 1, seq_k] of bool, or None where all keys exist."""
    if problem["kv_len"] is None or min(problem["kv_len"]) >= problem["seq_k"]:
        return None
    n = torch.tensor(problem["kv_len"], device=device)
    return torch.arange(problem["seq_k"], device=device) < n[:, None, None, None]


def save(problem, o):
    o = o.detach().contiguous().cpu()
    peer.write_tensor(problem["out"], "o", NAMES[o.dtype], o.shape,
                      ctypes.string_at(o.data_ptr(), o.numel() * o.element_size()))


def free_memory():
    """Bytes that this machine can give without swapping."""
    with open("/proc/meminfo", encoding="ascii") as f:
        for line in f:
            if line.startswith("MemAvailable:"):
                return 1024 * int(line.split()[1])
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def require_memory(device, need, what):
    """Refuses what cannot fit, before the system ends a program for it."""
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else free_memory()
    if need > free:
        raise peer.OutOfMemory("%s would need %.1f GB, %.1f GB are free"
                               % (what, need / 1e9, free / 1e9))


def quantile(ordered, q):
    at = q * (len(ordered) - 1)
    i = int(at)
    above = ordered[min(i + 1, len(ordered) - 1)]
    return ordered[i] + (at - i) * (above - ordered[i])


def narrow(samples):
    """Whether the 95 % interval of the median, from order statistics, is within 1 % of it."""
    n = len(samples)
    tail, rank = 0.0, -1
    while True:
        k = rank + 1
        tail += math.exp(math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
                         - n * math.log(2))
        if tail > 0.025:
            break
        rank = k
    ordered = sorted(samples)
    median = quantile(ordered, 0.5)
    return rank >= 0 and ordered[rank] >= 0.99 * median and ordered[n - 1 - rank] <= 1.01 * median


class Sampler:
    """Runs fn once a call and returns how long that took, in nanoseconds of the clock `timer`.

    flush       a buffer that is written before, outside of that time, or None
    host_bound  counts samples with what the host takes to start fn in them
    """

    def __init__(self, fn, flush):
        self.fn, self.flush = fn, flush
        self.host_bound = 0

    def fill_cache(self):
        if self.flush is not None:
            self.flush.add_(1)


class WallSampler(Sampler):
    """By the host's clock, of an fn that returns when it is done."""
    timer = "wall"

    def __call__(self):
        self.fill_cache()
        begin = time.perf_counter_ns()
        self.fn()
        return time.perf_counter_ns() - begin


class EventSampler(Sampler):
    """By the clock of the current GPU, of an fn that may return when it is queued.

    Python takes longer to start a kernel than many a kernel runs. So the GPU is kept busy until all
    is queued; a sample that it began before that may have the host's time in it and is taken again
    with a longer wait, which stays for as long as it is needed. Where the longest is too short, or
    fn itself waits for the GPU, the sample stands, and is counted in host_bound if more than
    HOST_PART of its time may have been over when all was queued. The host's part may be less: where
    fn waits, what the GPU did until then cannot be told from it.
    """
    timer = "event"

    def __init__(self, fn, flush):
        super().__init__(fn, flush)
        self.wait, self.calm = MIN_WAIT, 0

    def lower_wait(self, host_ns):
        """Halves what a pause of the host has raised, but not what is needed: samples would be
        taken again and again.

        host_ns  what the host took from before the wait until all was queued
        """
        spare = self.wait > MIN_WAIT and 2 * host_ns < SHORT_CYCLE_NS * self.wait
        self.calm = self.calm + 1 if spare else 0
        if self.calm == CALM:
            self.wait, self.calm = self.wait // 2, 0

    def __call__(self):
        while True:
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            self.fill_cache()
            start = time.perf_counter_ns()
            torch.cuda._sleep(self.wait)  # which leaves the caches as the flush did
            begin.record()
            self.fn()
            end.record()
            early = begin.query()
            queued = time.perf_counter_ns()
            end.synchronize()
            left = time.perf_counter_ns() - queued - WAKING_NS  # at least
            self.lower_wait(queued - start)
            if not early or self.wait >= MAX_WAIT:
                break
            self.wait *= 2
        took = 1e6 * begin.elapsed_time(end)
        self.host_bound += early and left < (1 - HOST_PART) * took
        return took


def make_sampler(fn, problem, device):
    """A sampler of fn on the device, by the GPU's clock where it is one.

    Where the problem wants a cold cache, a buffer over twice the last-level cache is written before
    each sample; a warm one is left as the run before left it.
    """
    flush = None
    if problem["cache"] == "cold":
        size = 2 * (problem["cache_bytes"] or UNKNOWN_CACHE) + (16 << 20)
        flush = torch.zeros(size, dtype=torch.uint8, device=device)

    return (EventSampler if device.type == "cuda" else WallSampler)(fn, flush)


def measure(fn, problem, device):
    """Samples as the harness does: until the interval is narrow, or the time is up. Returns
    what the answer says of it: host_bound where more than half of the samples are."""
    limit = problem["time_limit_s"]
    if limit == 0:
        return {}
    sample = make_sampler(fn, problem, device)
    begin = time.perf_counter()
    while True:
        sample()
        if time.perf_counter() - begin > min(WARM_UP_S, limit):
            break
    begin = time.perf_counter()
    samples, stop, next_look = [], "count", 10
    sample.host_bound = 0
    while len(samples) < MAX_SAMPLES:
        samples.append(max(sample(), 1))
        n, spent = len(samples), time.perf_counter() - begin
        if spent > limit and n >= MIN_SAMPLES:
            stop = "time"
            break
        if n >= next_look:
            if narrow(samples):
                stop = "interval"
                break
            next_look = n + 1 + n // 8
    return {"t_ns": samples, "timer": sample.timer, "cache": problem["cache"], "stop": stop,
            "host_bound": 2 * sample.host_bound > len(samples)}


def run(problem, make):
    """Runs a kernel on a problem: o first, then times.

    make  make(problem, tensors, device) returns a function without arguments that computes o, and
          words about it for the row's params
    """
    device = find_device(problem)
    try:
        with torch.inference_mode():
            if device.type == "cuda":
                torch.cuda.set_device(device)
                torch.cuda.empty_cache()
                torch.cuda.reset_peak_memory_stats(device)
            fn, params = make(problem, load(problem, device), device)
            o = fn()
            save(problem, o)
            del o
            answer = {"params": params}
            if device.type == "cuda":
                answer["mem_peak_bytes"] = torch.cuda.max_memory_allocated(device)
            answer.update(measure(fn, problem, device))
            return answer
    except torch.cuda.OutOfMemoryError as e:
        raise peer.OutOfMemory(peer.one_line(e)) from e
    except RuntimeError as e:
        if "DefaultCPUAllocator" in str(e):
            raise peer.OutOfMemory(peer.one_line(e)) from e
        raise
