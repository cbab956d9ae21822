# SPDX-License-Identifier: Apache-2.0
"""What was said of screening in public, and what the rows of the reports say to it: the block of claims.md.

A claim is a function that gives lines (figure, verdict), from the first report that has the rows or from each.
"""
import math

from rows import (SCREENING, SOFTMAX, WHOLE_LAYER, Commands, Ratio, is_layer, is_skip, layer_kind, note_lines, number, ratio_of,
                  skip_of)

PAPER = "[arXiv:2604.01178v1](https://arxiv.org/abs/2604.01178v1)"
PORT = "[PyTorch port of ibusan100](https://github.com/ibusan100/PyTorch-implementation-of-Screening-Attention)"

# Percent of all T x T weights of 8 heads, dims 64, that are zero: benchmarks/results_sparsity.json of the port.
ZEROS = {(2, 128): 100.0, (2, 512): 100.0, (2, 2048): 100.0, (1.5, 128): 99.9, (1.5, 512): 100.0, (1.5, 2048): 100.0,
         (1.2, 128): 98.0, (1.2, 512): 99.1, (1.2, 2048): 99.7}
ROUNDING = 0.05  # they have one decimal

# Part of the pairs of random unit vectors in 64 dims whose similarity is over 0.5, in the same file: of one drawing
# of that many pairs (measure_sim_stats of its benchmarks/bench_sparsity.py), with six decimals.
BY_CHANCE, BY_CHANCE_PAIRS, BY_CHANCE_ROUNDING = 1.3e-5, 4 * 8 * 512 * 512, 0.5e-6

# Time of screening over that of scaled_dot_product_attention by length, batch 4, 8 heads, dims 64, on an RTX 4060 Ti:
# table A-1 of its BENCHMARK_REPORT.md.
SLOWER = {512: 2.747 / 0.694, 1024: 11.2 / 1.754, 2048: 43.06 / 4.849, 4096: 1956.2 / 14.84}


def data_rows(report, **want):
    """Rows of the harness's own that tell of data with these columns, one a data set."""
    seen = {}
    for r in report.rows:
        if not r.get("peer") and r["status"] == "ok" and r.get("pairs_live") is not None and \
                all(r.get(k) == v for k, v in want.items()):
            seen.setdefault(r["data_hash"], r)
    return list(seen.values())


def zeros(reports, commands):
    """The same data on every device, so the first report that has them all."""
    for report in reports:
        rows = {}
        for r in data_rows(report, workload="iid", window="init", dk=64, dv=64, heads=8):
            rows[(round(r.get("r") or 0, 4), r["seq_q"])] = r  # in the rows r is what f32 has of it
        if all(key in rows for key in ZEROS):
            break
    else:
        return []
    lines = []
    for sharpness in (2, 1.5, 1.2):
        parts, holds, used = [], True, []
        for length in (128, 512, 2048):
            r = rows[(sharpness, length)]
            share = 100 * (1 - r["pairs_live"] / (r["batch"] * r["heads"] * r["seq_q"] * r["seq_k"]))
            drawn = 100 * math.sqrt(r["pairs_live"]) / (r["batch"] * r["heads"] * r["seq_q"] * r["seq_k"])
            # Two drawings differ by chance: twice their standard deviation.
            holds &= abs(share - ZEROS[(sharpness, length)]) <= ROUNDING + 2 * math.sqrt(2) * drawn + 1e-9
            parts.append(f"{share:.2f} % at {length} "
                         f"(of the pairs in the windows {100 * (1 - r['pair_density']):.2f} %)")
            used.append(r)
        lines.append((f"r = {sharpness:g}: {'; '.join(parts)} {commands.mark(*used, timed=False)}",
                      "holds" if holds else "does not hold"))
    return lines


def share_over(similarity, dims):
    """
    The part of the pairs of random unit vectors whose similarity is over one of 0 to 1. (s + 1) / 2 has the Beta
    distribution with a = b = (dims - 1) / 2, so it is the regularised incomplete beta function of a, a at
    (1 - similarity) / 2, here by its series.
    """
    a, x = (dims - 1) / 2, (1 - similarity) / 2
    term = total = 1.0
    k = 0
    while term > 1e-17 * total:
        term *= x * (2 * a + k) / (a + 1 + k)
        total += term
        k += 1
    log_first = a * math.log(x * (1 - x)) + math.lgamma(2 * a) - 2 * math.lgamma(a) - math.log(a)
    return math.exp(log_first) * total


