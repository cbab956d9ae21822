#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every OpenCL kernel under Oclgrind, which interprets it and says which reads and writes are wrong.

Usage: test_oclgrind.py HARNESS CASES_FOLDER

Oclgrind (Debian, Ubuntu: oclgrind) is a device of its own, found through its ICD; without it the
test is skipped (77). It knows neither half arithmetic nor sub-groups: kernels take their fall-backs
here, but for the vote of sub-groups, which is played with macros, for waves of 16, 32 and 64.
Errors that are put in on purpose show that a report is a failure.
"""
import glob
import itertools
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

HARNESS, CASES = (os.path.abspath(a) for a in sys.argv[1:3])
DEVICE = "opencl:0.0"

# Of what the harness and the compiler say while all is well.
CHATTER = re.compile(r"\[\d+/\d+, .* left\] |\d+ warnings? generated\.$")

# Oclgrind's shadow of a buffer that clEnqueueFillBuffer wrote is lost, and the counters are one.
LOST_SHADOW = re.compile(r"Uninitialized value written to global memory(?=.*atomic_add\(counters)",
                         re.DOTALL)

# Shadows follow plain code only: optimised code has instructions that they do not know, as has what
# is inlined without an optimiser behind it.
PLAIN = "-cl-opt-disable -Dalways_inline=noinline"


def find_icd():
    program = shutil.which("oclgrind")
    roots = [os.path.dirname(os.path.dirname(os.path.realpath(program)))] if program else []
    for root in [*roots, "/usr", "/usr/local"]:
        for folder in ("lib/oclgrind", "lib", "lib/*/oclgrind", "lib/*", "lib64/oclgrind", "lib64"):
            found = glob.glob(os.path.join(root, folder, "liboclgrind-rt-icd.so"))
            if found:
                return found[0]
    return None


ICD = find_icd()


def run(*args, options="", **switches):
    """The harness on Oclgrind alone. switches: uninitialized=1 is OCLGRIND_UNINITIALIZED=1."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("OCLGRIND_")}
    env.update({
        "OCL_ICD_VENDORS": ICD,    # ocl-icd
        "OCL_ICD_FILENAMES": ICD,  # Khronos' loader
        "OCLGRIND_MAX_ERRORS": "1000000",
        "OCLGRIND_CHECK_API": "1",
        "OCLGRIND_BUILD_OPTIONS": options,
        # A program of the compile cache was built with the options of another run.
        "SCR_CACHE_DIR": "",
    })
    env.update({"OCLGRIND_" + name.upper(): str(value) for name, value in switches.items()})
    return subprocess.run([HARNESS, *args], env=env, capture_output=True, text=True, check=False)


def reports(p):
    """What Oclgrind had to say, a text each: all that is on stderr, less what is known to be well."""
    lines = [s for s in p.stderr.splitlines() if not CHATTER.match(s)]
    blocks = "\n".join(s if s.strip() else "" for s in lines).split("\n\n")
    return [b.strip() for b in blocks if b.strip() and not LOST_SHADOW.match(b.strip())]


def check(cases, **more):
    return run("--check", "--strict", "--device", DEVICE, "--cases", cases, **more)


def check_file(name, **more):
    return check(os.path.join(CASES, name), **more)


def check_line(line, **more):
    with tempfile.NamedTemporaryFile("w", suffix=".cases") as f:
        f.write(line + "\n")
        f.flush()
        return check(f.name, **more)


def each_of(name):
    """The configurations of a file of cases, one at a time."""
    with open(os.path.join(CASES, name), encoding="utf-8") as f:
        lines = [line.split() for line in f if line.strip() and not line.startswith("#")]
    for words in lines:
        axes = [word.split("=", 1) for word in words]
        for values in itertools.product(*(v.split(",") for _, v in axes)):
            yield " ".join(f"{axis[0]}={value}" for axis, value in zip(axes, values))


