#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the commands that stand beside published figures, as printed, and holds what they give to what is published.

Usage: rerun.py DEVICE [--page FILE] [--only N,...] [--within PERCENT] [--work DIR] [--reports DIR]

DEVICE    as in the commands: cuda:0; those of other devices are left out, and so are those whose recorded layer is not
          there
--page    where the commands stand (README.md); claims.md beside this file is another
--only    the commands with these numbers
--within  how far a time or a ratio may be from the published one where their intervals do not meet (5 %): two runs of
          one program differ by more than the interval of either
--work    the sweeps' own folders, DIR/N of command N (build/rerun); one that is there is replaced

A row is held to that of the same data, kernel and type in the reports of a device of its name. Exit status: 0, all
agree; 4, some differ; 1, a command failed, or gave no row that is published; 2, nothing to do.
"""
import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import sys

from rows import load, number, time_of

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
RATIOS = (("speedup_vs_masked", "vs masked"), ("vs_no_skip", "vs no skip"), ("vs_softmax", "softmax over ours"),
          ("vs_framework", "PyTorch over ours"))
SAME = ("device_name", "backend", "data_hash", "cache", "dtype", "peer", "kernel", "skip", "trace_head")


def commands_of(text, device):
    """(number, command) of the lines [N] COMMAND that name the device."""
    found = re.findall(r"(?m)^    \[(\d+)\] (.+)$", text)
    return [(int(n), command) for n, command in found if option(command, "--device") == device]


def option(command, name):
    words = shlex.split(command)
    return words[words.index(name) + 1] if name in words else None


def missing_layer(command):
    """The file of a recorded layer that the command needs and that is not there, or None."""
    for file in re.findall(r"trace:([^\s,']+)", command):
        if not os.path.exists(os.path.join(ROOT, file)):
            return file
    return None


def key(row):
    return tuple("" if row.get(k) is None else row[k] for k in SAME) + (row.get("choice") == "given",)


def published(reports):
    return {key(row): row for report in load(reports) for row in report.rows if row["status"] == "ok"}


def run(command, folder):
    """The rows of a command; raises ValueError with the last lines of what it said where there are none."""
    shutil.rmtree(folder, ignore_errors=True)
    p = subprocess.run(f"{command} --out {shlex.quote(folder)}", shell=True, cwd=ROOT, capture_output=True, text=True)
    try:
        with open(os.path.join(folder, "rows.jsonl"), encoding="utf-8") as f:
            return [json.loads(line) for line in f]
    except OSError:
        raise ValueError((p.stderr or p.stdout).strip()[-500:] or f"exit status {p.returncode}") from None


def interval(row, column):
    """Value and ends of a figure, or None where the row has none. A time's ends have names of their own."""
    ends = ("t_ci_lo_ns", "t_ci_hi_ns") if column == "t_median_ns" else (column + "_lo", column + "_hi")
    x = row.get(column)
    return None if x is None else (x, *(x if row.get(end) is None else row[end] for end in ends))


def held(old, new, column, within):
    """How far the new figure is from the old, as a part of it, and whether they agree; None where one has none."""
    a, b = interval(old, column), interval(new, column)
    if not a or not b:
        return None
    off = b[0] / a[0] - 1
    return off, (a[1] <= b[2] and b[1] <= a[2]) or abs(off) <= within


def line_of(old, new, within):
    """What is said of a row, and whether it agrees."""
    off, good = held(old, new, "t_median_ns", within)
    said = [f"{time_of(old)} now {time_of(new)} ({100 * off:+.1f} %)"]
    for column, name in RATIOS:
        found = held(old, new, column, within)
        if found:
            said.append(f"{name} {number(old[column])}x now {number(new[column])}x ({100 * found[0]:+.1f} %)")
            good &= found[1]
    if not new.get("peer") and old.get("params") != new.get("params"):
        said.append("with other parameters")
    way = " ".join(filter(None, (new.get("peer"), new["kernel"], new["skip"] if new["kernel"] == "tile-skip" else "")))
    return f"{way}: {'; '.join(said)}: {'agrees' if good else 'DIFFERS'}", good


def main():
    parser = argparse.ArgumentParser(
        usage="rerun.py DEVICE [--page FILE] [--only N,...] [--within PERCENT] [--work DIR] [--reports DIR]")
    parser.add_argument("device")
    parser.add_argument("--page", default=os.path.join(ROOT, "README.md"))
    parser.add_argument("--only", type=lambda s: {int(n) for n in s.split(",")})
    parser.add_argument("--within", type=float, default=5)
    parser.add_argument("--work", default=os.path.join(ROOT, "build", "rerun"))
    parser.add_argument("--reports", default=HERE)
    o = parser.parse_args()
    with open(o.page, encoding="utf-8") as f:
        commands = [c for c in commands_of(f.read(), o.device) if not o.only or c[0] in o.only]
    known = published(o.reports)
    agree = differ = failed = left = 0
    for n, command in commands:
        file = missing_layer(command)
        if file:
            print(f"[{n}] left out: {file} is not there")
            left += 1
            continue
        try:
            rows = run(command, os.path.join(os.path.abspath(o.work), str(n)))
        except ValueError as e:
            print(f"[{n}] failed: {e}")
            failed += 1
            continue
        bad = [r for r in rows if r["status"] != "ok"]
        pairs = [(known[key(r)], r) for r in rows if r["status"] == "ok" and key(r) in known]
        for r in bad:
            print(f"[{n}] failed: {r['kernel']}: {r['status']}: {r['reason']}")
        if not pairs and not bad:
            print(f"[{n}] failed: none of its {len(rows)} rows is in the report of such a device")
        failed += bool(bad) or not pairs
        for old, new in pairs:
            text, good = line_of(old, new, o.within / 100)
            print(f"[{n}] {text}", flush=True)
            agree += good
            differ += not good
    if not commands:
        print(f"rerun.py: {o.page} has no command for {o.device}"
              + (f" with the number{'s' if len(o.only) > 1 else ''} {','.join(map(str, sorted(o.only)))}" if o.only else ""),
              file=sys.stderr)
        return 2
    print(f"{len(commands) - left - failed} of {len(commands)} commands ran, {left} left out, {failed} failed; "
          f"{agree} of {agree + differ} rows agree")
    return 1 if failed else 4 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