def by_chance(reports, commands):
    """The exact share judges both figures: each is of a drawing, which has its standard deviation."""
    exact = share_over(0.5, 64)
    for report in reports:
        for r in data_rows(report, workload="iid", window="inf", dk=64, r=2):
            ours, pairs = r["pair_density"], r["pairs_admissible"]
            figure = f"{ours:.3g} of {pairs:.3g} pairs {commands.mark(r, timed=False)}; exactly {exact:.3g}"
            if abs(ours - exact) > 4 * math.sqrt(exact / pairs):
                return [(figure, "undecided: our own figure is not what chance gives")]
            theirs_off = abs(BY_CHANCE - exact) - BY_CHANCE_ROUNDING
            holds = theirs_off <= 2 * math.sqrt(exact / BY_CHANCE_PAIRS)
            return [(figure, f"holds, within the chance of their {BY_CHANCE_PAIRS / 1e6:.1f} million pairs" if holds
                     else "does not hold")]
    return []


def slower(reports, commands):
    lines = []
    for report in reports:
        parts, all_slower = [], True
        for length in SLOWER:
            want = {"workload": "planted:0.05x64", "window": "inf", "seq_q": length, "dk": 64, "dv": 64}
            softmax = report.peer(SOFTMAX, **want)
            eager = [r for r in report.find(**want)
                     if r.get("peer") and r["op"] == SCREENING and r["kernel"] == "eager"]
            if softmax is None or not eager or eager[0].get("t_ci_lo_ns") is None or softmax.get("t_ci_lo_ns") is None:
                continue
            ratio = Ratio(eager[0]["t_median_ns"] / softmax["t_median_ns"],
                          eager[0]["t_ci_lo_ns"] / softmax["t_ci_hi_ns"], eager[0]["t_ci_hi_ns"] / softmax["t_ci_lo_ns"])
            all_slower &= ratio.lo > 1
            parts.append(f"{ratio} at {length}, to {softmax['kernel']} {commands.mark(eager[0], softmax, ratio=ratio)}")
        if parts:
            of = "at every length"
            if len(parts) < len(SLOWER):
                of = f"at {len(parts)} of the {len(SLOWER)} lengths, the others are not measured"
            lines.append((f"{commands.name(report)}, {report.shape['dtype']}: {'; '.join(parts)}",
                          f"holds in kind: slower {of}" if all_slower else "does not hold at every length"))
    return lines


def memory(reports, commands):
    lines = []
    for report in reports:
        want = {"seq_q": 4096, "workload": "planted:0.05x64", "window": "inf", "dk": 64, "dv": 64}
        dense = report.find(kernel="dense", **want)
        eager = [r for r in report.find(kernel="eager", **want) if r.get("mem_peak_bytes")]
        fused = report.skipping(**want)
        if not dense or dense[0].get("workspace_bytes") is None:
            continue
        heads = dense[0]["batch"] * dense[0]["heads"]
        each = dense[0]["workspace_bytes"] / heads
        parts = [f"`dense` has {dense[0]['workspace_bytes'] / 1e9:.2f} GB of scores for {heads} heads, "
                 f"{32 * each / 1e9:.2f} GB for 32"]
        if fused is not None and fused.get("workspace_bytes") is not None:
            needs = f"{fused['workspace_bytes'] / 1e6:.2g} MB" if fused["workspace_bytes"] else "none"
            parts.append(f"`tile-skip`, {skip_of(fused)}, {needs} {commands.mark(fused, timed=False)}")
        if eager:
            parts.append(f"PyTorch, eager, needs {eager[0]['mem_peak_bytes'] / 1e9:.2f} GB in all for {heads} heads")
        lines.append((f"{report.label()}: {'; '.join(parts)} {commands.mark(dense[0], *eager[:1], timed=False)}",
                      f"the matrix: {'holds' if abs(32 * each / 2.147e9 - 1) < 0.1 else 'does not hold'}; the total is "
                      "another program's and is not judged"))
    return lines


def over_ours(report, peer, commands):
    """How long a peer's softmax attention takes, held to the fastest tile-skip on its data."""
    ratio = ratio_of(peer, "vs_softmax")
    return f"{ratio} as long {commands.mark(peer, beside=report.beside(peer), ratio=ratio)}"


def over_softmax(reports, commands, length=None):
    """Softmax attention over the fastest tile-skip, with "init" windows; without a length the longest. (report, row)"""
    found = []
    for report in reports:
        rows = [r for r in report.find(workload="iid", window="init", seq_q=length, r=2)
                if r.get("vs_softmax") and r.get("t_median_ns")]
        longest = max((r["seq_q"] for r in rows), default=None)
        row = min((r for r in rows if r["seq_q"] == longest), key=lambda r: r["t_median_ns"], default=None)
        if row is not None:
            found.append((f"{commands.name(report)}, {row['dtype']}, {longest} tokens, \"init\" windows, random data: "
                          f"{row['kernel']} takes {over_ours(report, row, commands)}", row))
    return found


