#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The man pages name every option and axis of --help and every environment variable, and are clean.

Usage: test_man.py SOURCE_ROOT PROGRAM...   (each with its page PROGRAM.1)
"""
import glob
import os
import re
import shutil
import subprocess
import sys
import unittest

ROOT = os.path.abspath(sys.argv[1])
PROGRAMS = {os.path.basename(p): os.path.abspath(p) for p in sys.argv[2:]}
PAGES = sorted(glob.glob(os.path.join(ROOT, "man", "*.[0-9]")))


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def words(page):
    """A page without its escapes and macros."""
    text = re.sub(r"\\f(\[\w*\]|.)", "", read(os.path.join(ROOT, "man", page)))
    return re.sub(r"[\"\s]+", " ", text.replace("\\-", "-").replace("\\&", ""))


class Man(unittest.TestCase):
    def test_options(self):
        for name, program in PROGRAMS.items():
            said = subprocess.run([program, "--help"], capture_output=True, text=True, check=True).stdout
            page = words(name + ".1")
            options = set(re.findall(r"(?<![\w-])--?[a-z][a-z_-]*", said))
            self.assertIn("--help", options)
            for option in sorted(options):
                self.assertRegex(page, rf"(?<![\w-]){re.escape(option)}(?![a-z-])", f"{name}.1 lacks {option}")

    def test_axes(self):
        said = [subprocess.run([PROGRAMS["harness"], "--help", *topic], capture_output=True, text=True, check=True).stdout
                for topic in ([], ["axes"])]
        axes = set()
        for line in said[1][:said[1].index("\nExamples")].splitlines()[1:]:
            axes.update(re.findall(r"\w+", line[2:22]))
        self.assertLessEqual({"seq", "dtype", "workload", "kv_len", "batch"}, axes)
        named = said[0][said[0].index("; axes:\n"):said[0].index("(see --help axes)")]
        self.assertEqual(set(named.split()[2:]), axes)
        page = words("harness.1")
        page = page[page.index(".SH AXES"):page.index(".SH EXIT")]
        for axis in sorted(axes):
            self.assertRegex(page, rf"(?<![\w]){axis}(?![\w])", f"harness.1 lacks the axis {axis}")

    def test_no_other_options(self):
        for name, program in PROGRAMS.items():
            said = subprocess.run([program, "--help"], capture_output=True, text=True, check=True).stdout
            page = read(os.path.join(ROOT, "man", name + ".1")).replace("\\-", "-")
            options = set(re.findall(r'^\.TP\n\.B[IR]? *"?(--?[a-z][a-z_-]*)', page, re.M))
            self.assertIn("--device", options)
            for option in sorted(options - {"--inject"}):  # of tests
                self.assertRegex(said, rf"(?<![\w-]){re.escape(option)}(?![a-z-])", f"{name} --help lacks {option}")

    def test_environment(self):
        """Each variable is on the page of what reads it; the harness's has those of the library, too."""
        for folder, pages in (("runtime", ["libscreening.3", "harness.1"]), ("harness", ["harness.1"]),
                              ("tuner", ["tuner.1"])):
            read_by = {}
            for path in glob.glob(os.path.join(ROOT, folder, "**", "*.c"), recursive=True):
                for name in re.findall(r'getenv\("((?:SCR|XDG|CUDA)_\w+|HOME)"\)', read(path)):
                    read_by[name] = path
            self.assertTrue(read_by)
            for name, path in sorted(read_by.items()):
                for page in pages:
                    if page == "libscreening.3" or name.startswith("SCR_") or folder != "runtime":
                        self.assertIn(name, words(page), path)

    def test_installed(self):
        build = read(os.path.join(ROOT, "man", "meson.build"))
        for page in PAGES:
            self.assertIn(f"'{os.path.basename(page)}'", build)

    def test_references(self):
        for page in PAGES:
            for name, section in re.findall(r"^\.BR ([\w\\-]+) \((\d)\)", read(page), re.M):
                if section in "135" and name not in ("bash",):
                    other = f"{name}.{section}".replace("\\-", "-")
                    if re.match(r"(harness|tuner|screening|libscreening)", other):
                        self.assertTrue(os.path.exists(os.path.join(ROOT, "man", other)), f"{page}: {other}")

    @unittest.skipIf(shutil.which("groff") is None, "no groff")
    def test_clean(self):
        for page in PAGES:
            p = subprocess.run(["groff", "-ww", "-man", "-Tutf8", "-K", "utf8", page], capture_output=True, text=True)
            self.assertEqual((p.returncode, p.stderr), (0, ""), page)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
