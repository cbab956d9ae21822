#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The harness as a user meets it: exit statuses, messages, files.

Usage: test_cli.py HARNESS TEST_DATA [K/N], the Kth of N parts of the tests
"""
import csv
import glob
import json
import os
import re
import shlex
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest

HARNESS = os.path.abspath(sys.argv[1])
DATA = os.path.abspath(sys.argv[2])
HERE = os.path.dirname(os.path.abspath(__file__))
TRACE = os.path.join(DATA, "d512_k64v64.safetensors")
SMALL = ["--device", "ref", "-a", "seq=64", "-a", "heads=1", "-a", "head_dim=16",
         "-a", "workload=planted:0.2x16", "-a", "window=inf"]
BRIEF = ["--time-limit", "0.03s"]
WAIT = 400  # seconds: that long nothing takes


def run(*args, cwd=None, env=None):
    return subprocess.run([HARNESS, *args], capture_output=True, text=True, cwd=cwd, env=env, timeout=WAIT)


class Usage(unittest.TestCase):
    def refused(self, args, *said, status=2):
        p = run(*args)
        self.assertEqual(p.returncode, status, p.stderr)
        self.assertEqual(p.stderr.count("\n"), 1, p.stderr)
        self.assertTrue(p.stderr.startswith("harness: "), p.stderr)
        for text in said:
            self.assertIn(text, p.stderr)

    def test_bad_command_lines(self):
        self.refused(["--nonsense"], "--nonsense", "unknown option")
        self.refused(["-z"], "-z", "unknown option")
        self.refused(["word"], "word")
        self.refused(["--out"], "--out", "missing")
        self.refused(["--sweep=1"], "no value")
        self.refused(["--sweep", "--check"], "only one")
        self.refused(["--preset", "huge"], "--preset", "quick, full, trained, traces, check")
        for other in ([], ["-a", "workload=iid"]):
            self.refused(["--preset", "traces", "--device", "ref", *other], "--preset traces", "-a workload=trace:")
        self.refused(["--seed", "-1"], "--seed")
        self.refused(["--budget", "soon"], "--budget", "5m")
        self.refused(["--format", "xml"], "--format", "table")
        self.refused(["-a", "sqe=3"], "did you mean 'seq'")
        self.refused(["-a", "seq=1:9:+0"], "-a seq")
        self.refused(["--cases", "/nonexistent"], "--cases")
        self.refused(["--eval", "only-one"], "--eval", "two files")
        self.refused(["--plot", "/nonexistent"], "--plot")
        self.refused(["--device", "ref", "--check", "-a", "heads=3", "-a", "kv_heads=2"],
                     "no configuration", "multiple of kv_heads")
        self.refused(["--cases", DATA], DATA, "directory")
        self.refused(["--device", ""], "--device", "empty")
        self.refused(["--device", "ref,"], "--device", "empty")
        self.refused(["--check", "--format", "json"], "--format has no effect with --check")
        self.refused(["--check", "-a", "param=NOSUCH=3"], "no kernel", "NOSUCH")
        for option in (["--format", "json"], ["--peer", "true"], ["--dry-run"]):
            self.refused(["--sweep", "--benchmark_filter=x", *option], option[0], "--benchmark_filter=x",
                         "exclude each other")
        for name in ("csv", "json", "md,json"):
            self.refused(["--compare", ".", ".", "--format", name], "--compare prints table or md")
        self.refused(["--sweep", *SMALL, "--inject", "crash@999"], "--inject", "999")
        self.refused(["--resume", ".", "--seed", "2"], "--seed has no effect with --resume")

    def test_nothing_supported_is_no_success(self):
        self.refused(["--check", "--device", "ref", "-a", "tile=48x48"], "unsupported", "48")
        self.refused(["--sweep", "--device", "ref", "-a", "tile=48x48"], "unsupported", "48")

    def test_full_disk(self):
        with open("/dev/full", "w", encoding="utf-8") as full:
            for args in (["--help"], ["--dry-run", "--device", "ref"]):
                p = subprocess.run([HARNESS, *args], stdout=full, stderr=subprocess.PIPE, text=True,
                                   timeout=WAIT, check=False)
                self.assertEqual(p.returncode, 5)
                self.assertEqual(p.stderr.count("\n"), 1)
                self.assertIn("standard output", p.stderr)

    def test_missing_devices(self):
        self.refused(["--device", "cuda:99"], "cuda:99", status=3)
        self.refused(["--device", "abacus"], "abacus", status=3)
        self.refused(["--device", "ref,ref:7"], "ref:7", status=3)

    def test_help_fits_a_screen(self):
        for topic in ([], ["axes"]):
            p = run("--help", *topic)
            self.assertEqual(p.returncode, 0)
            lines = p.stdout.splitlines()
            self.assertLessEqual(len(lines), 50 if topic == [] else 40)
            self.assertLessEqual(max(map(len, lines)), 100)
            self.assertIn("Examples", lines)

    def test_help_refuses_what_is_no_topic(self):
        self.refused(["--help", "axis"], "axes")
        for args in (["--compare", "base", "new", "--help"], ["axes", "--help"]):
            self.assertEqual(run(*args).returncode, 0)

    def test_version_and_devices(self):
        self.assertRegex(run("--version").stdout, r"^harness \d+\.\d+\.\d+ ")
        p = run("--list-devices")
        self.assertEqual(p.returncode, 0)
        self.assertIn("ref:0", p.stdout)

    def test_random(self):
        self.refused(["--check", "--device", "ref", "--random", "4", "-a", "variant=nosuch"], "variant")
        self.refused(["--check", "--device", "ref", "--random", "4", "-a", "kv=5", "-a", "kv_len=6"], "above kv")
        self.refused(["--check", "--random", "4", "--preset", "check"], "exclude each other")
        self.refused(["--sweep", "--random", "4"], "no effect")
        self.refused(["--check", "--random", "0"], "from 1 to")
        self.refused(["--check", "--jobs", "65"], "from 1 to 64")


class Files(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.dir = self.folder.name

    def path(self, name):
        return os.path.join(self.dir, name)

    def test_dry_run_writes_nothing(self):
        p = run("--dry-run", "--device", "ref", cwd=self.dir)
        self.assertEqual(p.returncode, 0, p.stderr)
        count = int(p.stdout.splitlines()[-1].split()[0])
        self.assertEqual(count, len(p.stdout.splitlines()) - 1)
        self.assertEqual(os.listdir(self.dir), [])

    def test_presets_list_what_they_run(self):
        counts = {}
        for name, *axes in (("quick",), ("full",), ("trained",), ("traces", "-a", "workload=trace:" + TRACE)):
            p = run("--sweep", "--preset", name, "--dry-run", "--device", "ref", *axes)
            self.assertEqual(p.returncode, 0, p.stderr)
            lines = p.stdout.splitlines()
            counts[name] = int(lines[-1].split()[0])
            self.assertEqual(len(set(lines[:-1])), counts[name])
        self.assertLess(counts["quick"], counts["full"])
        self.assertLess(counts["full"], 180)

    def test_sweep_and_repro(self):
        out = self.path("r")
        p = run("--sweep", *SMALL, *BRIEF, "-a", "tile=auto", "--out", out, "--format", "table,csv")
        self.assertEqual(p.returncode, 0, p.stderr)
        self.assertIn("vs masked", p.stdout)
        with open(os.path.join(out, "rows.jsonl"), encoding="utf-8") as f:
            rows = [json.loads(line, parse_constant=self.fail) for line in f]
        self.assertEqual([r["kernel"] for r in rows],
                         ["masked-dense", "dense"] + 3 * ["tile-skip"])
        for r in rows:
            self.assertEqual(r["status"], "ok", r["reason"])
            self.assertGreater(r["t_median_ns"], 0)
            self.assertLessEqual(r["rel_err"], r["tol"])
            self.assertEqual(r["pairs_admissible"], 64 * 65 // 2)
            self.assertEqual(r["data_hash"], rows[0]["data_hash"])
            # So small a problem that a thousand copies of it fit into the cache.
            self.assertEqual((r["timer"], r["cache"]), ("wall", "warm"))
            self.assertIn("not-cold", r["flags"].split(","))
        for r in rows[1:]:
            # Of few samples on a busy machine; test_timer.c holds ratios to made-up clocks.
            self.assertAlmostEqual(r["speedup_vs_masked"], r["t_masked_ns"] / r["t_median_ns"],
                                   delta=0.5 * r["speedup_vs_masked"])
            self.assertLessEqual(r["speedup_vs_masked_lo"], r["speedup_vs_masked"])
            self.assertLessEqual(r["speedup_vs_masked"], r["speedup_vs_masked_hi"])
            self.assertIn("TILE_Q=", r["masked_params"])
        self.assertEqual([r["vs_no_skip"] is None for r in rows], 3 * [True] + 2 * [False])
        self.assertEqual([r["speedup_vs_dense"] is None for r in rows], 2 * [True] + 3 * [False])
        for r in rows[2:]:
            self.assertLessEqual(r["tile_density"], r["pv_executed"])
            self.assertLessEqual(r["pv_executed"], r["qk_executed"])
            self.assertLessEqual(r["qk_executed"], 1)
        with open(os.path.join(out, "rows.csv"), encoding="utf-8", newline="") as f:
            table = list(csv.DictReader(f))
        self.assertEqual([r["repro"] for r in table], [r["repro"] for r in rows])
        with open(os.path.join(out, "run.json"), encoding="utf-8") as f:
            header = json.load(f)
        self.assertIn("cpu", header["machine"])
        self.assertEqual((header["end"], header["rows"]), ("complete", len(rows)))
        self.assertRegex(header["finish"], r"^\d{4}-\d\d-\d\dT")
        self.assertEqual(header["devices"][0]["id"], "ref:0")
        self.assertTrue(os.path.getsize(os.path.join(out, "report.md")) > 0)

        # The command of a row gives that row, and nothing but it.
        words = shlex.split(rows[-1]["repro"])
        self.assertEqual(words[0], HARNESS)
        p = run(*words[1:], "--format", "json", "--out", self.path("again"))
        self.assertEqual(p.returncode, 0, p.stderr)
        again = [json.loads(line) for line in p.stdout.splitlines()]
        self.assertEqual(len(again), 1)
        for key in ("repro", "data_hash", "params", "rel_err", "pairs_live", "window", "r",
                    "output_hash"):
            self.assertEqual(again[0][key], rows[-1][key])
        self.assertGreater(again[0]["speedup_vs_masked"], 0)

        # A folder that holds results is left alone.
        before = os.stat(os.path.join(out, "rows.jsonl")).st_mtime_ns
        p = run("--sweep", *SMALL, "--out", out)
        self.assertEqual(p.returncode, 2)
        self.assertIn("--out", p.stderr)
        self.assertEqual(os.stat(os.path.join(out, "rows.jsonl")).st_mtime_ns, before)

    def test_check_and_cases(self):
        cases = self.path("cases")
        with open(cases, "w", encoding="utf-8") as f:
            f.write("# two products\nseq=33 head_dim=16 workload=ends:0 kernel=tile-skip skip=tile\n"
                    "\nseq=33 head_dim=16 workload=planted:0.3x8 kernel=tile-skip skip=slice # x\n")
        p = run("--check", "--device", "ref", "--cases", cases, cwd=self.dir)
        self.assertEqual(p.returncode, 0, p.stderr)
        self.assertEqual(p.stdout.splitlines()[-1],
                         "ref:0: 2 ok, 0 wrong, 0 skipped, 0 failed, 1 prove little "
                         "(reference all zero or ill-conditioned)")
        self.assertEqual(os.listdir(self.dir), ["cases"])
        p = run("--check", "--device", "ref", "--cases", cases, "-a", "workload=ends:0")
        self.assertIn("which is most of them", p.stdout)
        p = run("--check", "--device", "ref", "--cases", cases, "-a", "seq=2000000",
                "-a", "heads=64")
        self.assertIn("2 skipped", p.stdout)
        with open(cases, "a", encoding="utf-8") as f:
            f.write("seq=many\n")
        p = run("--check", "--device", "ref", "--cases", cases)
        self.assertEqual(p.returncode, 2)
        self.assertIn("cases:5:", p.stderr)

    def test_random(self):
        random = ("--check", "--device", "ref", "--random", "24", "--seed", "3")
        p = run(*random, cwd=self.dir)
        self.assertEqual(p.returncode, 0, p.stderr)
        self.assertIn("random: seed 3: 24 of 24 problems ran: 24 right, 0 wrong; 0 unsupported, 0 failed", p.stdout)
        self.assertEqual(os.listdir(self.dir), [])
        # A failure is repeated by its command, alone.
        p = run(*random, "--inject", "wrong-skip", "-a", "kernel=tile-skip")
        self.assertEqual(p.returncode, 1, p.stdout)
        repro = [line for line in p.stdout.splitlines() if line.startswith("  ") and " --check " in line]
        words = shlex.split(repro[0])[1:]
        p = run(*words, "--inject", "wrong-skip")
        self.assertIn("ref:0: 0 ok, 1 wrong, 0 skipped, 0 failed", p.stdout)
        p = run(*words)
        self.assertIn("ref:0: 1 ok, 0 wrong, 0 skipped, 0 failed", p.stdout)
        # Workers side by side run each problem once.
        done = []
        for jobs in ("1", "3"):
            p = run(*random, "--jobs", jobs, "--out", self.path(jobs))
            self.assertEqual(p.returncode, 0, p.stderr)
            with open(os.path.join(self.path(jobs), "rows.jsonl"), encoding="utf-8") as f:
                done.append(sorted((r["repro"], r["output_hash"]) for r in map(json.loads, f)))
        self.assertEqual(len(set(done[0])), 24)
        self.assertEqual(done[0], done[1])
        p = run(*random, "--jobs", "2", "--inject", "crash@9")
        self.assertEqual(p.returncode, 5)
        self.assertIn("only 23 of 24 problems ran", p.stderr)

    def test_random_unsupported(self):
        # With r up to 0.5 every pair is alive, so there is no such data.
        ends = ("--check", "--device", "ref", "--random", "16", "--jobs", "2", "-a", "workload=ends:0")
        p = run(*ends, "-a", "r=0.3,2")
        self.assertEqual(p.returncode, 0, p.stderr)
        self.assertRegex(p.stdout, r"16 of 16 problems ran: 16 right, 0 wrong; [1-9]\d* unsupported, 0 failed")
        self.assertRegex(p.stdout, r"\n  [1-9]\d* unsupported: ends:0 needs r")
        p = run(*ends, "-a", "r=0.3")
        self.assertEqual(p.returncode, 5)
        self.assertIn("0 of 16 problems ran: 0 right, 0 wrong;", p.stdout)

    def test_random_stops_and_goes_on(self):
        out = self.path("r")
        p = subprocess.Popen([HARNESS, "--check", "--device", "ref", "--random", "400", "--jobs", "3", "--out", out],
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        rows = os.path.join(out, "rows.jsonl")
        end = time.monotonic() + 60
        while time.monotonic() < end and (not os.path.exists(rows) or os.path.getsize(rows) < 10000):
            time.sleep(0.05)
        p.send_signal(signal.SIGINT)
        self.assertEqual(p.wait(60), 130)
        p = run("--resume", out)
        self.assertEqual(p.returncode, 0, p.stderr)
        self.assertIn("400 of 400 problems ran: 400 right", p.stdout)
        with open(rows, encoding="utf-8") as f:
            self.assertEqual(len({json.loads(line)["repro"] for line in f}), 400)

    def test_budget_is_kept(self):
        p = run("--sweep", "--device", "ref", "--budget", "1s", "--out", self.path("r"))
        self.assertEqual(p.returncode, 0, p.stderr)
        with open(os.path.join(self.path("r"), "rows.jsonl"), encoding="utf-8") as f:
            rows = [json.loads(line) for line in f]
        said = "budget of 1 s was spent after %d of " % len(rows)
        self.assertIn(said, p.stderr)
        self.assertIn("harness --resume " + self.path("r"), p.stderr)
        with open(os.path.join(self.path("r"), "report.md"), encoding="utf-8") as f:
            self.assertIn(said, f.read())
        with open(os.path.join(self.path("r"), "run.json"), encoding="utf-8") as f:
            self.assertEqual(json.load(f)["end"], "budget")

    def test_cold_is_slower_than_warm(self):
        """One query over 2 MB of keys and values: all of its time goes to memory, or to the cache."""
        for left in (2, 1, 0):  # a neighbour on the machine may take the cache
            times = self.cold_and_warm(str(left))
            if times["cold"] > 1.05 * times["warm"]:
                break
        self.assertGreater(times["cold"], 1.05 * times["warm"])

    def cold_and_warm(self, name):
        times = {}
        for state in ("cold", "warm"):
            p = run("--sweep", "--device", "opencl", "-a", "seq=1", "-a", "kv=4096", "-a", "heads=1",
                    "-a", "workload=ends:0", "-a", "window=inf", "-a", "kernel=tile-skip",
                    "-a", "skip=tile", "-a", "tile=16x64", "--cache", state, "--format", "json",
                    "--out", self.path(state + name))
            if p.returncode == 3:
                self.skipTest("no OpenCL device")
            self.assertEqual(p.returncode, 0, p.stderr)
            row = json.loads(p.stdout)
            self.assertEqual(row["cache"], state)
            self.assertNotIn("not-cold", row["flags"])
            self.assertEqual(row["cache_copies"] > 1, state == "cold")
            times[state] = row["t_min_ns"]
        return times

    def gbench(self, *args):
        return run("--sweep", *SMALL, *BRIEF, "-a", "tile=auto", "--out", self.path("g"), *args)

    def test_google_benchmark(self):
        p = self.gbench("--benchmark_list_tests")
        if "without Google Benchmark" in p.stderr:
            self.skipTest("built without Google Benchmark")
        self.assertEqual(p.returncode, 0, p.stderr)
        self.assertEqual(len(p.stdout.split()), 5)
        self.assertFalse(os.path.exists(self.path("g")))
        p = self.gbench("--benchmark_filter=skip=tile", "--benchmark_format=json",
                        "--benchmark_repetitions=2")
        self.assertEqual(p.returncode, 0, p.stderr)
        cases = [b for b in json.loads(p.stdout)["benchmarks"] if b["run_type"] == "iteration"]
        self.assertEqual(len(cases), 2)
        with open(os.path.join(self.path("g"), "rows.jsonl"), encoding="utf-8") as f:
            rows = [json.loads(line) for line in f]
        self.assertEqual([r["skip"] for r in rows], ["tile"])
        self.assertAlmostEqual(cases[0]["real_time"], rows[0]["t_median_ns"], delta=1)
        self.assertAlmostEqual(cases[0]["pv_executed"], rows[0]["pv_executed"])
        self.assertAlmostEqual(cases[0]["vs_masked"], rows[0]["speedup_vs_masked"])
        # Going on reports what is there and adds nothing.
        p = run("--resume", self.path("g"))
        self.assertEqual(p.returncode, 0, p.stderr)
        again = [b for b in json.loads(p.stdout)["benchmarks"] if b["run_type"] == "iteration"]
        self.assertEqual([b["real_time"] for b in again], 2 * [again[0]["real_time"]])
        self.assertAlmostEqual(again[0]["real_time"], rows[0]["t_median_ns"], delta=1)
        with open(os.path.join(self.path("g"), "rows.jsonl"), encoding="utf-8") as f:
            self.assertEqual(len(f.readlines()), 1)
        shutil.rmtree(self.path("g"))
        # What was mistyped leaves nothing behind that is in the way of what was meant.
        for bad in ("--benchmark_filter=nothing", "--benchmark_filter=-seq=64", "--benchmark_filter=[",
                    "--benchmark_format=xml"):
            p = self.gbench(bad)
            self.assertEqual(p.returncode, 2)
            self.assertIn(bad.split("=")[0], p.stderr)
            self.assertFalse(os.path.exists(self.path("g")))
        p = self.gbench("--benchmark_filter=/seq=64/.*/manual_time$", "--benchmark_list_tests=False",
                        "--benchmark_list_tests=1")
        self.assertEqual(len(p.stdout.split()), 5, p.stderr)
        self.assertFalse(os.path.exists(self.path("g")))
        for no in ("0", "no", "f", "OFF", "false"):
            out = self.path("no-" + no)
            p = run("--sweep", *SMALL, "--time-limit", "0.01s", "-a", "kernel=dense", "-a", "tile=auto",
                    "--out", out, "--benchmark_list_tests=" + no)
            self.assertEqual(p.returncode, 0, p.stderr)
            self.assertTrue(os.path.exists(os.path.join(out, "rows.jsonl")), no)

    def test_peers(self):
        peer = "%s %s %s" % (sys.executable, os.path.join(HERE, "peers", "fake_peer.py"),
                             os.path.join(HERE, "..", "harness", "peers"))
        args = ["--sweep", *SMALL, *BRIEF, "-a", "kernel=tile-skip", "-a", "skip=tile", "-a",
                "tile=auto", "--cache", "warm", "--format", "json", "--peer", peer]
        for kernel, status in (("right", "ok"), ("crash", "crashed")):
            p = run(*args, "--peer-kernel", kernel, "--out", self.path(kernel))
            rows = [json.loads(line) for line in p.stdout.splitlines()]
            self.assertEqual([r["status"] for r in rows], ["ok", status], p.stdout + p.stderr)
            self.assertEqual(p.returncode, 0 if status == "ok" else 5)
            self.assertEqual(rows[0]["peer"], "")
            self.assertNotEqual(rows[1]["peer"], "")
            self.assertEqual(rows[1]["vs_framework"] is not None, status == "ok")
            self.assertEqual(glob.glob(os.path.join(self.path(kernel), "peer-*")), [])
        p = run("--resume", self.path("right"))
        self.assertEqual(p.returncode, 0, p.stderr)
        with open(os.path.join(self.path("right"), "rows.jsonl"), encoding="utf-8") as f:
            self.assertEqual(sum(1 for _ in f), 2)
        p = run(*args, "--peer-kernel", "none", "--out", self.path("none"))
        self.assertEqual(p.returncode, 2)
        self.assertIn("--peer-kernel none", p.stderr)
        # Of a preset they run where it wants them: on the whole layer, not on each of its heads.
        p = run("--sweep", "--preset", "traces", "--device", "ref", *BRIEF, "-a", "workload=trace:" + TRACE, "-a", "seq=64",
                "-a", "kernel=tile-skip", "-a", "skip=tile", "--format", "json", "--peer", peer, "--peer-kernel", "right",
                "--out", self.path("traces"))
        self.assertEqual(p.returncode, 0, p.stderr)
        rows = [json.loads(line) for line in p.stdout.splitlines()]
        self.assertGreater(len(rows), 2)
        self.assertEqual([r["trace_head"] for r in rows if r["peer"]], [None])
        self.assertEqual(sorted(r["trace_head"] for r in rows if r["trace_head"] is not None), list(range(len(rows) - 2)))
        p = run("--sweep", *SMALL, "--peer", "/nonexistent", "--out", self.path("none"))
        self.assertEqual(p.returncode, 2)
        self.assertIn("/nonexistent", p.stderr)

    def test_compare(self):
        out = self.path("a")
        p = run("--sweep", *SMALL, *BRIEF, "-a", "tile=auto", "--out", out)
        self.assertEqual(p.returncode, 0, p.stderr)
        self.assertEqual(run("--compare", out, out).returncode, 0)
        slow = self.path("slow.jsonl")
        with open(os.path.join(out, "rows.jsonl"), encoding="utf-8") as f, \
                open(slow, "w", encoding="utf-8") as g:
            for line in f:
                row = json.loads(line)
                for key in [k for k in row if k.startswith("t_") and k.endswith("_ns")]:
                    row[key] = row[key] and 50 * row[key]
                g.write(json.dumps(row) + "\n")
        p = run("--compare", out, slow)
        self.assertEqual(p.returncode, 4, p.stdout + p.stderr)
        p = run("--compare", out, slow, "--max-regress", "9900%")
        self.assertEqual(p.returncode, 0, p.stdout + p.stderr)
        p = run("--compare", out, slow, "--format", "md")
        self.assertIn("| ---", p.stdout.replace("|---", "| ---"))
        self.assertEqual(run("--compare", out, self.path("none")).returncode, 2)

    def test_peak(self):
        p = run("--peak", "--device", "ref")
        self.assertEqual(p.returncode, 0, p.stderr)
        self.assertRegex(p.stdout, r"f32 +[\d.]+ TFLOP/s")
        self.assertRegex(p.stdout, r"[\d.]+ GB/s")

    def test_interrupt_leaves_valid_files(self):
        out = self.path("r")
        with subprocess.Popen([HARNESS, "--sweep", "--device", "ref", "-a", "seq=256", "--out", out],
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as p:
            rows = os.path.join(out, "rows.jsonl")
            end = time.monotonic() + WAIT
            while time.monotonic() < end and not (os.path.exists(rows) and os.path.getsize(rows)):
                time.sleep(0.05)
            p.send_signal(signal.SIGINT)
            stderr = p.communicate(timeout=WAIT)[1]
            self.assertEqual(p.returncode, 130)
        with open(rows, encoding="utf-8") as f:
            n = sum(1 for line in f if json.loads(line))
        self.assertGreater(n, 0)
        with open(os.path.join(out, "rows.csv"), encoding="utf-8", newline="") as f:
            self.assertEqual(len(list(csv.DictReader(f))), n)
        self.assertRegex(stderr, r"(?m)^Interrupted after %d of \d+ configurations\.$" % n)
        with open(os.path.join(out, "report.md"), encoding="utf-8") as f:
            self.assertIn("Interrupted after %d of " % n, f.read())
        with open(os.path.join(out, "run.json"), encoding="utf-8") as f:
            header = json.load(f)
        self.assertEqual((header["end"], header["rows"]), ("interrupted", n))

    def listed(self, *args):
        p = run("--dry-run", "--device", "ref", *args, cwd=self.dir)
        self.assertEqual(p.returncode, 0, p.stderr)
        return p.stdout.splitlines()[:-1]

    def test_repetitions_run_once(self):
        one = ["-a", "seq=64", "-a", "kernel=dense", "-a", "tile=auto"]
        self.assertEqual(len(self.listed("-a", "workload=iid", "-a", "window=auto,inf",
                                         "-a", "r=auto,2", "-a", "q_pos0=auto,0", *one)), 1)
        self.assertEqual(len(self.listed("-a", "workload=window", "-a", "window=auto,256", *one)), 1)
        self.assertEqual(len(self.listed("-a", "workload=planted", "-a", "r=auto,2,16",
                                         "-a", "window=inf", *one)), 2)

    def test_a_trace_in_a_sweep(self):
        with open(TRACE, "rb") as f:
            q = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))["q"]
        length = q["shape"][-2]
        # Nothing of what the preset says of drawn data: no two lengths, no window, no sharpness.
        lines = self.listed("-a", "workload=trace:" + TRACE)
        self.assertEqual(len(set(lines)), len(lines))
        for line in lines:
            self.assertIn("window=auto", line)
            self.assertIn("kv=[%d,%d]" % (q["shape"][-3], length), line)
            self.assertNotIn(" r=", line)
        # What the user says holds; a length above the file's is the file's.
        one = ["-a", "workload=trace:t", "-a", "kernel=masked-dense", "-a", "tile=auto"]
        os.symlink(TRACE, self.path("t"))
        self.assertEqual(len(self.listed(*one, "-a", "seq=%d,%d,auto" % (length, 2 * length))), 1)
        self.assertEqual(len(self.listed(*one, "-a", "seq=64,96", "-a", "window=inf,8")), 4)
        p = run("--sweep", "--device", "ref", *one, "-a", "seq=64,%d" % (2 * length), "--out", "o",
                "--format", "json", cwd=self.dir)
        self.assertEqual(p.returncode, 0, p.stderr)
        rows = [json.loads(line) for line in p.stdout.splitlines()]
        self.assertEqual([r["seq_q"] for r in rows], [64, length])
        self.assertIn("-a seq=64 ", rows[0]["repro"])
        self.assertNotIn("seq=", rows[1]["repro"])
        self.assertIn("workload=trace:" + os.path.realpath(TRACE), rows[1]["repro"])
        # Its command works from anywhere.
        p = run(*shlex.split(rows[0]["repro"])[1:], "--format", "json", "--out", self.path("p"))
        self.assertEqual(p.returncode, 0, p.stderr)
        self.assertEqual(json.loads(p.stdout)["data_hash"], rows[0]["data_hash"])

    def test_a_bad_trace_fails_its_rows_only(self):
        with open(TRACE, "rb") as f:
            good = f.read()
        n = struct.unpack("<Q", good[:8])[0]
        begin = 8 + n + json.loads(good[8:8 + n])["q"]["data_offsets"][0]
        with open(self.path("nan"), "wb") as f:
            f.write(good[:begin] + b"\xff\xff" + good[begin + 2:])
        args = ["--sweep", "--device", "ref", "-a", "kernel=masked-dense", "-a", "tile=auto",
                "-a", "seq=64", "-a", "window=inf", "--format", "json"]
        p = run(*args, "-a", "workload=trace:nan,iid", "--out", "r", cwd=self.dir)
        self.assertEqual(p.returncode, 5, p.stderr)
        rows = [json.loads(line) for line in p.stdout.splitlines()]
        self.assertEqual([r["status"] for r in rows], ["failed", "ok"])
        self.assertIn("NaN", rows[0]["reason"])
        self.assertTrue(os.path.exists(self.path("r/report.md")))
        p = run(*args, "-a", "workload=trace:nan", "--out", "only", cwd=self.dir)
        self.assertEqual(p.returncode, 5)
        self.assertIn("nothing ran; the first: failed: nan: q holds a NaN", p.stderr)
        p = run("--plot", "only", cwd=self.dir)
        self.assertEqual(p.returncode, 5)
        self.assertIn("no plot", p.stderr)

    @unittest.skipUnless(shutil.which("gnuplot"), "gnuplot is not installed")
    def test_plots_drawn_later_come_into_the_report(self):
        """Swept where gnuplot is missing, drawn where it is."""
        os.mkdir(self.path("bin"))
        args = [*SMALL, *BRIEF, "-a", "kernel=masked-dense,tile-skip", "-a", "tile=auto", "--out", self.path("r")]
        p = run("--sweep", *args, env={**os.environ, "PATH": self.path("bin")})
        self.assertEqual(p.returncode, 0, p.stderr)
        self.assertIn("no plots: gnuplot is not installed", p.stderr)

        def report(name):
            with open(self.path("r/" + name), encoding="utf-8") as f:
                return f.read()
        before = report("report.md")
        self.assertNotIn("Pictures", before)
        p = run("--plot", self.path("r"))
        self.assertEqual(p.returncode, 0, p.stderr)
        self.assertRegex(report("report.md"), r"## Pictures\n+!\[[^]]+\]\(plots/.*\.svg\)")
        self.assertEqual(re.sub(r"## Pictures\n(.*\n)*?(?=## )", "", report("report.md")), before)
        self.assertIn("<svg", report("report.html"))
        os.remove(self.path("r/report.html"))  # as a published folder
        with open(self.path("r/report.md"), "w", encoding="utf-8") as f:
            f.write(before)
        self.assertEqual(run("--plot", self.path("r")).returncode, 0)
        self.assertEqual(report("report.md"), before)

    def test_repro_carries_what_changes_the_times(self):
        one = [*SMALL, "-a", "kernel=dense", "-a", "tile=auto", "--format", "json"]
        p = run("--sweep", *one, "--cache", "warm", "--time-limit", "0.02s",
                "--out", self.path("a"))
        self.assertEqual(p.returncode, 0, p.stderr)
        repro = json.loads(p.stdout)["repro"]
        self.assertTrue(repro.endswith(" --cache warm --time-limit 0.02s"), repro)
        p = run(*shlex.split(repro)[1:], "--format", "json", "--out", self.path("b"))
        row = json.loads(p.stdout)
        self.assertEqual((row["repro"], row["cache"]), (repro, "warm"))
        p = run("--sweep", *one, "--out", self.path("c"))
        self.assertNotIn("--time-limit", json.loads(p.stdout)["repro"])

    def test_closed_streams_take_no_file(self):
        """A stream that the caller closed must not become rows.jsonl."""
        for i, closing in enumerate((">&-", "2>&-", "<&-", "<&- >&- 2>&-")):
            out = self.path("r%d" % i)
            words = [HARNESS, "--sweep", *SMALL, *BRIEF, "-a", "kernel=dense", "-a", "tile=auto",
                     "--format", "json", "--out", out]
            p = subprocess.run(["/bin/sh", "-c", shlex.join(words) + " " + closing],
                               capture_output=True, timeout=WAIT, check=False)
            self.assertEqual(p.returncode, 5 if ">&-" in closing.split() else 0, p.stderr)
            with open(os.path.join(out, "rows.jsonl"), encoding="utf-8") as f:
                self.assertEqual([json.loads(line)["status"] for line in f], ["ok"], closing)

    def test_a_command_that_json_cannot_hold(self):
        words = [w.encode() for w in (HARNESS, "--sweep", *SMALL, "--out", self.path("r"))]
        p = subprocess.run([*words, b"--cases", self.path("x").encode() + b"\xff"],
                           capture_output=True, timeout=WAIT, check=False)
        self.assertEqual(p.returncode, 2)
        with open(self.path("x").encode() + b"\xff", "w", encoding="utf-8") as f:
            f.write("kernel=dense tile=auto\n")
        p = subprocess.run([*words, b"--cases", self.path("x").encode() + b"\xff"],
                           capture_output=True, timeout=WAIT, check=False)
        self.assertEqual(p.returncode, 2)
        self.assertIn(b"UTF-8", p.stderr)
        self.assertFalse(os.path.exists(self.path("r")))

    def test_out_must_be_a_folder(self):
        with open(self.path("file"), "w", encoding="utf-8"):
            pass
        p = run("--sweep", *SMALL, "--out", self.path("file"))
        self.assertEqual(p.returncode, 2)
        self.assertIn("is not a folder", p.stderr)

    def test_eval_of_a_trace(self):
        o = self.path("o.safetensors")
        p = run("--eval", TRACE, o, "--device", "ref")
        self.assertEqual(p.returncode, 0, p.stdout + p.stderr)
        self.assertEqual(p.stdout.count("\nref:0 ") + p.stdout.startswith("ref:0 "), 3, p.stdout)
        with open(TRACE, "rb") as f:
            q = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))["q"]
        with open(o, "rb") as f:
            header = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
            size = len(f.read())
        self.assertEqual(header["o"]["dtype"], "F32")
        self.assertEqual(header["o"]["shape"][:-1], q["shape"][:-1])
        self.assertEqual(size, header["o"]["data_offsets"][1])
        self.assertRegex(p.stdout.splitlines()[-1], "^Wrote o of ref:0 tile-skip .* to ")

    def test_eval_guards_its_files(self):
        shutil.copy(TRACE, self.path("in"))
        os.link(self.path("in"), self.path("same"))
        with open(TRACE, "rb") as f:
            good = f.read()
        for out, said in (("in", "is the input"), ("same", "is the input"), (".", "is a folder"),
                          ("nowhere/o", "nowhere/o: No such")):
            p = run("--eval", "in", out, "--device", "ref", cwd=self.dir)
            self.assertEqual(p.returncode, 2, p.stderr)
            self.assertEqual(p.stdout, "")
            self.assertIn(said, p.stderr)
        with open(self.path("in"), "rb") as f:
            self.assertEqual(f.read(), good)
        p = run("--eval", "in", "o", "--device", "ref", "--dry-run", cwd=self.dir)
        self.assertEqual(p.returncode, 0, p.stderr)
        self.assertEqual(p.stdout.splitlines()[-1], "3 configurations")
        self.assertFalse(os.path.exists(self.path("o")))

    def test_eval_of_bad_files(self):
        with open(TRACE, "rb") as f:
            good = f.read()
        n = struct.unpack("<Q", good[:8])[0]
        bad = {
            "empty": b"",
            "lying": struct.pack("<Q", 1 << 60) + good[8:],
            "short": good[: 8 + n + 100],
            "not-json": struct.pack("<Q", 4) + b"{{{{",
            "no-q": struct.pack("<Q", 2) + b"{}",
        }
        for name, content in bad.items():
            path = self.path(name)
            with open(path, "wb") as f:
                f.write(content)
            p = run("--eval", path, self.path("o"), "--device", "ref")
            self.assertEqual(p.returncode, 2, name + p.stderr)
            self.assertEqual(p.stderr.count("\n"), 1, name + p.stderr)
            self.assertFalse(os.path.exists(self.path("o")))
            self.assertIn(path, p.stderr)
        n_q = good.index(b'"F16"')
        with open(self.path("ints"), "wb") as f:
            f.write(good[:n_q] + b'"I16"' + good[n_q + 5:])
        p = run("--eval", self.path("ints"), self.path("o"), "--device", "ref")
        self.assertEqual(p.returncode, 2)
        self.assertIn("is of type I16", p.stderr)
        p = run("--eval", TRACE, self.path("o"), "-a", "seq=3")
        self.assertEqual(p.returncode, 2)


def load_tests(loader, tests, _):
    """Every Nth, so that parts run side by side."""
    k, n = map(int, sys.argv[3].split("/")) if len(sys.argv) > 3 else (1, 1)
    every = [test for of_class in tests for test in of_class]
    return unittest.TestSuite(every[k - 1::n])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
