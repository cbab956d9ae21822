#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The scripts of examples/fleet under real schedulers: GNU parallel, and Slurm on this machine.
Neither installed: skipped.

Usage: test_fleet.py TUNER FLEET
"""
import glob
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

TUNER, FLEET = (os.path.abspath(a) for a in sys.argv[1:3])
SHAPES = ["--device", "ref", "-a", "seq=16,17,18", "-a", "heads=1", "-a", "head_dim=16",
          "--time-limit", "0.005s"]
SBIN = "/usr/sbin:/sbin:"
SLURM = all(shutil.which(p, path=SBIN + os.environ["PATH"])
            for p in ("slurmctld", "slurmd", "munged", "sbatch"))

CONF = """ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
AuthType=auth/munge
AuthInfo=socket={dir}/munge.socket
CredType=cred/munge
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SwitchType=switch/none
SelectType=select/cons_tres
ReturnToService=2
SlurmUser=root
SlurmdUser=root
StateSaveLocation={dir}/state
SlurmdSpoolDir={dir}/spool
SlurmctldPidFile={dir}/ctld.pid
SlurmdPidFile={dir}/d.pid
SlurmctldLogFile={dir}/ctld.log
SlurmdLogFile={dir}/d.log
MailProg=/bin/true
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} State=UNKNOWN
PartitionName=all Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def read_records(path):
    with open(path, encoding="utf-8") as f:
        return [json.loads(line) for line in f]


