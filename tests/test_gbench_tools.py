#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Google Benchmark's compare.py opens what the shim has it write.

Usage: test_gbench_tools.py TEST_GBENCH

compare.py is that of the environment variable BENCHMARK_COMPARE or of Debian's libbenchmark-tools;
it needs numpy and scipy. Exit status 77 where one of them is missing.
"""
import importlib.util
import json
import os
import subprocess
import sys
import tempfile

COMPARE = os.environ.get("BENCHMARK_COMPARE", "/usr/share/benchmark/compare.py")


def write(program, path, scale):
    subprocess.run([program, "--benchmark_out=" + path, "--benchmark_repetitions=9"], check=True,
                   env={**os.environ, "TEST_GBENCH_SCALE": scale}, capture_output=True, timeout=60)


def main(program):
    missing = [m for m in ("numpy", "scipy") if importlib.util.find_spec(m) is None]
    if not os.path.exists(COMPARE):
        missing.append(COMPARE)
    if missing:
        print("skipped, missing:", *missing)
        return 77
    with tempfile.TemporaryDirectory() as folder:
        base, new, dump = (os.path.join(folder, n) for n in ("base.json", "new.json", "dump.json"))
        write(program, base, "1")
        write(program, new, "1.5")
        result = subprocess.run([sys.executable, COMPARE, "--no-color", "--dump_to_json", dump,
                                 "benchmarks", base, new],
                                capture_output=True, text=True, timeout=120)
        print(result.stdout, result.stderr, sep="")
        if result.returncode != 0:
            return 1
        with open(dump, encoding="utf-8") as f:
            rows = {row["name"]: row for row in json.load(f)}
    for name in ("timed/a", "timed/b"):
        row = rows[name + "/iterations:1/manual_time"]
        changes = [m["time"] for m in row["measurements"]]
        if len(changes) != 9 or any(abs(c - 0.5) > 1e-6 for c in changes):
            print(f"{name}: changes of time {changes}, expected nine of 0.5")
            return 1
    return 0


sys.exit(main(sys.argv[1]))
