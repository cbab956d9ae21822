#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the tuner does with records and tables, as a user meets it: statuses, messages, files.

Usage: test_tuner_tools.py TUNER MAKE_RECORDS TEST_DATA
"""
import json
import os
import re
import stat
import subprocess
import sys
import tempfile
import unittest

TUNER = os.path.abspath(sys.argv[1])
MAKE_RECORDS = os.path.abspath(sys.argv[2])
DATA = os.path.abspath(sys.argv[3])
GOLDEN = os.path.join(DATA, "tuning", "records-v1.jsonl")
TRACE = os.path.join(DATA, "psi16_k16v64.safetensors")
NAME = "Model 3 CPU @ 2.0GHz"
ASK = ["--lookup", "seq=1024", "dtype=bf16", "heads=8", "head_dim=64"]


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.env = {**os.environ, "XDG_CONFIG_HOME": self.path("config"), "SCR_CACHE_DIR": ""}
        self.env.pop("SCR_TABLE", None)

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def run_tuner(self, *args, **env):
        return subprocess.run([TUNER, *args], capture_output=True, text=True, timeout=100,
                              cwd=self.folder.name, env={**self.env, **env})

    def fine(self, *args, status=0, **env):
        p = self.run_tuner(*args, **env)
        self.assertEqual(p.returncode, status, p.stdout + p.stderr)
        return p

    def records(self, name="fresh.jsonl", *more):
        subprocess.run([MAKE_RECORDS, self.path(name), *more], check=True)
        return name

    def write(self, name, data):
        with open(self.path(name), "wb") as f:
            f.write(data)
        return name

    def read(self, name):
        with open(self.path(name), "rb") as f:
            return f.read()


class Usage(Case):
    def refused(self, args, *said, status=2):
        p = self.run_tuner(*args)
        self.assertEqual(p.returncode, status, p.stderr)
        self.assertEqual(p.stdout, "")
        self.assertEqual(p.stderr.count("\n"), 1, p.stderr)
        self.assertTrue(p.stderr.startswith("tuner: "), p.stderr)
        for text in said:
            self.assertIn(text, p.stderr)

    def test_bad_command_lines(self):
        self.refused([], "expected one of --tune", "--help")
        self.refused(["--nonsense"], "--nonsense", "unknown option")
        self.refused(["--tune", "-z"], "-z", "unknown option")
        self.refused(["--tune", "word"], "word: unexpected")
        self.refused(["--tune", "--show"], "only one of")
        self.refused(["--tune", "--records"], "--records: a value is missing")
        self.refused(["--tune=1"], "takes no value")
        self.refused(["--tune", "--records", ""], "--records: expected a file")
        self.refused(["--tune", "--strategy", "clever"], "--strategy", "'clever'", "exhaustive, local, random")
        self.refused(["--tune", "--budget", "soon"], "--budget", "5m")
        self.refused(["--tune", "--time-limit", "-1"], "--time-limit", "90s")
        self.refused(["--tune", "--timeout", "0"], "--timeout", "90s")
        self.refused(["--tune", "--seed", "-1"], "--seed", "9223372036854775807")
        for shard in ("0/4", "5/4", "1", "1/", "/4", "1/0", "x/4", "1/4/2", ""):
            self.refused(["--tune", "--shard", shard], "--shard", "K/N", "3/8")
        self.refused(["--tune", "--tries", "0"], "--tries", "1 to 1000000")
        for start in ("", "TILE_Q", "TILE_Q=", "TILE_Q=64+", "TILE_Q=x"):
            self.refused(["--tune", "--start", start], "--start", "TILE_Q=128+TILE_K=64")
        self.refused(["--tune", "--start", "TILE_Q=64", "--strategy", "random"], "--start has no effect")
        self.refused(["--tune"] + ["--start", "TILE_Q=64"] * 17, "--start", "more than 16")
        self.refused(["--tune", "--jobs", "0"], "--jobs", "1 to 1024")
        self.refused(["--tune", "--inject", "mood"], "--inject")
        self.refused(["--tune", "-a", "sqe=3"], "did you mean 'seq'")
        self.refused(["--tune", "--device", ""], "--device")
        self.refused(["--tune", "-o", "x"], "-o has no effect with --tune")
        self.refused(["--show", GOLDEN, "--seed", "1"], "--seed has no effect with --show")
        self.refused(["--merge", GOLDEN], "--merge: expected -o OUT")
        self.refused(["--merge", GOLDEN, "-o", ""], "-o: expected a file")
        for mode in ("--merge", "--show", "--table"):
            self.refused([mode], mode, "expected files of records")
        self.refused(["--export", "csv", GOLDEN], "--export", "'csv'", "t4")
        self.refused(["--lookup", "sqe=3"], "did you mean 'seq'")
        self.refused(["--lookup", "seq=64 dtype=f64"], "dtype", "f16")
        self.refused(["--lookup", "seq=64", "heads=3", "kv_heads=2", "--device", "ref"], "--lookup")
        self.refused(["--lookup", f"workload=trace:{TRACE}", "trace_head=4", "--device", "ref"], "no head 4")
        self.refused(["--lookup", "seq=64", "trace_head=0", "--device", "ref"], "not a trace")

    def test_files_that_are_not_there(self):
        for args in (["--show"], ["--table"], ["--merge", "-o", "x"], ["--stale"], ["--export", "t4"]):
            self.refused([*args, "nosuch.jsonl"], "nosuch.jsonl: No such file")
            self.refused([*args, "."], ".: Is a directory")
        self.assertFalse(os.path.exists(self.path("x")))
        self.refused(["--merge", GOLDEN, "-o", "no/x"], "--merge: no/x: No such file", status=5)

    def test_no_such_device(self):
        self.refused([*ASK, "--device", "cuda:77"], "cuda:77", "no table names it", status=3)

    def test_help(self):
        p = self.fine("--help")
        lines = p.stdout.split("\n")
        self.assertLess(len(lines), 50)
        self.assertLessEqual(max(map(len, lines)), 90)
        with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "man", "tuner.1"), encoding="utf-8") as f:
            man = f.read().replace("\\-", "-")
        for option in set(re.findall(r"--[a-z-]+", p.stdout)):
            self.assertIn(option, man)
        self.assertEqual(self.fine("--tune", "--help").stdout, p.stdout)
        self.assertRegex(self.fine("--version").stdout, r"^tuner \d+\.\d+\.\d+ \(.+\)\n$")

    def test_full_disk(self):
        with open("/dev/full", "w", encoding="utf-8") as full:
            p = subprocess.run([TUNER, "--help"], stdout=full, stderr=subprocess.PIPE, text=True)
        self.assertEqual(p.returncode, 5)
        self.assertIn("standard output cannot be written", p.stderr)


class Merge(Case):
    def test_merge_of_the_damaged(self):
        with open(GOLDEN, "rb") as f:
            lines = f.readlines()
        self.write("a", lines[0] + b"{\"record\": 1,\n" + lines[1] + b"\x00\xff\n" + lines[2][:300])
        self.write("b", b"".join(lines[1:]))
        p = self.fine("--merge", "a", "b", "-o", "ab")
        self.assertEqual(p.stderr.count("left out"), 3)
        for line in (2, 4, 5):
            self.assertRegex(p.stderr, rf"(?m)^tuner: a:{line}: left out: .+$")
        self.assertIn("ab: 9 records from 2 files; 1 more than once, 3 lines left out", p.stdout)
        self.fine("--merge", "b", "a", "-o", "ba")
        self.assertEqual(self.read("ab"), self.read("ba"))
        p = self.fine("--merge", "ab", "-o", "-")
        self.assertEqual(p.stdout.encode(), self.read("ab"))
        merged = [json.loads(line) for line in self.read("ab").splitlines()]
        self.assertEqual(sorted({r["from"] for r in merged}), ["a", "a,b", "b"])
        self.assertEqual([r["record"] for r in merged], [1] * 9)

    def test_later_versions_are_said_to_be(self):
        self.write("new", b'{"record": 2, "kind": "candidate"}\n')
        p = self.fine("--merge", "new", "-o", "x")
        self.assertIn("new:1: left out: record: version 2; this program reads up to 1", p.stderr)

    def test_a_file_of_something_else(self):
        p = self.fine("--show", self.write("log", b"no record\n" * 100), status=5)
        self.assertEqual(p.stderr.count("\n"), 21)
        self.assertIn("log: 80 more lines left out", p.stderr)

    def test_no_part_is_left(self):
        self.fine("--merge", GOLDEN, "-o", "x")
        self.assertEqual(sorted(os.listdir(self.folder.name)), ["x"])


class Table(Case):
    def test_table_of_golden_is_stale(self):
        p = self.fine("--table", GOLDEN, "-o", "t", status=5)
        self.assertIn("2 winners left out: the kernel has changed", p.stderr)
        self.assertIn("no winner", p.stderr)
        self.assertFalse(os.path.exists(self.path("t")))

    def test_table_and_lookup(self):
        p = self.fine("--table", self.records(), "-o", "t")
        self.assertEqual(p.stdout, "t: 10 entries for 1 device\n")
        lines = self.read("t").decode().splitlines()
        self.assertEqual(lines[0], "screening-table 1")
        self.assertEqual(len(lines), 12)
        p = self.fine(*ASK, "--device", NAME, SCR_TABLE=self.path("t"))
        self.assertIn("TILE_Q=32", p.stdout)
        self.assertIn("density=any", p.stdout)
        self.assertIn("level device", p.stdout)
        self.assertIn("limits are taken", p.stdout)
        for density, tile in ((0.04, 16), (0.6, 32), (1, 64)):
            p = self.fine("--lookup", "-a seq=1024 -a dtype=bf16 -a heads=8 -a head_dim=64",
                          "-a", f"workload=planted:{density}", "-a", "window=inf",
                          "--device", NAME, SCR_TABLE=self.path("t"))
            self.assertIn(f"TILE_Q={tile}", p.stdout)
            self.assertEqual(p.stdout.count("level "), 1)
        p = self.fine(*ASK, "kernel=masked-dense", "--device", NAME, SCR_TABLE=self.path("t"))
        self.assertIn("masked-dense/c skip=none", p.stdout)
        p = self.fine(*ASK, "--device", "ref", SCR_TABLE=self.path("t"))
        self.assertIn("ref:0", p.stdout)
        p = self.fine("--lookup", "seq=1024", "dtype=f16", "--device", NAME, SCR_TABLE=self.path("t"))
        self.assertIn("level default", p.stdout)

    def test_lookup_of_a_trace(self):
        ask = ["--lookup", f"workload=trace:{TRACE}", "dtype=f16", "--device", "ref"]
        p = self.fine(*ask)
        self.assertIn("heads=4 window=292.6 ", p.stdout)
        p = self.fine(*ask, "trace_head=each")
        self.assertEqual([line.split("window=")[1].split()[0] for line in p.stdout.splitlines()
                          if " window=" in line and " heads=1 " in line],
                         ["1.822", "81.49", "63.17", "1024"])
        p = self.fine(*ask, "trace_head=1", "window=init")  # of four: 2, 12, 41, 256
        self.assertIn("heads=1 window=7.341 ", p.stdout)

    def test_the_users_table(self):
        name = self.records()
        p = self.fine("--table", name)
        self.assertIn("config/screening/table: 10 entries", p.stdout)
        self.fine("--table", name, "-o", "t")
        self.assertEqual(self.read("t"), self.read("config/screening/table"))
        p = self.fine(*ASK, "--device", NAME)
        self.assertIn("(user)", p.stdout)
        home = {"XDG_CONFIG_HOME": "", "HOME": self.path("home")}
        self.fine("--table", name, **home)
        self.assertEqual(self.read("t"), self.read("home/.config/screening/table"))
        p = self.fine("--table", name, status=5, XDG_CONFIG_HOME="", HOME="")
        self.assertIn("expected -o TABLE", p.stderr)

    def test_any_order_gives_the_same_bytes(self):
        lines = self.read(self.records()).splitlines(keepends=True)
        self.write("back", b"".join(reversed(lines)))
        self.write("odd", b"".join(lines[1::2]))
        self.write("even", b"".join(lines[::2]))
        tables = {self.fine("--table", *files, "-o", "-").stdout for files in
                  (["fresh.jsonl"], ["back"], ["odd", "even"], ["even", "odd", "back"])}
        self.assertEqual(len(tables), 1)

    def test_permissions(self):
        name = self.records()
        self.fine("--table", name, "-o", "t")
        os.chmod(self.path("t"), 0o600)
        self.fine("--table", name, "-o", "t")
        self.assertEqual(stat.S_IMODE(os.stat(self.path("t")).st_mode), 0o600)


class Show(Case):
    def test_show(self):
        p = self.fine("--show", self.records())
        out = p.stdout
        self.assertEqual(p.stderr, "")
        self.assertLessEqual(max(map(len, out.splitlines())), 110)
        for text in (f"ref: {NAME}, 8 units", "bf16 dk=64 dv=64 causal q=1024 k=1024 heads=8 window=inf density=0.05",
                     "1.62x (1.60x to 1.64x); next best +10.0 %", "no difference (0.98x to 1.02x)",
                     "16 of 20 tried, local; regret 1.2 %; right on 2 shapes",
                     "Left out before they ran: 6 (3 registers, 3 spills)", "Failed: 6 (3 timeout, 3 wrong)",
                     "wrong, the first: tile-skip c TILE_K=64 TILE_Q=128: head 3: error 0.2"):
            self.assertIn(text, out)
        self.assertNotIn("stale", out)
        self.assertEqual(out.splitlines()[-1], "Faster than the built-in default on 2 of 3 shapes, by 1.31x to "
                         "1.62x, median 1.47x; slower on none.")

    def test_show_of_old_and_none(self):
        self.assertIn("stale: the kernel has changed", self.fine("--show", GOLDEN).stdout)
        self.assertEqual(self.fine("--show", self.write("none", b""), status=5).stdout, "No records.\n")


class Stale(Case):
    def test_stale(self):
        p = self.fine("--stale", self.records())
        self.assertRegex(p.stdout, r"^Nothing is stale: \d+ entries and winners ")
        p = self.fine("--stale", GOLDEN, status=1)
        self.assertIn(f"{GOLDEN}: ref tile-skip/c on {NAME}: 1 stale", p.stdout)
        self.assertIn("tuner --tune --device ref -a dtype=bf16 -a dk=64 -a dv=64 -a seq=1024 -a heads=8", p.stdout)
        p = self.fine("--show", self.records("old.jsonl", "old"))
        self.assertEqual(p.stdout.count("stale"), 6)

    def test_a_table_in_force(self):
        self.fine("--table", self.records(), "-o", "t")
        self.fine("--stale", SCR_TABLE=self.path("t"))

    def test_a_table_that_cannot_be_read(self):
        for mode in (("--stale",), ("--lookup", "seq=512", "--device", "ref")):
            p = self.fine(*mode, SCR_TABLE=self.path("none"))
            self.assertIn(f"tuner: table {self.path('none')}: not read: No such file", p.stderr)


class Export(Case):
    INVALIDITY = ("timeout", "compile", "runtime", "correctness", "constraints", "correct")

    def check(self, document):
        """What results-schema.json of T4 1.0.0 asks for."""
        self.assertRegex(document["schema_version"], r"^[0-9]+\.[0-9]+\.[0-9]+$")
        self.assertIsInstance(document["results"], list)
        for r in document["results"]:
            self.assertIsInstance(r["timestamp"], str)
            self.assertIsInstance(r["configuration"], dict)
            self.assertIsInstance(r["times"], dict)
            self.assertIsInstance(r["times"].get("runtimes", []), list)
            self.assertIn(r["invalidity"], self.INVALIDITY)
            self.assertIsInstance(r["correctness"], (int, float))
            self.assertIsInstance(r["objectives"], list)
            for m in r["measurements"]:
                self.assertIsInstance(m["name"], str)
                self.assertIsInstance(m["value"], (int, float, str, list))
                self.assertIsInstance(m["unit"], str)

    def test_export(self):
        p = self.fine("--export", "t4", self.records())
        document = json.loads(p.stdout)
        self.check(document)
        results = document["results"]
        self.assertEqual(len(results), 21)
        count = {i: sum(r["invalidity"] == i for r in results) for i in self.INVALIDITY}
        self.assertEqual(count, {"timeout": 3, "compile": 0, "runtime": 0, "correctness": 3, "constraints": 6, "correct": 9})
        fast = min((r for r in results if r["correctness"] == 1),
                   key=lambda r: next(m["value"] for m in r["measurements"] if m["name"] == "time"))
        self.assertEqual(fast["configuration"]["TILE_Q"], 16)
        self.assertEqual(fast["times"]["runtimes"], [0.1])
        self.assertEqual(fast["timestamp"], "2026-01-31 23:59:59+00:00")
        self.fine("--export", "t4", "fresh.jsonl", "-o", "t4.json")
        self.assertEqual(json.loads(self.read("t4.json")), document)

    def test_nothing_to_export(self):
        p = self.fine("--export", "t4", self.write("none", b""), status=5)
        self.assertIn("no candidate", p.stderr)
        self.check(json.loads(p.stdout))


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0]])