def whole_models(reports, commands):
    """A model is more than its attention: what is there of the operator is told, and nothing is judged."""
    lines = [figure for figure, _ in over_softmax(reports, commands)]
    for report in reports:
        whole = [r for r in report.rows if is_layer(r) and layer_kind(r) == WHOLE_LAYER and r["status"] == "ok"
                 and r.get("trace_head") is None and r.get("vs_softmax") and r.get("t_median_ns")]
        for workload in dict.fromkeys(r["workload"] for r in whole):
            row = min((r for r in whole if r["workload"] == workload), key=lambda r: r["t_median_ns"])
            lines.append(f"{commands.name(report)}, {row['dtype']}, a recorded layer of {row['seq_q']} tokens and {row['heads']} "
                         f"heads, dims {row['dk']}, {row['dv']}: {row['kernel']} takes {over_ours(report, row, commands)}")
    return [(figure, "not comparable: the operator alone, all queries at once, against a model's token") for figure in lines]


def fused(reports, commands):
    lines = []
    for figure, row in over_softmax(reports, commands, 4096):
        lo = row.get("vs_softmax_lo")
        lines.append((figure, f"of our kernel and our windows, r = 2: {'at least as much' if lo and lo >= 2.5 else 'less'}"))
    return lines


def skip_gain(reports, commands):
    lines = []
    for report in reports:
        rows = [r for r in report.find(workload="iid", window="init", seq_q=2048, r=2)
                if is_skip(r) and r.get("vs_no_skip") and r.get("choice") != "given"]
        row = min(rows, key=lambda r: r["t_median_ns"], default=None)
        if row is not None:
            ratio = ratio_of(row, "vs_no_skip")
            verdict = ("undecided: no interval" if ratio.lo is None or ratio.hi is None else "a loss" if ratio.hi < 1
                       else "holds in kind: under 1.2 times" if ratio.hi < 1.2 else "more than that")
            lines.append((f"{commands.name(report)}, {row['dtype']}: {ratio} {skip_of(row)} "
                          f"{commands.mark(row, ratio=ratio)}", verdict))
    return lines


CLAIMS = [
    ("A model of screening answers up to 3.2 times faster at a context of 100K tokens (the next token of a 286M model: "
     "1.26 s, of a 353M Transformer 4.05 s)", f"{PAPER}, abstract and table 4",
     whole_models),
    ("At the start (\"init\" windows, random data) nearly all weights are zero: 100 % with r = 2, 99.9 to 100 % with 1.5, "
     "98.0, 99.1 and 99.7 % with 1.2 at 128, 512 and 2048 tokens", f"{PORT}, benchmarks/results_sparsity.json", zeros),
    ("Of random unit vectors in 64 dims 1.3e-5 of the pairs have a similarity over 0.5",
     f"{PORT}, benchmarks/results_sparsity.json", by_chance),
    ("Screening in plain PyTorch takes " + ", ".join(f"{x:.0f}" for x in SLOWER.values()) + " times as long as softmax "
     "attention at " + ", ".join(str(n) for n in SLOWER) + " tokens (at 4096 the 8 GB of its GPU did not suffice)",
     f"{PORT}, BENCHMARK_REPORT.md, table A-1; of the 8 GB its BENCHMARK_REPORT_TRITON.md", slower),
    ("The matrix of weights alone has about 2 GB at 4096 tokens (4 x 8 heads), all in all 7.1 GB",
     f"{PORT}, BENCHMARK_REPORT.md, table A-3, and its announcement", memory),
    ("A fused kernel, which leaves out what is outside the windows, is 2.5 times faster than softmax attention at 4096 "
     "tokens (r about 1.93, as after training)", f"{PORT}, BENCHMARK_REPORT_TRITON.md, comparison with F.SDPA",
     fused),
    ("Inside the windows, skipping by threshold gains 1.05 times at 2048 tokens (r about 1.93, as after training, "
     "random input)", f"{PORT}, BENCHMARK_REPORT_TRITON.md, phase 2-b", skip_gain),
]


def claims_block(reports):
    commands = Commands()
    lines = ["| claim | source | our figure | verdict |", "|---|---|---|---|"]
    for text, source, measure in CLAIMS:
        found = measure(reports, commands) or [("", "not measured yet")]
        verdicts = list(dict.fromkeys(v for _, v in found))
        figures = "<br>".join(f if len(verdicts) == 1 else f"{f}: {v}" for f, v in found)
        verdicts = verdicts[0] if len(verdicts) == 1 else "differs: said beside each figure"
        lines.append(f"| {text} | {source} | {figures} | {verdicts} |")
    return lines + [""] + note_lines(commands.reports, "") + commands.lines()
