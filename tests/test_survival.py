#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a sweep survives: workers that hang, crash or run out of memory, clocks that lie, a kill at
any moment, and a kernel that skips what it must not.

No verdict depends on how fast the machine is: waits have an end only so that a test fails where what
they wait for never comes.

Usage: test_survival.py HARNESS [KILLS [TEST...]]
"""
import json
import os
import random
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest

HARNESS = os.path.abspath(sys.argv[1])
KILLS = int(sys.argv[2]) if len(sys.argv) > 2 else 6
SWEEP = ["--sweep", "--device", "ref", "-a", "seq=64", "-a", "heads=1", "-a", "head_dim=16",
         "-a", "workload=planted:0.2x16", "-a", "window=inf", "-a", "tile=auto", "--time-limit", "0.02s"]


WAIT = 400  # seconds: that long nothing takes


def run(*args):
    return subprocess.run([HARNESS, *args], capture_output=True, text=True, timeout=WAIT)


def wait_until(ready):
    """Whether it came to be."""
    end = time.monotonic() + WAIT
    while not ready():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def in_tries(n, test):
    """For what a neighbour on the machine disturbs: the test must hold once."""
    for left in reversed(range(n)):
        try:
            return test()
        except AssertionError:
            if left == 0:
                raise


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
        rows = self.sweep("--inject", "hang@3", "--timeout", "5s", status=5)
        self.others_are_ok(rows, 3)
        self.assertEqual(rows[3]["status"], "timeout")
        self.assertRegex(rows[3]["reason"], r"no answer for 5(\.\d+)? s")

    def test_out_of_memory_costs_one_row(self):
        rows = self.sweep("--inject", "oom@4", status=5)
        self.others_are_ok(rows, 4)
        self.assertEqual(rows[4]["status"], "oom")

    def test_hopeless_device_is_given_up(self):
        rows = self.sweep("--inject", "crash", "-a", "seq=32,64", status=5)
        self.assertEqual([r["status"] for r in rows], 5 * ["crashed"])
        # What was not tried is no row, so that another run tries again.
        p = run("--resume", self.out)
        self.assertEqual(p.returncode, 5, p.stderr)
        self.assertEqual(len(read_rows(self.out)), 10)

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

        def hardly_moves():
            self.out += "-steady"
            steady = self.sweep(*only, status=0)
            self.out += "-drift"
            drift = self.sweep(*only, "--inject", "drift", status=0)
            quotient = drift[0]["vs_no_skip"] / steady[0]["vs_no_skip"]
            self.assertLess(abs(quotient - 1), 0.25)
        in_tries(4, hardly_moves)

    def test_a_slow_visit_is_no_regression(self):
        """Half speed during the first of a row's visits: it is flagged, and not taken for slower."""
        only = ["-a", "kernel=masked-dense", "-a", "seq=256", "--time-limit", "0.1s", "--inject"]
        self.sweep(*only, "fixed-times", status=0)
        steady = self.out
        self.out += "-visit"
        rows = self.sweep(*only, "fixed-times,visit", status=0)
        self.assertIn("unsteady", rows[0]["flags"].split(","))
        p = run("--compare", steady, self.out)
        self.assertEqual(p.returncode, 0, p.stdout)

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
        p = run("--resume", self.out)
        self.assertEqual(p.returncode, 0, p.stderr)
        self.assertGreaterEqual(len(read_rows(self.out)), n)
        p = run("--resume", self.out, "--budget", "1h")
        self.assertEqual(p.returncode, 0, p.stderr)
        self.assertEqual(len(read_rows(self.out)), 15)
        self.assertEqual(len({r["repro"] for r in read_rows(self.out)}), 15)

    def test_kill_at_any_moment_then_resume(self):
        """No row is lost but the one in flight, none is there twice, and files stay valid."""
        rng = random.Random(20260)
        kept = {}
        done = 0
        out = self.out
        # Killed at a moment of what a whole run takes here.
        begin = time.monotonic()
        self.sweep("-a", "seq=64,96,128", status=0)
        took = time.monotonic() - begin
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
                    p.wait(rng.uniform(0.01, 0.7) * took)
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
        if not os.path.exists(os.path.join(out, "run.json")):
            out += "-last"
            p = run(*SWEEP, "-a", "seq=64,96,128", "--out", out, "--budget", "0.001s")
            self.assertEqual(p.returncode, 0, p.stderr)
        p = run("--resume", out, "--budget", "1h")
        self.assertEqual(p.returncode, 0, p.stderr)
        rows = read_rows(out)
        self.assertEqual(len(rows), 15)
        self.assertEqual(len({r["repro"] for r in rows}), 15)
        self.assertEqual({r["status"] for r in rows}, {"ok"})
        with open(os.path.join(out, "run.json"), encoding="utf-8") as f:
            self.assertEqual(json.load(f)["end"], "complete")

    def test_workers_die_with_their_supervisor(self):
        with subprocess.Popen([HARNESS, *SWEEP, "--out", self.out, "--inject", "hang@0",
                               "--timeout", "1h"], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL) as p:
            children = "/proc/%d/task/%d/children" % (p.pid, p.pid)
            worker = ""

            def works():
                nonlocal worker
                with open(children, encoding="ascii") as f:
                    worker = f.read().strip()
                return worker and os.path.exists(os.path.join(self.out, "run.json"))
            works = wait_until(works)
            p.send_signal(signal.SIGKILL)
        self.assertTrue(works)
        self.assertTrue(wait_until(lambda: not os.path.exists("/proc/" + worker)),
                        "the worker lives on")


