#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the figures of README.md, of claims.md and of the list of reports from the rows of the reports.

Usage: tables.py [--check] [--reports DIR] [--root DIR]

A figure that is not in the rows of a published report is in none of the three: each has a block between
<!-- NAME --> and <!-- /NAME --> that is made here. --check changes nothing and fails where a block is not what the
rows say.
"""
import argparse
import math
import os
import re
import sys

from claims import claims_block
from rows import (MADE_LAYER, PART_LAYER, SCREENING, SOFTMAX, WHOLE_LAYER, Commands, Doubts, Ratio, dagger, is_layer, is_skip,
                  is_trace, layer_key, layer_kind, layer_name, load, note_lines, number, percent, ratio_of, share, skip_of,
                  time_of)

HERE = os.path.dirname(os.path.abspath(__file__))
NONE_YET = "No report is published yet: `build/harness/harness --sweep --preset full` makes one of your machine."


def longest(report, **want):
    """The greatest length that tile-skip has rows of."""
    return max((r["seq_q"] for r in report.find(seq_q=None, **want) if is_skip(r)), default=None)


def cell(row, column, commands, **beside):
    """A ratio, what it is of, and where it comes from; "" where there is none."""
    ratio = ratio_of(row, column)
    if not ratio:
        return ""
    way = row["kernel"] if row.get("peer") else skip_of(row)
    return f"{time_of(row)}, {ratio}, {way} {commands.mark(row, ratio=ratio, **beside)}"


def against_masked(text, workload, window="inf", seq=None):
    def figure(report, commands):
        want = {"seq_q": seq} if seq else {}
        return cell(report.skipping(workload=workload, window=window, **want), "speedup_vs_masked", commands)
    return text, figure


def with_windows(report, commands):
    seq = longest(report, workload="iid", window="init")
    said = cell(report.skipping(workload="iid", window="init", seq_q=seq, r=2), "speedup_vs_masked", commands)
    return said and f"{seq}: {said}"


def fastest_peer(report, op, column, workload, window, seq=None):
    """The fastest peer of an operator, at a length or at the greatest that one has run, or None."""
    rows = [r for r in report.find(seq_q=seq, workload=workload, window=window)
            if r.get("peer") and r["op"] == op and r.get(column) and r.get("t_median_ns")]
    longest_of = max((r["seq_q"] for r in rows), default=None)
    return min((r for r in rows if r["seq_q"] == longest_of), key=lambda r: r["t_median_ns"], default=None)


def against_peer(text, op, column, workload, window, seq=None):
    def figure(report, commands):
        row = fastest_peer(report, op, column, workload, window, seq)
        said = row and cell(row, column, commands, beside=report.beside(row))
        return said and f"{row['seq_q']}: {said}"
    return text, figure


def break_even(report):
    """
    The row of the greatest density up to which all rows gain, and that of the next, which does not; as the verdict of
    a report has it. Of each data set the better way to skip.
    """
    best = {}
    for r in report.find():
        if is_skip(r) and r["window"] == "inf" and r.get("choice") != "given" and r.get("tile_density") is not None \
                and r.get("speedup_vs_masked_lo") is not None:
            before = best.get(r["workload"])
            if before is None or r["speedup_vs_masked"] > before["speedup_vs_masked"]:
                best[r["workload"]] = r
    most = None
    # Of one density the row that gains least comes first, so that it decides.
    for r in sorted(best.values(), key=lambda r: (r["tile_density"], r["speedup_vs_masked"])):
        if r["speedup_vs_masked_lo"] <= 1:
            return most, r
        most = r
    return most, None


def break_even_cell(report, commands):
    most, least = break_even(report)
    said = [f"{share(r['tile_density'])}, {skip_of(r)} {commands.mark(r)}" for r in (most, least) if r]
    return "; ".join(said) if most else ""


SCATTERED = "planted:0.01x4"
MASKED = "speedup_vs_masked"
FIGURES = [
    against_masked("1 % of the pairs alive, in runs of 64 tokens", "planted:0.01x64"),
    against_masked("5 %, in runs of 64", "planted:0.05x64"),
    against_masked("20 %, in runs of 64", "planted:0.2x64"),
    against_masked("1 %, scattered (runs of 4)", SCATTERED),
    against_masked("nothing alive", "ends:0"),
    against_masked("everything alive", "ends:1"),
    against_masked("5 %, in runs of 64, 1024 tokens", "planted:0.05x64", seq=1024),
    against_masked("the same, 4096 tokens", "planted:0.05x64", seq=4096),
    against_masked("the same, 16384 tokens", "planted:0.05x64", seq=16384),
    ("tile density up to which the better of `tile` and `slice` pays; the first at which neither does", break_even_cell),
    ("\"init\" windows, longest sequence", with_windows),
    against_peer("softmax attention, which knows no window, over ours with \"init\" windows", SOFTMAX, "vs_softmax",
                 "iid", "init"),
    against_peer("softmax attention over ours, 5 % alive, no window", SOFTMAX, "vs_softmax", "planted:0.05x64", "inf"),
    against_peer("the same at 512 tokens", SOFTMAX, "vs_softmax", "planted:0.05x64", "inf", seq=512),
    against_peer("this operator in PyTorch over ours, 5 % alive", SCREENING, "vs_framework", "planted:0.05x64", "inf"),
]


def plain(x):
    """A ratio in a sentence; the tables have its interval."""
    return f"{number(x)}×"


LAYER_KINDS = [(MADE_LAYER, "Layers made like those of trained models"), (WHOLE_LAYER, "Whole recorded layers"),
               (PART_LAYER, "Their first 1000 or 1024 tokens, some heads")]


def over_skip_none(layer):
    """
    The time of the layer's row that skips nothing, with the parameters that the tables have for it, over that of the
    best that skips: as a row has a ratio, with an interval. Each was sampled in turn with the same masked-dense, so it
    is the quotient of those two ratios, whose errors add as squares. None where that was not measured.
    """
    best, none = layer["best"], layer["none"]
    if none and none.get("params") == best.get("params"):
        return ratio_of(best, "vs_no_skip")
    ours, other = ratio_of(best, MASKED), ratio_of(none, MASKED)
    if not ours or not other or none.get("masked_params") != best.get("masked_params") or not all((*ours, *other)):
        return None
    x = ours.x / other.x
    below = math.hypot(math.log(ours.x / ours.lo), math.log(other.hi / other.x))
    above = math.hypot(math.log(ours.hi / ours.x), math.log(other.x / other.lo))
    return Ratio(x, x * math.exp(-below), x * math.exp(above))


def threshold_gain(layer):
    """
    What skipping dead pairs gains in a layer, None where that was not measured: against the same kernel that skips
    nothing, with the same parameters or with its own, whichever is faster. And the rows that it is of.
    """
    best, own = layer["best"], over_skip_none(layer)
    twin = ratio_of(best, "vs_no_skip")
    if twin is None:
        return None
    return (own, best, layer["none"]) if own and own.x < twin.x else (twin, best)


def answer_lines(reports, doubts):
    """Does it pay? A line a device, of figures that the tables below have with their intervals."""
    said, lines = {}, []
    for report in reports:
        rows = {w: report.skipping(workload=w, window="inf") for w in ("planted:0.05x64", "ends:0", SCATTERED)}
        if report.preset != "full" or not all(rows.values()):
            continue
        runs, none, scattered = (plain(r[MASKED]) + doubts.mark(r, ratio=ratio_of(r, MASKED)) for r in rows.values())
        softmax = fastest_peer(report, SOFTMAX, "vs_softmax", "planted:0.05x64", "inf")
        said[report.short()] = [
            f"window off, {report.shape['seq_q']} tokens: `tile-skip` is {runs} as fast as `masked-dense` where 5 % of the "
            f"pairs are alive in runs of 64, {none} where none is, {scattered} where 1 % is scattered."]
        if softmax:
            ratio = ratio_of(softmax, "vs_softmax")
            longer = plain(ratio.x) + doubts.mark(softmax, report.beside(softmax), ratio=ratio)
            said[report.short()].append(f"At {softmax['seq_q']} tokens, 5 % alive, softmax attention takes {longer} as long "
                                        "as it.")
    for device, sentences in said.items():
        own = [report for report in reports if report.short() == device]
        layers = [layer for report in own for layer in layers_of(report) if threshold_gain(layer)]
        for kind, name in LAYER_KINDS:
            of_kind = [layer for layer in layers if layer_kind(layer["best"]) == kind]
            if of_kind:
                both = spread([(ratio_of(layer["best"], MASKED), layer["best"]) for layer in of_kind], doubts)
                alone = spread([threshold_gain(layer) for layer in of_kind], doubts)
                sentences.append(f"{name}: {both} over `masked-dense`, by window and threshold together; {alone} over the "
                                 "fastest that skips by window alone.")
        lines.append(f"- **{device}**{dagger(*own)}: {' '.join(sentences)}")
    intro = ["†: see the notes below the tables, which say what the letters at a figure mean, too.", ""]
    return intro + lines + [""] if lines else []


def spread(figures, doubts):
    """The least and the greatest of ratios, each with the rows that it is of."""
    ends = (min(figures, key=lambda f: f[0].x), max(figures, key=lambda f: f[0].x))
    return " to ".join(dict.fromkeys(plain(ratio.x) + doubts.mark(*rows, ratio=ratio) for ratio, *rows in ends))


def shape_text(s):
    return f"{s['dtype']}, {s['heads']} head{'s' if s['heads'] != 1 else ''}, {s['seq_q']} tokens, dims {s['dk']}, {s['dv']}"


def losers(report, column="speedup_vs_masked"):
    """Rows that skip, and those among them that are slower than what the column is against, beyond doubt, worst first."""
    rows = [r for r in report.rows if is_skip(r) and r["status"] == "ok" and r.get(column + "_hi") is not None
            and r.get("choice") != "given"]
    return rows, sorted((r for r in rows if r[column + "_hi"] < 1), key=lambda r: r[column])


LAYERS = {"trained": ", made layers", "traces": ", recorded layers"}


def where(r):
    if is_trace(r):
        head = r.get("trace_head")
        return layer_name(r) + (f", head {head}" if head is not None else "") + f", {r['dtype']}"
    r_text = f", r {r['r']:.3g}" if r.get("r") is not None else ""
    text = f"{r['workload']}, window {r['window']}{r_text}, {r['seq_q']} tokens, {r['dtype']}, dims {r['dk']}, {r['dv']}"
    return text + (f", tile density {share(r['tile_density'])}" if r.get("tile_density") is not None else "")


def caveat_lines(reports, commands):
    lines = ["Where skipping does not pay: rows that are slower, by their intervals, than `masked-dense`, and than the "
             "same kernel with the same parameters that skips nothing.", "",
             "| report | slower than masked-dense | slower than without skipping | the worst in the report's dtype |",
             "|---|---:|---:|---|"]
    for report in reports:
        rows, lost = losers(report)
        kept, worse = losers(report, "vs_no_skip")
        lost = [r for r in lost if report.shape["dtype"] in (None, r["dtype"])]
        worst = lost and f"{cell(lost[0], 'speedup_vs_masked', commands)}: {where(lost[0])}" or ""
        lines.append(f"| {report.short()}{LAYERS.get(report.preset, '')}{dagger(report)} | "
                     f"{len(losers(report)[1])} of {len(rows)} | {len(worse)} of {len(kept)} | {worst} |")
    return lines


def layers_of(report):
    """Of each layer, all heads at once: the fastest row that skips, that which skips nothing, and softmax."""
    every = [r for r in report.rows if is_layer(r) and r["status"] == "ok" and r.get("trace_head") is None]
    layers = []
    for layer in dict.fromkeys(layer_key(r) for r in every):
        of_layer = [r for r in every if layer_key(r) == layer and r.get("choice") != "given"]
        own = [r for r in of_layer if is_skip(r) and r.get("speedup_vs_masked") is not None]
        softmax = [r for r in of_layer if r.get("peer") and r["op"] == SOFTMAX and r.get("vs_softmax") is not None]
        none = [r for r in of_layer if r.get("kernel") == "tile-skip" and r.get("skip") == "none" and r.get("t_median_ns")]
        if own:
            fastest = {name: min(rows, key=lambda r: r["t_median_ns"], default=None)
                       for name, rows in (("best", own), ("none", none), ("softmax", softmax))}
            layers.append({"report": report, **fastest})
    return layers


def layer_lines(reports, commands):
    """A column a device, a few lines a layer; those come first whose commands need nothing else."""
    columns = {}
    for report in reports:
        for layer in layers_of(report):
            columns.setdefault(report.short(), {})[layer_key(layer["best"])] = layer
    if not columns:
        return []
    lines = ["Layers with windows and densities like those of two small trained models, most windows short and a few long: "
             "first two of random data (half of the windows below 12 tokens, a ninth above 130); then parts of layers that "
             "were recorded, in this repository; then whole ones, whose files "
             "[are not](results/reports/README.md#recorded-layers). *% alive*: of the pairs inside mask and window. *The "
             "threshold alone* is against the same kernel with the same parameters and nothing skipped but what is outside "
             "the windows; the next line is against that kernel with the parameters that the tables have for it; where those "
             "are others, each was timed in turns with `masked-dense`, and the ratio is the quotient of the two ratios "
             "over that. Below 1× the skipping costs more than it saves. Softmax attention, which knows no window, is held to "
             "the fastest of ours, which may be the one that skips nothing. `sdpa-math` is PyTorch's plain fallback: on a "
             "processor it has no fused kernel for a dk that is not dv.", "",
             "| | " + " | ".join(columns) + " |",
             "|---|" + "---|" * len(columns)]
    layers = {k: layer["best"] for of_column in columns.values() for k, layer in of_column.items()}
    for k, row in sorted(layers.items(), key=lambda item: layer_kind(item[1])):
        each = [of_column.get(k) for of_column in columns.values()]
        lines.append(f"| **{layer_name(row)}**, dims {row['dk']}, {row['dv']} | " +
                     " | ".join(layer_shape(layer) if layer else "" for layer in each) + " |")
        for text, figure in LAYER_FIGURES:
            cells = [figure(layer, commands) if layer else "" for layer in each]
            lines.append(f"| {text} | " + " | ".join(c or "not published" for c in cells) + " |")
    return lines + [""]


def layer_shape(layer):
    r = layer["best"]
    return (f"[{r['dtype']}, {r['heads']} heads, {r['seq_q']} tokens](results/reports/{layer['report'].name}/report.md)"
            f"{dagger(layer['report'])}, {percent(r['pair_density'])} alive")


def threshold_alone(layer, commands):
    ratio = ratio_of(layer["best"], "vs_no_skip")
    return ratio and f"{ratio} {commands.mark(layer['best'], ratio=ratio)}"


def softmax_over_ours(layer, commands):
    peer = layer["softmax"]
    return peer and cell(peer, "vs_softmax", commands, beside=layer["report"].beside(peer))


def by_window_alone(layer, commands):
    none, own = layer["none"], over_skip_none(layer)
    if not own:
        return None
    same = ", the same parameters" if none.get("params") == layer["best"].get("params") else ""
    return f"{time_of(none)}, {own}{same} {commands.mark(none, beside=layer['best'], ratio=own)}"


LAYER_FIGURES = [
    ("over `masked-dense`", lambda layer, commands: cell(layer["best"], "speedup_vs_masked", commands)),
    ("the threshold alone", threshold_alone),
    ("by window alone, own parameters, over ours", by_window_alone),
    ("softmax attention over ours", softmax_over_ours),
]


def picture_lines(reports, to_reports):
    """Tile density against speedup: of the H100 where there is one, else of any GPU, else of any device."""
    for report in sorted(reports, key=lambda r: "H100" not in r.device_name):
        for plot in report.plots:
            if plot.startswith("tile_density"):
                return [f"![Speedup of tile-skip over masked-dense by tile density, {report.label()}]"
                        f"({to_reports}/{report.name}/plots/{plot})", ""]
    return []


def figures_block(reports):
    """The block of README.md."""
    every, layers = reports, [r for r in reports if r.preset in LAYERS]
    reports = [r for r in reports if r.preset == "full"]
    if not reports:
        return [NONE_YET]
    commands = Commands()
    lines = picture_lines(reports, "results/reports") + answer_lines(every, commands.doubts)
    lines += ["How many times faster than `masked-dense` with its own fastest parameters, which computes every tile, those "
              "outside the window, too. In a cell: the time, the ratio with its 95 % interval, whether whole tiles are left "
              "out (`tile`) or parts of one, too (`slice`), where the faster one was taken, and the number of the command; "
              "the letters of what is to be taken with care, and the notes (†), stand below the tables. "
              "\"init\" windows are those that a model starts with, of 2 to 256 tokens by head."
              + (" PyTorch does not run by OpenCL on a GPU." if any(r.backend == "OpenCL" and not r.on_cpu for r in reports)
                 else ""), ""]
    lines.append("| | " + " | ".join(f"[{r.short()}](results/reports/{r.name}/report.md){dagger(r)}" for r in reports) + " |")
    lines.append("|---|" + "---|" * len(reports))
    lines.append("| where no other is said | " + " | ".join(shape_text(r.shape) for r in reports) + " |")
    for text, figure in FIGURES:
        cells = [figure(r, commands) or "" for r in reports]
        if any(cells):
            lines.append(f"| {text} | " + " | ".join(c or "not published" for c in cells) + " |")
    lines.append("")
    lines += layer_lines(every, commands)
    return lines + caveat_lines(reports + layers, commands) + [""] + note_lines(reports + layers) + commands.lines()


def list_block(reports):
    """The block of the reports' own README.md."""
    if not reports:
        return [NONE_YET]
    lines = ["| report | device | rows | begun | commit | command |", "|---|---|---:|---|---|---|"]
    for r in reports:
        of = f" of {len(r.rows) + r.run['left_out']['rows']}" if "left_out" in r.run else ""
        lines.append(f"| [{r.name}]({r.name}/report.md) | {r.label()} | {len(r.rows)}{of} | {r.run['start'][:10]} | "
                     f"{r.run['commit']} | `{r.command()}` |")
    lines += [""] + note_lines(reports, "", "- ")
    lost = [(r, row) for r in reports for row in losers(r)[1]]
    if lost:
        lines += ["", "<details><summary>Every row that skips and is slower than masked-dense, by its interval</summary>",
                  "", "| report | time of masked-dense over its own | there |", "|---|---|---|"]
        letters = Doubts()
        for r, row in lost:
            ratio = ratio_of(row, MASKED)
            lines.append(f"| {r.name} | {ratio} {letters.mark(row, ratio=ratio)} | {where(row)}, skip={row['skip']} |")
        lines += [""] + letters.lines() + ["</details>"]
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
    by_name = load(o.reports)
    ranked = sorted(by_name, key=lambda r: r.rank())
    blocks = [("README.md", "figures", figures_block(ranked)),
              (os.path.join("results", "reports", "README.md"), "reports", list_block(by_name)),
              (os.path.join("results", "reports", "claims.md"), "claims", claims_block(ranked))]
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
