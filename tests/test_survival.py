#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a sweep survives: workers that hang, crash or run out of memory, clocks that lie, a kill at
any moment, and a kernel that skips what it must not.

Usage: test_survival.py HARNESS [KILLS]
"""
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import unittest

HARNESS = os.path.abspath(sys.argv[1])
KILLS = int(sys.argv[2]) if len(sys.argv) > 2 else 6
SWEEP = ["--sweep", "--device", "ref", "-a", "seq=64", "-a", "heads=1", "-a", "head_dim=16",
         "-a", "workload=planted:0.2x16", "-a", "window=inf", "-a", "tile=auto", "--time-limit", "0.02s"]


def run(*args):
    return subprocess.run([HARNESS, *args], capture_output=True, text=True, timeout=240)


def read_rows(folder):
    with open(os.path.join(folder, "rows.jsonl"), encoding="utf-8") as f:
        return [json.loads(line) for line in f]


class Survival(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.out = os.path.join(folder.name, "r")

    def sweep(self, *args, status):
        p = run(*SWEEP, "--out", self.out, *args)
        self.assertEqual(p.returncode, status, p.stdout + p.stderr)
        return read_rows(self.out)

    def others_are_ok(self, rows, bad):
        self.assertEqual(len(rows), 5)
        self.assertEqual([r["status"] for i, r in enumerate(rows) if i != bad], 4 * ["ok"])
        self.assertIsNone(rows[bad]["t_median_ns"])
        self.assertIsNone(rows[bad]["speedup_vs_masked"])

    def test_crash_costs_one_row(self):
        rows = self.sweep("--inject", "crash@2", status=5)
        self.others_are_ok(rows, 2)
        self.assertEqual(rows[2]["status"], "crashed")
        self.assertRegex(rows[2]["reason"], "signal 11|status 1")

    def test_hang_costs_one_row(self):
        start = time.monotonic()
        rows = self.sweep("--inject", "hang@3", "--timeout", "1s", status=5)
        self.others_are_ok(rows, 3)
        self.assertEqual(rows[3]["status"], "timeout")
        self.assertLess(time.monotonic() - start, 60)

    def test_out_of_memory_costs_one_row(self):
        rows = self.sweep("--inject", "oom@4", status=5)
        self.others_are_ok(rows, 4)
        self.assertEqual(rows[4]["status"], "oom")

    def test_hopeless_device_is_given_up(self):
        rows = self.sweep("--inject", "crash", "-a", "seq=32,64", status=5)
        self.assertEqual([r["status"] for r in rows], 5 * ["crashed"] + 5 * ["skipped"])
        self.assertIn("given up", rows[-1]["reason"])

    def test_throttled_samples_are_flagged(self):
        rows = self.sweep("--inject", "throttle@1", status=0)
        self.assertEqual(["throttled" in r["flags"].split(",") for r in rows],
                         [False, True, False, False, False])
        self.assertGreater(rows[1]["n_throttled"], 0)
        self.assertGreater(rows[1]["t_median_ns"], 0)

    def test_wrong_skip_is_caught(self):
        """Tiles of small weights left out: rows are wrong, have no times, and the exit says so."""
        rows = self.sweep("--inject", "wrong-skip", "-a", "r=2", "-a", "workload=iid", "-a",
                          "seq=256", "-a", "head_dim=32", "-a", "tile=16x16", status=1)
        skipping = [r for r in rows if r["skip"] != "none"]
        self.assertEqual(len(skipping), 2)
        for r in skipping:
            self.assertEqual(r["status"], "wrong", r)
            self.assertIsNone(r["t_median_ns"])
        self.assertEqual({r["status"] for r in rows if r["skip"] == "none"}, {"ok"})

    def test_drift_leaves_the_ratio(self):
        """A device that slows down by half while sampled: interleaved, the ratio hardly moves."""
        only = ["-a", "kernel=tile-skip", "-a", "skip=tile", "-a", "seq=256", "--time-limit",
                "0.3s"]
        steady = self.sweep(*only, status=0)
        self.out += "-drift"
        drift = self.sweep(*only, "--inject", "drift", status=0)
        quotient = drift[0]["vs_no_skip"] / steady[0]["vs_no_skip"]
        self.assertLess(abs(quotient - 1), 0.25)

    def test_resume_refuses_what_is_no_run(self):
        p = run("--resume", self.out)
        self.assertEqual(p.returncode, 2)
        self.assertIn("run.json", p.stderr)
        self.sweep(status=0)
        with open(os.path.join(self.out, "rows.jsonl"), "a", encoding="utf-8") as f:
            row = read_rows(self.out)[0]
            row["repro"] += " --seed 99"
            f.write(json.dumps(row) + "\n")
        p = run("--resume", self.out)
        self.assertEqual(p.returncode, 2)
        self.assertIn("not of this sweep", p.stderr)

    def test_resume_of_a_complete_run_adds_nothing(self):
        rows = self.sweep(status=0)
        p = run("--resume", self.out)
        self.assertEqual(p.returncode, 0, p.stderr)
        self.assertEqual(read_rows(self.out), rows)

    def test_budget_then_resume(self):
        p = run(*SWEEP, "--out", self.out, "-a", "seq=64,96,128", "--budget", "0.5s")
        self.assertEqual(p.returncode, 0, p.stderr)
        n = len(read_rows(self.out))
        self.assertLess(n, 15)
        with open(os.path.join(self.out, "run.json"), encoding="utf-8") as f:
            command = json.load(f)["options"]["command"]
        self.assertIn("--budget", command)
        for _ in range(30):
            run("--resume", self.out)
            if len(read_rows(self.out)) == 15:
                break
        self.assertEqual(len({r["repro"] for r in read_rows(self.out)}), 15)

    def test_kill_at_any_moment_then_resume(self):
        """No row is lost but the one in flight, none is there twice, and files stay valid."""
        rng = random.Random(20260)
        kept = {}
        done = 0
        for i in range(KILLS):
            # A new sweep whenever the last one is complete.
            if done in (0, 15):
                out, kept, done = "%s-%d" % (self.out, i), {}, 0
            resumable = os.path.exists(os.path.join(out, "run.json"))
            args = ["--resume", out] if resumable else [*SWEEP, "-a", "seq=64,96,128",
                                                        "--out", out]
            if not resumable and os.path.isdir(out):
                out = "%s-%d" % (self.out, i)
                args[-1] = out
            with subprocess.Popen([HARNESS, *args], stdout=subprocess.DEVNULL,
                                  stderr=subprocess.PIPE) as p:
                try:
                    p.wait(rng.uniform(0.02, 4))
                except subprocess.TimeoutExpired:
                    p.send_signal(signal.SIGKILL)
                p.communicate()
            path = os.path.join(out, "rows.jsonl")
            if not os.path.exists(path):
                continue
            with open(path, encoding="utf-8") as f:
                whole = [line for line in f if line.endswith("\n")]
            rows = {json.loads(line)["repro"]: line for line in whole}
            self.assertEqual(len(rows), len(whole), "a row is there twice")
            for repro, line in kept.items():
                self.assertEqual(rows.get(repro), line, "a row was lost or changed")
            if os.path.exists(os.path.join(out, "run.json")):
                with open(os.path.join(out, "run.json"), encoding="utf-8") as f:
                    json.load(f)
            kept, done = rows, len(rows)
        p = run("--resume", out)
        self.assertEqual(p.returncode, 0, p.stderr)
        rows = read_rows(out)
        self.assertEqual(len(rows), 15)
        self.assertEqual(len({r["repro"] for r in rows}), 15)
        self.assertEqual({r["status"] for r in rows}, {"ok"})
        with open(os.path.join(out, "run.json"), encoding="utf-8") as f:
            self.assertEqual(json.load(f)["end"], "complete")

    def test_workers_die_with_their_supervisor(self):
        with subprocess.Popen([HARNESS, *SWEEP, "--out", self.out, "--inject", "hang@0",
                               "--timeout", "60s"], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL) as p:
            children = "/proc/%d/task/%d/children" % (p.pid, p.pid)
            worker = ""
            for _ in range(200):
                time.sleep(0.05)
                with open(children, encoding="ascii") as f:
                    worker = f.read().strip()
                if worker and os.path.exists(os.path.join(self.out, "run.json")):
                    break
            p.send_signal(signal.SIGKILL)
        for _ in range(100):
            if not os.path.exists("/proc/" + worker):
                break
            time.sleep(0.05)
        self.assertFalse(os.path.exists("/proc/" + worker), "the worker lives on")


class Clocks(unittest.TestCase):
    """Device events that cannot be trusted; needs a device that has events."""

    def rows_of(self, fault):
        with tempfile.TemporaryDirectory() as folder:
            out = os.path.join(folder, "r")
            p = run(*SWEEP, "--device", "opencl", "-a", "kernel=tile-skip", "-a", "skip=none", "-a",
                    "seq=512", "--inject", fault, "--out", out)
            if p.returncode == 3:
                self.skipTest("no OpenCL device")
            self.assertEqual(p.returncode, 0, p.stderr)
            return read_rows(out)

    def test_bad_events_are_replaced_and_flagged(self):
        for fault, flag in (("reversed", "events-reversed"), ("missing", "events-missing"),
                            ("short", "events-off")):
            for row in self.rows_of(fault):
                self.assertEqual(row["timer"], "wall")
                self.assertIn(flag, row["flags"].split(","))
                self.assertGreater(row["t_median_ns"], 0)
                self.assertLess(row["t_wall_ns"], 3 * row["t_median_ns"])


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
