#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the figures of README.md, of claims.md and of the list of reports from the rows of the reports.

Usage: tables.py [--check] [--reports DIR] [--root DIR]

A figure that is not in the rows of a published report is in none of the three: each has a block between
<!-- NAME --> and <!-- /NAME --> that is made here. --check changes nothing and fails where a block is not what the
rows say.
"""
import argparse
import os
import re
import sys

from claims import claims_block
from rows import SCREENING, SOFTMAX, Commands, Doubts, is_skip, is_trace, load, ratio, share, skip_of

HERE = os.path.dirname(os.path.abspath(__file__))
NONE_YET = "No report is published yet: `build/harness/harness --sweep --preset full` makes one of your machine."


def longest(report, **want):
    """The greatest length that tile-skip has rows of."""
    return max((r["seq_q"] for r in report.find(seq_q=None, **want) if is_skip(r)), default=None)


def against_masked(text, workload, window="inf"):
    def figure(report, commands):
        row = report.skipping(workload=workload, window=window)
        said = ratio(row, "speedup_vs_masked")
        return said and f"{said} {skip_of(row)} {commands.mark(row)}"
    return text, figure


def with_windows(report, commands):
    seq = longest(report, workload="iid", window="init")
    row = report.skipping(workload="iid", window="init", seq_q=seq)
    said = ratio(row, "speedup_vs_masked")
    return said and f"{seq}: {said} {skip_of(row)} {commands.mark(row)}"


def against_peer(text, op, column, workload, window):
    """The fastest peer of an operator, at the greatest length that one has run."""
    def figure(report, commands):
        lengths = {r["seq_q"] for r in report.find(seq_q=None, workload=workload, window=window)
                   if r.get("peer") and r["op"] == op and r.get(column)}
        row = lengths and report.peer(op, seq_q=max(lengths), workload=workload, window=window)
        said = ratio(row, column) if row else None
        return said and f"{row['seq_q']}: {said}, {row['kernel']} {commands.mark(row, beside=report.beside(row))}"
    return text, figure


def break_even(report, commands):
    """Between the densest rows that gain and the least dense that do not."""
    rows = [r for r in report.find() if is_skip(r) and r["window"] == "inf" and r.get("choice") != "given"
            and r.get("tile_density") is not None and r.get("speedup_vs_masked_lo") is not None]
    by_density = {}
    for r in rows:  # the better of the ways to skip
        best = by_density.get(r["workload"])
        if best is None or r["speedup_vs_masked"] > best["speedup_vs_masked"]:
            by_density[r["workload"]] = r
    gains = [r for r in by_density.values() if r["speedup_vs_masked_lo"] > 1]
    others = [r for r in by_density.values() if r["speedup_vs_masked_lo"] <= 1]
    if not gains:
        return None
    most = max(gains, key=lambda r: r["tile_density"])
    least = min(others, key=lambda r: r["tile_density"], default=None)
    text = f"{share(most['tile_density'])} {skip_of(most)} {commands.mark(most)}"
    return text + (f"; {share(least['tile_density'])} {skip_of(least)} {commands.mark(least)}" if least else "")


FIGURES = [
    against_masked("1 % of the pairs alive, in runs of 64", "planted:0.01x64"),
    against_masked("5 %, in runs of 64", "planted:0.05x64"),
    against_masked("20 %, in runs of 64", "planted:0.2x64"),
    against_masked("5 %, in runs of 4: scattered", "planted:0.05x4"),
    against_masked("nothing alive", "ends:0"),
    against_masked("everything alive", "ends:1"),
    ("tile density up to which it can gain, and from which it need not", break_even),
    ("\"init\" windows, longest sequence", with_windows),
    against_peer("softmax attention takes, \"init\" windows", SOFTMAX, "vs_softmax", "iid", "init"),
    against_peer("softmax attention takes, 5 % alive", SOFTMAX, "vs_softmax", "planted:0.05x64", "inf"),
    against_peer("screening in PyTorch takes, 5 % alive", SCREENING, "vs_framework", "planted:0.05x64", "inf"),
]


def shape_text(s):
    return f"{s['dtype']}, {s['heads']} head{'s' if s['heads'] != 1 else ''}, {s['seq_q']} tokens, dims {s['dk']}, {s['dv']}"


def losers(report):
    """Rows that skip, and those among them that are slower than masked-dense beyond doubt, worst first."""
    rows = [r for r in report.rows if is_skip(r) and r["status"] == "ok" and r.get("speedup_vs_masked_hi") is not None
            and r.get("choice") != "given"]
    return rows, sorted((r for r in rows if r["speedup_vs_masked_hi"] < 1), key=lambda r: r["speedup_vs_masked"])


def where(r):
    if is_trace(r):
        head = r.get("trace_head")
        return layer_name(r) + (f", head {head}" if head is not None else "") + f", {r['dtype']}"
    text = f"{r['workload']}, window {r['window']}, {r['seq_q']} tokens, {r['dtype']}, dims {r['dk']}, {r['dv']}"
    return text + (f", tile density {share(r['tile_density'])}" if r.get("tile_density") is not None else "")


def caveat_lines(reports, commands):
    lines = ["Where skipping does not pay: rows that are slower than `masked-dense`, by their intervals.", "",
             "| report | such rows | the worst | there |", "|---|---:|---|---|"]
    for report in reports:
        rows, lost = losers(report)
        worst = lost and f"{ratio(lost[0], 'speedup_vs_masked')} {skip_of(lost[0])} {commands.mark(lost[0])}" or ""
        what = ", recorded layers" if report.preset == "traces" else ""
        lines.append(f"| {report.label()}{what} | {len(lost)} of {len(rows)} | {worst} | {where(lost[0]) if lost else ''} |")
    return lines


def layer_name(r):
    return os.path.basename(r["workload"][len("trace:"):]).replace(".safetensors", "")


def layer_lines(reports, commands):
    """Of recorded layers, each as a whole, the best row that skips, and the fastest softmax attention."""
    lines = []
    for report in reports:
        whole = [r for r in report.rows if is_trace(r) and r["status"] == "ok" and r.get("trace_head") is None]
        for workload in dict.fromkeys(r["workload"] for r in whole):
            of_layer = [r for r in whole if r["workload"] == workload]
            own = [r for r in of_layer if is_skip(r) and r.get("speedup_vs_masked") is not None]
            softmax = [r for r in of_layer if r.get("peer") and r["op"] == SOFTMAX and r.get("vs_softmax") is not None]
            if not own:
                continue
            best = max(own, key=lambda r: r["speedup_vs_masked"])
            peer = min(softmax, key=lambda r: r["t_median_ns"], default=None)
            against = peer and (f"{ratio(peer, 'vs_softmax')}, {peer['kernel']} "
                                f"{commands.mark(peer, beside=report.beside(peer))}") or ""
            lines.append(f"| {layer_name(best)}: {best['heads']} heads, {best['seq_q']} tokens, dims {best['dk']}, "
                         f"{best['dv']} | [{report.label()}](results/reports/{report.name}/report.md) | "
                         f"{ratio(best, 'speedup_vs_masked')} {skip_of(best)} {commands.mark(best)} | "
                         f"{ratio(best, 'vs_no_skip') or ''} | {against} |")
    if lines:
        lines = ["Recorded layers, whole, with their own windows and thresholds:", "",
                 "| layer | report | vs masked-dense | of that by the threshold | softmax attention takes |",
                 "|---|---|---|---|---|"] + lines + [""]
    return lines


def picture_lines(reports, to_reports):
    """Tile density against speedup: of the H100 where there is one, else of any GPU, else of any device."""
    def rank(report):
        return ("H100" not in report.device_name, report.on_cpu, report.backend != "CUDA")
    for report in sorted(reports, key=rank):
        for plot in report.plots:
            if plot.startswith("tile_density"):
                return [f"![Speedup of tile-skip over masked-dense by tile density, {report.label()}]"
                        f"({to_reports}/{report.name}/plots/{plot})", ""]
    return []


def figures_block(reports):
    """The block of README.md."""
    traces = [r for r in reports if r.preset == "traces"]
    reports = [r for r in reports if r.preset == "full"]
    if not reports:
        return [NONE_YET]
    commands = Commands()
    lines = picture_lines(reports, "results/reports")
    lines.append("| | " + " | ".join(f"[{r.label()}](results/reports/{r.name}/report.md)" for r in reports) + " |")
    lines.append("|---|" + "---|" * len(reports))
    lines.append("| shape, where no other is said | " + " | ".join(shape_text(r.shape) for r in reports) + " |")
    for text, figure in FIGURES:
        cells = [figure(r, commands) or "" for r in reports]
        if any(cells):
            lines.append(f"| {text} | " + " | ".join(cells) + " |")
    lines += ["", "How many times faster than `masked-dense` with the best of its tiles; of softmax attention and "
              "PyTorch, how many times as long as the fastest `tile-skip` they take, at the length before the colon. In "
              "brackets the 95 % interval, then which of `skip=tile` (whole tiles are left out) and `skip=slice` (parts "
              "of a tile, too) was the better, and the number of the command.", ""]
    lines += layer_lines(traces, commands)
    return lines + caveat_lines(reports + traces, commands) + [""] + commands.lines()


def list_block(reports):
    """The block of the reports' own README.md."""
    if not reports:
        return [NONE_YET]
    lines = ["| report | device | rows | begun | commit | command |", "|---|---|---:|---|---|---|"]
    for r in reports:
        lines.append(f"| [{r.name}]({r.name}/report.md) | {r.label()} | {len(r.rows)} | {r.run['start'][:10]} | "
                     f"{r.run['commit']} | `{r.command()}` |")
    lost = [(r, row) for r in reports for row in losers(r)[1]]
    if lost:
        lines += ["", "Every row that skips and is slower than `masked-dense`, by its interval:", "",
                  "| report | time of masked-dense over its own | there |", "|---|---|---|"]
        letters = Doubts()
        lines += [f"| {r.name} | {ratio(row, 'speedup_vs_masked')} {letters.mark(row)} | {where(row)}, "
                  f"skip={row['skip']} |" for r, row in lost]
        lines += [""] + letters.lines()
    return lines


