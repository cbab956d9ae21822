#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Whether a program is found to be slower than itself: sweeps N+1 times and compares neighbours.

Usage: compare_runs.py HARNESS N [FOLDER] [-- SWEEP_OPTION...]

The runs stay in FOLDER, which must not hold any yet; without one they are removed. Prints a line a
comparison, and how far device events and wall time are apart in rows above 50 us; exit status 1
where a comparison does not exit with 0. For a machine with nothing else to do; no part of the tests.
"""
import json
import os
import subprocess
import sys
import tempfile


def sweep(harness, out, options):
    p = subprocess.run([harness, "--sweep", *options, "--out", out], stdout=subprocess.DEVNULL,
                       check=False)
    if p.returncode != 0:
        sys.exit(f"compare_runs.py: the sweep into {out} exits with {p.returncode}")


def tell_clocks(folders):
    apart = []
    for folder in folders:
        with open(os.path.join(folder, "rows.jsonl"), encoding="utf-8") as f:
            for row in map(json.loads, f):
                if row.get("t_event_ns") and row["t_event_ns"] > 50e3:
                    apart.append(abs(row["t_wall_ns"] / row["t_event_ns"] - 1))
    apart.sort()
    if apart:
        print(f"events and wall time of {len(apart)} rows above 50 us: half within "
              f"{100 * apart[len(apart) // 2]:.1f} %, 95 % within "
              f"{100 * apart[len(apart) * 95 // 100]:.1f} %, all within {100 * apart[-1]:.1f} %")


def main(words):
    at = words.index("--") if "--" in words else len(words)
    words, options = words[:at], words[at + 1:]
    if len(words) not in (2, 3) or not words[1].isdecimal() or int(words[1]) < 1:
        sys.exit(__doc__)
    harness, n = os.path.abspath(words[0]), int(words[1])
    exits = []
    with tempfile.TemporaryDirectory() as own:
        folder = words[2] if len(words) == 3 else own
        runs = [os.path.join(folder, str(i)) for i in range(n + 1)]
        sweep(harness, runs[0], options)
        for base, new in zip(runs, runs[1:]):
            sweep(harness, new, options)
            p = subprocess.run([harness, "--compare", base, new], capture_output=True, text=True,
                               check=False)
            exits.append(p.returncode)
            print(f"{len(exits)}: exit {p.returncode}: {(p.stdout or p.stderr).splitlines()[0]}",
                  flush=True)
            if p.returncode != 0:
                print(p.stdout, p.stderr, sep="", flush=True)
        tell_clocks(runs)
    print(f"{exits.count(0)} of {n} comparisons exit with 0")
    return exits.count(0) != n


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
