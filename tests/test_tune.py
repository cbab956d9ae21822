#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tuner --tune from end to end: shapes to records to a table that the harness uses; what faulty
candidates cost; a kill at any moment and --resume; shards. No verdict depends on how fast the machine
is.

Usage: test_tune.py TUNER HARNESS [KILLS [TEST...]]
"""
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
import unittest

TUNER, HARNESS = (os.path.abspath(a) for a in sys.argv[1:3])
KILLS = int(sys.argv[3]) if len(sys.argv) > 3 else 4
WAIT = 500  # seconds: that long nothing takes
SMALL = ["-a", "seq=64", "-a", "heads=1", "-a", "head_dim=16", "-a", "workload=planted:0.2x16",
         "-a", "window=inf", "--time-limit", "0.01s"]


def config_of(record):
    c = record["config"]
    return (c["kernel"], c["variant"], c["skip"], tuple(sorted(c["params"].items())))


def read_records(path):
    with open(path, encoding="utf-8") as f:
        return [json.loads(line) for line in f]


def of_kind(records, kind):
    return [r for r in records if r["kind"] == kind]


class Tune(unittest.TestCase):
    """What all have in common; no test of its own."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.dir = folder.name
        self.records = os.path.join(self.dir, "r.jsonl")
        self.env = dict(os.environ, XDG_CONFIG_HOME=self.dir, SCR_TABLE="",
                        SCR_CACHE_DIR=os.path.join(self.dir, "cache"))

    def command(self, *args, device="ref", shape=SMALL):
        return [TUNER, "--tune", "--device", device, *shape, "--records", self.records, *args]

    def tune(self, *args, status=0, **how):
        p = subprocess.run(self.command(*args, **how), capture_output=True, text=True,
                           timeout=WAIT, env=self.env)
        self.assertEqual(p.returncode, status, p.stdout + p.stderr)
        self.out, self.err = p.stdout, p.stderr
        return read_records(self.records)

    def check_outcome(self, records, n_shapes=1):
        """A winner a kernel and skip, one of them the fastest; all verified and measured."""
        winners = of_kind(records, "winner")
        best = [r for r in winners if r["best"]]
        self.assertEqual(len(best), n_shapes)
        verified = {config_of(r): r["status"] for r in of_kind(records, "verified")}
        for w in winners:
            self.assertEqual(w["status"], "ok")
            self.assertGreater(w["ns"], 0)
            self.assertEqual(verified[config_of(w)], "ok")
            self.assertGreaterEqual(len(w["verified"]), 8)
            if w["gain"] is not None:
                self.assertGreaterEqual(w["gain_hi"], 1)
        return best

    def path(self, records):
        """All that a run did, in order, but for when it did it and how many samples that took."""
        return [(r["kind"], r["shape"]["words"], config_of(r), r["status"], r["ns"],
                 r.get("best"), r.get("gain"), r.get("n_tried")) for r in records]

    def winner(self, records, skip="tile"):
        return config_of([r for r in of_kind(records, "winner")
                          if r["config"]["kernel"] == "tile-skip" and r["config"]["skip"] == skip
                          ][0])


