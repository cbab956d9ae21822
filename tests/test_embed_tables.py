#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""results/embed_tables.py: test_embed_tables.py EMBED_TABLES TABLE"""
import ast
import os
import re
import subprocess
import sys
import tempfile
import unittest

SCRIPT, TABLE = os.path.abspath(sys.argv[-2]), os.path.abspath(sys.argv[-1])
EMPTY = "screening-table 1\nend 0 cbf29ce484222325\n"


class EmbedTables(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.out = os.path.join(self.folder.name, "out.c")
        self.results = os.path.join(self.folder.name, "results")
        os.makedirs(os.path.join(self.results, "nvidia", "sm_90"))

    def tearDown(self):
        self.folder.cleanup()

    def put(self, name, text):
        with open(os.path.join(self.results, name), "w", encoding="ascii") as f:
            f.write(text)

    def run_script(self):
        return subprocess.run([sys.executable, SCRIPT, self.out, self.results], text=True,
                              capture_output=True, check=False)

    def embedded(self):
        p = self.run_script()
        self.assertEqual(p.returncode, 0, p.stderr)
        with open(self.out, encoding="ascii") as f:
            return "".join(ast.literal_eval(s) for s in re.findall(r'^ +(".*")', f.read(), re.M))

    def table(self):
        with open(TABLE, encoding="ascii") as f:
            return f.read()

    def test_none(self):
        self.assertEqual(self.embedded(), EMPTY)

    def test_one_is_found_wherever_it_is(self):
        entries = [x for x in self.table().splitlines() if x.startswith("backend=")]
        self.put("nvidia/sm_90/h200.table", self.table())
        self.put("nvidia/sm_90/h200.jsonl", "not a table\n")
        text = self.embedded()
        self.assertEqual(text.splitlines()[1:-1], entries)
        self.assertEqual(text.splitlines()[-1], self.table().splitlines()[-1])

    def test_two_are_one(self):
        self.put("a.table", self.table())
        self.put("nvidia/b.table", self.table())
        self.assertEqual(self.embedded().count("backend="), 6)
        self.assertRegex(self.embedded(), r"\nend 6 [0-9a-f]{16}\n$")

    def test_written_only_where_it_changes(self):
        self.embedded()
        os.utime(self.out, (1, 1))
        self.embedded()
        self.assertEqual(os.stat(self.out).st_mtime, 1)
        self.put("a.table", self.table())
        self.embedded()
        self.assertNotEqual(os.stat(self.out).st_mtime, 1)

    def test_damaged_stops_the_build(self):
        lines = self.table().splitlines()
        for text, said in (
                (self.table().replace("units=132", "units=133", 1), "a.table:4: the checksum"),
                ("\n".join(lines[:-1]) + "\n", "a.table: the last line"),
                ("\n".join(lines[:4] + lines[5:]) + "\n", "a.table: the last line"),
                (self.table().replace("table 1", "table 2"), "a.table:1: expected"),
                ("", "a.table:1: expected")):
            self.put("a.table", text)
            p = self.run_script()
            self.assertEqual(p.returncode, 1)
            self.assertIn(said, p.stderr)
            self.assertFalse(os.path.exists(self.out))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
