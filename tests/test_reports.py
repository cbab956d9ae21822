#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Published reports: what is made of a sweep, and that no figure in a text is not in their rows.

Usage: test_reports.py SOURCE_ROOT HARNESS
"""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT, HARNESS = map(os.path.abspath, sys.argv[1:3])
REPORTS = os.path.join(ROOT, "results", "reports")
WAIT = 300


def script(name, *args):
    return subprocess.run([sys.executable, os.path.join(REPORTS, name), *args], capture_output=True, text=True,
                          timeout=WAIT)


def read(*path):
    with open(os.path.join(*path), encoding="utf-8") as f:
        return f.read()


def write(text, *path):
    with open(os.path.join(*path), "w", encoding="utf-8") as f:
        f.write(text)


class Tree(unittest.TestCase):
    """What is in this project."""

    def test_figures_are_those_of_the_rows(self):
        p = script("tables.py", "--check")
        self.assertEqual((p.returncode, p.stdout), (0, ""), p.stderr)

    def test_no_figure_elsewhere(self):
        for name in ("README.md", os.path.join("results", "reports", "README.md")):
            text = re.sub(r"<!-- (\w+) -->.*?<!-- /\1 -->", "", read(ROOT, name), flags=re.S)
            self.assertNotRegex(text, r"\d(\.\d+)? ?(×|x |times (faster|slower|as ))", name)

    def test_reports_are_whole(self):
        for name in sorted(os.listdir(REPORTS)):
            folder = os.path.join(REPORTS, name)
            if not os.path.exists(os.path.join(folder, "rows.jsonl")):
                continue
            report = read(folder, "report.md")
            for link in re.findall(r"\]\(([^)]*)\)", report):
                self.assertTrue(os.path.exists(os.path.join(folder, link)), f"{name}: {link}")
            run = json.loads(read(folder, "run.json"))
            self.assertIn(f"commit {run['commit']},", report)
            self.assertRegex(run["commit"], r"^[0-9a-f]{7,40}$|^v?[0-9.]+(-[0-9]+-g[0-9a-f]+)?$")
            self.assertIn(" --preset ", report)
            self.assertNotRegex(report + json.dumps(run), r"/(home|root|tmp|Users|mnt|work)/")


class Publish(unittest.TestCase):
    """A small sweep, and what is made of it."""

    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.mkdtemp(prefix="scr-reports-")
        shutil.copytree(os.path.join(ROOT, "tests", "data"), os.path.join(cls.dir, "data"))
        words = [HARNESS, "--sweep", "--preset", "full", "--device", "ref", "--time-limit", "0.02s", "--out", "sweep",
                 "-a", "seq=64,128", "-a", "heads=1", "-a", "head_dim=16", "-a", "window=inf", "-a", "r=2", "-a", "dtype=f32",
                 "-a", "workload=planted:0.05x64,ends:1,trace:" + os.path.join(cls.dir, "data",
                                                                               "psi16_k16v64.safetensors")]
        p = subprocess.run(words, cwd=cls.dir, capture_output=True, text=True, timeout=WAIT)
        assert p.returncode == 0, p.stderr
        cls.sweep = os.path.join(cls.dir, "sweep")
        cls.reports = os.path.join(cls.dir, "results", "reports")
        os.makedirs(cls.reports)
        cls.run_json = json.loads(read(cls.sweep, "run.json"))

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.dir)

    def publish(self, *args):
        return script("publish.py", self.sweep, "a-cpu-ref", "--reports", self.reports, *args)

    def put(self, **header):
        write(json.dumps({**self.run_json, **header}), self.sweep, "run.json")
        self.addCleanup(write, json.dumps(self.run_json), self.sweep, "run.json")

    def test_refusals(self):
        self.put(commit="abc1234+")
        p = self.publish()
        self.assertEqual(p.returncode, 1)
        self.assertIn("abc1234+", p.stderr)
        self.put(end="budget")
        p = self.publish("--commit", "abc1234")
        self.assertEqual(p.returncode, 1)
        self.assertIn("--partial", p.stderr)
        self.assertEqual(self.publish("--commit", "abc1234", "--partial").returncode, 0)
        self.put()
        rows = read(self.sweep, "rows.jsonl")
        self.addCleanup(write, rows, self.sweep, "rows.jsonl")
        write(json.dumps({**json.loads(rows.splitlines()[0]), "status": "wrong"}) + "\n" + rows, self.sweep, "rows.jsonl")
        p = self.publish("--commit", "abc1234")
        self.assertEqual(p.returncode, 1)
        self.assertIn("wrong", p.stderr)
        p = script("publish.py", self.sweep, "../elsewhere", "--reports", self.reports)
        self.assertEqual(p.returncode, 2)

    def test_nothing_personal_is_left(self):
        host = "host-of-a-person"
        self.put(machine={**self.run_json["machine"], "host": host})
        self.assertEqual(self.publish("--commit", "abc1234").returncode, 0)
        folder = os.path.join(self.reports, "a-cpu-ref")
        self.assertEqual(sorted(os.listdir(folder)), ["plots", "report.md", "rows.jsonl", "run.json"])
        for name in ("report.md", "rows.jsonl", "run.json"):
            text = read(folder, name)
            for leak in (self.dir, os.path.dirname(HARNESS), host):
                self.assertNotIn(leak, text, name)
        self.assertIn("    harness --sweep --preset full --device ref", read(folder, "report.md"))
        self.assertIn("commit abc1234,", read(folder, "report.md"))
        # The same rows as before, but for what is empty and what names the machine.
        before = [json.loads(line) for line in read(self.sweep, "rows.jsonl").splitlines()]
        after = [json.loads(line) for line in read(folder, "rows.jsonl").splitlines()]
        self.assertEqual(len(before), len(after))
        for old, new in zip(before, after):
            self.assertTrue(new["repro"].startswith("harness --sweep"))
            for key in set(old) - {"repro", "workload"}:
                self.assertEqual(new.get(key, old[key]), old[key])
                self.assertTrue(key in new or old[key] in (None, ""), key)
        p = subprocess.run([HARNESS, "--plot", folder], capture_output=True, text=True, timeout=WAIT)
        self.assertEqual(p.returncode, 0, p.stderr)

    def test_tables(self):
        """Blocks are filled from the rows, and a figure that is changed by hand is found."""
        self.assertEqual(self.publish("--commit", "abc1234").returncode, 0)
        for name in ("README.md", "results/reports/README.md", "results/reports/claims.md"):
            write(read(ROOT, name), self.dir, name)
        args = ("--reports", self.reports, "--root", self.dir)
        self.assertEqual(script("tables.py", "--check", *args).returncode, 1)
        p = script("tables.py", *args)
        self.assertEqual(p.returncode, 0, p.stderr)
        self.assertEqual(script("tables.py", "--check", *args).returncode, 0)
        text = read(self.dir, "README.md")
        rows = [json.loads(line) for line in read(self.reports, "a-cpu-ref", "rows.jsonl").splitlines()]
        best = max(r["speedup_vs_masked"] for r in rows if r["workload"] == "planted:0.05x64" and r["seq_q"] == 128
                   and r["skip"] != "none" and r["choice"] != "given")
        line = next(line for line in text.splitlines() if line.startswith("| 5 %, in runs of 64 |"))
        said = re.search(r"(~?[\d.]+)×|no difference", line)
        if said.group(1):
            self.assertAlmostEqual(float(said.group(1).strip("~")), best, delta=0.006 * best + 0.006)
        self.assertIn("[1] harness --sweep --device ref:0 -a workload=planted:0.05x64", text)
        self.assertIn("a-cpu-ref", read(self.dir, "results", "reports", "README.md"))
        write(text.replace("| 5 %, in runs of 64 | ", "| 5 %, in runs of 64 | 9"), self.dir, "README.md")
        p = script("tables.py", "--check", *args)
        self.assertEqual(p.returncode, 1)
        self.assertIn("README.md", p.stdout)

    def test_no_reports(self):
        """With none there is nothing to say, and no table of nothing."""
        empty = os.path.join(self.dir, "empty")
        os.makedirs(os.path.join(empty, "results", "reports"), exist_ok=True)
        for name in ("README.md", "results/reports/README.md", "results/reports/claims.md"):
            write(read(ROOT, name), empty, name)
        args = ("--reports", os.path.join(empty, "results", "reports"), "--root", empty)
        self.assertEqual(script("tables.py", *args).returncode, 0)
        self.assertEqual(script("tables.py", "--check", *args).returncode, 0)
        self.assertIn("No report is published yet", read(empty, "README.md"))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