class Search(Tune):
    """Shapes to records to a table; what is there is not measured again; shards."""

    def test_end_to_end(self):
        records = self.tune("--inject", "fixed-times")
        (best,) = self.check_outcome(records)
        self.assertEqual(len(of_kind(records, "winner")), 8)
        self.assertEqual(len(of_kind(records, "candidate")), 64)
        self.assertIn("default", self.out.splitlines()[-1])
        self.assertIn("tuner --table " + self.records, self.out.splitlines()[-1])
        self.assertEqual(best["shape"]["len_k"], 64)
        self.assertGreater(best["shape"]["density"], 0.05)
        self.assertLess(best["shape"]["density"], 0.5)
        for r in of_kind(records, "winner"):
            self.assertEqual((r["n_space"], r["n_tried"], r["strategy"]), (16, 16, "exhaustive"))
        table = os.path.join(self.dir, "table")
        subprocess.run([TUNER, "--table", self.records, "-o", table], check=True, env=self.env,
                       capture_output=True, timeout=WAIT)
        p = subprocess.run([HARNESS, "--sweep", "--device", "ref", *SMALL, "-a", "kernel=tile-skip",
                            "-a", "skip=tile", "-a", "tile=auto", "--format", "json", "--out",
                            os.path.join(self.dir, "run")],
                           capture_output=True, text=True, timeout=WAIT,
                           env=dict(self.env, SCR_TABLE=table))
        self.assertEqual(p.returncode, 0, p.stderr)
        with open(os.path.join(self.dir, "run", "rows.jsonl"), encoding="utf-8") as f:
            row = json.loads(f.readline())
        params = dict(self.winner(records)[3])
        self.assertEqual((row["tile_q"], row["tile_k"]), (params["TILE_Q"], params["TILE_K"]))

    def test_fixed_times(self):
        """Of times that are fixed everyone knows the winners."""
        records = self.tune("--inject", "fixed-times")
        (best,) = self.check_outcome(records)
        candidates = of_kind(records, "candidate")
        self.assertEqual(best["ns"], min(r["ns"] for r in candidates))
        for skip in ("tile", "slice"):
            fastest = min((r for r in candidates if r["config"]["skip"] == skip),
                          key=lambda r: r["ns"])
            self.assertEqual(self.winner(records, skip), config_of(fastest))
        default = [r for r in candidates if r["config"] == best["baseline"]]
        self.assertAlmostEqual(best["gain"], default[0]["ns"] / best["ns"], 6)
        self.assertEqual(best["gain_lo"], best["gain_hi"])

    def test_resume_of_what_is_done_measures_nothing(self):
        before = self.tune()
        out = self.out
        after = self.tune("--resume")
        self.assertEqual(before, after)
        self.assertEqual(self.out.splitlines()[-1], out.splitlines()[-1])

    def test_half_a_line_is_measured_again(self):
        """Whatever the line is of: the rest is as if it had been whole, with times that do not change. The last
        race's lines, which are written at once, are all there again."""
        whole = self.path(self.tune("--inject", "fixed-times"))
        with open(self.records, "rb") as f:
            lines = f.read().splitlines(keepends=True)
        kinds = [step[0] for step in whole]
        race = len(kinds) - 4
        self.assertEqual(set(kinds[race:]), {"winner"})
        for kind, cut in [(kind, kinds.index(kind, kinds.index("winner"))) for kind in dict.fromkeys(kinds)] + [
                ("race", race), ("race", len(kinds) - 1)]:
            with open(self.records, "wb") as f:
                f.write(b"".join(lines[:cut]) + lines[cut][:100])
            p = subprocess.run(self.command("--inject", "fixed-times", "--resume"),
                               capture_output=True, text=True, timeout=WAIT, env=self.env)
            self.assertEqual(p.returncode, 0, p.stderr)
            self.assertIn(f"{self.records}:{cut + 1}: cut", p.stderr)
            with open(self.records, "rb") as f:
                after = f.read().splitlines(keepends=True)
            self.assertEqual(after[:cut], lines[:cut], kind)
            self.assertEqual(after[cut], lines[cut][:100] + b"\n", kind)
            again = [json.loads(line) for line in after[:cut] + after[cut + 1:]]
            self.assertEqual(self.path(again), whole[:cut] + whole[min(cut, race):], kind)

    def test_a_full_disk_takes_no_part_of_a_race(self):
        whole = self.path(self.tune("--inject", "fixed-times"))
        with open(self.records, "rb") as f:
            lines = f.read().splitlines(keepends=True)
        before = b"".join(lines[:-4])
        with open(self.records, "wb") as f:
            f.write(before)
        size = len(before) + len(lines[-4]) * 3 // 2  # there is room for one of four

        def limit():
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))

        p = subprocess.run(self.command("--inject", "fixed-times", "--resume"), capture_output=True, text=True,
                           timeout=WAIT, env=self.env, preexec_fn=limit)
        self.assertEqual(p.returncode, 5, p.stderr)
        self.assertIn(self.records + ": No space left", p.stderr)
        with open(self.records, "rb") as f:
            self.assertEqual(f.read(), before)
        self.assertEqual(self.path(self.tune("--inject", "fixed-times", "--resume")), whole)

    def test_a_slow_default_is_replaced(self):
        # Half of a 64 x 64 tile over 64 causal keys is for nothing: smaller ones are far ahead.
        for left in (2, 1, 0):  # a neighbour on the machine may hide it
            records = self.tune(shape=["-a", "seq=64", "-a", "head_dim=16", "--time-limit", "0.03s"])
            (best,) = self.check_outcome(records)
            if left == 0 or best["gain"] is not None and best["gain"] > 1.1 and best["gain_lo"] > 1:
                break
            os.remove(self.records)
        self.assertGreater(best["gain"], 1.1)
        self.assertGreater(best["gain_lo"], 1)
        self.assertEqual(best["baseline"]["params"], {"TILE_Q": 64, "TILE_K": 64})
        self.assertRegex(self.out.splitlines()[-1], r"[Ff]aster.* 1 of 1 shape")

    def test_shards(self):
        shapes = ["-a", "seq=16,17,18,19,20", "-a", "heads=1", "-a", "head_dim=16",
                  "--time-limit", "0.005s"]
        seen = []
        for k in range(1, 4):
            self.records = os.path.join(self.dir, f"{k}.jsonl")
            records = self.tune("--shard", f"{k}/3", shape=shapes)
            seen.append({r["shape"]["words"] for r in records})
            self.check_outcome(records, n_shapes=len(seen[-1]))
        self.assertEqual([len(s) for s in seen], [2, 2, 1])
        self.assertEqual(len(set.union(*seen)), 5)
        self.records = os.path.join(self.dir, "7.jsonl")
        self.assertEqual(self.tune("--shard", "7/7", shape=shapes), [])

    def test_bad_requests(self):
        for args, said in ((["-a", "tile=16x16"], "tile"), (["-a", "heads=3", "-a", "kv_heads=2"],
                                                            "multiple of kv_heads")):
            p = subprocess.run(self.command(*args), capture_output=True, text=True, env=self.env,
                               timeout=WAIT)
            self.assertEqual(p.returncode, 2, p.stderr)
            self.assertIn(said, p.stderr)
            self.assertEqual(p.stderr.count("\n"), 1)
        p = subprocess.run(self.command(device="cuda:99"), capture_output=True, text=True,
                           env=self.env, timeout=WAIT)
        self.assertEqual(p.returncode, 3, p.stderr)

    def test_start(self):
        """Parameters that the user names are tried right after the default; unknown ones are no harm."""
        records = self.tune("--strategy", "local", "--tries", "2", "--start", "STAGES=3+TILE_Q=16",
                            "--start", "TILE_Q=128+TILE_K=16")
        of_kernel = {}
        for r in of_kind(records, "candidate"):
            of_kernel.setdefault((r["config"]["kernel"], r["config"]["skip"]), []).append(r)
        self.assertEqual(len(of_kernel), 4)
        for tried in of_kernel.values():
            params = tried[1]["config"]["params"]
            self.assertEqual((params["TILE_Q"], params["TILE_K"]), (128, 16))


