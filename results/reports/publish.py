#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes a published report of a sweep's folder: results/reports/NAME.

Usage: publish.py FOLDER NAME [--reports DIR] [--commit HASH] [--partial] [--note TEXT] [--without 'COLUMN=GLOB ...']...

FOLDER    what a sweep has written, see results/README.md
NAME      DEVICE-BACKEND, such as nvidia-h100-cuda, with -trained or -traces behind it for these presets
--commit  of a build that did not know its own: the sources that it was built from
--partial take a sweep that did not come to its end, too
--note    what a reader must know of this report, a sentence; it stands first in report.md, in the list of reports and below
          the figures of README.md
--without rows that would not come out again, as is known; --note must say why. 'peer=?* seq_q<=4096' are those of peers
          up to 4096 tokens (conditions.py has the words; columns are as they are published, paths shortened). Of the
          others the harness (HARNESS, default build/harness/harness) makes report and pictures anew; report.md and
          run.json (left_out) say how many were left out, and by which words

Taken over are report.md, rows.jsonl without empty columns, run.json and plots/*.svg; all else is made from the rows
(harness --plot) or of no use elsewhere. What names the user's machine goes, from the columns and texts that can have
it: files outside the folder where the command was given have their last names alone, the program is where a build in
the project's root has it, the host is NAME, the user is user. Where a home, the user's name or the host's is left in a
file nothing is published. A report is replaced as a whole; one that has a note only by a command that says a note, which
may be empty, and rows that were left out of a sweep, or for a note, do not come back under it.
"""
import argparse
import getpass
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

from conditions import matching

HERE = os.path.dirname(os.path.abspath(__file__))
PROGRAM = "build/harness/harness"
PART = r"[^\s/'\",;:()<>|]+"
# /a/b but for what is a fraction or a link (f16/bf16, https://x); also behind file:// and -I; ../a/b, ~/a/b and ~a/b.
PATH = re.compile(rf"""(?:file://(?=/)|(?<![\w./)\]<-])|(?<=[\s'"=,]-[A-Z])|(?<=^-[A-Z]))
                       (?:/{PART}|(?:\./)*\.\./{PART}|~(?:[A-Za-z_][\w.-]*)?/{PART})(?:/{PART})*""", re.X | re.M)
A_HOME = re.compile(rf"/(?:home|Users)/{PART}|(?<![\w.])/root\b")
KERNEL_BUILD = re.compile(r"\b(Linux \d+\.\d+)\S*")  # what follows says whose build it is
KEPT_EMPTY = {"peer", "reason"}  # readers of the rows may look at these without asking
PERSONAL = ("repro", "reason", "workload")  # the columns of a row that can name the machine; of a run:
PERSONAL_OF_RUN = ("options", "machine", "binding", "note")
ALL_ROWS = "has every row with all its columns"  # as a sweep's report says
SYSTEM_FOLDERS = ("/usr/", "/opt/", "/etc/", "/dev/", "/lib/")


class Refused(Exception):
    """The folder cannot be published; the text says why."""


def read_rows(folder):
    with open(os.path.join(folder, "rows.jsonl"), encoding="utf-8") as f:
        return [json.loads(line) for line in f]


def words_of(text):
    return re.findall(r"[A-Za-z0-9]+", text)


def words_of_readme():
    """A name that is a word of this cannot be told from the reports' own."""
    with open(os.path.join(HERE, "..", "README.md"), encoding="utf-8") as f:
        return set(words_of(f.read()))


def words_of_rows(run, rows):
    """What the other columns say: a host that is called gpu is called as a variant is."""
    words = set(words_of(run["machine"].get("cpu", "")))
    for row in rows:
        for key, value in row.items():
            if isinstance(value, str) and key not in PERSONAL:
                words.update(words_of(value))
    return words


def one_word(name):
    """Matches the name where letters and digits do not go on."""
    return re.compile(rf"(?<![A-Za-z0-9]){re.escape(name)}(?![A-Za-z0-9])")


class Names:
    """What the texts of a run may not tell, and what stands in its place."""

    def __init__(self, run, rows, name):
        options = run["options"]
        self.cwd = (options.get("cwd") or "").rstrip("/")
        self.program = options["command"][0]
        self.home = os.path.expanduser("~").rstrip("/")
        self.name = name
        self.host = run["machine"].get("host", "")
        self.folder = re.compile(rf"(?<=Z-){re.escape(self.host)}(?![A-Za-z0-9])") if self.host else None
        common = words_of_readme()
        self.words = {}
        try:
            user = getpass.getuser()
        except (KeyError, OSError):
            user = ""  # of a container without names
        if len(user) >= 3 and user not in common | {"root", "user"}:
            self.words[user] = "user"
        common |= words_of_rows(run, rows)
        for host in (self.host, self.host.split(".")[0]):
            if host and host not in common and not one_word(host).search(name):
                self.words[host] = name

    def shorten(self, path):
        if path.startswith("file://"):
            path = path[len("file://"):]
        if path == self.program or path == os.path.join(self.cwd, self.program):
            return PROGRAM
        if self.cwd and ".." in path.split("/"):
            path = os.path.normpath(os.path.join(self.cwd, path))
        if self.cwd and path.startswith(self.cwd + "/"):
            return path[len(self.cwd) + 1:]
        if path == self.home or A_HOME.fullmatch(path):
            return "~"
        return path if path.startswith(SYSTEM_FOLDERS) else os.path.basename(path)

    def clean(self, text):
        """Any text of the run's: a word of a command, a line of a report."""
        words = text.split(" ")
        text = " ".join(PROGRAM if word in (self.program, shlex.quote(self.program)) else word for word in words)
        text = re.sub(r"(?<=trace:)/\S*?(?=[,\s']|$)", lambda m: self.shorten(m.group()), text)
        text = PATH.sub(lambda m: self.shorten(m.group()), text)
        if self.folder:
            text = self.folder.sub(self.name, text)  # results/UTC-HOST
        for word in sorted(self.words, key=len, reverse=True):
            text = one_word(word).sub(self.words[word], text)
        return text

    def clean_json(self, value):
        if isinstance(value, str):
            return self.clean(value)
        if isinstance(value, list):
            return [self.clean_json(v) for v in value]
        if isinstance(value, dict):
            return {k: self.clean_json(v) for k, v in value.items()}
        return value

    def clean_keys(self, value, keys):
        return {k: self.clean_json(v) if k in keys else v for k, v in value.items()}

    def refuse_leaks(self, folder):
        """The last look: whatever the rules above do not know of must not be published."""
        for root, _, files in os.walk(folder):
            for file in sorted(files):
                with open(os.path.join(root, file), encoding="utf-8") as f:
                    text = f.read()
                found = A_HOME.search(text)
                if found or (len(self.home) > 1 and self.home in text):
                    raise Refused(f"{file} would have the path {found.group() if found else self.home}")
                for word in self.words:
                    # Two letters can be anything in the tags of a picture.
                    where = re.sub(r"<[^>]*>", " ", text) if len(word) < 3 and file.endswith(".svg") else text
                    if one_word(word).search(where):
                        raise Refused(f"{file} would have the name of the user or of the host: {word}")


def title(run, rows):
    """What and where, in a line."""
    device = next(r for r in rows if not r.get("peer"))
    backend = {"cuda": "CUDA", "opencl": "OpenCL", "ref": "C"}.get(device["backend"], device["backend"])
    what = {"full": "the full sweep", "trained": "layers as trained models have them",
            "traces": "recorded layers"}.get(run["options"]["preset"], "a sweep")
    name = run["machine"]["cpu"] if device["on_cpu"] else device["device_name"]
    return f"{name}, {backend}: {what}"


def check(run, rows, partial, commit):
    if "cwd" not in run["options"]:  # see write_report
        raise Refused("it is published already: the folder that the sweep has written is what it takes")
    if all(r.get("peer") for r in rows):
        raise Refused("it has no rows of the harness's own")
    if run.get("end") != "complete" and not partial:
        raise Refused(f"the sweep did not come to its end ({run.get('end', 'killed')}); --partial takes it all the same")
    wrong = [r for r in rows if r["status"] == "wrong" and not r.get("peer")]
    if wrong:
        raise Refused(f"{len(wrong)} of its rows are wrong, the first: {wrong[0]['repro']}")
    if not commit and (run["commit"] == "unknown" or run["commit"].endswith("+")):
        raise Refused(f"its build does not tell from which sources it is (commit {run['commit']}): build it from a "
                      "clean checkout, or say --commit HASH")


def leave_out(folder, rows, without, into):
    """The folder of a sweep without some of its rows, with report and pictures of the others; returns these."""
    gone = {id(r) for condition in without for r in matching(rows, condition)}
    kept = [r for r in rows if id(r) not in gone]
    if all(r.get("peer") for r in kept):
        raise Refused("--without would leave no rows of the harness's own")
    # What is made of the rows is made again. --plot writes a report only where there is a page.
    shutil.copytree(folder, into, ignore=shutil.ignore_patterns("plots", "rows.jsonl", "report.md"))
    with open(os.path.join(into, "report.html"), "a", encoding="utf-8"):
        pass
    with open(os.path.join(into, "rows.jsonl"), "w", encoding="utf-8") as f:
        f.writelines(json.dumps(r) + "\n" for r in kept)
    harness = os.environ.get("HARNESS", os.path.join(HERE, "..", "..", PROGRAM))
    p = subprocess.run([harness, "--plot", into], capture_output=True, text=True, check=False)
    if p.returncode != 0:
        raise Refused(f"{harness} --plot, of what --without leaves: {p.stderr.strip().replace(into, folder)}")
    return kept


def check_replaced(into, run, note, without):
    """A note is not lost by chance, nor do rows come back by chance that were left out."""
    header = os.path.join(into, "run.json")
    if not os.path.exists(header):
        return
    with open(header, encoding="utf-8") as f:
        old = json.load(f)
    known = old.get("published_note")
    if known and note is None:
        raise Refused(f"a report that has a note would be replaced; say --note, which may be empty. It says: {known}")
    if "left_out" in old and not without and (old["start"] == run["start"] or note == known):
        words = " ".join(f"--without {shlex.quote(condition)}" for condition in old["left_out"]["where"])
        raise Refused(f"the report that would be replaced has this {'note' if note == known else 'sweep'} with rows left out; "
                      f"say {words}, or remove {into} first")


def publish(folder, name, reports, commit=None, partial=False, note=None, without=()):
    """The files of a report; returns its folder."""
    with open(os.path.join(folder, "run.json"), encoding="utf-8") as f:
        run = json.load(f)
    rows = read_rows(folder)
    check(run, rows, partial, commit)
    check_replaced(os.path.join(reports, name), run, note, without)
    names = Names(run, rows, name)
    rows = [names.clean_keys(r, PERSONAL) for r in rows]
    if not without:
        return write_report(folder, run, rows, names, reports, commit, note)
    if not note:
        raise Refused("rows are left out for a reason: say it by --note")
    with tempfile.TemporaryDirectory() as aside:
        rest = os.path.join(aside, "rest")
        kept = leave_out(folder, rows, without, rest)
        run["left_out"] = {"rows": len(rows) - len(kept), "where": list(without)}
        return write_report(rest, run, kept, names, reports, commit, note)


def tell(report, run, rows, note):
    """The report with what it is of, what a reader must know of it, and which rows it has."""
    said, rest = [f"# {title(run, rows)}"] + [note] * bool(note), "every row"
    if "left_out" in run:
        n, where = run["left_out"]["rows"], "`; `".join(run["left_out"]["where"])
        said.append(f"{n} of the sweep's {n + len(rows)} rows are left out: `{where}`.")
        rest = "each row that is left"
    report = re.sub(r"\A# .*", lambda m: "\n\n".join(said), report)
    return report.replace(ALL_ROWS, f"has {rest}, without columns that are empty,")


def write_report(folder, run, rows, names, reports, commit, note):
    """rows: as they are published, but for what is empty."""
    with open(os.path.join(folder, "report.md"), encoding="utf-8") as f:
        report = names.clean(f.read())
    drawn = [file for file in sorted(os.listdir(os.path.join(folder, "plots"))) if file.endswith(".svg")]
    if drawn and "](plots/" not in report:
        raise Refused("its report.md shows none of the pictures, which were drawn later: harness --plot writes it again")
    if commit:
        report = report.replace(f"commit {run['commit']},", f"commit {commit},")
        run["commit"] = commit
    report = tell(KERNEL_BUILD.sub(r"\1", report), run, rows, note)
    run = names.clean_keys(run, PERSONAL_OF_RUN)
    run["options"].pop("cwd")
    run["machine"].update(host=names.name, topology=None, os=KERNEL_BUILD.sub(r"\1", run["machine"].get("os") or ""))
    if note:
        run["published_note"] = note
    into = os.path.join(reports, names.name)
    # Beside the old report, which stays until all of the new one is there.
    with tempfile.TemporaryDirectory(prefix=f".{names.name}-", dir=reports) as aside:
        new, old = os.path.join(aside, "new"), os.path.join(aside, "old")
        os.makedirs(os.path.join(new, "plots"))
        with open(os.path.join(new, "report.md"), "w", encoding="utf-8") as f:
            f.write(report)
        with open(os.path.join(new, "run.json"), "w", encoding="utf-8") as f:
            json.dump(run, f, indent=2)
            f.write("\n")
        with open(os.path.join(new, "rows.jsonl"), "w", encoding="utf-8") as f:
            for row in rows:
                kept = {k: v for k, v in row.items() if v not in (None, "") or k in KEPT_EMPTY}
                f.write(json.dumps(kept, separators=(",", ":")) + "\n")
        for file in drawn:
            shutil.copy(os.path.join(folder, "plots", file), os.path.join(new, "plots", file))
        names.refuse_leaks(new)
        if os.path.exists(into):
            os.rename(into, old)
        os.rename(new, into)
    return into


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("Usage: ")[1].split("\n\n")[0])
    parser.add_argument("folder")
    parser.add_argument("name")
    parser.add_argument("--reports", default=HERE)
    parser.add_argument("--commit")
    parser.add_argument("--partial", action="store_true")
    parser.add_argument("--note")
    parser.add_argument("--without", action="append", default=[])
    o = parser.parse_args()
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9.]+)+", o.name):
        parser.error(f"'{o.name}' is not DEVICE-BACKEND in small letters, such as nvidia-h100-cuda")
    try:
        into = publish(o.folder, o.name, o.reports, o.commit, o.partial, o.note, o.without)
    except (Refused, OSError, ValueError, KeyError) as e:
        print(f"publish.py: {o.folder}: {e}", file=sys.stderr)
        return 1
    size = sum(os.path.getsize(os.path.join(d, f)) for d, _, files in os.walk(into) for f in files)
    print(f"{into}: {size / 1e6:.2f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