class Resume(unittest.TestCase):
    """Going on with a run: only with one that can be gone on with, and to its end."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.dir = folder.name
        self.out = os.path.join(folder.name, "r")

    def begun(self, *args, budget="0.001s"):
        """A run whose budget is spent at once."""
        p = run(*SWEEP, "--out", self.out, "--budget", budget, *args)
        self.assertEqual(p.returncode, 0, p.stderr)

    def header(self):
        with open(os.path.join(self.out, "run.json"), encoding="utf-8") as f:
            return json.load(f)

    def change(self, change):
        header = self.header()
        change(header)
        with open(os.path.join(self.out, "run.json"), "w", encoding="utf-8") as f:
            json.dump(header, f)

    def refused(self, *said):
        p = run("--resume", self.out)
        self.assertEqual(p.returncode, 2, p.stderr)
        self.assertEqual(p.stderr.count("\n"), 1, p.stderr)
        for text in said:
            self.assertIn(text, p.stderr)

    def test_commands_that_are_none(self):
        self.begun()
        command = self.header()["options"]["command"]
        for bad, said in (([*command, None], "no command"), ([*command, 3], "no command"),
                          (["h", "--peak"], "no sweep"), (["h", "--resume", self.out], "no sweep"),
                          (["h", "--list-devices"], "no sweep"), ([*command, "--dry-run"], "no sweep"),
                          (["h", "--version"], "no sweep"), ({"a": 1}, "no command")):
            self.change(lambda h, bad=bad: h["options"].update(command=bad))
            self.refused(said)

    def test_another_machine(self):
        self.begun()
        header = self.header()
        for change, said in (
                (lambda h: h["machine"].update(cpu="Another"), "cpu Another"),
                (lambda h: h["machine"].update(host="elsewhere"), "host elsewhere"),
                (lambda h: h["devices"][0].update(driver="0.1"), "ref:0's driver 0.1"),
                (lambda h: h["devices"][0].update(name="Another"), "ref:0's name Another"),
                (lambda h: h["devices"][0].update(arch="z80"), "ref:0's arch z80"),
                (lambda h: h["devices"].append({}), "2 devices")):
            self.change(lambda h: (h.clear(), h.update(json.loads(json.dumps(header)))))
            self.change(change)
            self.refused(self.out, said)

    def test_goes_on_from_anywhere_with_another_budget(self):
        with open(os.path.join(self.dir, "cases"), "w", encoding="utf-8") as f:
            f.write("kernel=dense,masked-dense\n")
        p = subprocess.run([HARNESS, *SWEEP, "--cases", "cases", "--out", "r", "--budget", "0.001s"],
                           capture_output=True, text=True, cwd=self.dir, timeout=WAIT, check=False)
        self.assertEqual(p.returncode, 0, p.stderr)
        self.assertEqual(read_rows(self.out), [])
        os.remove(os.path.join(self.out, "topology.xml"))
        here = os.path.relpath(self.out)
        p = run("--resume", here, "--budget", "1h", "--time-limit", "0.01s", "--timeout", "1m")
        self.assertEqual(p.returncode, 0, p.stderr)
        rows = read_rows(self.out)
        self.assertEqual([r["status"] for r in rows], 2 * ["ok"])
        self.assertTrue(all(r["repro"].endswith("--time-limit 0.01s") for r in rows))
        if self.header()["machine"]["topology"]:
            self.assertTrue(os.path.exists(os.path.join(self.out, "topology.xml")))
        # A row is the same row by whatever limit it was timed.
        p = run("--resume", self.out, "--budget", "1h")
        self.assertEqual(p.returncode, 0, p.stderr)
        self.assertEqual(read_rows(self.out), rows)
        self.assertEqual(self.header()["end"], "complete")

    def test_peaks_that_are_missing_are_measured(self):
        self.begun(budget="1h")
        floor = self.header()["peaks"]["ref:0"]["floor_wall_ns"]
        self.assertGreater(floor, 0)
        for change in (lambda h: h.pop("peaks"), lambda h: h["peaks"].clear(),
                       lambda h: h["peaks"]["ref:0"].update(dict.fromkeys(h["peaks"]["ref:0"]))):
            self.change(change)
            p = run("--resume", self.out)
            self.assertEqual(p.returncode, 0, p.stderr)
            self.assertGreater(self.header()["peaks"]["ref:0"]["floor_wall_ns"], 0)

    def test_a_folder_without_rows_can_be_taken_again(self):
        os.mkdir(self.out)
        for name in ("run.json.part", "run.json", "rows.jsonl"):
            with open(os.path.join(self.out, name), "w", encoding="utf-8"):
                pass
        p = run(*SWEEP, "--out", self.out, "-a", "kernel=dense")
        self.assertEqual(p.returncode, 0, p.stderr)
        self.assertEqual([r["status"] for r in read_rows(self.out)], ["ok"])
        p = run(*SWEEP, "--out", self.out)
        self.assertEqual(p.returncode, 2)
        self.assertIn("holds something already", p.stderr)

    def test_rows_that_are_there_spend_no_budget(self):
        self.begun(budget="1h")
        rows = read_rows(self.out)
        p = run("--resume", self.out, "--budget", "0.001s")
        self.assertEqual(p.returncode, 0, p.stderr)
        self.assertEqual(p.stderr.count("budget"), 0, p.stderr)
        self.assertEqual((self.header()["end"], read_rows(self.out)), ("complete", rows))

    def test_more_words_than_a_fixed_number(self):
        """Many -a words: the list of words has no end of its own."""
        many = 700 * ["-a", "seq=64"]
        self.begun(*many)
        p = run("--resume", self.out, "--budget", "1h")
        self.assertEqual(p.returncode, 0, p.stderr)
        self.assertEqual(len(read_rows(self.out)), 5)


class Workers(unittest.TestCase):
    """Workers and peers that die at a bad moment, and what they leave behind."""

    TESTS = os.path.dirname(os.path.abspath(__file__))
    PEERS = os.path.join(os.path.dirname(TESTS), "harness", "peers")

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.out = os.path.join(folder.name, "r")
        self.pids = os.path.join(folder.name, "pids")
        self.peer = "%s %s %s screening %s" % (
            sys.executable, os.path.join(self.TESTS, "peers", "fake_peer.py"), self.PEERS,
            self.pids)

    def sweep(self, *args, status):
        p = run(*SWEEP, "--out", self.out, *args)
        self.assertEqual(p.returncode, status, p.stdout + p.stderr)
        return read_rows(self.out)

    def resume(self, status):
        p = run("--resume", self.out)
        self.assertEqual(p.returncode, status, p.stdout + p.stderr)
        return read_rows(self.out)

    def are_gone(self):
        """The peer and its child, which wrote their numbers down."""
        with open(self.pids, encoding="utf-8") as f:
            pids = f.read().split()
        self.assertEqual(len(pids), 2)
        self.assertTrue(wait_until(lambda: not any(os.path.exists("/proc/" + p) for p in pids)),
                        "%s live on" % pids)

    def no_peer_files(self):
        self.assertEqual([f for f in os.listdir(self.out) if f.startswith("peer-")], [])

    def interrupt(self, *args, rows, ready=None):
        """A sweep that is told to end once it has so many rows, and the file `ready` is there."""
        with subprocess.Popen([HARNESS, *SWEEP, "--out", self.out, "--timeout", "1h", *args],
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                              text=True) as p:
            path = os.path.join(self.out, "rows.jsonl")
            there = wait_until(lambda: os.path.exists(path) and len(read_rows(self.out)) >= rows
                               and (ready is None or os.path.exists(ready)))
            p.send_signal(signal.SIGINT)
            try:
                _, err = p.communicate(timeout=WAIT)
            except subprocess.TimeoutExpired:
                p.kill()
                raise
            self.assertTrue(there)
        self.assertEqual(p.returncode, 130, err)
        self.assertEqual(len(read_rows(self.out)), rows)

    def test_a_peer_takes_the_worker_with_it(self):
        """The row says whose it was, the peer's child is gone, and the run can be gone on with."""
        rows = self.sweep("--peer", self.peer, "--peer-kernel", "kills-parent", status=5)
        self.assertEqual([r["status"] for r in rows], 5 * ["ok"] + ["crashed"])
        self.assertEqual((rows[5]["peer"], rows[5]["kernel"]), ("fake", "kills-parent"))
        self.assertIn("signal 9", rows[5]["reason"])
        self.assertIn("--peer-kernel kills-parent", rows[5]["repro"])
        self.are_gone()
        self.no_peer_files()
        self.assertEqual(self.resume(5), rows)

    def test_a_peer_that_starts_but_once(self):
        """Once a worker has died the peer does not start again: its row is lost, ours are not."""
        mark = os.path.join(self.folder, "mark")
        once = "sh -c 'test ! -e %s && touch %s && exec %s'" % (mark, mark, self.peer)
        rows = self.sweep("--peer", once, "--peer-kernel", "right", "--inject", "crash@1",
                          status=5)
        self.assertEqual([r["status"] for r in rows],
                         ["ok", "crashed", "ok", "ok", "ok", "failed"])
        self.assertEqual(rows[5]["peer"], "fake")
        self.assertIn("does not start again", rows[5]["reason"])

    def test_resume_with_peers(self):
        rows = self.sweep("--peer", self.peer, "--peer-kernel", "right", status=0)
        self.assertEqual([r["peer"] for r in rows], 5 * [""] + ["fake"])
        path = os.path.join(self.out, "rows.jsonl")
        with open(path, encoding="utf-8") as f:
            lines = f.readlines()
        with open(path, "w", encoding="utf-8") as f:
            f.writelines(lines[:2] + lines[5:])
        again = self.resume(0)
        self.assertEqual({r["repro"] for r in again}, {r["repro"] for r in rows})
        self.assertEqual(len(again), 6)
        # Rows of peers that nobody asked for, more than there is room for.
        with open(path, "w", encoding="utf-8") as f:
            for _ in range(50):
                rows[5]["repro"] += "x"
                f.write(json.dumps(rows[5]) + "\n")
        p = run("--resume", self.out)
        self.assertEqual(p.returncode, 2)
        self.assertIn("not of this sweep", p.stderr)

    def test_interrupt_while_a_worker_hangs(self):
        self.interrupt("--inject", "hang@2", rows=2)

    def test_interrupt_while_a_peer_hangs(self):
        self.interrupt("--peer", self.peer, "--peer-kernel", "hang", rows=5, ready=self.pids)
        self.are_gone()
        self.no_peer_files()

    def test_a_budget_is_kept(self):
        """The second row hangs, and would for an hour; the first is there when the budget begins."""
        with subprocess.Popen([HARNESS, *SWEEP, "--out", self.out, "--inject", "hang@1", "--timeout",
                               "1h"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as p:
            path = os.path.join(self.out, "rows.jsonl")
            there = wait_until(lambda: os.path.exists(path) and os.path.getsize(path))
            p.kill()
        self.assertTrue(there)
        p = run("--resume", self.out, "--budget", "2s")
        self.assertEqual(p.returncode, 0, p.stderr)
        self.assertIn("budget of 2 s", p.stderr)
        self.assertEqual([r["status"] for r in read_rows(self.out)], ["ok"])

    def test_commands_that_are_no_peers(self):
        for command, said in (("true", "ended (exit status 0) before its greeting"),
                              ("", "--peer: a command is missing")):
            p = run(*SWEEP, "--out", self.out, "--peer", command)
            self.assertEqual(p.returncode, 2, p.stderr)
            self.assertIn(said, p.stderr)

    def test_workers_are_not_for_users(self):
        p = run("--worker", "ref", *SWEEP)
        self.assertEqual(p.returncode, 2)
        self.assertIn("for the harness itself", p.stderr)
        p = subprocess.run(["sh", "-c", "echo {} | \"$0\" --worker ref 3>&1", HARNESS],
                           capture_output=True, text=True, timeout=WAIT)
        self.assertEqual(p.returncode, 2)
        self.assertIn("for the harness itself", p.stderr)

    def test_a_topology_larger_than_a_pipe(self):
        large = dict(os.environ, HWLOC_SYNTHETIC="numa:8 core:64 pu:2")
        # meson's way to find uses of memory that was not written costs a minute with so large a one.
        large.pop("MALLOC_PERTURB_", None)
        p = subprocess.run([HARNESS, *SWEEP, "--out", self.out], capture_output=True, text=True,
                           timeout=WAIT, env=large)
        self.assertEqual(p.returncode, 0, p.stderr)
        self.assertGreater(os.path.getsize(os.path.join(self.out, "topology.xml")), 1 << 17)


class Traces(unittest.TestCase):
    """A recorded layer that cannot be used costs its own rows."""

    def test_a_bad_window(self):
        data = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data", "psi16_k16v64.safetensors")
        with tempfile.TemporaryDirectory() as folder:
            with open(data, "rb") as f:
                trace = bytearray(f.read())
            size = int.from_bytes(trace[:8], "little")
            at = 8 + size + json.loads(trace[8:8 + size])["w"]["data_offsets"][0]
            trace[at:at + 4] = struct.pack("<f", -1)
            bad = os.path.join(folder, "bad.safetensors")
            with open(bad, "wb") as f:
                f.write(trace)
            out = os.path.join(folder, "r")
            p = run(*SWEEP, "-a", f"workload=trace:{bad},iid", "-a", "window=auto", "-a", "r=auto", "--out", out)
            self.assertEqual(p.returncode, 5, p.stderr)
            rows = read_rows(out)
            for row in rows:
                self.assertEqual(row["status"], "failed" if row["workload"].startswith("trace:") else "ok")
                self.assertEqual("w of head 0 is -1" in row["reason"], row["status"] == "failed", row["reason"])
            self.assertEqual({row["status"] for row in rows}, {"failed", "ok"})


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
                            ("short", "events-off"), ("long", "events-off"), ("short-run", "events-off")):
            def replaced(fault=fault, flag=flag):
                for row in self.rows_of(fault):
                    self.assertEqual(row["timer"], "wall")
                    self.assertIn(flag, row["flags"].split(","))
                    self.assertGreater(row["t_median_ns"], 0)
                    self.assertLess(row["t_wall_ns"], 3 * row["t_median_ns"])
            in_tries(5, replaced)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]], verbosity=2)
