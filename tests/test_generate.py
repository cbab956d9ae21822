#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Declarations that cannot be understood stop the build with file, line and reason.

Usage: test_generate.py GENERATE.PY
"""
import os
import shutil
import subprocess
import sys
import tempfile

GOOD = """/*
 * @kernel tile-skip
 * @variant t
 * @backend opencl
 * @summary a test
 * @tunable TILE_Q = 32 : 16 32 -- rows
 * @require TILE_Q <= DK
 * @step entry
 * @groups ceil_div(LEN_Q, TILE_Q), HEADS_Q, BATCH
 * @group TILE_Q
 * @local TILE_Q * max(DK, DV) * 4
 */
"""
BAD = [
    ("work outside a probe", GOOD.replace(" * @step", " * @work 1\n * @step"), "a probe has @work"),
    ("probe without work", GOOD.replace("tile-skip", "probe-matrix"), "a probe has @work"),
    ("unknown @", GOOD.replace("@require", "@requires"), "unknown @requires"),
    ("unknown name", GOOD.replace("<= DK", "<= DKK"), "unknown name 'DKK'"),
    ("default not offered", GOOD.replace("= 32 :", "= 48 :"), "values must ascend"),
    ("tunable of a field's name", GOOD.replace("TILE_Q", "BATCH"), "BATCH has a meaning of its own"),
    ("tunable of a constant's name", GOOD.replace("TILE_Q", "F16"), "F16 has a meaning of its own"),
    ("tunable of a function's name", GOOD.replace("TILE_Q", "min"), "min has a meaning of its own"),
    ("values not ascending", GOOD.replace(": 16 32", ": 32 16"), "values must ascend"),
    ("no help", GOOD.replace(" -- rows", ""), "want '@tunable"),
    ("no kernel", GOOD.replace("@kernel tile-skip", ""), "no @kernel"),
    ("unknown kernel", GOOD.replace("tile-skip", "tile-skp"), "@kernel is one of"),
    ("unknown backend", GOOD.replace("opencl", "opnecl"), "@backend is one of"),
    ("parentheses", GOOD.replace("<= DK", "<= DK (("), "is not an expression"),
    ("not C", GOOD.replace("<= DK", "<= DK; 1"), "is not an expression"),
    ("tunable in @when", GOOD.replace("@require", "@when"), "unknown name 'TILE_Q'"),
    ("tunable twice", GOOD.replace(" * @require", " * @tunable TILE_Q = 1 : 1 -- x\n * @require"),
     "declared twice"),
    ("host outside ref", GOOD.replace(" * @step", " * @host f\n * @step"), "@host outside ref"),
    ("no step", GOOD.split(" * @step")[0] + "*/\n", "no @step"),
    ("no group", GOOD.replace("@group TILE_Q\n", "\n"), "has no @group"),
    ("group before step", "/* @group 3 */\n" + GOOD, "before @step"),
    ("target outside cuda", GOOD.replace(" * @step", " * @target sm_90a\n * @step"), "are for cuda"),
    ("tensor map outside cuda", GOOD.replace(" * @step", " * @tensor_map k: TILE_Q\n * @step"),
     "are for cuda"),
    ("tensor map of o", GOOD.replace("opencl", "cuda").replace(" * @step", " * @tensor_map o: 1\n * @step"),
     "want '@tensor_map"),
    ("tensor map of an unknown name",
     GOOD.replace("opencl", "cuda").replace(" * @step", " * @tensor_map k: ROWS\n * @step"),
     "unknown name 'ROWS'"),
    ("five tensor maps",
     GOOD.replace("opencl", "cuda").replace(" * @step", " * @tensor_map k: 1\n" * 5 + " * @step"),
     "more than 4 tensor maps"),
    ("a line that goes on", GOOD.replace("-- rows", "-- rows\n * of a block"), "text right after an @"),
    ("twice", GOOD.replace(" * @variant t", " * @variant t\n * @variant u"), "second @variant"),
]


def main():
    failures = 0
    with tempfile.TemporaryDirectory() as tmp:
        tool = shutil.copy(sys.argv[1], tmp)
        kernel = os.path.join(tmp, "k.cl")

        def run(text):
            with open(kernel, "w", encoding="utf-8") as f:
                f.write(text)
            return subprocess.run([sys.executable, tool, os.path.join(tmp, "out.c"),
                                   os.path.join(tmp, "out.d"), "k.cl"],
                                  capture_output=True, text=True, check=False)

        r = run(GOOD)
        out = open(os.path.join(tmp, "out.c"), encoding="utf-8").read() if r.returncode == 0 else ""
        for want in ('.kernel = "tile-skip"', "#ifndef TILE_Q", "e->tunable[0] <= e->DK",
                     "scr_ceil_div(e->LEN_Q, e->tunable[0])"):
            if want not in out:
                failures += 1
                print(f"good declaration: no {want!r} in the output\n{r.stderr}")
        with open(os.path.join(tmp, "out.d"), encoding="utf-8") as f:
            if "k.cl" not in f.read():
                failures += 1
                print("the dependency file does not name k.cl")
        for name, text, message in BAD:
            r = run(text)
            if r.returncode == 0 or message not in r.stderr:
                failures += 1
                print(f"{name}: exit {r.returncode}, wanted '{message}', got: {r.stderr}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