class Oclgrind(unittest.TestCase):
    def assert_clean(self, p, ran=None):
        found = reports(p)
        some = "\n\n".join(found[:3])
        self.assertEqual((p.returncode, found[:3]), (0, []), p.stdout[-3000:] + some)
        if ran is not None:
            self.assertRegex(p.stdout, rf"{re.escape(DEVICE)}: {ran} ok, 0 wrong, 0 skipped, 0 failed")

    def assert_found(self, p, what):
        found = reports(p)
        self.assertTrue(any(re.search(what, report) for report in found), found[:3])

    def test_memory_and_races(self):
        p = check_file("oclgrind.cases", data_races=1, uniform_writes=1)
        self.assert_clean(p, r"[1-9]\d+")

    def test_uninitialized(self):
        # A process each: shadows of a buffer outlive it, and shadows know one thread only.
        for line in each_of("oclgrind-uninitialized.cases"):
            p = check_line(line, options=PLAIN, uninitialized=1, num_threads=1)
            with self.subTest(line):
                self.assert_clean(p, 1)

    def test_waves(self):
        # A wave votes through bits of tile_alive beside the one that the kernel uses.
        for wave in (16, 32, 64):
            vote = ("({int/**/w_=get_local_id(0)/WAVE;if(x)atomic_or(&tile_alive,2<<w_);"
                    "barrier(CLK_LOCAL_MEM_FENCE);int/**/r_=tile_alive>>(1+w_)&1;"
                    "barrier(CLK_LOCAL_MEM_FENCE);if(get_local_id(0)==0)tile_alive=0;"
                    "barrier(CLK_LOCAL_MEM_FENCE);r_;})").replace("WAVE", str(wave))
            p = check_file("oclgrind-waves.cases", data_races=1, uniform_writes=1,
                           options=f"-DSCR_HAS_SUBGROUPS=1 -Dsub_group_any(x)={vote} "
                                   f"-Dget_sub_group_local_id()=(get_local_id(0)%{wave})")
            with self.subTest(wave=wave):
                self.assert_clean(p, r"[1-9]\d*")

    def test_probes(self):
        # Work-items of a probe share nothing that they write: no race to look for, and it is slow.
        self.assert_clean(run("--peak", "--device", DEVICE))

    def test_limits(self):
        # What is chosen keeps to those of the device, which Oclgrind can make smaller.
        for local, group, dims in ((16384, 64, 64), (32768, 128, 128)):
            p = check_line(f"seq=17 kv=20 heads=1 head_dim={dims} dtype=f32,f16 variant=gpu skip=slice "
                           "kernel=dense,masked-dense,tile-skip workload=planted:0.3x4",
                           local_mem_size=local, max_wgsize=group)
            with self.subTest(local=local, group=group):
                self.assert_clean(p, 6)


class Seeded(unittest.TestCase):
    """Errors put in by macros are found: the tests above prove something."""
    assert_found = Oclgrind.assert_found

    def seeded(self, options, **switches):
        p = check_file("oclgrind-seeded.cases", options=options, **switches)
        self.assertNotEqual(reports(p), [])
        return p

    def test_write_behind_the_end(self):
        p = self.seeded("-Dvstore4(x,i,p)=vstore4(x,(i)+4096,p)")
        self.assert_found(p, "Invalid write of size 16 at global memory")
        self.assert_found(p, "Invalid write of size 16 at local memory")

    def test_read_behind_the_end(self):
        p = self.seeded("-Dvload4(i,p)=vload4((i)+4096,p)")
        self.assert_found(p, "Invalid read of size 16 at global memory")

    def test_no_barriers(self):
        p = self.seeded("-Dbarrier(x)=", data_races=1)
        self.assert_found(p, "data race at local memory")
        p = check_line("seq=20 kv=37 heads=2 kv_heads=1 head_dim=16 kernel=tile-skip variant=gpu tile=32x16 "
                       "param=WG=8 workload=planted:0.3x8", options="-Dbarrier(x)=", data_races=1)
        self.assert_found(p, "data race at local memory")

    def test_nothing_written(self):
        p = self.seeded(PLAIN + " -Dvstore4(x,i,p)=", uninitialized=1, num_threads=1)
        self.assert_found(p, "depends on uninitialized value")

    def test_none_seeded(self):
        self.assertEqual(reports(check_file("oclgrind-seeded.cases")), [])


if __name__ == "__main__":
    if ICD is None:
        print("Oclgrind is not installed")
        sys.exit(77)
    listed = run("--list-devices").stdout
    if "libOpenCL.so.1 not found" in listed:
        print("no OpenCL loader is installed")
        sys.exit(77)
    if "Oclgrind Simulator" not in listed:
        sys.exit(f"{ICD} is not seen as a device:\n{listed}")
    unittest.main(argv=sys.argv[:1])