class Faults(Tune):
    """Candidates that are wrong, crash or hang cost themselves."""

    def faulty(self, kind, status, *args):
        """The configurations that would win have a fault; others win."""
        records = self.tune("--inject", kind + "@TILE_Q=16", *args)
        self.check_outcome(records)
        for w in of_kind(records, "winner"):
            self.assertNotEqual(w["config"]["params"]["TILE_Q"], 16)
        bad = [r for r in of_kind(records, "candidate") if r["config"]["params"]["TILE_Q"] == 16]
        self.assertEqual({r["status"] for r in bad}, {status})
        self.assertEqual(len(bad), 16)
        self.assertTrue(all(r["ns"] is None and r["reason"] for r in bad))
        good = [r for r in of_kind(records, "candidate") if r["config"]["params"]["TILE_Q"] != 16]
        self.assertEqual({r["status"] for r in good}, {"ok"})
        self.assertEqual(len(good), 48)

    def test_crash(self):
        self.faulty("crash", "crashed")

    def test_wrong(self):
        self.faulty("wrong", "wrong")

    def test_out_of_bounds(self):
        self.faulty("overrun", "wrong")

    def test_no_compile(self):
        self.faulty("compile", "compile")

    def test_compiler_crash(self):
        self.faulty("compile-crash", "crashed")

    def test_out_of_memory(self):
        self.faulty("oom", "oom")

    def test_hang(self):
        records = self.tune("--inject", "hang@kernel=tile-skip,skip=tile,TILE_Q=16,TILE_K=16",
                            "--timeout", "5s")
        self.check_outcome(records)
        bad = [r for r in of_kind(records, "candidate") if r["status"] != "ok"]
        self.assertEqual({r["status"] for r in bad}, {"timeout"})
        self.assertEqual(len(bad), 1)
        self.assertIn("no answer for 5 s", bad[0]["reason"])

    def test_wrong_at_one_shape_only(self):
        # Shape 0 is tuned; a verifying one finds it.
        records = self.tune("--inject", "wrong@TILE_Q=16,case=3")
        self.check_outcome(records)
        self.assertEqual({r["status"] for r in of_kind(records, "candidate")}, {"ok"})
        for w in of_kind(records, "winner"):
            self.assertNotEqual(w["config"]["params"]["TILE_Q"], 16)
        wrong = [r for r in of_kind(records, "verified") if r["status"] == "wrong"]
        self.assertTrue(wrong)
        for r in wrong:
            self.assertEqual(r["config"]["params"]["TILE_Q"], 16)
            self.assertIn(" x ", r["reason"])

    def test_nothing_right(self):
        records = self.tune("--inject", "wrong", status=5)
        self.assertEqual(of_kind(records, "winner"), [])
        self.assertIn("no configuration is right", self.err)


