#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The examples build against the installed library, by pkg-config alone, and give right results.

Usage: test_examples.py BUILD_FOLDER EXAMPLES [CC...]
"""
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import unittest

BUILD, EXAMPLES = map(os.path.abspath, sys.argv[1:3])
CC = sys.argv[3:] or ["cc"]
LIMIT = 1e-5


def missing():
    for tool in ("meson", "pkg-config", CC[0]):
        if shutil.which(tool) is None:
            return f"no {tool}"
    return None


class Examples(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.tmp = tempfile.mkdtemp(prefix="scr-examples-")
        root = os.path.join(cls.tmp, "root")
        subprocess.run(["meson", "install", "-C", BUILD, "--no-rebuild", "--quiet", "--tags", "runtime,devel",
                        "--destdir", root], check=True, stdout=subprocess.DEVNULL)
        found = [f for f, _, names in os.walk(root) if "screening.pc" in names]
        assert len(found) == 1, found
        cls.lib = os.path.dirname(found[0])
        cls.env = dict(os.environ, PKG_CONFIG_PATH=found[0], PKG_CONFIG_SYSROOT_DIR=root, LD_LIBRARY_PATH=cls.lib,
                       SCR_CACHE_DIR=os.path.join(cls.tmp, "cache"))

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.tmp)

    def flags(self, *options):
        p = subprocess.run(["pkg-config", *options, "screening"], env=self.env, capture_output=True, text=True)
        self.assertEqual(p.returncode, 0, p.stderr)
        return shlex.split(p.stdout)

    def build(self, name, *libs, static=False):
        out = os.path.join(self.tmp, name + ("-static" if static else ""))
        if static:
            flags = self.flags("--cflags", "--static", "--libs")
            flags = [os.path.join(self.lib, "libscreening.a") if f == "-lscreening" else f for f in flags]
        else:
            flags = self.flags("--cflags", "--libs")
        p = subprocess.run([*CC, "-std=c11", "-Wall", "-Wextra", "-Werror", os.path.join(EXAMPLES, name + ".c"),
                            *flags, *libs, "-o", out], capture_output=True, text=True)
        self.assertEqual(p.returncode, 0, p.stderr)
        return out

    def right(self, *command, may_skip=True):
        p = subprocess.run(command, env=self.env, capture_output=True, text=True, timeout=120)
        if may_skip and p.returncode == 77:
            self.skipTest(p.stdout.strip())
        self.assertEqual(p.returncode, 0, p.stdout + p.stderr)
        self.assertEqual(p.stderr, "")
        error = float(p.stdout.rsplit(None, 1)[1])
        self.assertTrue(0 < error < LIMIT, p.stdout)

    def test_c_host(self):
        program = self.build("c_host", "-lm")
        self.right(program, "ref:0", may_skip=False)
        self.right(program, may_skip=False)
        p = subprocess.run([program, "cuda:99"], env=self.env, capture_output=True, text=True)
        self.assertEqual(p.returncode, 1)
        self.assertIn("scr_device_open: ", p.stderr)

    def test_c_host_static(self):
        self.right(self.build("c_host", "-lm", static=True), "ref:0", may_skip=False)

    def test_cuda_stream(self):
        self.right(self.build("cuda_stream", "-ldl", "-lm"))

    def test_opencl_queue(self):
        source = "#include <CL/cl.h>\nint main(void) { return clGetPlatformIDs(0, 0, 0) != 0; }\n"
        for library in ("-lOpenCL", "-l:libOpenCL.so.1"):
            p = subprocess.run([*CC, "-x", "c", "-", library, "-o", os.path.join(self.tmp, "probe")], input=source,
                               text=True, capture_output=True)
            if p.returncode == 0:
                self.right(self.build("opencl_queue", library, "-lm"))
                return
        self.skipTest("no OpenCL headers or loader to build with")

    @unittest.skipIf(any(f.startswith("-fsanitize") for f in CC), "Python is not built with the sanitizer")
    def test_python(self):
        self.right(sys.executable, os.path.join(EXAMPLES, "python_ctypes.py"),
                   os.path.join(self.lib, "libscreening.so.0"), may_skip=False)

    def readme(self, language):
        """The one block of that language in the README."""
        with open(os.path.join(os.path.dirname(EXAMPLES), "README.md"), encoding="utf-8") as f:
            blocks = re.findall(rf"^```{language}\n(.*?)^```$", f.read(), re.M | re.S)
        self.assertEqual(len(blocks), 1)
        return blocks[0]

    def runs(self, *command):
        p = subprocess.run(command, env=self.env, capture_output=True, text=True, timeout=120)
        self.assertEqual((p.returncode, p.stderr), (0, ""))
        self.assertEqual(float(p.stdout), 256)

    def test_readme_c(self):
        source = os.path.join(self.tmp, "readme.c")
        with open(source, "w", encoding="utf-8") as f:
            f.write(self.readme("c"))
        program = source[:-2]
        p = subprocess.run([*CC, "-std=c11", "-Wall", "-Wextra", "-Werror", source, *self.flags("--cflags", "--libs"),
                            "-o", program], capture_output=True, text=True)
        self.assertEqual(p.returncode, 0, p.stderr)
        self.runs(program)

    @unittest.skipIf(any(f.startswith("-fsanitize") for f in CC), "Python is not built with the sanitizer")
    def test_readme_python(self):
        self.runs(sys.executable, "-c", self.readme("python"))

    def test_short(self):
        for name in os.listdir(EXAMPLES):
            if os.path.splitext(name)[1] in (".c", ".h", ".py"):
                with open(os.path.join(EXAMPLES, name), encoding="utf-8") as f:
                    self.assertLessEqual(len(f.readlines()), 120, name)


if __name__ == "__main__":
    why = missing()
    if why is not None:
        print("skipped:", why)
        sys.exit(77)
    unittest.main(argv=sys.argv[:1], verbosity=2)
