#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the commands that stand beside published figures, as printed, and holds what they give to what is published.

Usage: rerun.py REPORT [--device ID] [--page FILE] [--only N,...] [--within PERCENT] [--timeout SECONDS] [--work DIR]
                [--reports DIR]

REPORT    a published one, of whose device the commands are, such as nvidia-h100-cuda; REPORT-trained and REPORT-traces
          belong to it. On a device of another name the commands run all the same, after a line that says so
--device  what the device is called here, where that is not as in the commands: opencl:0.0
--page    where the commands stand (README.md); claims.md beside this file is another
--only    the commands with these numbers
--within  how far a time or a ratio may be from the published one (5 %): two runs of one program differ by more than the
          interval of either. Up to three times as far it may be where the intervals meet; so may the times of throttled
          rows, and times and ratios of peers, which do not run in turn with ours and whose clock nobody looks at
--timeout of a command (600 s)
--work    the sweeps' own folders, DIR/N of command N (build/rerun); one that is there is replaced

A row is held to that of the same data, kernel and type in the report: time and ratios as above; densities, memory and
what was computed must be the same, where the parameters are. Left out are commands whose recorded layer is not there,
and those whose row the report does not have: they stand beside figures of another device.
Exit status: 0, all agree; 4, some differ; 1, a command failed or did not give its row; 2, nothing was compared, or the
command line is wrong; 130, interrupted.
"""
import argparse
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys

from rows import command_of, doubts, load, number, time_of

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
RATIOS = (("speedup_vs_masked", "vs masked"), ("vs_no_skip", "vs no skip"), ("vs_softmax", "softmax over ours"),
          ("vs_framework", "PyTorch over ours"))
BY_CLOCK = ("t_median_ns", "vs_softmax", "vs_framework")  # times, and ratios of a peer, which are not taken in turn
DATA = ("pairs_live", "pairs_admissible")  # of the data alone
COUNTS = ("tiles_live", "tiles_admissible", "qk_executed", "pv_executed", "workspace_bytes")  # of the parameters, too
SAME = ("data_hash", "cache", "dtype", "peer", "kernel", "skip", "trace_head")
RAN = (0, 1, 5)  # of the harness: rows were written, be it that some are wrong or failed
END_S = 30  # for a command that is told to end


class Failed(Exception):
    """A command gave nothing that can be compared; the text says why."""


def option(command, name):
    words = shlex.split(command)
    return words[words.index(name) + 1] if name in words else None


def arguments(command):
    """All but the program, which may be another build."""
    return tuple(shlex.split(command)[1:])


def axis(command, name):
    """The value of -a NAME=VALUE, or None."""
    found = [w[len(name) + 1:] for w in shlex.split(command) if w.startswith(name + "=")]
    return found[-1] if found else None


def commands_of(text, device):
    """(number, command) of the lines [N] COMMAND that name the device."""
    found = re.findall(r"(?m)^    \[(\d+)\] (.+)$", text)
    return [(int(n), command) for n, command in found if option(command, "--device") == device]


def missing_layer(command):
    """The file of a recorded layer that the command needs and that is not there, or None."""
    for file in re.findall(r"trace:([^\s,']+)", command):
        if not os.path.exists(os.path.join(ROOT, file)):
            return file
    return None


def key(row):
    return tuple("" if row.get(k) is None else row[k] for k in SAME) + (row.get("choice") == "given",)


def is_named(row, command):
    """The row whose figure stands beside the command; the others are what it is held to."""
    peer = option(command, "--peer-kernel")
    if peer:
        return bool(row.get("peer")) and row["kernel"] == peer
    return row["kernel"] == axis(command, "kernel") and row["skip"] == (axis(command, "skip") or row["skip"])


def end(process):
    """Ends all that a command has started."""
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.communicate(timeout=END_S)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def run(command, folder, timeout):
    """The rows of a command, and the machine that it ran on."""
    if os.path.exists(folder):
        shutil.rmtree(folder)
    p = subprocess.Popen(f"{command} --out {shlex.quote(folder)}", shell=True, cwd=ROOT, start_new_session=True, text=True,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        out, err = p.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        raise Failed(f"not done after {timeout:g} s") from None
    finally:
        if p.returncode is None:
            end(p)
    if p.returncode not in RAN:
        raise Failed(f"exit status {p.returncode}: {(err or out).strip()[-500:]}")
    with open(os.path.join(folder, "rows.jsonl"), encoding="utf-8") as f:
        rows = [json.loads(line) for line in f]
    with open(os.path.join(folder, "run.json"), encoding="utf-8") as f:
        return rows, json.load(f)["machine"]


def interval(row, column):
    """Value and ends of a figure, or None where the row has none. A time's ends have names of their own."""
    ends = ("t_ci_lo_ns", "t_ci_hi_ns") if column == "t_median_ns" else (column + "_lo", column + "_hi")
    x = row.get(column)
    return None if x is None else (x, *(x if row.get(end) is None else row[end] for end in ends))


