#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Usage: make.sh DEVICE NAME [TRACE...]
# Sweeps a device and publishes it: the preset full as results/reports/NAME, trained as NAME-trained, and as NAME-traces
# the preset traces with the parts of recorded layers in tests/data, and with these traces (safetensors). Run again
# after a stop it goes on where it was. PyTorch's kernels are measured beside them where PYTHON (python3) has PyTorch
# and the device is a CUDA one or the processors; PEERS=0 leaves them out.
#   HARNESS  the program, default build/harness/harness    WORK  the sweeps' own folders, default build/reports
#   COMMIT   the commit of a build that does not know its own
#   NOTE     stands first in all three; where a published one has a note it must be said, and may be empty: none
set -euo pipefail
if [ $# -lt 2 ]; then
    sed -n '3,10s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
device=$1 name=$2
shift 2
root=$(cd "$(dirname "$0")/../.." && pwd)

fail()
{
    local status=$1
    shift
    printf 'make.sh: %s\n' "$*" >&2
    exit "$status"
}

# The caller's folder is left, and its paths must hold all the same. Of a link the name is kept: a virtual environment
# goes by it. A word without a slash is looked for as the shell does.
absolute()
{
    case $1 in
        */*) realpath -ms "$1" ;;
        *) printf '%s\n' "$1" ;;
    esac
}
harness=$(absolute "${HARNESS:-$root/build/harness/harness}")
python=$(absolute "${PYTHON:-python3}")
work=$(realpath -ms "${WORK:-$root/build/reports}")
traces=trace:tests/data/psi16_k16v64.safetensors,trace:tests/data/d512_k64v64.safetensors
for file in "$@"; do
    file=$(realpath "$file")
    case ",$traces," in
        *",trace:${file#"$root"/},"* | *",trace:$file,"*) ;; # it is there
        *) traces=$traces,trace:$file ;;
    esac
done
cd "$root"
mkdir -p "$work"

version=$("$harness" --version) || fail 2 "$harness does not run: build it, or name it by HARNESS"

# Before the sweep: publish.py refuses rows of sources that nobody can find again.
commit=${COMMIT:-$(sed -n 's/.*(\(.*\)).*/\1/p' <<<"$version")}
case $commit in
    '' | unknown | *+)
        fail 2 "the build does not tell from which sources it is (commit ${commit:-unknown}):" \
            "build it from a clean checkout, or name the commit by COMMIT"
        ;;
esac

for report in "$name" "$name-trained" "$name-traces"; do
    if [ -z "${NOTE+said}" ] && grep -q '"published_note"' "results/reports/$report/run.json" 2>/dev/null; then
        fail 2 "results/reports/$report has a note, and would be replaced: say one for all three by NOTE='...', or none" \
            "by NOTE=; where they differ, or rows are to be left out, sweep and publish by hand"
    fi
done

# Times of processors scatter more than those of GPUs. The third line of a device says what it is and has.
is_cpu()
{
    "$harness" --list-devices | awk -v id="$device" '
        $1 == id || index($1, id ":") == 1 { line = NR }
        line && NR == line + 2 && /  cpu( |$)/ { found = 1 }
        END { exit !found }'
}
cpu=false
if is_cpu; then
    cpu=true
fi
limit=()
if $cpu; then
    limit=(--time-limit 1.5s)
fi

peers=()
if [ "${PEERS:-1}" != 0 ] && "$python" -c 'import torch' 2>/dev/null; then
    peers=(--peer "$python harness/peers/torch_sdpa.py" --peer "$python harness/peers/torch_screening.py")
    case $device in
        opencl*) $cpu || peers=() ;;
    esac
fi

# sweep FOLDER OPTION...: a row that failed (status 5) does not keep the others from being published
sweep()
{
    local folder=$work/$1 status=0
    shift
    if [ -s "$folder/rows.jsonl" ]; then
        grep -qF "\"${!#}\"" "$folder/run.json" ||
            fail 2 "$folder is of another sweep, without ${!#}: remove it, or name another folder by WORK"
        "$harness" --resume "$folder" >"$folder.txt" || status=$?
    else
        "$harness" --sweep --device "$device" --out "$folder" ${limit[@]+"${limit[@]}"} \
            ${peers[@]+"${peers[@]}"} "$@" >"$folder.txt" || status=$?
    fi
    tail -n 3 "$folder.txt"
    case $status in
        0 | 5) ;;
        1) fail 1 "the sweep has wrong rows, which are not published: $folder.txt says which" ;;
        2) fail 2 "the harness did not sweep: its message is above, or in $folder.txt" ;;
        130) fail 130 "interrupted; the same command goes on" ;;
        *) fail "$status" "the harness ended with status $status: its message is above, or in $folder.txt" ;;
    esac
}

publish()
{
    results/reports/publish.py "$work/$1" "$1" ${COMMIT:+--commit "$COMMIT"} ${NOTE+--note "$NOTE"}
}

sweep "$name" --preset full
publish "$name"
sweep "$name-trained" --preset trained
publish "$name-trained"
sweep "$name-traces" --preset traces -a "workload=$traces"
publish "$name-traces"
results/reports/tables.py