class Ends(Tune):
    """Runs that are cut short."""

    def test_interrupt(self):
        p = subprocess.Popen(self.command("--time-limit", "0.3s"), stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True, env=self.env)
        deadline = time.monotonic() + WAIT
        while time.monotonic() < deadline and not (
                os.path.exists(self.records) and os.path.getsize(self.records) > 3000):
            time.sleep(0.02)
        p.send_signal(signal.SIGINT)
        out, err = p.communicate(timeout=WAIT)
        self.assertEqual(p.returncode, 130, out + err)
        self.assertIn("--resume", err)
        with open(self.records, "rb") as f:
            self.assertTrue(f.read().endswith(b"\n"))
        n = len(read_records(self.records))
        records = self.tune("--resume")
        self.check_outcome(records)
        trials = [config_of(r) for r in of_kind(records, "candidate")]
        self.assertEqual(len(set(trials)), len(trials))
        self.assertGreater(len(records), n)

    def count_lines(self):
        if not os.path.exists(self.records):
            return 0
        with open(self.records, "rb") as f:
            return f.read().count(b"\n")

    def test_kill_at_any_moment(self):
        """With times that do not change, a killed and resumed run does what a whole one does, and
        repeats but the measurement that was cut: its records are the same ones."""
        rng = random.Random(4)
        args = ["--inject", "fixed-times", "-a", "seq=48,57", "--strategy", "local"]
        whole = self.path(self.tune(*args))
        self.check_outcome(read_records(self.records), n_shapes=2)
        resumed = 0
        for kill in range(KILLS):
            os.remove(self.records)
            p = subprocess.Popen(self.command(*args), stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL, env=self.env)
            # At a moment of the work done, however fast that is, and somewhere in the step after it.
            lines = rng.randrange(len(whole))
            while p.poll() is None and self.count_lines() < lines:
                time.sleep(0.002)
            time.sleep(rng.uniform(0, 0.05))
            p.kill()
            p.wait()
            before = b""
            if os.path.exists(self.records):
                with open(self.records, "rb") as f:
                    before = f.read()
            before = before[:before.rfind(b"\n") + 1]
            resumed += 0 < before.count(b"\n") < len(whole)
            self.assertEqual(self.path(self.tune("--resume", *args)), whole, kill)
            with open(self.records, "rb") as f:
                self.assertTrue(f.read().startswith(before), kill)
        self.assertGreater(resumed, KILLS // 4)

    def test_budget(self):
        # It is spent long before all is measured, and the rest goes into a final. A slow machine needs
        # more for that.
        for budget in (6, 30, 150):
            if os.path.exists(self.records):
                os.remove(self.records)
            begin = time.monotonic()
            p = subprocess.run(self.command("--budget", f"{budget}s", "--strategy", "exhaustive",
                                            shape=["-a", "seq=512", "-a", "head_dim=64"]),
                               capture_output=True, text=True, timeout=WAIT, env=self.env)
            took = time.monotonic() - begin
            if p.returncode == 0:
                break
        self.assertEqual(p.returncode, 0, p.stdout + p.stderr)
        self.assertLess(took, budget + 200)
        records = read_records(self.records)
        self.assertLess(len(of_kind(records, "candidate")), 64)
        best = [r for r in of_kind(records, "winner") if r["best"]]
        self.assertEqual(len(best), 1)


class OpenCL(Tune):
    """Where candidates compile."""

    def test_devices_side_by_side(self):
        """Equal devices, a process each, share the shapes; PoCL can be made to have two."""
        self.env["POCL_DEVICES"] = "pthread pthread"
        devices = subprocess.run([HARNESS, "--list-devices"], capture_output=True, text=True,
                                 env=self.env, timeout=WAIT).stdout
        if "opencl:0.1" not in devices:
            self.skipTest("no two OpenCL devices")
        records = self.tune("--inject", "fixed-times", "--tries", "2", device="opencl",
                            shape=["-a", "seq=16,17", "-a", "heads=1", "-a", "head_dim=16"])
        seen = {}
        for r in records:
            seen.setdefault(r["device"]["id"], set()).add(r["shape"]["len_q"])
        self.assertEqual(sorted(seen), ["opencl:0.0", "opencl:0.1"])
        self.assertEqual(sorted(map(sorted, seen.values())), [[16], [17]])
        self.check_outcome(records, n_shapes=2)
        self.assertEqual(len(of_kind(records, "candidate")), 2 * 4 * 2)

    def test_opencl(self):
        p = subprocess.run([HARNESS, "--list-devices"], capture_output=True, text=True, timeout=WAIT)
        if "opencl:0.0" not in p.stdout:
            self.skipTest("no OpenCL device")
        records = self.tune("--tries", "3", device="opencl:0.0")
        self.check_outcome(records)
        self.assertEqual(len(of_kind(records, "candidate")), 4 * 3)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[4:], verbosity=2)
