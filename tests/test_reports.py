#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Published reports: what is made of a sweep, and that no figure in a text is not in their rows.

Usage: test_reports.py SOURCE_ROOT HARNESS
"""
import json
import math
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import types
import unittest
import unittest.mock

ROOT, HARNESS = map(os.path.abspath, sys.argv[1:3])
REPORTS = os.path.join(ROOT, "results", "reports")
WAIT = 300


def script(name, *args, **env):
    return subprocess.run([sys.executable, os.path.join(REPORTS, name), *args], capture_output=True, text=True,
                          timeout=WAIT, env={**os.environ, **env})


def read(*path):
    with open(os.path.join(*path), encoding="utf-8") as f:
        return f.read()


def write(text, *path):
    with open(os.path.join(*path), "w", encoding="utf-8") as f:
        f.write(text)


class Modules(unittest.TestCase):
    """With the scripts' own functions."""

    @classmethod
    def setUpClass(cls):
        sys.path.insert(0, REPORTS)
        import claims
        import conditions
        import rerun
        import rows
        import tables
        cls.claims, cls.conditions, cls.rerun, cls.rows, cls.tables = claims, conditions, rerun, rows, tables


class Tree(Modules):
    """What is in this project."""

    def test_figures_are_those_of_the_rows(self):
        p = script("tables.py", "--check")
        self.assertEqual((p.returncode, p.stdout), (0, ""), p.stderr)

    def test_no_figure_elsewhere(self):
        for name in ("README.md", os.path.join("results", "reports", "README.md")):
            text = re.sub(r"<!-- (\w+) -->.*?<!-- /\1 -->", "", read(ROOT, name), flags=re.S)
            self.assertNotRegex(text, r"\d(\.\d+)? ?(×|x |times (faster|slower|as ))", name)

    def test_commands_can_be_typed(self):
        """In the READMEs a command names the program where a build has it, and files that are there."""
        for name in ("README.md", "results/README.md", "results/reports/README.md", "results/reports/claims.md"):
            text = read(ROOT, name)
            self.assertIsNone(re.search(r"(?m)(^    |`|\] )harness --", text), name)
            # The blocks have the commands of other machines.
            text = re.sub(r"<!-- (\w+) -->.*?<!-- /\1 -->", "", text, flags=re.S)
            for line in re.findall(r"(?m)^    (\S.*)", text):
                for file in re.findall(r"(?:harness/peers|tests|results)/[\w./-]+\.(?:py|sh|safetensors)", line):
                    self.assertTrue(os.path.exists(os.path.join(ROOT, file)), f"{name}: {file}")
                self.assertNotRegex(line, r"trace:(?!tests/|FILE)", name)

    def test_clocks_agree(self):
        """
        On GPUs device and host agree within 5 % and a microsecond on the same runs above 50 us: 32 of them share a launch
        and a wait for the end. A row below, whose runs back to back are held up by the host, may be flagged: single
        runs are too far below them then.
        """
        checked = 0
        for name in sorted(n for n in os.listdir(REPORTS) if os.path.isfile(os.path.join(REPORTS, n, "rows.jsonl"))):
            for r in map(json.loads, read(REPORTS, name, "rows.jsonl").splitlines()):
                if not r["on_cpu"] and (r.get("t_event_ns") or 0) > 50e3:
                    apart = abs(r["t_wall_ns"] - r["t_event_ns"])
                    self.assertLess(apart, 0.05 * r["t_event_ns"] + 1e3, f"{name}: {r['repro']}")
                    checked += 1
                if not r["on_cpu"] and (r.get("t_median_ns") or 0) > 50e3:
                    self.assertNotIn("events-", r.get("flags") or "", f"{name}: {r['repro']}")
        self.assertGreater(checked, 100)

    def test_nothing_is_tuned_to_recorded_layers(self):
        """They are what the tables are judged by."""
        found = 0
        for folder, _, files in os.walk(os.path.join(ROOT, "results")):
            for name in files:
                if name.endswith("records.jsonl"):
                    found += 1
                    self.assertIsNone(re.search("workload=trace:", read(folder, name)), folder)
        self.assertGreater(found, 0)

    def test_reports_are_whole(self):
        columns = {column for report in self.rows.load(REPORTS) for row in report.rows for column in row}
        for name in sorted(os.listdir(REPORTS)):
            folder = os.path.join(REPORTS, name)
            if not os.path.exists(os.path.join(folder, "rows.jsonl")):
                continue
            report = read(folder, "report.md")
            for link in re.findall(r"\]\(([^)]*)\)", report):
                self.assertTrue(os.path.exists(os.path.join(folder, link)), f"{name}: {link}")
            run = json.loads(read(folder, "run.json"))
            self.assertIn(f"commit {run['commit']},", report)
            rows = [json.loads(line) for line in read(folder, "rows.jsonl").splitlines()]
            left_out = run.get("left_out", {"rows": 0, "where": []})
            self.assertEqual(run["rows"], len(rows) + left_out["rows"], name)
            self.assertIn("has each row that is left" if left_out["rows"] else "has every row, without columns", report, name)
            head = [run["published_note"]] if "published_note" in run else []
            if left_out["rows"]:
                head.append(f"{left_out['rows']} of the sweep's {run['rows']} rows are left out: "
                            f"`{'`; `'.join(left_out['where'])}`.")
            self.assertEqual(report.split("\n\n")[1:][:len(head)], head, name)
            self.assertEqual("rows are left out: " in report, left_out["rows"] > 0, name)
            for condition in left_out["where"]:
                # With a row that has every column, so that no word is refused for want of one.
                with self.assertRaisesRegex(self.conditions.BadCondition, "no such row", msg=f"{name}: {condition}"):
                    self.conditions.matching([dict.fromkeys(columns), *rows], condition)
            self.assertRegex(run["commit"], r"^[0-9a-f]{7,40}$|^v?[0-9.]+(-[0-9]+-g[0-9a-f]+)?$")
            self.assertIn(" --preset ", report)
            self.assertEqual(len(re.findall(r"\]\(plots/", report)), len(os.listdir(os.path.join(folder, "plots"))), name)
            for root, _, files in os.walk(folder):
                for file in files:
                    if file.endswith((".md", ".json", ".jsonl", ".svg")):
                        self.assertNotRegex(read(root, file), r"/(home|root|tmp|Users|mnt|work)/", f"{name}: {file}")


