#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tuner --compile-ahead: a folder of CUDA programs, without a GPU; mistakes cost a line.

Usage: test_compile_ahead.py TUNER
"""
import os
import subprocess
import sys
import tempfile
import unittest

TUNER = os.path.abspath(sys.argv[1])
TABLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "results", "nvidia", "sm_90", "h100", "h100.table")


def run(*args):
    return subprocess.run([TUNER, *args], capture_output=True, text=True, timeout=280)


class Ahead(unittest.TestCase):
    def refused(self, args, *said, status=2):
        p = run(*args)
        self.assertEqual(p.returncode, status, p.stderr)
        self.assertEqual(p.stdout, "")
        for text in said:
            self.assertIn(text, p.stderr)

    def test_usage(self):
        with tempfile.TemporaryDirectory() as tmp:
            self.refused(["--compile-ahead", tmp], "--arch", "sm_90")
            self.refused(["--compile-ahead", ""], "folder")
            self.refused(["--compile-ahead", tmp, "--arch", "sm_90", "a", "b"], "one table")
            self.refused(["--compile-ahead", tmp, "--arch", "gfx90a"], "'gfx90a'", "sm_90")
            self.refused(["--compile-ahead", tmp, "--arch", "sm_90", "--table"], "only one of")
            self.refused(["--table", "x", "--arch", "sm_90"], "--arch has no effect with --table")
            self.refused(["--compile-ahead", tmp, "--arch", "sm_90", "/nonexistent"], "/nonexistent: No such file")
            self.refused(["--compile-ahead", tmp, "--arch", "sm_90", TUNER], "not a table")
            self.assertEqual(os.listdir(tmp), [])

    def test_old_architecture(self):
        with tempfile.TemporaryDirectory() as tmp:
            self.refused(["--compile-ahead", tmp, "--arch", "sm_20"], "does not know sm_20", status=5)
            self.assertEqual(os.listdir(tmp), [])

    def test_unwritable(self):
        self.refused(["--compile-ahead", "/proc/self/screening", "--arch", "sm_90"], "/proc/self/screening: ", status=5)

    def small_table(self, tmp):
        """The start of a table that is built in, so that little is compiled."""
        with open(TABLE, encoding="utf-8") as f:
            lines = f.readlines()
        small = os.path.join(tmp, "table")
        with open(small, "w", encoding="utf-8") as f:
            f.writelines(lines[:1] + [line for line in lines if line.startswith("backend=cuda")][:4])
        return small

    def test_folder(self):
        with tempfile.TemporaryDirectory() as tmp:
            folder = os.path.join(tmp, "new", "ahead")
            p = run("--compile-ahead", folder, "--arch", "sm_90", self.small_table(tmp))
            self.assertEqual((p.returncode, p.stderr), (0, ""))
            files = os.listdir(folder)
            self.assertGreaterEqual(len(files), 12)  # a type and dims each, at least
            self.assertTrue(p.stdout.startswith(f"{len(files)} programs for sm_90 in {folder}: "), p.stdout)
            for name in files:
                with open(os.path.join(folder, name), "rb") as f:
                    head, _, rest = f.read().partition(b"\n\n")
                self.assertTrue(head.startswith(b"screening-program 1\n"), name)
                key, _, image = rest.partition(b"\177ELF")
                self.assertIn(b"\ntarget sm_90\n", key)
                self.assertNotIn(b"\ndevice ", key)
                self.assertGreater(len(image), 1000)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as where:
        first = run("--compile-ahead", where, "--arch", "sm_20")
    if "NVRTC not found" in first.stderr or "without the CUDA" in first.stderr:
        print("skipped:", first.stderr.strip())
        sys.exit(77)
    unittest.main(argv=sys.argv[:1], verbosity=2)