def clock_varies(row):
    """Whether the device's clock was held down, or is not known: nobody looks at it while a peer runs."""
    return bool(row.get("peer")) or "throttled" in doubts(row)


def held(old, new, column, within):
    """
    How far the new figure is from the old, as a part of it, and whether they agree; None where the old row has none, and
    (None, False) where the new one alone has none. What goes by a clock that varies is held less closely.
    """
    a, b = interval(old, column), interval(new, column)
    if not a:
        return None
    if not b:
        return None, False
    off = b[0] / a[0] - 1
    meet = a[1] <= b[2] and b[1] <= a[2]  # which wide ones do too easily
    loose = meet or (column in BY_CLOCK and (clock_varies(old) or clock_varies(new)))
    return off, abs(off) <= (3 * within if loose else within)


def line_of(old, new, within):
    """What is said of a row, and whether it agrees."""
    said, good = [], True
    for column, name in (("t_median_ns", ""), *RATIOS):
        found = held(old, new, column, within)
        if found:
            was, now = ((time_of(r) if not name else f"{number(r[column])}x") if r.get(column) is not None else "nothing"
                        for r in (old, new))
            said.append(f"{name} {was} now {now}".lstrip() + (f" ({100 * found[0]:+.1f} %)" if found[0] is not None else ""))
            good &= found[1]
    same_params = old.get("params") == new.get("params")
    for column in DATA + (COUNTS if same_params and not new.get("peer") else ()):
        if old.get(column) is not None and old[column] != new.get(column):
            said.append(f"{column} {old[column]:g} now {'nothing' if new.get(column) is None else format(new[column], 'g')}")
            good = False
    if not same_params and not new.get("peer"):
        said.append("with other parameters")
    if (old.get("masked_params") or "") != (new.get("masked_params") or ""):  # a report has no empty columns
        said.append("against another masked-dense")
    said += doubts(new)
    way = " ".join(filter(None, (new.get("peer"), new["kernel"], new["skip"] if new["kernel"] == "tile-skip" else "")))
    return f"{way}: {'; '.join(said)}: {'agrees' if good else 'DIFFERS'}", good


def numbers(text):
    try:
        return {int(n) for n in text.split(",")}
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not N,...") from None


def page(path):
    try:
        with open(path, encoding="utf-8") as f:
            return f.read()
    except OSError as e:
        raise argparse.ArgumentTypeError(f"cannot read {path}: {e.strerror}") from None


