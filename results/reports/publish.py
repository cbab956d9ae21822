#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes a published report of a sweep's folder: results/reports/NAME.

Usage: publish.py FOLDER NAME [--reports DIR] [--commit HASH] [--partial]

FOLDER    what a sweep has written, see results/README.md
NAME      DEVICE-BACKEND or DEVICE-BACKEND-traces, such as nvidia-h100-cuda
--commit  of a build that did not know its own: the sources that it was built from
--partial take a sweep that did not come to its end, too

Taken over are report.md, rows.jsonl without empty columns, run.json and plots/*.svg; all else is made from the rows
(harness --plot) or of no use elsewhere. What names the user's machine goes: files outside the folder where the
command was given have their last names alone, the program is harness, the host is NAME. A report is replaced.
"""
import argparse
import json
import os
import re
import shlex
import shutil
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
PATH = re.compile(r"(?<![\w.:/)\]-])/(?:[^\s/'\",;:()<>|]+/)*[^\s/'\",;:()<>|]+")
KEPT_EMPTY = {"peer", "reason"}  # readers of the rows may look at these without asking
MOUNTED = ("/usr/", "/opt/", "/etc/", "/dev/", "/lib/")


class Refused(Exception):
    """The folder cannot be published; the text says why."""


def read_rows(folder):
    with open(os.path.join(folder, "rows.jsonl"), encoding="utf-8") as f:
        return [json.loads(line) for line in f]


class Names:
    """What the texts of a run may not tell, and what stands in its place."""

    def __init__(self, run, name):
        options = run["options"]
        self.cwd = (options.get("cwd") or "").rstrip("/")
        self.program = options["command"][0]
        self.host = run["machine"].get("host", "")
        self.name = name

    def shorten(self, path):
        if path == self.program or path == os.path.join(self.cwd, self.program):
            return "harness"
        if self.cwd and path.startswith(self.cwd + "/"):
            return path[len(self.cwd) + 1:]
        return path if path.startswith(MOUNTED) else os.path.basename(path)

    def clean(self, text):
        """Any text of the run's: a word of a command, a line of a report."""
        words = text.split(" ")
        text = " ".join("harness" if word in (self.program, shlex.quote(self.program)) else word for word in words)
        text = re.sub(r"(?<=trace:)/\S*?(?=[,\s']|$)", lambda m: self.shorten(m.group()), text)
        text = PATH.sub(lambda m: self.shorten(m.group()), text)
        if len(self.host) > 2:
            text = re.sub(rf"(?<![\w.-]){re.escape(self.host)}(?![\w-])", self.name, text)
        return text

    def clean_json(self, value):
        if isinstance(value, str):
            return self.clean(value)
        if isinstance(value, list):
            return [self.clean_json(v) for v in value]
        if isinstance(value, dict):
            return {k: self.clean_json(v) for k, v in value.items()}
        return value


def title(run, rows):
    """What and where, in a line."""
    device = next((r for r in rows if not r.get("peer")), rows[0])
    backend = {"cuda": "CUDA", "opencl": "OpenCL", "ref": "C"}.get(device["backend"], device["backend"])
    what = {"full": "the full sweep", "traces": "recorded layers"}.get(run["options"]["preset"], "a sweep")
    name = run["machine"]["cpu"] if device["on_cpu"] else device["device_name"]
    return f"{name}, {backend}: {what}"


def check(run, rows, partial, commit):
    if not rows:
        raise Refused("it has no rows")
    if run.get("end") != "complete" and not partial:
        raise Refused(f"the sweep did not come to its end ({run.get('end', 'killed')}); --partial takes it all the same")
    wrong = [r for r in rows if r["status"] == "wrong" and not r.get("peer")]
    if wrong:
        raise Refused(f"{len(wrong)} of its rows are wrong, the first: {wrong[0]['repro']}")
    if not commit and (run["commit"] == "unknown" or run["commit"].endswith("+")):
        raise Refused(f"its build does not tell from which sources it is (commit {run['commit']}): build it from a "
                      "clean checkout, or say --commit HASH")


def publish(folder, name, reports, commit=None, partial=False):
    """The files of a report; returns its folder."""
    with open(os.path.join(folder, "run.json"), encoding="utf-8") as f:
        run = json.load(f)
    rows = read_rows(folder)
    check(run, rows, partial, commit)
    names = Names(run, name)
    with open(os.path.join(folder, "report.md"), encoding="utf-8") as f:
        report = names.clean(f.read())
    if commit:
        report = report.replace(f"commit {run['commit']},", f"commit {commit},")
        run["commit"] = commit
    report = re.sub(r"\A# .*", "# " + title(run, rows), report)
    run = names.clean_json(run)
    run["options"].pop("cwd", None)
    run["machine"].update(host=name, topology=None)
    into = os.path.join(reports, name)
    if os.path.exists(into):
        shutil.rmtree(into)
    os.makedirs(os.path.join(into, "plots"))
    with open(os.path.join(into, "report.md"), "w", encoding="utf-8") as f:
        f.write(report)
    with open(os.path.join(into, "run.json"), "w", encoding="utf-8") as f:
        json.dump(run, f, indent=2)
        f.write("\n")
    with open(os.path.join(into, "rows.jsonl"), "w", encoding="utf-8") as f:
        for row in rows:
            kept = {k: v for k, v in names.clean_json(row).items() if v not in (None, "") or k in KEPT_EMPTY}
            f.write(json.dumps(kept, separators=(",", ":")) + "\n")
    for file in sorted(os.listdir(os.path.join(folder, "plots"))):
        if file.endswith(".svg"):
            shutil.copy(os.path.join(folder, "plots", file), os.path.join(into, "plots", file))
    return into


def main():
    parser = argparse.ArgumentParser(usage="publish.py FOLDER NAME [--reports DIR] [--commit HASH] [--partial]")
    parser.add_argument("folder")
    parser.add_argument("name")
    parser.add_argument("--reports", default=HERE)
    parser.add_argument("--commit")
    parser.add_argument("--partial", action="store_true")
    o = parser.parse_args()
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9.]+)+", o.name):
        parser.error(f"'{o.name}' is not DEVICE-BACKEND in small letters, such as nvidia-h100-cuda")
    try:
        into = publish(o.folder, o.name, o.reports, o.commit, o.partial)
    except (Refused, OSError, ValueError, KeyError) as e:
        print(f"publish.py: {o.folder}: {e}", file=sys.stderr)
        return 1
    size = sum(os.path.getsize(os.path.join(d, f)) for d, _, files in os.walk(into) for f in files)
    print(f"{into}: {size / 1e6:.2f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
