# SPDX-License-Identifier: Apache-2.0
"""The published reports as Python has them: rows, how to find them, how a figure of theirs is written."""
import json
import math
import os
import re
import shlex
import typing

SOFTMAX, SCREENING = "softmax", "screening"
MADE_LAYER, PART_LAYER, WHOLE_LAYER = range(3)  # in the order of what it takes to run them

# Flags that put a time in doubt, and what to say of them; wide-interval is told from the row, as the harness does.
DOUBTS = {"throttled": "with the clock held down, by power or heat, as it is under lasting load",
          "not-cold": "with caches that could not be made cold",
          "near-floor": "shorter than three empty kernels", "unsteady": "slower at one moment than at another",
          "busy": "with the processors slow or used by others", "events-off": "device and host disagree on the time",
          "host-bound": "with what the host takes to start it",
          "apart": "not timed beside what it is compared with",
          "over-ideal": "less time than masked-dense's times the tile density: the two differ in more than what is skipped",
          "over-roofline": "above the ceilings that were measured, which are too low then",
          "wide-interval": "a time or a ratio within more than ±5 %, or of fewer than six samples"}

# As in the tables of the harness.
LETTERS = {"throttled": "T", "not-cold": "C", "near-floor": "F", "unsteady": "U", "busy": "B", "events-off": "e",
           "host-bound": "H", "apart": "A", "over-ideal": "I", "over-roofline": "R", "wide-interval": "W"}


class Report:
    """A folder of results/reports: what publish.py makes."""

    def __init__(self, folder):
        self.name = os.path.basename(folder)
        with open(os.path.join(folder, "run.json"), encoding="utf-8") as f:
            self.run = json.load(f)
        with open(os.path.join(folder, "rows.jsonl"), encoding="utf-8") as f:
            self.rows = [json.loads(line) for line in f]
        plots = os.path.join(folder, "plots")
        self.plots = sorted(p for p in os.listdir(plots) if p.endswith(".svg")) if os.path.isdir(plots) else []
        self.preset = self.run["options"]["preset"]
        limit = limit_of(self.rows)
        for r in self.rows:
            r["limit"] = limit
        own = [r for r in self.rows if not r.get("peer")]
        self.device_name = own[0]["device_name"]
        self.backend = {"cuda": "CUDA", "opencl": "OpenCL", "ref": "C"}[own[0]["backend"]]
        self.on_cpu = own[0]["on_cpu"]
        self.shape = self.find_shape()

    def find_shape(self):
        """What most of the rows have that tell densities apart: the figures are of that shape."""
        shapes = {}
        for r in self.rows:
            if is_skip(r) and r["workload"].startswith("planted:") and r["window"] == "inf":
                key = tuple(r[k] for k in ("dtype", "dk", "dv", "heads", "seq_q"))
                shapes[key] = shapes.get(key, 0) + 1
        best = max(shapes, key=lambda k: (shapes[k], k[4])) if shapes else (None,) * 5
        return dict(zip(("dtype", "dk", "dv", "heads", "seq_q"), best))

    def label(self):
        return f"{self.run['machine']['cpu'] if self.on_cpu else self.device_name}, {self.backend}"

    def rank(self):
        """The order of columns and figures: GPUs first, and CUDA before OpenCL."""
        return self.on_cpu, self.backend != "CUDA", self.name

    def short(self):
        """The head of a column: without the vendor of a GPU and its memory, with the cores of a processor."""
        if self.on_cpu:
            return f"{self.run['machine']['cpu']}, {self.run['machine'].get('cores', '?')} cores, {self.backend}"
        return re.sub(r"^NVIDIA | \d+GB\b[^,]*", "", self.label())

    def command(self):
        """The command that made it."""
        return " ".join(shlex.quote(w) for w in self.run["options"]["command"])

    def find(self, **want):
        """The rows that are ok with these columns. Of what is not said the shape of the report holds."""
        want = {**self.shape, **want}
        return [r for r in self.rows if r["status"] == "ok" and r.get("trace_head") is None
                and all(v is None or r.get(k) == v for k, v in want.items())]

    def skipping(self, **want):
        """
        Of the rows that skip, with the tile of the tables, the fastest. It may be of either way to skip, and in doubt:
        a figure of it says so, by skip_of and Commands.mark.
        """
        rows = [r for r in self.find(**want) if is_skip(r) and r.get("choice") != "given" and r.get("speedup_vs_masked")]
        return min(rows, key=lambda r: r["t_median_ns"], default=None)

    def beside(self, peer):
        """The row that the ratio of a peer's row is against: the fastest tile-skip on its data."""
        same = ("data_hash", "device", "dtype", "cache")
        rows = [r for r in self.rows if not r.get("peer") and r["status"] == "ok" and r["kernel"] == "tile-skip"
                and r.get("t_median_ns") and all(r.get(k) == peer.get(k) for k in same)]
        return min(rows, key=lambda r: r["t_median_ns"], default=None)

    def peer(self, op, **want):
        """Of the rows of peers of an operator the fastest."""
        rows = [r for r in self.find(**want) if r.get("peer") and r["op"] == op and r.get("t_median_ns")]
        return min(rows, key=lambda r: r["t_median_ns"], default=None)