class Rerun:
    """Counts what came of the commands."""

    def __init__(self, reports, device_here, within, timeout, work):
        rows = [row for report in reports for row in report.rows if row["status"] == "ok"]
        self.known = {key(row): row for row in rows}
        self.published = {arguments(command_of(row)) for row in rows}
        self.device = reports[0].rows[0]["device"]
        self.device_here = device_here or self.device
        self.name, self.on_cpu = reports[0].device_name, reports[0].on_cpu
        self.cores = reports[0].run["machine"].get("cores")
        self.within, self.timeout, self.work = within, timeout, work
        self.agree = self.differ = self.failed = self.left = 0
        self.warned = False

    def warn_of_device(self, rows, machine):
        """Another device has other times: said once, and the rest goes on."""
        name = next((r["device_name"] for r in rows if not r.get("peer")), self.name)
        cores = machine.get("cores") if self.on_cpu else self.cores
        if not self.warned and (name, cores) != (self.name, self.cores):
            print(f"This is {name}{f', {cores} cores' if self.on_cpu else ''}; the figures are of {self.name}"
                  f"{f', {self.cores} cores' if self.on_cpu else ''}: times will differ.")
            self.warned = True

    def one(self, n, command):
        file = missing_layer(command)
        if file or arguments(command) not in self.published:
            self.left += 1
            print(f"[{n}] left out: {f'{file} is not there' if file else 'of another device'}", flush=True)
            return
        here = command.replace(f"--device {self.device} ", f"--device {self.device_here} ")
        print(f"[{n}] {here}", flush=True)
        try:
            rows, machine = run(here, os.path.join(self.work, str(n)), self.timeout)
            self.warn_of_device(rows, machine)
            self.compare(n, command, rows)
        except (Failed, OSError, ValueError, KeyError) as e:
            self.failed += 1
            print(f"[{n}] failed: {e}", flush=True)

    def compare(self, n, command, rows):
        bad = next((r for r in rows if r["status"] != "ok"), None)
        if bad:
            raise Failed(f"{bad['kernel']}: {bad['status']}: {bad['reason']}")
        pairs = [(self.known[key(r)], r) for r in rows if key(r) in self.known]
        if not any(is_named(new, command) for _, new in pairs):
            raise Failed(f"the row of the figure is not among its {len(rows)}, or has other data than that of the report")
        for old, new in pairs:
            text, good = line_of(old, new, self.within)
            self.agree += good
            self.differ += not good
            print(f"[{n}] {text}", flush=True)

    def status(self):
        if self.failed:
            return 1
        return 4 if self.differ else 0 if self.agree else 2


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("Usage: ")[1].split("\n\n")[0])
    parser.add_argument("report")
    parser.add_argument("--device")
    parser.add_argument("--page", type=page, default=os.path.join(ROOT, "README.md"))
    parser.add_argument("--only", type=numbers)
    parser.add_argument("--within", type=float, default=5)
    parser.add_argument("--timeout", type=float, default=600)
    parser.add_argument("--work", type=os.path.abspath, default=os.path.join(ROOT, "build", "rerun"))
    parser.add_argument("--reports", default=HERE)
    o = parser.parse_args()
    every = load(o.reports)
    reports = [r for r in every if r.name in (o.report, o.report + "-trained", o.report + "-traces")]
    if not reports:
        parser.error(f"there is no report {o.report}, but {', '.join(r.name for r in every) or 'none'}")
    rerun = Rerun(reports, o.device, o.within / 100, o.timeout, o.work)
    commands = [c for c in commands_of(o.page, rerun.device) if not o.only or c[0] in o.only]
    absent = (o.only or set()) - {n for n, _ in commands}
    if absent or not commands:
        parser.error(f"the page has no command {', '.join(map(str, sorted(absent)))} for {rerun.device}" if absent
                     else f"the page has no command for {rerun.device}")
    for report in reports:
        if report.run.get("published_note"):
            print(f"{report.name}: {report.run['published_note']}", flush=True)
    status = None
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.default_int_handler)
    try:
        for n, command in commands:
            rerun.one(n, command)
    except KeyboardInterrupt:
        status = 130
    print(f"{len(commands)} commands: {rerun.left} left out, {rerun.failed} failed; "
          f"{rerun.agree} of {rerun.agree + rerun.differ} rows agree" + (", interrupted" if status else ""))
    return rerun.status() if status is None else status


if __name__ == "__main__":
    sys.exit(main())
