#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What PyTorch's peers time on a GPU, with a stand-in for PyTorch and its device: no GPU is needed.

Usage: test_torch_peer.py FOLDER-OF-PEERS [unittest arguments]
"""
import itertools
import sys
import types
import unittest
import unittest.mock

US = 1000  # nanoseconds
CYCLE = 0.5  # nanoseconds of the device
WAKING = 10 * US  # for a host that has waited for the device


class Machine:
    """A host and a device, each with its own time. What is queued begins when the device comes to it, and not before the
    host has queued it."""

    def __init__(self):
        self.host = self.device = 0
        self.waits = []
        self.log = []  # what was done, in words

    def queue(self, host_ns, device_ns):
        self.host += host_ns
        self.device = max(self.device, self.host) + device_ns

    def sleep(self, cycles):
        self.waits.append(cycles)
        self.log.append("sleep")
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
        self.machine.log.append("record")
        self.machine.queue(US, 0)
        self.at = self.machine.device

    def query(self):
        return self.at <= self.machine.host

    def synchronize(self):
        self.machine.host = max(self.machine.host, self.at) + WAKING

    def elapsed_time(self, end):
        assert end.at <= self.machine.host, "nobody waited for the end"
        return 1e-6 * (end.at - self.at)


class Sampling(unittest.TestCase):
    def setUp(self):
        self.machine = Event.machine = Machine()
        torch = sys.modules["torch"]
        torch.cuda._sleep = self.machine.sleep
        torch.zeros = self.zeros
        torch_peer.time = types.SimpleNamespace(perf_counter=lambda: 1e-9 * self.machine.host,
                                                perf_counter_ns=lambda: self.machine.host)
        self.flushed = 0

    def zeros(self, size, dtype, device):
        self.size = size
        return self

    def add_(self, _):
        """The buffer that is written before a sample."""
        self.flushed += 1
        self.machine.log.append("flush")
        self.machine.queue(5 * US, 20 * US)

    def sampler(self, host_ns, device_ns):
        return torch_peer.EventSampler(lambda: self.machine.queue(host_ns, device_ns), self)

    def measure(self, fn, cache="cold", device="cuda", cache_bytes=1 << 20):
        problem = {"cache": cache, "cache_bytes": cache_bytes, "time_limit_s": 0.05}
        return torch_peer.measure(fn, problem, types.SimpleNamespace(type=device))

    def test_host_is_not_timed(self):
        for host in (5 * US, 60 * US, 300 * US, 900 * US):
            sample = self.sampler(host, 10 * US)
            for _ in range(3):
                self.assertAlmostEqual(sample(), 10 * US, delta=US, msg=host)

    def test_several_kernels(self):
        def fn():
            for _ in range(12):
                self.machine.queue(20 * US, 3 * US)

        self.assertAlmostEqual(torch_peer.EventSampler(fn, None)(), 36 * US, delta=US)

    def test_no_longer_wait_than_needed(self):
        for host in (US, 20 * US):
            sample = self.sampler(host, 10 * US)
            for _ in range(20):
                sample()
        self.assertEqual(set(self.machine.waits), {torch_peer.MIN_WAIT})
        self.assertEqual(self.flushed, 40)

    def test_order(self):
        """As the README of the peers has it: kept busy after the buffer is written."""
        torch_peer.EventSampler(lambda: self.machine.log.append("fn"), self)()
        self.assertEqual(self.machine.log, ["flush", "sleep", "record", "fn", "record"])

    def test_again_from_the_flush_on(self):
        """With a wait that is soon long enough, and stays."""
        sample = self.sampler(900 * US, 10 * US)
        sample()
        tries = len(self.machine.waits)
        self.assertEqual(self.machine.waits, [torch_peer.MIN_WAIT << i for i in range(tries)])
        self.assertGreater(tries, 1)
        self.assertEqual(self.flushed, tries)
        for _ in range(100):
            sample()
        self.assertEqual(self.machine.waits[tries:], 100 * self.machine.waits[tries - 1:tries])

    def test_a_pause_passes(self):
        """The wait falls again, and no sample is taken twice for it."""
        for host in (20 * US, 60 * US, 300 * US):
            times = itertools.chain(8 * [3000 * US], itertools.repeat(host))
            sample = torch_peer.EventSampler(lambda: self.machine.queue(next(times), 10 * US), self)
            for _ in range(3):
                sample()
            self.assertEqual(self.machine.waits[-1], torch_peer.MAX_WAIT)
            self.machine.waits.clear()
            for _ in range(100):
                self.assertAlmostEqual(sample(), 10 * US, delta=US)
            waits = self.machine.waits
            self.assertEqual(waits, sorted(waits, reverse=True))
            self.assertEqual(len(waits), 100)
            self.assertLessEqual(waits[-1] * CYCLE, max(torch_peer.MIN_WAIT * CYCLE, 8 * host))

    def test_pauses_that_come_again(self):
        """A wait that one sample in five needs stays."""
        times = itertools.cycle([300 * US] + 4 * [20 * US])
        sample = torch_peer.EventSampler(lambda: self.machine.queue(next(times), 10 * US), self)
        for _ in range(20):
            sample()
        self.machine.waits.clear()
        for _ in range(100):
            sample()
        self.assertEqual(len(self.machine.waits), 100)
        self.assertEqual(len(set(self.machine.waits)), 1)

    def test_a_kernel_that_waits_for_the_device(self):
        def fn():
            self.machine.queue(5 * US, 10 * US)
            self.machine.wait()
            self.machine.queue(30 * US, 10 * US)

        sample = torch_peer.EventSampler(fn, None)
        for i in range(2):
            self.assertAlmostEqual(sample(), 50 * US, delta=2 * US)
            self.assertEqual(self.machine.waits[-1], torch_peer.MAX_WAIT)
            self.assertEqual(sample.host_bound, i + 1)
        self.assertTrue(self.measure(fn)["host_bound"])

    def test_whether_the_host_matters(self):
        """Where the longest wait is too short: by what was left when all was queued."""
        machine = self.machine

        def many(device_ns):
            for _ in range(50):
                machine.queue(100 * US, device_ns)

        def waits_between(before, after):
            machine.queue(5 * US, before)
            machine.wait()
            machine.queue(30 * US, after)

        def short():
            """Waking up takes the host longer than it kept the device waiting."""
            machine.queue(5 * US, 5 * US)
            machine.wait()
            machine.queue(5 * US, 10 * US)

        for fn, bound in ((lambda: many(2000 * US), False), (lambda: many(20 * US), True),
                          (lambda: waits_between(10 * US, 2000 * US), False), (short, True),
                          (lambda: waits_between(10 * US, 500 * US), True),
                          (lambda: waits_between(50000 * US, 50000 * US), True)):  # nobody can tell
            sample = torch_peer.EventSampler(fn, self)
            sample()
            self.assertEqual(machine.waits[-1], torch_peer.MAX_WAIT)
            self.assertEqual(sample.host_bound, bound)

    def test_most_samples_decide(self):
        """Not the first one, which is of the warm-up, nor every third."""
        for is_slow, bound in ((lambda i: i == 0, False), (lambda i: i % 3 == 0, False), (lambda i: i % 3, True)):
            calls = itertools.count()
            machine = self.machine

            def fn():
                machine.queue(5 * US, 10 * US)
                if is_slow(next(calls)):
                    machine.wait()

            with unittest.mock.patch.object(torch_peer, "MAX_WAIT", torch_peer.MIN_WAIT):
                self.assertEqual(self.measure(fn)["host_bound"], bound)

    def test_measure(self):
        times = self.measure(lambda: self.machine.queue(60 * US, 10 * US))
        self.assertFalse(times["host_bound"])
        self.assertEqual((times["timer"], times["cache"], times["stop"]), ("event", "cold", "interval"))
        self.assertTrue(all(abs(t - 10 * US) <= US for t in times["t_ns"]), times)
        self.assertGreaterEqual(self.flushed, len(times["t_ns"]))

    def test_size_of_the_flush(self):
        for cache, size in ((50 << 20, 116 << 20), (0, 272 << 20)):  # 0: not known
            self.measure(lambda: self.machine.queue(60 * US, 10 * US), cache_bytes=cache)
            self.assertEqual(self.size, size)

    def test_warm(self):
        self.measure(lambda: self.machine.queue(60 * US, 10 * US), "warm")
        self.assertEqual(self.flushed, 0)

    def test_processors(self):
        """The host's time, without that of the flush."""
        def fn():
            self.machine.host += 70 * US

        times = self.measure(fn, device="cpu")
        self.assertEqual((times["timer"], times["host_bound"], self.machine.waits), ("wall", False, []))
        self.assertEqual(set(times["t_ns"]), {70 * US})
        self.assertGreaterEqual(self.flushed, len(times["t_ns"]))


if __name__ == "__main__":
    torch = types.ModuleType("torch")
    torch.cuda = types.SimpleNamespace(Event=Event)
    torch.uint8 = torch.float32 = torch.float16 = torch.bfloat16 = None
    sys.modules["torch"] = torch
    sys.path.insert(0, sys.argv.pop(1))
    import torch_peer

    unittest.main()