def is_skip(r):
    return not r.get("peer") and r.get("kernel") == "tile-skip" and r.get("skip") in ("tile", "slice")


def doubts(r):
    """Why the time of a row is to be taken with care: what the verdict of a report counts."""
    flags = (r.get("flags") or "").split(",")
    found = [flag for flag in DOUBTS if flag in flags]
    if r.get("t_median_ns") is not None:
        lo, hi = r.get("t_ci_lo_ns"), r.get("t_ci_hi_ns")
        if (r.get("n_samples") or 0) < 6 or lo is None or hi is None or hi - lo > 2 * 0.05 * r["t_median_ns"]:
            found.append("wide-interval")
    return found


def skip_of(r):
    """The way to skip that a figure is of, where the better one was taken."""
    return r["skip"]


def time_of(r):
    """The median, in the unit that suits it."""
    ns = r["t_median_ns"]
    unit, text = next(u for u in ((1e3, "ns"), (1e6, "µs"), (1e9, "ms"), (math.inf, "s")) if ns < u[0])
    return f"{number(ns / {'ns': 1, 'µs': 1e3, 'ms': 1e6, 's': 1e9}[text])} {text}"


def is_trace(r):
    return r["workload"].startswith("trace:")


def is_layer(r):
    """Recorded, or made with windows and densities as trained models have them."""
    return is_trace(r) or r["window"] == "trained"


def layer_key(r):
    return r["workload"], is_trace(r) or r["window"]


def layer_name(r):
    if not is_trace(r):
        return f"{r['workload']}, window {r['window']}"
    return os.path.basename(r["workload"][len("trace:"):]).replace(".safetensors", "")


def layer_kind(r):
    """Of a recorded one this repository has a part, in tests/data, or nothing."""
    return MADE_LAYER if not is_trace(r) else PART_LAYER if r["workload"].startswith("trace:tests/") else WHOLE_LAYER


def load(reports):
    """All reports of a folder, by name."""
    names = sorted(os.listdir(reports)) if os.path.isdir(reports) else []
    return [Report(os.path.join(reports, n)) for n in names if os.path.exists(os.path.join(reports, n, "rows.jsonl"))]


def number(x):
    """Three figures, and no more of them than mean something."""
    return f"{x:.0f}" if x >= 100 else f"{x:.1f}" if x >= 10 else f"{x:.2f}"


def percent(x):
    """A density in a sentence."""
    return f"{100 * x:.2g} %" if x < 0.995 else "all"


def share(x):
    """A density, so that 0.998 is not 1."""
    return f"{x:.3g}"


class Ratio(typing.NamedTuple):
    """A ratio and the ends of its 95 % interval, which are None where it has none."""
    x: float
    lo: typing.Optional[float]
    hi: typing.Optional[float]

    def __str__(self):
        if self.lo is None or self.hi is None:
            return f"~{number(self.x)}×"
        interval = f"({number(self.lo)}–{number(self.hi)})"
        return f"no difference {interval}" if self.lo <= 1 <= self.hi else f"{number(self.x)}× {interval}"

    def is_wide(self):
        """Whether the interval is over 10 % of it."""
        return self.lo is not None and self.hi is not None and self.hi - self.lo > 2 * 0.05 * self.x


