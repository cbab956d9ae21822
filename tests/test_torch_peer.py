#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What PyTorch's peers time on a GPU, with a stand-in for PyTorch and its device: no GPU is needed.

Usage: test_torch_peer.py FOLDER-OF-PEERS [unittest arguments]
"""
import sys
import types
import unittest

US = 1000  # nanoseconds
CYCLE = 0.5  # nanoseconds of the device


class Machine:
    """A host and a device, each with its own time. What is queued begins when the device comes to it, and not before the
    host has queued it."""

    def __init__(self):
        self.host = self.device = 0
        self.waits = []

    def queue(self, host_ns, device_ns):
        self.host += host_ns
        self.device = max(self.device, self.host) + device_ns

    def sleep(self, cycles):
        self.waits.append(cycles)
        self.queue(5 * US, cycles * CYCLE)

    def wait(self):
        self.host = max(self.host, self.device)


class Event:
    """Of torch.cuda, as far as peers use it."""

    machine = None

    def __init__(self, enable_timing):
        assert enable_timing
        self.at = None

    def record(self):
        self.machine.queue(US, 0)
        self.at = self.machine.device

    def query(self):
        return self.at <= self.machine.host

    def synchronize(self):
        self.machine.host = max(self.machine.host, self.at)

    def elapsed_time(self, end):
        return 1e-6 * (end.at - self.at)


class Sampling(unittest.TestCase):
    def setUp(self):
        self.machine = Event.machine = Machine()
        sys.modules["torch"].cuda._sleep = self.machine.sleep
        self.flushed = 0

    def add_(self, _):
        """The buffer that is written before a sample."""
        self.flushed += 1
        self.machine.queue(5 * US, 20 * US)

    def sampler(self, host_ns, device_ns):
        return torch_peer.make_event(lambda: self.machine.queue(host_ns, device_ns), self)

    def test_host_is_not_timed(self):
        for host in (5 * US, 60 * US, 300 * US, 900 * US):
            sample = self.sampler(host, 10 * US)
            for _ in range(3):
                self.assertAlmostEqual(sample(), 10 * US, delta=US, msg=host)

    def test_several_kernels(self):
        def fn():
            for _ in range(12):
                self.machine.queue(20 * US, 3 * US)

        self.assertAlmostEqual(torch_peer.make_event(fn, None)(), 36 * US, delta=US)

    def test_no_longer_wait_than_needed(self):
        sample = self.sampler(20 * US, 10 * US)
        for _ in range(5):
            sample()
        self.assertEqual(set(self.machine.waits), {torch_peer.MIN_WAIT})
        self.assertEqual(self.flushed, 5)

    def test_again_from_the_flush_on(self):
        self.sampler(200 * US, 10 * US)()
        self.assertGreater(len(self.machine.waits), 1)
        self.assertEqual(self.flushed, len(self.machine.waits))

    def test_a_kernel_that_waits_for_the_device(self):
        def fn():
            self.machine.queue(5 * US, 10 * US)
            self.machine.wait()
            self.machine.queue(30 * US, 10 * US)

        sample = torch_peer.make_event(fn, None)
        self.assertAlmostEqual(sample(), 50 * US, delta=2 * US)
        self.assertEqual(max(self.machine.waits), torch_peer.MAX_WAIT)
        self.assertAlmostEqual(sample(), 50 * US, delta=2 * US)


if __name__ == "__main__":
    torch = types.ModuleType("torch")
    torch.cuda = types.SimpleNamespace(Event=Event)
    torch.float32 = torch.float16 = torch.bfloat16 = None
    sys.modules["torch"] = torch
    sys.path.insert(0, sys.argv.pop(1))
    import torch_peer

    unittest.main()