def replace(text, name, lines):
    """The text with the block of that name as these lines."""
    pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.S)
    if len(pattern.findall(text)) != 1:
        raise ValueError(f"there is not one block <!-- {name} -->")
    return pattern.sub(lambda m: m.group(1) + "\n".join(lines).rstrip() + "\n" + m.group(2), text)


def main():
    parser = argparse.ArgumentParser(usage="tables.py [--check] [--reports DIR] [--root DIR]")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--reports", default=HERE)
    parser.add_argument("--root", default=os.path.dirname(os.path.dirname(HERE)))
    o = parser.parse_args()
    reports = load(o.reports)
    blocks = [("README.md", "figures", figures_block(reports)),
              (os.path.join("results", "reports", "README.md"), "reports", list_block(reports)),
              (os.path.join("results", "reports", "claims.md"), "claims", claims_block(reports))]
    stale = []
    for path, name, lines in blocks:
        whole = os.path.join(o.root, path)
        with open(whole, encoding="utf-8") as f:
            text = f.read()
        new = replace(text, name, lines)
        if new == text:
            continue
        stale.append(path)
        if not o.check:
            with open(whole, "w", encoding="utf-8") as f:
                f.write(new)
    for path in stale:
        print(f"{path}: {'is not what the rows say; run results/reports/tables.py' if o.check else 'written'}")
    return 1 if o.check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