class Publish(unittest.TestCase):
    """A small sweep, and what is made of it."""

    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.mkdtemp(prefix="scr-reports-")
        shutil.copytree(os.path.join(ROOT, "tests", "data"), os.path.join(cls.dir, "data"))
        words = [HARNESS, "--sweep", "--preset", "full", "--device", "ref", "--time-limit", "0.02s", "--out", "sweep",
                 "-a", "seq=64,128", "-a", "heads=1", "-a", "head_dim=16", "-a", "window=inf", "-a", "r=2", "-a",
                 "dtype=f32", "-a", "workload=planted:0.05x64,ends:1,trace:" + os.path.join(cls.dir, "data",
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

    def setUp(self):
        shutil.rmtree(os.path.join(self.reports, "a-cpu-ref"), ignore_errors=True)

    def publish(self, *args, **env):
        return script("publish.py", self.sweep, "a-cpu-ref", "--reports", self.reports, *args, **env)

    def put_rows(self, rows):
        before = read(self.sweep, "rows.jsonl")
        self.addCleanup(write, before, self.sweep, "rows.jsonl")
        write("".join(json.dumps(row) + "\n" for row in rows), self.sweep, "rows.jsonl")

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
        wrong = json.dumps({**json.loads(rows.splitlines()[0]), "status": "wrong"})
        write(wrong + "\n" + rows, self.sweep, "rows.jsonl")
        p = self.publish("--commit", "abc1234")
        self.assertEqual(p.returncode, 1)
        self.assertIn("wrong", p.stderr)
        write(rows, self.sweep, "rows.jsonl")
        if any(name.endswith(".svg") for name in os.listdir(os.path.join(self.sweep, "plots"))):
            report = read(self.sweep, "report.md")
            self.addCleanup(write, report, self.sweep, "report.md")
            write(re.sub(r"!\[.*\n", "", report), self.sweep, "report.md")
            p = self.publish("--commit", "abc1234")
            self.assertEqual(p.returncode, 1)
            self.assertIn("none of the pictures", p.stderr)
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
        self.assertIn("    build/harness/harness --sweep --preset full --device ref", read(folder, "report.md"))
        self.assertIn("commit abc1234,", read(folder, "report.md"))
        # The same rows as before, but for what is empty and what names the machine.
        before = [json.loads(line) for line in read(self.sweep, "rows.jsonl").splitlines()]
        after = [json.loads(line) for line in read(folder, "rows.jsonl").splitlines()]
        self.assertEqual(len(before), len(after))
        for old, new in zip(before, after):
            self.assertTrue(new["repro"].startswith("build/harness/harness --sweep"))
            for key in set(old) - {"repro", "workload"}:
                self.assertEqual(new.get(key, old[key]), old[key])
                self.assertTrue(key in new or old[key] in (None, ""), key)
        p = subprocess.run([HARNESS, "--plot", folder], capture_output=True, text=True, timeout=WAIT)
        self.assertEqual(p.returncode, 0, p.stderr)

    def test_note(self):
        """What a reader must know stands first, and in the list; whose build a kernel is stands nowhere."""
        self.put(machine={**self.run_json["machine"], "os": "Linux 6.18.44-fc-v1-gpu x86_64"})
        note = "Half of it is missing: \\1. Linux 6.8.0-x, too."
        p = self.publish("--commit", "abc1234", "--note", note)
        self.assertEqual(p.returncode, 0, p.stderr)
        folder = os.path.join(self.reports, "a-cpu-ref")
        self.assertEqual(read(folder, "report.md").split("\n\n")[1], note)
        run = json.loads(read(folder, "run.json"))
        self.assertEqual((run["published_note"], run["machine"]["os"]), (note, "Linux 6.18 x86_64"))
        for name in ("README.md", "results/reports/README.md", "results/reports/claims.md"):
            write(read(ROOT, name), self.dir, name)
        self.assertEqual(script("tables.py", "--reports", self.reports, "--root", self.dir).returncode, 0)
        self.assertIn("\n- [a-cpu-ref](a-cpu-ref/report.md): Half of it is missing",
                      read(self.dir, "results", "reports", "README.md"))
        text = read(self.dir, "README.md")
        self.assertIn("\n† [a-cpu-ref](results/reports/a-cpu-ref/report.md): Half of it is missing", text)
        self.assertIn("a-cpu-ref/report.md) † |", text)

    def test_without(self):
        """
        Rows that match all words of one condition go, from the report, too, whatever the sweep's folder has to make it
        anew, and are told of.
        """
        page = os.path.join(self.sweep, "report.html")
        self.addCleanup(write, read(page), page)
        os.remove(page)
        where = ["skip=slice workload=planted:*", "kernel=dense seq_q<=64", "workload=trace:data/p* kernel=dense",
                 "workload=*/psi16_k16v64.safetensors kernel=masked-dense"]
        args = ["--commit", "abc1234", *(word for condition in where for word in ("--without", condition))]
        p = self.publish(*args)
        self.assertEqual(p.returncode, 1)
        self.assertIn("say it by --note", p.stderr)
        p = self.publish(*args, "--note", "Some are wrong.", HARNESS=HARNESS)
        self.assertEqual(p.returncode, 0, p.stderr)
        folder = os.path.join(self.reports, "a-cpu-ref")
        every, kept = ([json.loads(line) for line in read(where, "rows.jsonl").splitlines()]
                       for where in (self.sweep, folder))
        gone = [r for r in every if (r["skip"] == "slice" and r["workload"].startswith("planted:"))
                or (r["kernel"] == "dense" and r["seq_q"] <= 64)
                or (r["workload"].startswith("trace:") and r["kernel"] in ("dense", "masked-dense"))]
        self.assertTrue(0 < len(gone) < len(every))
        which = ("data_hash", "kernel", "skip", "params", "t_median_ns")
        self.assertEqual([[r.get(k) or "" for k in which] for r in kept],
                         [[r.get(k) or "" for k in which] for r in every if r not in gone])
        self.assertEqual(json.loads(read(folder, "run.json"))["left_out"], {"rows": len(gone), "where": where})
        slices = r"(?m)^\| planted:.*\| tile-skip slice \|"
        self.assertRegex(read(self.sweep, "report.md"), slices)
        report = read(folder, "report.md")
        self.assertNotRegex(report, slices)
        told = f"{len(gone)} of the sweep's {len(every)} rows are left out: `{'`; `'.join(where)}`."
        self.assertEqual(report.split("\n\n")[1:3], ["Some are wrong.", told])
        self.assertIn(" has each row that is left, without columns that are empty,", report)
        p = self.publish("--commit", "abc1234", "--note", "x", "--without", "skip=slice", HARNESS="/bin/false")
        self.assertEqual(p.returncode, 1)
        self.assertEqual([name for name in os.listdir(self.reports) if name.startswith(".")], [])

    def test_pictures_of_what_is_left_out_go(self):
        """With nothing skipped there is no picture of it, though the sweep has one."""
        plots = os.listdir(os.path.join(self.sweep, "plots"))
        if not any(name.startswith("tile_density") and name.endswith(".svg") for name in plots):
            self.skipTest("no gnuplot")
        p = self.publish("--commit", "abc1234", "--note", "x", "--without", "kernel=tile-skip skip=tile",
                         "--without", "kernel=tile-skip skip=slice", HARNESS=HARNESS)
        self.assertEqual(p.returncode, 0, p.stderr)
        folder = os.path.join(self.reports, "a-cpu-ref")
        drawn = sorted(os.listdir(os.path.join(folder, "plots")))
        self.assertEqual([name for name in drawn if name.startswith("tile_density")], [])
        self.assertEqual(sorted(re.findall(r"\]\(plots/([^)]*)\)", read(folder, "report.md"))), drawn)

    def test_what_without_refuses(self):
        """A condition that says nothing, wrong rows behind one, and a report that is published already."""
        args = ("--commit", "abc1234", "--note", "x", "--without")
        for wrong, said in (("no_column=1", "no column no_column"), ("seq_q", "is neither"), ("seq_q>3", "is neither"),
                            ("kernel=no_such", "no such row"), ("kernel<=3", "no such row"),
                            ("seq_q<=4k", "4k is not a number"), ("seq_q<= 64", "nothing is not a number"),
                            ("  ", "has no word"), ("kernel='x", "No closing quotation"), ("seq_q<=1e9", "own")):
            p = self.publish(*args, wrong, HARNESS=HARNESS)
            self.assertEqual((p.returncode, p.stderr.count("Traceback")), (1, 0), p.stderr)
            self.assertRegex(p.stderr, said)
        rows = [json.loads(line) for line in read(self.sweep, "rows.jsonl").splitlines()]
        self.put_rows([{**rows[0], "status": "wrong"}, *rows])
        p = self.publish(*args, "status=wrong", HARNESS=HARNESS)
        self.assertEqual(p.returncode, 1)
        self.assertIn("of its rows are wrong", p.stderr)
        self.put_rows(rows)
        for more in ((), ("--note", "x", "--without", "kernel=dense")):
            self.assertEqual(self.publish("--commit", "abc1234", *more, HARNESS=HARNESS).returncode, 0)
            p = script("publish.py", os.path.join(self.reports, "a-cpu-ref"), "b-cpu-ref", "--reports", self.reports,
                       "--commit", "abc1234")
            self.assertEqual(p.returncode, 1)
            self.assertIn("published already", p.stderr)

    def test_a_note_is_not_lost(self):
        """What a reader must know goes by a command that says so alone."""
        self.assertEqual(self.publish("--commit", "abc1234", "--note", "Half of it.").returncode, 0)
        p = self.publish("--commit", "def5678")
        self.assertEqual(p.returncode, 1)
        self.assertIn("Half of it.", p.stderr)
        report = os.path.join(self.reports, "a-cpu-ref", "report.md")
        self.assertIn("commit abc1234,", read(report))
        self.assertEqual(self.publish("--commit", "def5678", "--note", "").returncode, 0)
        self.assertIn("commit def5678,", read(report))
        self.assertNotIn("Half of it.", read(report))
        self.assertEqual(self.publish("--commit", "abc1234").returncode, 0)

    def test_rows_do_not_come_back_by_chance(self):
        """Neither those of this sweep, nor under a note that says that they are gone."""
        without = ("--without", "kernel=dense seq_q<=64")
        began = self.run_json["start"]
        for start, note, said in ((began, "Gone.", "this note"), (began, "", "this sweep"),
                                  ("2026-11-27T00:00:00Z", "Gone.", "this note")):
            self.put()
            self.assertEqual(self.publish("--commit", "abc1234", "--note", "Gone.", *without, HARNESS=HARNESS).returncode, 0)
            self.put(start=start)
            p = self.publish("--commit", "abc1234", "--note", note)
            self.assertEqual(p.returncode, 1, (start, note))
            self.assertIn(said, p.stderr)
            self.assertIn("say --without 'kernel=dense seq_q<=64', or remove", p.stderr)
        self.assertEqual(self.publish("--commit", "abc1234", "--note", "All are there.").returncode, 0)

    def test_names(self):
        """Names and paths of any form go where they can be, and nothing else changes its name."""
        rows = [json.loads(line) for line in read(self.sweep, "rows.jsonl").splitlines()]
        report = read(self.sweep, "report.md")
        self.addCleanup(write, report, self.sweep, "report.md")
        for host in ("gpu", "ab", "c", "bob-pc.lab.example", "a-cpu"):
            words = ["-I/home/bob/include", "file:///home/bob/f.safetensors", "../bob/g", "/home/bob",
                     "PATH=a:/home/bob/b", "~bob/h", "~/i", "/home/alice", "/data/bob/j", "bob/k",
                     f"results/20260101T000000Z-{host}"]
            names = {**self.run_json["options"], "cwd": "/home/bob/src",
                     "command": [*self.run_json["options"]["command"], *words]}
            self.put(machine={**self.run_json["machine"], "host": host}, options=names)
            self.put_rows([{**r, "repro": " ".join([r["repro"], *words]), "variant": "gpu",
                            "params": "WIDE=1 ab=2 f16/x",
                            "reason": f"{host}: cannot open '/home/bob/l' on bob-pc"} for r in rows])
            write(report + "    harness " + " ".join(words) + "\n", self.sweep, "report.md")
            p = self.publish("--commit", "abc1234", USER="bob", LOGNAME="bob", HOME="/home/bob")
            self.assertEqual(p.returncode, 0, p.stderr)
            folder = os.path.join(self.reports, "a-cpu-ref")
            for name in ("report.md", "rows.jsonl", "run.json"):
                text = read(folder, name)
                for leak in ("bob/", "/bob", "/home", "alice", "file:", "lab.example", "~bob"):
                    self.assertNotIn(leak, text, (host, name))
                self.assertNotRegex(text, r"\bbob\b", (host, name))
            row = json.loads(read(folder, "rows.jsonl").splitlines()[0])
            self.assertEqual((row["variant"], row["params"], row["kernel"]),
                             ("gpu", "WIDE=1 ab=2 f16/x", rows[0]["kernel"]))
            self.assertIn(" include f.safetensors g ~ PATH=a:b h i ~ j user/k ", row["repro"].replace("-I", ""))
            self.assertIn("Z-a-cpu-ref", row["repro"])
            self.assertEqual(json.loads(read(folder, "run.json"))["machine"]["host"], "a-cpu-ref")

    def test_leaks_are_refused(self):
        """What no rule knows of is found before anything is published, and the old report stays."""
        self.assertEqual(self.publish("--commit", "abc1234").returncode, 0)
        folder = os.path.join(self.reports, "a-cpu-ref")
        before = read(folder, "report.md")
        picture = os.path.join(self.sweep, "plots", "more.svg")
        self.addCleanup(os.remove, picture)
        self.put(machine={**self.run_json["machine"], "host": "pc-of-bob.lab.example"})
        row = json.loads(read(self.sweep, "rows.jsonl").splitlines()[0])
        for text, peer in (("/home/alice/x", ""), ("/srv/of/b/x", ""), ("by bob", ""), ("pc-of-bob.lab.example", ""),
                           ("", "tool-of-bob")):
            write(f"<svg><text>{text}</text></svg>", picture)
            self.put_rows([row, {**row, "peer": peer}])
            p = self.publish("--commit", "def5678", USER="bob", LOGNAME="bob", HOME="/srv/of/b")
            self.assertEqual(p.returncode, 1, text)
            self.assertIn("rows.jsonl" if peer else "more.svg", p.stderr)
            self.assertEqual(read(folder, "report.md"), before)
            self.assertEqual([n for n in os.listdir(self.reports) if n.startswith(".")], [])

    def test_doubts(self):
        """Each figure says which way to skip it is of, and by letters why its time is in doubt."""
        rows = [json.loads(line) for line in read(self.sweep, "rows.jsonl").splitlines()]
        for r in rows:
            r.update(flags="", n_samples=10, t_ci_lo_ns=r["t_median_ns"], t_ci_hi_ns=r["t_median_ns"])
            if r["skip"] in ("tile", "slice"):
                r.update(speedup_vs_masked=2.0, speedup_vs_masked_lo=1.9, speedup_vs_masked_hi=2.1)
            if r["skip"] == "slice":
                r.update(speedup_vs_masked=2.05, t_median_ns=1000.0, t_ci_lo_ns=1000.0, t_ci_hi_ns=1000.0)
                if r["workload"] == "planted:0.05x64":
                    r["flags"] = "near-floor,throttled,over-ideal"
                if r["workload"] == "ends:1":
                    r["n_samples"] = 5
        self.put_rows(rows)
        self.assertEqual(self.publish("--commit", "abc1234").returncode, 0)
        for name in ("README.md", "results/reports/README.md", "results/reports/claims.md"):
            write(read(ROOT, name), self.dir, name)
        p = script("tables.py", "--reports", self.reports, "--root", self.dir)
        self.assertEqual(p.returncode, 0, p.stderr)
        text = read(self.dir, "README.md")
        cell = r"[\d.]+ [nµm]s, 2\.05× \(1\.90–2\.10\), slice"
        self.assertRegex(text, rf"\| 5 %, in runs of 64 \| {cell} \[1\]<sup>T,F,I</sup> \|")
        self.assertRegex(text, rf"\| everything alive \| {cell} \[2\]<sup>W</sup> \|")
        self.assertRegex(text, "T throttled: with the clock held down.*; F near-floor: shorter than three empty kernels; "
                               "I over-ideal.*; W wide")
        self.assertNotIn("U unsteady", text)

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
        best = min((r for r in rows if r["workload"] == "planted:0.05x64" and r["seq_q"] == 128 and r["kernel"] == "tile-skip"
                    and r["skip"] != "none" and r["choice"] != "given"), key=lambda r: r["t_median_ns"])["speedup_vs_masked"]
        line = next(line for line in text.splitlines() if line.startswith("| 5 %, in runs of 64 |"))
        said = re.search(r"(~?[\d.]+)×|no difference \(([\d.]+)–([\d.]+)\)", line)
        if said.group(1):
            self.assertAlmostEqual(float(said.group(1).strip("~")), best, delta=0.006 * best + 0.006)
        else:
            self.assertLessEqual(float(said.group(2)), 1.0)
            self.assertGreaterEqual(float(said.group(3)), 1.0)
            self.assertTrue(float(said.group(2)) - 0.006 <= best <= float(said.group(3)) + 0.006, (line, best))
        self.assertIn("[1] build/harness/harness --sweep --device ref:0 -a workload=planted:0.05x64", text)
        self.assertIn("a-cpu-ref", read(self.dir, "results", "reports", "README.md"))
        write(text.replace("| 5 %, in runs of 64 | ", "| 5 %, in runs of 64 | 9"), self.dir, "README.md")
        p = script("tables.py", "--check", *args)
        self.assertEqual(p.returncode, 1)
        self.assertIn("README.md", p.stdout)

    def rerun(self, text, *args):
        page = os.path.join(self.dir, "page.md")
        write(text, page)
        return script("rerun.py", "a-cpu-ref", "--page", page, "--reports", self.reports, "--work",
                      os.path.join(self.dir, "again"), *args)

    def put_published(self, change):
        """Changes the published rows."""
        path = os.path.join(self.reports, "a-cpu-ref", "rows.jsonl")
        rows = [json.loads(line) for line in read(path).splitlines()]
        for r in rows:
            change(r)
        write("".join(json.dumps(r) + "\n" for r in rows), path)

    def test_rerun(self):
        """The commands beside the figures give these figures again, and one that is not so is found."""
        self.assertEqual(self.publish("--commit", "abc1234", "--note", "Half of it is missing.").returncode, 0)
        for name in ("README.md", "results/reports/README.md", "results/reports/claims.md"):
            write(read(ROOT, name), self.dir, name)
        self.assertEqual(script("tables.py", "--reports", self.reports, "--root", self.dir).returncode, 0)
        text = read(self.dir, "README.md").replace("build/harness/harness", shlex.quote(HARNESS))
        # Times of a busy machine differ by any amount: what is shown here is which rows are held to which.
        p = self.rerun(text, "--only", "1,2", "--within", "100000")
        self.assertEqual((p.returncode, p.stderr), (0, ""), p.stdout)
        self.assertTrue(p.stdout.startswith("a-cpu-ref: Half of it is missing.\n[1] "), p.stdout)
        self.assertRegex(p.stdout, r"(?m)^\[1\] tile-skip (tile|slice): .* now .*; vs masked .*: agrees$")
        self.assertIn("2 commands: 0 left out, 0 failed; 2 of 2 rows agree", p.stdout)
        self.assertNotIn("times will differ", p.stdout)

        times = ("t_median_ns", "t_ci_lo_ns", "t_ci_hi_ns")
        self.put_published(lambda r: r.update({k: 1000 * r[k] for k in times if r.get(k)}))
        p = self.rerun(text, "--only", "1", "--within", "90")
        self.assertEqual(p.returncode, 4, p.stdout)
        self.assertRegex(p.stdout, r"(?m)^\[1\] .*: DIFFERS$")

        # A page may be run on another device than the report's.
        self.put_published(lambda r: r.update(device="cuda:0", device_name="Another"))
        p = self.rerun(text.replace("--device ref:0", "--device cuda:0"), "--device", "ref:0", "--only", "1",
                       "--within", "100000")
        self.assertEqual(p.returncode, 0, p.stdout)
        self.assertRegex(p.stdout, "This is .*; the figures are of Another, .* cores: times will differ")

    def test_rerun_that_fails(self):
        """A program that does not give the row of the figure, in every way."""
        self.assertEqual(self.publish("--commit", "abc1234").returncode, 0)
        for name in ("README.md", "results/reports/README.md", "results/reports/claims.md"):
            write(read(ROOT, name), self.dir, name)
        self.assertEqual(script("tables.py", "--reports", self.reports, "--root", self.dir).returncode, 0)
        command = re.search(r"(?m)^    \[1\] build/harness/harness (.*)$", read(self.dir, "README.md")).group(1)
        fake, run = os.path.join(self.dir, "fake"), f'{shlex.quote(HARNESS)} "$@"; for out; do :; done;'
        for program, said in (
                ("echo no such thing >&2; exit 3", "failed: exit status 3: no such thing"), ("exit 0", "failed: .*rows.jsonl"),
                ("sleep 100", "failed: not done after 1 s"),
                (f"{run} exit 130", "failed: exit status 130"),
                (f"{shlex.quote(HARNESS)} \"$@\" --seed 2", "failed: the row of the figure is not among its"),
                (f"{run} sed -i 's/:\"ok\"/:\"wrong\"/' $out/rows.jsonl; exit 1", "failed: tile-skip: wrong"),
                (f"{run} echo >$out/rows.jsonl", "failed: ")):
            write(f"#!/bin/sh\n{program}\n", fake)
            os.chmod(fake, 0o755)
            begin = time.monotonic()
            p = self.rerun(f"    [1] {fake} {command}\n", *(("--timeout", "1") if "sleep" in program else ()))
            self.assertLess(time.monotonic() - begin, 60)
            self.assertEqual(p.returncode, 1, p.stdout + p.stderr)
            self.assertRegex(p.stdout, r"(?m)^\[1\] " + said)
            self.assertIn("1 commands: 0 left out, 1 failed", p.stdout)
            self.assertEqual(p.stderr, "")

    def test_rerun_of_nothing(self):
        self.assertEqual(self.publish("--commit", "abc1234").returncode, 0)
        sweep = f"{shlex.quote(HARNESS)} --sweep --device ref:0 -a kernel=tile-skip -a skip=tile"
        for command, args, said in (
                (f"{sweep} -a workload=trace:no/such.safetensors", (), "[7] left out: no/such.safetensors is not there"),
                (f"{sweep} -a seq=32", (), "[7] left out: of another device"),
                (sweep.replace("ref:0", "ref:1"), (), "the page has no command for ref:0"),
                (sweep, ("--only", "8"), "no command 8 for ref:0"), (sweep, ("--only", "x"), "'x' is not N,..."),
                (sweep, ("--page", "no-page"), "cannot read no-page")):
            p = self.rerun(f"    [7] {command}\n", *args)
            self.assertEqual(p.returncode, 2, p.stdout + p.stderr)
            self.assertIn(said, p.stdout + p.stderr)
            self.assertNotIn("Traceback", p.stderr)
        p = script("rerun.py", "no-report", "--reports", self.reports)
        self.assertEqual(p.returncode, 2)
        self.assertIn("there is no report no-report, but a-cpu-ref", p.stderr)

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


class Figures(Modules):
    """What the tables make of rows."""

    def test_break_even(self):
        """The first density at which skipping does not pay ends it, whatever gains beyond."""
        def found(*points):
            report = types.SimpleNamespace(find=lambda: [
                {"kernel": "tile-skip", "skip": skip, "window": "inf", "choice": "default", "workload": f"planted:{d}x64",
                 "tile_density": d, "speedup_vs_masked": x, "speedup_vs_masked_lo": x - 0.01} for d, x, skip in points])
            return [r and r["tile_density"] for r in self.tables.break_even(report)]
        self.assertEqual(found((0.2, 1.5, "tile"), (0.5, 1.2, "tile"), (0.8, 0.9, "tile"), (0.9, 1.1, "slice")), [0.5, 0.8])
        self.assertEqual(found((0.2, 0.9, "tile"), (0.2, 1.2, "slice")), [0.2, None])
        self.assertEqual(found((0.2, 1.005, "tile")), [None, 0.2])
        # Of data sets with the same density one that does not gain decides, in whatever order they come.
        for order in ((1.5, 0.9), (0.9, 1.5)):
            rows = [{"kernel": "tile-skip", "skip": "tile", "window": "inf", "workload": str(x), "tile_density": 1.0,
                     "speedup_vs_masked": x, "speedup_vs_masked_lo": x - 0.01} for x in order]
            report = types.SimpleNamespace(find=lambda rows=rows: rows)
            self.assertEqual(self.tables.break_even(report), (None, rows[order.index(0.9)]))

    def test_fastest_peer(self):
        """At the greatest length that has one, whatever the others lack."""
        rows = [{"peer": "p", "op": "softmax", "seq_q": n, "t_median_ns": t, "vs_softmax": v}
                for n, t, v in ((512, 1.0, 9.0), (1024, 5.0, 2.0), (1024, 4.0, 1.6), (1024, 3.0, None), (2048, None, None))]
        report = types.SimpleNamespace(find=lambda **want: rows)
        self.assertEqual(self.tables.fastest_peer(report, "softmax", "vs_softmax", "w", "inf"), rows[2])
        self.assertIsNone(self.tables.fastest_peer(report, "screening", "vs_framework", "w", "inf"))

    def test_layers(self):
        """The fastest row that skips: of rows of this layer, as a whole, by the table."""
        def row(kernel, skip, t, head=None, choice="device built-in", peer="", layer="trace:a", window="own"):
            return {"workload": layer, "window": window, "status": "ok", "trace_head": head, "kernel": kernel, "skip": skip,
                    "peer": peer, "op": "softmax" if peer else "screening", "choice": choice, "t_median_ns": t, "t_ci_lo_ns": t,
                    "t_ci_hi_ns": t, "speedup_vs_masked": 100 / t, "vs_softmax": t / 20 if peer else None}
        report = types.SimpleNamespace(rows=[
            row("tile-skip", "none", 30.0), row("tile-skip", "tile", 25.0), row("tile-skip", "slice", 20.0),
            row("tile-skip", "slice", 1.0, head=0), row("tile-skip", "slice", 2.0, choice="given"),
            row("sdpa", "", 80.0, peer="p", choice=""), row("tile-skip", "none", 5.0, layer="trace:b"),
            row("tile-skip", "tile", 6.0, layer="iid", window="init"),
            row("tile-skip", "tile", 7.0, layer="planted:0.1x4", window="trained")])
        layer, made = self.tables.layers_of(report)
        self.assertEqual([layer[k]["t_median_ns"] for k in ("best", "none", "softmax")], [20.0, 30.0, 80.0])
        self.assertEqual((made["best"]["t_median_ns"], made["none"], made["softmax"]), (7.0, None, None))

    @staticmethod
    def against_masked(x, off=1.0, **more):
        """A row with a ratio whose interval is off by that factor, either way."""
        return {"params": "A=1", "masked_params": "B=1", "speedup_vs_masked": x, "speedup_vs_masked_lo": x / off,
                "speedup_vs_masked_hi": x * off, **more}

    def test_over_skip_none(self):
        """Two times of the same sweep drift apart: the ratio is of what each was sampled in turn with."""
        best = self.against_masked(3.0, math.exp(0.03), t_median_ns=20.0, vs_no_skip=1.2, vs_no_skip_lo=1.1, vs_no_skip_hi=1.3)
        none = self.against_masked(4.0, math.exp(0.04), t_median_ns=25.0, params="A=2")
        own = self.tables.over_skip_none({"best": best, "none": none})
        for x, expected in zip(own, (0.75, 0.75 * math.exp(-0.05), 0.75 * math.exp(0.05))):
            self.assertAlmostEqual(x, expected)
        same = self.tables.over_skip_none({"best": best, "none": {**none, "params": "A=1"}})
        self.assertEqual(same, self.rows.Ratio(1.2, 1.1, 1.3))
        for other in (None, {**none, "masked_params": "B=2"}, {**none, "speedup_vs_masked_lo": None}):
            self.assertIsNone(self.tables.over_skip_none({"best": best, "none": other}))

    def test_threshold_gain(self):
        """Parameters that are bad for the kernel without skipping do not make a gain of it."""
        for twin, none, gain in ((1.2, 4.0, 0.75), (1.2, 2.0, 1.2), (0.9, None, 0.9), (None, 4.0, None)):
            best = self.against_masked(3.0, vs_no_skip=twin)
            none = none and self.against_masked(none, params="A=2")
            found = self.tables.threshold_gain({"best": best, "none": none})
            self.assertEqual(found and found[0].x, gain)
            if found:
                self.assertEqual(found[1:], (best, none) if gain == 0.75 else (best,))

    def test_spread(self):
        """Each end has the letters of its own rows, and of its own interval."""
        calm, hot = self.against_masked(2.0, n_samples=9), self.against_masked(1.0, flags="throttled")
        one, two, three = (self.rows.Ratio(x, x / 1.02, x * 1.02) for x in (1.0, 2.0, 3.0))
        wide = self.rows.Ratio(3.0, 2.5, 3.6)
        for figures, text in (([(two, calm), (one, hot)], "1.00×<sup>T</sup> to 2.00×"),
                              ([(two, calm), (two, calm)], "2.00×"),
                              ([(three, calm), (two, hot, calm)], "2.00×<sup>T</sup> to 3.00×"),
                              ([(wide, calm), (two, calm)], "2.00× to 3.00×<sup>W</sup>")):
            self.assertEqual(self.tables.spread(figures, self.rows.Doubts()), text)

    def test_wide_ratios(self):
        """In no block is a ratio whose interval is wide without the letter that says so."""
        reports = self.rows.load(REPORTS)
        for report in reports:
            for r in report.rows:
                r["n_samples"] = 9  # times are sure
                for end, factor in (("_lo", 0.9), ("_hi", 1.1)):
                    if r.get("t_median_ns"):
                        r[f"t_ci{end}_ns"] = (1 + (factor - 1) / 2.1) * r["t_median_ns"]
                    for column in ("speedup_vs_masked", "vs_no_skip", "vs_softmax", "vs_framework"):
                        if r.get(column):
                            r[column + end] = factor * r[column]
        ranked = sorted(reports, key=lambda r: r.rank())
        found = 0
        for block in (self.tables.figures_block(ranked), self.tables.list_block(reports),
                      self.claims.claims_block(ranked)):
            for line in block:
                if line.startswith("- **"):  # sentences, with no intervals
                    figures = re.findall(r"[\d.]+×(?:<sup>[\w,]*</sup>)?", line)
                else:
                    figures = re.findall(r"(?:×|difference) \([\d.]+–[\d.]+\).*?(?=[|;×]|<br>|$)", line)
                for figure in figures:
                    self.assertRegex(figure, r"<sup>(\w,)*W(,\w)*</sup>", line)
                found += len(figures)
        self.assertGreater(found, 300)

    def test_table_of_layers(self):
        """A column a device, whatever report has the row; what a command needs orders the layers."""
        def row(layer, window="own", **more):
            return {"workload": layer, "window": window, "status": "ok", "trace_head": None, "kernel": "tile-skip",
                    "skip": "tile", "peer": "", "choice": "device built-in", "t_median_ns": 1e3, "t_ci_lo_ns": 1e3,
                    "t_ci_hi_ns": 1e3,
                    "speedup_vs_masked": 4.0, "speedup_vs_masked_lo": 3.9, "speedup_vs_masked_hi": 4.1, "vs_no_skip": 2.0,
                    "vs_no_skip_lo": 1.9, "vs_no_skip_hi": 2.1, "pair_density": 0.25, "dtype": "f16", "heads": 8, "seq_q": 64,
                    "dk": 16, "dv": 64, "n_samples": 9, "device": "d", "r": 16, **more}

        def report(device, name, *rows):
            return types.SimpleNamespace(name=name, rows=rows, short=lambda: device, preset="traces", run={})
        whole, part, made = row("trace:w.safetensors"), row("trace:tests/data/p.safetensors"), row("planted:0.1x4", "trained")
        none = row("planted:0.1x4", "trained", skip="none", t_median_ns=900.0, params="A=2", speedup_vs_masked=5.0,
                   speedup_vs_masked_lo=4.9, speedup_vs_masked_hi=5.1, flags="near-floor")
        reports = [report("A", "a-traces", whole, part), report("A", "a-trained", made, none), report("B", "b-trained", made)]
        lines = self.tables.layer_lines(reports, self.rows.Commands())
        none["speedup_vs_masked_hi"] = 5.6  # the ratio that is made of it is wide, too
        self.assertRegex("\n".join(self.tables.layer_lines(reports, self.rows.Commands())),
                         r"0.80× \(0.71–0.8\d\) \[2\]<sup>F,W</sup>")
        self.assertEqual(lines[2], "| | A | B |")
        heads = [line for line in lines if line.startswith("| **")]
        names = [re.search(r"\*\*(.*)\*\*", line).group(1) for line in heads]
        self.assertEqual(names, ["planted:0.1x4, window trained", "p", "w"])
        self.assertIn("| [f16, 8 heads, 64 tokens](results/reports/a-trained/report.md), 25 % alive | [f16", heads[0])
        self.assertRegex(heads[2], r"a-traces/report.md\), 25 % alive \|  \|$")
        self.assertRegex(lines[lines.index(heads[0]) + 1], r"^\| over .*\| 1.00 µs, 4.00× .* \[1\] \| 1.00 µs, .* \[1\] \|$")
        self.assertTrue(lines[lines.index(heads[2]) + 1].endswith(" | not published |"))
        self.assertRegex(lines[lines.index(heads[0]) + 3], r"\| 900 ns, 0.80× \(0.77–0.83\) \[2\]<sup>F</sup> \| not published \|$")
        self.assertTrue(lines[lines.index(heads[0]) + 4].endswith("| not published | not published |"))

    def test_kinds_of_layers(self):
        names = ("iid", "trace:tests/data/a.safetensors", "trace:a.x")
        made, part, whole = ({"workload": w, "window": "trained"} for w in names)
        self.assertEqual(sorted((whole, part, made), key=self.rows.layer_kind), [made, part, whole])
        self.assertEqual(self.rows.layer_name(part), "a")
        self.assertTrue(self.rows.is_layer(made) and self.rows.is_layer(part))
        self.assertFalse(self.rows.is_layer({"workload": "iid", "window": "init"}))

    def test_time_of(self):
        for ns, said in ((999, "999 ns"), (1000, "1.00 µs"), (70600, "70.6 µs"), (44.28e6, "44.3 ms"), (2e9, "2.00 s")):
            self.assertEqual(self.rows.time_of({"t_median_ns": ns}), said)


class Conditions(Modules):
    """Which rows a report can be without."""

    def test_matching(self):
        rows = [{"r": 1.2000000476837158, "causal": True, "peer": None, "seq_q": 64, "flags": "busy,near-floor",
                 "window": "63.1660118", "data_hash": "9941331702276248", "seed": 20261126},
                {"r": 2.0, "causal": False, "peer": "sdpa", "seq_q": 128, "flags": "", "device_name": "AMD EPYC 9",
                 "window": "inf", "data_hash": "9941331702276249", "seed": 20261127}]
        for condition, found in (("r=2", [1]), ("r=1.2", [0]), ("r<=1.2", [0]), ("r=1.20001", None), ("r<=1.19999", None),
                                 ("window<=64", [0]), ("window=63.16601180", [0]), ("window=inf", [1]), ("window=63*", [0]),
                                 ("data_hash=9941331702276249", [1]), ("data_hash<=1e30", None), ("seed=20261126", [0]),
                                 ("seed<=20261126", [0]), ("seq_q=1_28", None), ("seq_q<=1_28", None),
                                 ("seq_q<=nan", None), ("causal=true", [0]),
                                 ("causal=false", [1]), ("causal<=1", None), ("peer=", [0]), ("peer=?*", [1]),
                                 ("device_name='AMD EPYC*'", [1]), ("seq_q<=64", [0]), ("seq_q<=1.28e2", [0, 1]),
                                 ("seq_q=6*", [0]), ("flags=*near-floor*", [0]), ("r<=3 peer=", [0])):
            if found:
                self.assertEqual([rows.index(r) for r in self.conditions.matching(rows, condition)], found, condition)
            else:
                self.assertRaises(self.conditions.BadCondition, self.conditions.matching, rows, condition)


class Rerun(Modules):
    """When a figure that was measured again agrees."""

    def test_held(self):
        def row(x, lo, hi):
            return {"vs_no_skip": x, "vs_no_skip_lo": lo, "vs_no_skip_hi": hi}
        old = row(1.0, 0.98, 1.02)
        for new, agrees in ((row(1.1, 1.01, 1.2), True), (row(1.16, 1.01, 1.3), False),
                            (row(1.04, 1.035, 1.045), True), (row(1.06, 1.05, 1.07), False),
                            (row(0.94, 0.93, 0.95), False), (row(1.04, None, None), True), (row(1.2, None, None), False)):
            off, found = self.rerun.held(old, new, "vs_no_skip", 0.05)
            self.assertEqual((found, round(off, 6)), (agrees, round(new["vs_no_skip"] - 1, 6)), new)
        self.assertIsNone(self.rerun.held({}, old, "vs_no_skip", 0.05))
        self.assertEqual(self.rerun.held(old, {}, "vs_no_skip", 0.05), (None, False))
        old = {"t_median_ns": 100.0, "t_ci_lo_ns": 99.0, "t_ci_hi_ns": 101.0}
        self.assertFalse(self.rerun.held(old, {**old, "t_median_ns": 110.0, "t_ci_lo_ns": 102.0}, "t_median_ns", 0.05)[1])

    def test_clock(self):
        """Times go by the clock, and a peer's ratios; nobody looks at it while a peer runs."""
        for column, factor, change, agrees in (
                ("t_median_ns", 1.1, {}, False), ("t_median_ns", 1.1, {"flags": "throttled"}, True),
                ("t_median_ns", 1.2, {"flags": "throttled"}, False), ("t_median_ns", 1.1, {"flags": "near-floor"}, False),
                ("vs_no_skip", 1.1, {"flags": "throttled"}, False),
                ("speedup_vs_masked", 1.1, {"flags": "throttled"}, False),
                ("vs_softmax", 1.1, {"peer": "x"}, True), ("vs_framework", 1.1, {"peer": "x"}, True),
                ("vs_framework", 1.2, {"peer": "x"}, False), ("t_median_ns", 0.9, {"peer": "x"}, True)):
            row = {column: 100.0, "flags": ""}
            new = {**row, column: factor * 100}
            for a, b in (({**row, **change}, new), (row, {**new, **change})):
                self.assertEqual(self.rerun.held(a, b, column, 0.05)[1], agrees, (column, factor, change))

    def test_what_differs(self):
        """One figure is enough, or one that is no longer there; counts only where the parameters are the same."""
        row = {"t_median_ns": 100.0, "kernel": "tile-skip", "skip": "tile", "vs_no_skip": 1.5, "params": "A=1", "pairs_live": 7,
               "tiles_live": 5, "flags": ""}
        for change, good, said in (
                ({}, True, "100 ns now 100 ns"), ({"vs_no_skip": 2.5}, False, "vs no skip 1.50x now 2.50x"),
                ({"vs_no_skip": None}, False, "vs no skip 1.50x now nothing"), ({"t_median_ns": None}, False, "now nothing"),
                ({"pairs_live": 8}, False, "pairs_live 7 now 8"), ({"tiles_live": 6}, False, "tiles_live 5 now 6"),
                ({"tiles_live": 6, "params": "A=2"}, True, "with other parameters"), ({"flags": "busy"}, True, "busy"),
                ({"tiles_live": None}, False, "tiles_live 5 now nothing"),
                ({"masked_params": "B=1"}, True, "against another masked-dense"), ({"masked_params": ""}, True, "agrees")):
            text, agrees = self.rerun.line_of(row, {**row, **change}, 0.05)
            self.assertEqual(agrees, good, change)
            self.assertIn(said, text)
            self.assertEqual("another masked-dense" in text, bool(change.get("masked_params")))

    def test_rows_that_are_others(self):
        row = {"kernel": "tile-skip", "skip": "tile", "trace_head": None}
        self.assertEqual(self.rerun.key(row), self.rerun.key({**row, "peer": "", "choice": "device built-in"}))
        for other in ({"choice": "given"}, {"skip": "slice"}, {"trace_head": 0}, {"data_hash": "1"}):
            self.assertNotEqual(self.rerun.key(row), self.rerun.key({**row, **other}), other)

    def test_the_row_of_the_figure(self):
        ours = {"kernel": "tile-skip", "skip": "tile"}
        peer = {"peer": "torch-sdpa", "kernel": "sdpa-cudnn", "skip": ""}
        for command, row, is_it in (
                ("x -a kernel=tile-skip -a skip=tile", ours, True), ("x -a kernel=tile-skip -a skip=slice", ours, False),
                ("x -a kernel=dense", {"kernel": "dense", "skip": "none"}, True),
                ("x -a kernel=tile-skip -a skip=none,tile --peer 'p' --peer-kernel sdpa-cudnn", ours, False),
                ("x -a kernel=tile-skip -a skip=none,tile --peer 'p' --peer-kernel sdpa-cudnn", peer, True)):
            self.assertEqual(self.rerun.is_named(row, command), is_it, command)


class Claims(Modules):
    """Verdicts follow from figures, either way."""

    def test_share_over(self):
        """Against the integral over the angle: its density is sin^(dims - 2)."""
        def integral(dims, end, n=20000):
            return sum(math.sin((i + 0.5) * end / n) ** (dims - 2) for i in range(n)) * end / n
        for similarity, dims in ((0.5, 64), (0.1, 64), (0.0, 16), (0.3, 3), (0.9, 16)):
            exact = integral(dims, math.acos(similarity)) / integral(dims, math.pi)
            self.assertAlmostEqual(self.claims.share_over(similarity, dims) / exact, 1, delta=1e-6)

    def test_by_chance(self):
        def verdict(density, pairs=6.7e7):
            report = types.SimpleNamespace(rows=[{
                "status": "ok", "workload": "iid", "window": "inf", "dk": 64, "dv": 64, "r": 2, "data_hash": "0",
                "heads": 8, "pairs_live": 1, "pair_density": density, "pairs_admissible": pairs, "device": "ref:0",
                "seq_q": 4096, "dtype": "f32", "kernel": "dense"}])
            return self.claims.by_chance([report], self.claims.Commands())[0][1]
        self.assertRegex(verdict(1.12e-5), "^holds")
        self.assertRegex(verdict(1.3e-5), "^undecided")
        self.assertRegex(verdict(0.0), "^undecided")
        for wrong in (2e-5, 0.5e-5):
            with unittest.mock.patch.object(self.claims, "BY_CHANCE", wrong):
                self.assertEqual(verdict(1.12e-5), "does not hold")

    def test_slower(self):
        """Not "at every length" where one alone was measured."""
        def report(lengths, eager=5.0, note=None):
            common = {"workload": "planted:0.05x64", "window": "inf", "dk": 64, "dv": 64, "heads": 8, "dtype": "bf16",
                      "device": "cuda:0", "peer": "x", "status": "ok", "repro": "harness --peer x"}
            peers = (("softmax", "sdpa", 1.0), ("screening", "eager", eager))
            rows = [{**common, "seq_q": n, "op": op, "kernel": kernel, "t_median_ns": t, "t_ci_lo_ns": t, "t_ci_hi_ns": t}
                    for n in lengths for op, kernel, t in peers]
            return types.SimpleNamespace(
                name="x-y", run={"published_note": note}, rows=rows, label=lambda: "x", shape={"dtype": "bf16"},
                find=lambda **want: [r for r in rows if all(r[k] == v for k, v in want.items())],
                peer=lambda op, **want: next((r for r in rows if r["op"] == op and r["seq_q"] == want["seq_q"]), None))

        def verdict(*args):
            return self.claims.slower([report(*args)], self.claims.Commands())[0][1]
        self.assertIn("at every length", verdict(self.claims.SLOWER))
        self.assertIn("at 1 of the 4 lengths", verdict([512]))
        self.assertRegex(verdict(self.claims.SLOWER, 0.5), "^does not hold")
        with unittest.mock.patch.object(self.claims, "CLAIMS", [("So it is", "somewhere", self.claims.slower)]):
            for note, sign in (("Half of it is missing.", "x †, bf16"), (None, "x, bf16")):
                nothing_said = report([], note="Another.")
                text = "\n".join(self.claims.claims_block([report([512], 5.0, note), nothing_said]))
                self.assertNotIn("Another", text)
                self.assertIn(sign, text)
                self.assertEqual("\n† [x-y](x-y/report.md): Half of it is missing.\n" in text, note is not None)


class Make(unittest.TestCase):
    """make.sh with a harness that does as it is told, in a tree of its own."""

    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="scr-make-")
        self.addCleanup(shutil.rmtree, self.dir)
        self.root = os.path.join(self.dir, "root")
        self.reports = os.path.join(self.root, "results", "reports")
        os.makedirs(self.reports)
        for name in ("make.sh", "publish.py", "conditions.py", "tables.py", "rows.py", "claims.py", "README.md", "claims.md"):
            shutil.copy(os.path.join(REPORTS, name), self.reports)
        for name in ("README.md", os.path.join("results", "README.md")):
            shutil.copy(os.path.join(ROOT, name), os.path.join(self.root, name))

    def make(self, device, status=0, version="abc1234", has="", traces=(), **env):
        """Runs it; returns it, and the words of each sweep."""
        words = os.path.join(self.dir, "words")
        if os.path.exists(words):
            os.remove(words)
        write(f"""#!/bin/sh
case $1 in
    --version) echo 'harness 0.1.0 ({version})' ;;
    --list-devices) printf '%s\\n' 'cuda:0      gpu, sm_90' '            driver 1' '            2 units  fp16' \\
        'cuda:01     gpu  cpu, sm_90' '            driver 1  cpu' '            2 units  pci 0' \\
        'opencl:0.0  some, x' '            driver 1' '            2 units  memory 1 B{has}' \\
        'ref:0       some' '            driver 1' '            2 units  cpu' ;;
    *) echo "$*" >>'{words}'; exit {status} ;;
esac
""", self.dir, "harness")
        os.chmod(os.path.join(self.dir, "harness"), 0o755)
        p = subprocess.run([os.path.join(self.reports, "make.sh"), device, "a-cpu", *traces], capture_output=True, text=True,
                           cwd=self.dir, timeout=WAIT,
                           env={**os.environ, "PEERS": "0", "HARNESS": "./harness", "WORK": "of/mine", **env})
        return p, [line.split() for line in read(words).splitlines()] if os.path.exists(words) else []

    def test_processors_are_sampled_longer(self):
        for device, has, longer in (("opencl:0.0", "  cpu", True), ("opencl:0.0", "  cpu  fp16  subgroups", True),
                                    ("opencl:0.0", "  fp16", False), ("cuda:0", "", False), ("cuda:01", "", False),
                                    ("ref:0", "", True), ("ref", "", True)):
            p, (words,) = self.make(device, 2, has=has)
            self.assertEqual("--time-limit" in words, longer, (device, has, p.stderr))
            self.assertEqual(words[words.index("--out") + 1], os.path.join(os.path.realpath(self.dir), "of/mine/a-cpu"))

    def test_commit_is_known_before_the_sweep(self):
        for version in ("abc1234+", "unknown", ""):
            p, words = self.make("ref:0", version=version)
            self.assertEqual((p.returncode, words), (2, []), version)
            self.assertIn("clean checkout", p.stderr)
        self.assertEqual(len(self.make("ref:0", 2, "abc1234+", COMMIT="abc1234")[1]), 1)

    def test_what_is_swept(self):
        """Three presets; the parts of layers that are in the repository in any case, with those of the user, each once."""
        said = os.path.join(self.dir, "published")
        write(f"#!/bin/sh\necho ${{1##*/}} $2 >>'{said}'\n", self.reports, "publish.py")
        write("", self.reports, "tables.py")
        parts = [f"trace:tests/data/{name}.safetensors" for name in ("psi16_k16v64", "d512_k64v64")]
        mine = os.path.join(self.dir, "mine.safetensors")
        known = os.path.join(self.root, "tests", "data", "psi16_k16v64.safetensors")
        os.makedirs(os.path.dirname(known))
        write("", known)
        for traces, more in (((), []), ((mine, known, mine), ["trace:" + os.path.realpath(mine)])):
            p, sweeps = self.make("ref:0", traces=traces)
            self.assertEqual(p.returncode, 0, p.stderr)
            self.assertEqual([w[w.index("--preset") + 1] for w in sweeps], ["full", "trained", "traces"])
            self.assertEqual([os.path.basename(w[w.index("--out") + 1]) for w in sweeps],
                             ["a-cpu", "a-cpu-trained", "a-cpu-traces"])
            self.assertEqual(sweeps[-1][-1], "workload=" + ",".join(parts + more))
        self.assertEqual(read(said).splitlines(), 2 * [f"{n} {n}" for n in ("a-cpu", "a-cpu-trained", "a-cpu-traces")])

    def test_a_note_is_asked_for_before_the_sweep(self):
        """A report that has one would be replaced after half an hour of measuring."""
        said = os.path.join(self.dir, "published")
        write(f"#!/bin/sh\nshift; printf '%s|' $# \"$@\" >>'{said}'\n", self.reports, "publish.py")
        write("", self.reports, "tables.py")
        names = ("a-cpu", "a-cpu-trained", "a-cpu-traces")
        for name in names:
            folder = os.path.join(self.reports, name)
            os.makedirs(folder)
            write('{"published_note": "Half of it."}', folder, "run.json")
            p, sweeps = self.make("ref:0")
            self.assertEqual((p.returncode, sweeps), (2, []))
            self.assertIn(f"{name} has a note", p.stderr)
            shutil.rmtree(folder)
        p, _ = self.make("ref:0")
        self.assertEqual(p.returncode, 0, p.stderr)
        self.assertEqual(read(said), "".join(f"1|{name}|" for name in names))
        for note in ("", "It's * of two words."):
            os.remove(said)
            p, sweeps = self.make("ref:0", NOTE=note)
            self.assertEqual((p.returncode, len(sweeps)), (0, 3), p.stderr)
            self.assertEqual(read(said), "".join(f"3|{name}|--note|{note}|" for name in names))

    def test_a_sweep_of_other_layers_is_not_resumed(self):
        folder = os.path.join(self.dir, "of", "mine", "a-cpu-traces")
        os.makedirs(folder)
        write("{}\n", folder, "rows.jsonl")
        write("#!/bin/sh\n", self.reports, "publish.py")
        write("", self.reports, "tables.py")
        parts = "workload=trace:tests/data/psi16_k16v64.safetensors,trace:tests/data/d512_k64v64.safetensors"
        for other in ("workload=trace:other", parts + ",trace:mine"):
            write(f'{{"options": {{"command": ["harness", "{other}"]}}}}', folder, "run.json")
            p, sweeps = self.make("ref:0")
            self.assertEqual((p.returncode, len(sweeps)), (2, 2), p.stderr)
            self.assertIn("is of another sweep", p.stderr)
        write(f'"{parts}"', folder, "run.json")
        p, sweeps = self.make("ref:0")
        self.assertEqual((p.returncode, sweeps[-1]), (0, ["--resume", os.path.realpath(folder)]), p.stderr)

    def test_a_failure_is_told(self):
        for status, said in ((1, "wrong rows"), (2, "did not sweep"), (130, "goes on"), (3, "status 3")):
            p, _ = self.make("ref:0", status)
            self.assertEqual(p.returncode, status)
            self.assertRegex(p.stderr, f"make.sh: .*{said}")
        p, _ = self.make("ref:0", HARNESS="./no-harness")
        self.assertEqual(p.returncode, 2)
        self.assertIn("no-harness does not run", p.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
