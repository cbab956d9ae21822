#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Turn kernel files into C: their sources as strings, their `@` lines as struct scr_kernel_decl.

Kernels go to scr_kernel_decls, probes (see include/screening/probe.h) to scr_probe_decls.

Usage: generate.py OUT.c OUT.d KERNEL_FILE...     (paths of kernel files relative to this folder)

OUT.d is a make-style list of everything that was read, so that a change to an included file counts.

The grammar of the `@` lines is in CONTRIBUTING.md, "Add a kernel". A line that cannot be understood
stops the build with its file and number.
"""
import os
import re
import sys

ROOT = os.path.dirname(os.path.abspath(__file__))
ENV_NAMES = set(
    """BATCH HEADS_Q HEADS_KV LEN_Q LEN_K DK DV DTYPE DTYPE_BYTES CAUSAL SKIP SM IS_CPU UNITS
    LOCAL_MEM MAX_GROUP HAS_FP16 HAS_SUBGROUPS HAS_WARPGROUPS""".split())
FUNCTIONS = {"ceil_div", "max", "min", "round_up"}
CONSTANTS = {"F32": "0", "F16": "1", "BF16": "2"}
KERNELS = ("dense", "masked-dense", "tile-skip")
PROBES = ("probe-empty", "probe-matrix", "probe-bandwidth")
BACKENDS = ("ref", "opencl", "cuda")
ONCE = ("kernel", "variant", "backend", "summary", "workspace", "work", "host",
        "target")
MAX_TUNABLES, MAX_VALUES, MAX_STEPS, MAX_TENSOR_MAPS = 12, 12, 4, 4


class DeclError(Exception):
    pass


def inline(path, seen):
    """The text of a kernel file with its `#include "..."` replaced by the files, each once."""
    full = os.path.normpath(os.path.join(ROOT, path))
    if full in seen:
        return []
    seen.add(full)
    lines = []
    with open(full, encoding="utf-8") as f:
        for number, line in enumerate(f, 1):
            m = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
            if not m:
                lines.append((path, number, line.rstrip("\n")))
                continue
            target = os.path.join(os.path.dirname(path), m.group(1))
            if not os.path.exists(os.path.join(ROOT, target)):
                target = m.group(1)
            lines += inline(target, seen)
    return lines


def expression(text, tunables, where):
    """A C expression in which every name is a field of the environment."""
    def name(m):
        word = m.group(0)
        if word in tunables:
            return f"e->tunable[{tunables.index(word)}]"
        if word in ENV_NAMES:
            return f"e->{word}"
        if word in CONSTANTS:
            return CONSTANTS[word]
        if word in FUNCTIONS:
            return f"scr_{word}"
        raise DeclError(f"{where}: unknown name '{word}' in '{text}'")
    depth = 0
    for c in text:
        depth += (c == "(") - (c == ")")
        if depth < 0:
            break
    if depth != 0 or re.search(r"[^\w\s()+\-*/%<>=!&|?:,~^]", text):
        raise DeclError(f"{where}: '{text}' is not an expression")
    return re.sub(r"[A-Za-z_][A-Za-z_0-9]*", name, text)


def parse(path):
    lines = inline(path, set())
    d = {"file": path, "tunables": [], "when": [], "require": [], "steps": [], "maps": [],
         "lines": lines}
    declared = False
    for file, number, line in lines:
        m = re.match(r"\s*(?:/?\*+|//)?\s*@(\w+)\s*(.*?)\s*(?:\*/)?$", line)
        if not m:
            if declared and re.match(r"\s*(?:\*|//)\s*[^\s/]", line):
                raise DeclError(f"kernels/{file}:{number}: text right after an @ line, which ends with "
                                "its line")
            declared = False
            continue
        declared = True
        key, value = m.groups()
        where = f"kernels/{file}:{number}"
        if key in ONCE:
            if key in d:
                raise DeclError(f"{where}: second @{key}")
            d[key] = value
            d[key + "_where"] = where
        elif key == "tunable":
            t = re.match(r"(\w+)\s*=\s*(-?\d+)\s*:\s*([-\d ]+?)\s*--\s*(.+)$", value)
            if not t:
                raise DeclError(f"{where}: want '@tunable NAME = DEFAULT : VALUES -- help'")
            values = [int(v) for v in t.group(3).split()]
            if int(t.group(2)) not in values or values != sorted(set(values)):
                raise DeclError(f"{where}: values must ascend and hold the default")
            if t.group(1) in ENV_NAMES or t.group(1) in CONSTANTS or t.group(1) in FUNCTIONS:
                raise DeclError(f"{where}: {t.group(1)} has a meaning of its own in expressions")
            if len(values) > MAX_VALUES:
                raise DeclError(f"{where}: more than {MAX_VALUES} values")
            d["tunables"].append((t.group(1), int(t.group(2)), values, t.group(4)))
        elif key in ("when", "require"):
            d[key].append((value, where))
        elif key == "tensor_map":
            t = re.match(r"([qkv]):\s*(.+)$", value)
            if not t:
                raise DeclError(f"{where}: want '@tensor_map q: ROWS', or k, or v")
            d["maps"].append((t.group(1), t.group(2), where))
        elif key == "step":
            d["steps"].append({"entry": value})
        elif key in ("groups", "group", "local"):
            if not d["steps"]:
                raise DeclError(f"{where}: @{key} before @step")
            d["steps"][-1][key] = (value, where)
        else:
            raise DeclError(f"{where}: unknown @{key}")
    for key in ("kernel", "variant", "backend", "summary"):
        if key not in d:
            raise DeclError(f"kernels/{path}: no @{key}")
    for key, known in (("kernel", KERNELS + PROBES), ("backend", BACKENDS)):
        if d[key] not in known:
            raise DeclError(f"{d[key + '_where']}: @{key} is one of {', '.join(known)}")
    if (d["kernel"] in PROBES) != ("work" in d):
        raise DeclError(f"kernels/{path}: a probe has @work, a kernel has none")
    if d["backend"] == "ref":
        if "host" not in d or d["steps"]:
            raise DeclError(f"kernels/{path}: a ref kernel has @host and no @step")
    elif not d["steps"] or "host" in d:
        raise DeclError(f"kernels/{path}: no @step, or @host outside ref")
    if d["backend"] != "cuda" and ("target" in d or d["maps"]):
        raise DeclError(f"kernels/{path}: @target and @tensor_map are for cuda")
    names = [t[0] for t in d["tunables"]]
    if len(set(names)) != len(names):
        raise DeclError(f"kernels/{path}: a tunable is declared twice")
    if len(d["tunables"]) > MAX_TUNABLES or len(d["steps"]) > MAX_STEPS:
        raise DeclError(f"kernels/{path}: too many tunables or steps")
    if len(d["maps"]) > MAX_TENSOR_MAPS:
        raise DeclError(f"kernels/{path}: more than {MAX_TENSOR_MAPS} tensor maps")
    return d


def fnv1a(data):
    h = 0xCBF29CE484222325
    for byte in data:
        h = ((h ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return h


def quoted(text):
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\t", "\\t")
    return f'"{escaped}"'


def c_string(text):
    return "\n".join(f'    {quoted(line)[:-1]}\\n"' for line in text.split("\n"))


def source_text(d):
    """Tunables as `#ifndef` with their default, so that the kernel compiles untuned."""
    head = "".join(f"#ifndef {n}\n#define {n} {v}\n#endif\n" for n, v, _, _ in d["tunables"])
    return head + "\n".join(line for _, _, line in d["lines"])


def emit(d, index, out):
    names = [t[0] for t in d["tunables"]]
    p = f"k{index}"
    fn = lambda kind, name, args, body: out.append(
        f"static {kind} {p}_{name}(const struct scr_decl_env *e{args})\n"
        f"{{\n    (void)e;\n{body}}}\n")
    def conj(items, known):
        return " && ".join(f"({expression(t, known, w)})" for t, w in items) or "true"

    fn("bool", "supports", "", f"    return {conj(d['when'], [])};\n")
    fn("bool", "valid", "", f"    return {conj(d['require'], names)};\n")
    work = expression(d["workspace"], names, d["workspace_where"]) if "workspace" in d else "0"
    fn("size_t", "workspace", "", f"    return (size_t)({work});\n")
    if "work" in d:
        work = expression(d["work"], names, d["work_where"])
        fn("size_t", "work", "", f"    return (size_t)({work});\n")
    for s, step in enumerate(d["steps"]):
        for key in ("groups", "group"):
            if key not in step:
                raise DeclError(f"kernels/{d['file']}: step {step['entry']} has no @{key}")
            value, where = step[key]
            parts = split_top(value)
            if len(parts) > 3:
                raise DeclError(f"{where}: more than three dimensions")
            parts += ["1"] * (3 - len(parts))
            body = "".join(f"    out[{i}] = (size_t)({expression(x, names, where)});\n"
                           for i, x in enumerate(parts))
            fn("void", f"s{s}_{key}", ", size_t out[3]", body)
        value, where = step.get("local", ("0", ""))
        fn("size_t", f"s{s}_local", "", f"    return (size_t)({expression(value, names, where)});\n")
    for i, (_, rows, where) in enumerate(d["maps"]):
        fn("size_t", f"m{i}_rows", "", f"    return (size_t)({expression(rows, names, where)});\n")
    source = source_text(d)
    if d["backend"] == "ref":
        out.append(f"void {d['host']}(const struct scr_host_call *call);\n")
    else:
        out.append(f"static const char {p}_source[] =\n{c_string(source)};\n")
    tunables = "".join(
        f'        {{"{n}", {quoted(h)}, {v}, {len(vs)}, {{{", ".join(map(str, vs))}}}}},\n'
        for n, v, vs, h in d["tunables"])
    steps = "".join(
        f'        {{"{s["entry"]}", {p}_s{i}_groups, {p}_s{i}_group, {p}_s{i}_local}},\n'
        for i, s in enumerate(d["steps"]))
    maps = "".join(f"        {{'{tensor}', {p}_m{i}_rows}},\n"
                   for i, (tensor, _, _) in enumerate(d["maps"]))
    lines = [
        "    {",
        f'        .backend = "{d["backend"]}",',
        f'        .kernel = "{d["kernel"]}",',
        f'        .variant = "{d["variant"]}",',
        f'        .summary = {quoted(d["summary"])},',
        f'        .file = "{d["file"]}",',
        f'        .source = {"NULL" if d["backend"] == "ref" else p + "_source"},',
        f'        .source_hash = 0x{fnv1a(source.encode()):016x}u,',
        f'        .host = {d.get("host", "NULL")},',
        f'        .n_tunables = {len(d["tunables"])},',
    ]
    if tunables:
        lines.append("        .tunables = {\n" + tunables + "        },")
    lines += [f"        .supports = {p}_supports,", f"        .valid = {p}_valid,",
              f"        .workspace = {p}_workspace,",
              f"        .work = {p + '_work' if 'work' in d else 'NULL'},",
              f"        .n_steps = {len(d['steps'])},"]
    if steps:
        lines.append("        .steps = {\n" + steps + "        },")
    if "target" in d:
        lines.append(f"        .target = {quoted(d['target'])},")
    if maps:
        lines.append(f"        .n_tensor_maps = {len(d['maps'])},\n"
                     "        .tensor_maps = {\n" + maps + "        },")
    lines.append("    },")
    return "\n".join(lines)


def split_top(text):
    """Splits at commas outside parentheses."""
    parts, depth, start = [], 0, 0
    for i, c in enumerate(text):
        depth += (c == "(") - (c == ")")
        if c == "," and depth == 0:
            parts.append(text[start:i])
            start = i + 1
    return [x.strip() for x in parts + [text[start:]]]


def main():
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    decls = [parse(path) for path in sys.argv[3:]]
    keys = [(d["backend"], d["kernel"], d["variant"]) for d in decls]
    for key in keys:
        if keys.count(key) > 1:
            raise DeclError(f"{'/'.join(key)} is declared by two files")
    out = [
        "/* Generated by kernels/generate.py. */",
        '#include "decl.h"\n',
    ]
    entries = [emit(d, i, out) for i, d in enumerate(decls)]
    for name, known in (("kernel", KERNELS), ("probe", PROBES)):
        out.append(f"const struct scr_kernel_decl scr_{name}_decls[] = {{")
        out += [e for d, e in zip(decls, entries) if d["kernel"] in known]
        out.append("};\n")
        out.append(f"const size_t scr_{name}_decl_count =\n"
                   f"    sizeof scr_{name}_decls / sizeof scr_{name}_decls[0];\n")
    with open(sys.argv[1], "w", encoding="utf-8") as f:
        f.write("\n".join(out) + "\n")
    read = sorted({os.path.join(ROOT, file) for d in decls for file, _, _ in d["lines"]})
    with open(sys.argv[2], "w", encoding="utf-8") as f:
        f.write(f"{sys.argv[1]}: " + " ".join(p.replace(" ", "\\ ") for p in read) + "\n")


if __name__ == "__main__":
    try:
        main()
    except DeclError as e:
        sys.exit(f"generate.py: {e}")