def ratio_of(r, column):
    """A row's ratio, or None."""
    x, lo, hi = (r.get(column + end) if r else None for end in ("", "_lo", "_hi"))
    return None if x is None else Ratio(x, lo, hi)


def limit_of(rows):
    """How long the rows of a sweep were sampled: the words of its option. A peer's row does not tell."""
    for words in (shlex.split(r["repro"]) for r in rows if not r.get("peer")):
        if "--time-limit" in words:
            return words[words.index("--time-limit"):][:2]
    return []


def command_of(r):
    """A command that measures the row again: its data and its kernel, with the parameters of the tables."""
    words = ["build/harness/harness", "--sweep", "--device", r["device"]]
    axes = {"workload": r["workload"], "window": r["window"], "seq": r["seq_q"], "heads": r["heads"], "dk": r["dk"],
            "dv": r["dv"], "dtype": r["dtype"], "r": r.get("r")}
    if is_trace(r):  # all else is in its file
        axes = {"workload": r["workload"], "trace_head": r.get("trace_head"), "dtype": r["dtype"]}
    for axis, value in axes.items():
        if value is not None:
            words += ["-a", f"{axis}={value:.6g}" if isinstance(value, float) else f"{axis}={value}"]
    if r.get("peer"):
        words += ["-a", "kernel=tile-skip", "-a", "skip=none,tile,slice"]
        repro = shlex.split(r["repro"])
        words += ["--peer", re.sub(r"^python ", "python3 ", repro[repro.index("--peer") + 1]), "--peer-kernel", r["kernel"]]
    else:
        words += ["-a", f"kernel={r['kernel']}"]
        words += ["-a", f"skip={r['skip']}"] if r["kernel"] == "tile-skip" else []
    return " ".join(shlex.quote(w) for w in words + r.get("limit", []))


class Doubts:
    """The letters that stand behind figures of rows in doubt, and their legend."""

    def __init__(self):
        self.used = set()

    def mark(self, *rows, ratio=None):
        """ratio: the figure, where it is one."""
        known = {flag for r in rows if r for flag in doubts(r)}
        if ratio and ratio.is_wide():
            known.add("wide-interval")
        found = [flag for flag in DOUBTS if flag in known]
        self.used.update(found)
        return f"<sup>{','.join(LETTERS[flag] for flag in found)}</sup>" if found else ""

    def lines(self):
        if not self.used:
            return []
        said = [f"{LETTERS[flag]} {flag}: {text}" for flag, text in DOUBTS.items() if flag in self.used]
        return ["To be taken with care, by the letter behind the figure: " + "; ".join(said) + ".", ""]


class Commands:
    """Numbers the commands that a text refers to, and remembers the reports that it names."""

    def __init__(self):
        self.list, self.reports = [], []
        self.doubts = Doubts()

    def name(self, report):
        """The device and the backend of a report, with its dagger."""
        if report not in self.reports:
            self.reports.append(report)
        return report.label() + dagger(report)

    def mark(self, *rows, timed=True, beside=None, ratio=None):
        """
        The numbers of the rows' commands, each with the letters of its doubts where the figure is one of times.
        beside: a row that the figure needs, too, whose command stands elsewhere.
        ratio: the figure, where it is one.
        """
        marks = []
        for r in rows:
            command = command_of(r)
            if command not in self.list:
                self.list.append(command)
            letters = self.doubts.mark(r, beside, ratio=ratio) if timed else ""
            marks.append(f"[{self.list.index(command) + 1}]{letters}")
        return " ".join(marks)

    def lines(self):
        if not self.list:
            return []
        return self.doubts.lines() + ["<details><summary>The command of each figure</summary>", ""] + \
               [f"    [{i + 1}] {c}" for i, c in enumerate(self.list)] + ["", "</details>"]


def dagger(*reports):
    """Where a note on one of the reports is to be read, see note_lines."""
    return " †" if any(report.run.get("published_note") for report in reports) else ""


def note_lines(reports, to_reports="results/reports/", sign="† "):
    """What a reader must know of some of the reports, each note once."""
    notes = {}
    for report in reports:
        if report.run.get("published_note"):
            notes.setdefault(report.run["published_note"], []).append(f"[{report.name}]({to_reports}{report.name}/report.md)")
    return [line for note, names in notes.items() for line in (f"{sign}{', '.join(names)}: {note}", "")]