def free_ports(n):
    sockets = [socket.socket() for _ in range(n)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


class Fleet(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.dir = folder.name
        self.folder = os.path.join(self.dir, "rec ords")
        self.env = dict(os.environ, TUNER=TUNER, XDG_CONFIG_HOME=self.dir, PARALLEL_HOME=self.dir,
                        SCR_CACHE_DIR=os.path.join(self.dir, "cache"))

    def check_union(self, n):
        """All three shapes, each in one part; the merge has every record once."""
        parts = sorted(glob.glob(os.path.join(self.folder, "part-*.jsonl")))
        self.assertEqual(len(parts), n)
        shapes = [{r["shape"]["words"] for r in read_records(p)} for p in parts]
        self.assertEqual(sorted(len(s) for s in shapes), [1, 2])
        self.assertEqual(len(set.union(*shapes)), 3)
        merged = read_records(os.path.join(self.folder, "all.jsonl"))
        self.assertEqual(len(merged), sum(len(read_records(p)) for p in parts))
        best = [r for r in merged if r["kind"] == "winner" and r["best"]]
        self.assertEqual({r["shape"]["len_k"] for r in best}, {16, 17, 18})
        self.assertEqual(len(best), 3)

    @unittest.skipUnless(shutil.which("parallel"), "GNU parallel is not installed")
    def test_parallel(self):
        command = [os.path.join(FLEET, "tune-parallel.sh"), "2", self.folder, *SHAPES]
        for _ in range(2):  # the second time there is nothing left to do
            p = subprocess.run(command, capture_output=True, text=True, timeout=200, env=self.env)
            self.assertEqual(p.returncode, 0, p.stdout + p.stderr)
            self.check_union(2)

    @unittest.skipUnless(shutil.which("parallel"), "GNU parallel is not installed")
    def test_a_part_that_fails(self):
        """The others are merged, and the exit status tells."""
        fake = os.path.join(self.dir, "tuner")
        with open(fake, "w", encoding="utf-8") as f:
            f.write('#!/bin/sh\n[ "$1" = --merge ] && printf "%s\\n" "$2" >"$4" && exit\n'
                    '[ "$3" = 2/2 ] && exit 5\n: >"$5"\n')
        os.chmod(fake, 0o755)
        p = subprocess.run([os.path.join(FLEET, "tune-parallel.sh"), "2", self.folder],
                           capture_output=True, text=True, timeout=60, env=dict(self.env, TUNER=fake))
        self.assertEqual(p.returncode, 1, p.stdout + p.stderr)
        with open(os.path.join(self.folder, "all.jsonl"), encoding="utf-8") as f:
            self.assertEqual(f.read(), os.path.join(self.folder, "part-1.jsonl") + "\n")

    def test_usage(self):
        for name, args in (("tune-parallel.sh", ["3"]), ("tune.sbatch", [self.folder])):
            env = {k: v for k, v in self.env.items() if k != "SLURM_ARRAY_TASK_ID"}
            p = subprocess.run([os.path.join(FLEET, name), *args], capture_output=True, text=True,
                               timeout=60, env=env)
            self.assertEqual(p.returncode, 2)
            self.assertRegex(p.stderr, "^usage: ")
            self.assertFalse(os.path.exists(self.folder))

    def wait_for(self, ready, what):
        end = time.monotonic() + 120
        while not ready():
            self.assertLess(time.monotonic(), end, what)
            time.sleep(0.2)

    def start(self, *args):
        with open(os.path.join(self.dir, args[0] + ".out"), "wb") as out:
            p = subprocess.Popen(args, stdout=out, stderr=out, env=self.env,
                                 start_new_session=True)

        def end():
            if p.poll() is None:
                os.killpg(p.pid, signal.SIGTERM)
                try:
                    p.wait(20)
                except subprocess.TimeoutExpired:
                    os.killpg(p.pid, signal.SIGKILL)
                    p.wait()
        self.addCleanup(end)
        return p

    def output(self, *args):
        return subprocess.run(args, capture_output=True, text=True, env=self.env,
                              timeout=60).stdout.strip()

    def start_slurm(self):
        host = socket.gethostname().split(".")[0]
        self.env["PATH"] = SBIN + self.env["PATH"]
        conf = os.path.join(self.dir, "slurm.conf")
        self.env["SLURM_CONF"] = conf
        os.chmod(self.dir, 0o755)
        key = os.path.join(self.dir, "munge.key")
        with open(key, "wb") as f:
            f.write(os.urandom(128))
        os.chmod(key, 0o600)
        for name in ("state", "spool"):
            os.mkdir(os.path.join(self.dir, name))
        with open(conf, "w", encoding="utf-8") as f:
            f.write(CONF.format(host=host, ports=free_ports(2), dir=self.dir,
                                cpus=len(os.sched_getaffinity(0))))
        munge = os.path.join(self.dir, "munge.")
        self.start("munged", "--foreground", "--force", "--key-file", key, "--socket",
                   munge + "socket", "--log-file", munge + "log", "--pid-file", munge + "pid",
                   "--seed-file", munge + "seed")
        self.wait_for(lambda: os.path.exists(munge + "socket"), "munged does not start")
        self.start("slurmctld", "-D", "-c")
        self.start("slurmd", "-D", "-N", host)
        self.wait_for(lambda: self.output("sinfo", "-h", "-o", "%T") == "idle",
                      "the node does not come up")

    @unittest.skipUnless(SLURM and os.getuid() == 0, "Slurm is not installed, or this is not root")
    def test_slurm(self):
        self.start_slurm()
        log = os.path.join(self.dir, "job-%a.log")
        job = self.output("sbatch", "--parsable", "--array=1-2", "--output", log,
                          os.path.join(FLEET, "tune.sbatch"), self.folder, *SHAPES)
        self.assertRegex(job, r"^\d+$")
        merge = self.output("sbatch", "--parsable", "--dependency=afterany:" + job, "--output",
                            os.path.join(self.dir, "merge.log"), "--wrap",
                            f"'{TUNER}' --merge '{self.folder}'/part-*.jsonl "
                            f"-o '{self.folder}/all.jsonl'")
        self.assertRegex(merge, r"^\d+$")
        self.wait_for(lambda: self.output("squeue", "-h") == "", "the jobs do not end")
        self.check_union(2)


if __name__ == "__main__":
    program = unittest.main(argv=sys.argv[:1], verbosity=2, exit=False)
    if not program.result.wasSuccessful():
        sys.exit(1)
    skipped = {test.id().rsplit(".", 1)[1] for test, _ in program.result.skipped}
    sys.exit(77 if {"test_parallel", "test_slurm"} <= skipped else 0)
