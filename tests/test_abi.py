#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What programs that link libscreening depend on: its symbols, its libraries, its headers.

Usage: test_abi.py LIBSCREENING.SO INCLUDE_FOLDER SYMBOLS_FILE CC...

tests/abi_layout.c has the layout of structs. A new symbol is a new line of tests/data/abi/symbols;
one that is gone is a new major version.
"""
import os
import re
import shutil
import subprocess
import sys
import unittest

LIBRARY, INCLUDE, SYMBOLS = (os.path.abspath(a) for a in sys.argv[1:4])
CC = sys.argv[4:]
ALLOWED = re.compile(r"(libc|libm|libdl|libpthread)\.so\.\d+|ld-linux.*\.so\.\d+"
                     r"|ld-musl.*\.so\.\d+|libc\.musl.*\.so\.\d+")
SANITIZER = re.compile(r"lib([alt]|ub|hwa)san\.so\.\d+|libclang_rt\..*")


def lines_of(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def pinned():
    with open(SYMBOLS, encoding="utf-8") as f:
        return [line.strip() for line in f if line.strip() and not line.startswith("#")]


def public_headers():
    folder = os.path.join(INCLUDE, "screening")
    return sorted(name for name in os.listdir(folder) if name.endswith(".h"))


class Symbols(unittest.TestCase):
    @unittest.skipUnless(shutil.which("nm"), "nm is not installed")
    def test_exported_are_the_pinned_ones(self):
        exported = {line.split()[-1] for line in lines_of("nm", "-D", "--defined-only", LIBRARY)}
        self.assertEqual(sorted(exported), pinned())

    def test_pinned_are_sorted_and_public(self):
        self.assertEqual(pinned(), sorted(set(pinned())))
        for name in pinned():
            self.assertTrue(name.startswith("scr_"), name)

    def test_headers_declare_the_pinned_ones(self):
        declared = set()
        for header in public_headers():
            with open(os.path.join(INCLUDE, "screening", header), encoding="utf-8") as f:
                text = re.sub(r"/\*.*?\*/|^#[^\n]*", "", f.read(), flags=re.S | re.M)
            declared |= set(re.findall(r"SCR_API[^;(]*?(\w+)\s*\(", text))
        self.assertEqual(sorted(declared), pinned())


class Libraries(unittest.TestCase):
    @unittest.skipUnless(shutil.which("readelf"), "readelf is not installed")
    def test_needs_the_system_only(self):
        text = "\n".join(lines_of("readelf", "-d", "-W", LIBRARY))
        needed = re.findall(r"\(NEEDED\).*\[(.*)\]", text)
        self.assertTrue(needed, text)
        if any(SANITIZER.fullmatch(name) for name in needed):
            self.skipTest("a sanitizer's build")
        for name in needed:
            self.assertTrue(ALLOWED.fullmatch(name), name)
        self.assertRegex(text, r"\(SONAME\).*\[libscreening\.so\.\d+\]")


class Headers(unittest.TestCase):
    def compile_alone(self, command, language):
        for header in public_headers():
            source = 2 * f"#include <screening/{header}>\n" + "typedef int not_empty;\n"
            p = subprocess.run([*command, "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-I", INCLUDE,
                                "-x", language, "-fsyntax-only", "-"],
                               input=source, capture_output=True, text=True)
            self.assertEqual(p.returncode, 0, header + "\n" + p.stderr)

    def test_c11(self):
        self.compile_alone([*CC, "-std=c11"], "c")

    def test_cpp17(self):
        cxx = os.environ.get("CXX", "c++").split()
        if not cxx or not shutil.which(cxx[0]):
            self.skipTest("no C++ compiler")
        self.compile_alone([*cxx, "-std=c++17"], "c++")

    def test_all_are_in_the_whole_one(self):
        with open(os.path.join(INCLUDE, "screening", "screening.h"), encoding="utf-8") as f:
            whole = f.read()
        for header in public_headers():
            if header not in ("screening.h", "export.h"):
                self.assertIn(f"#include <screening/{header}>", whole)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
