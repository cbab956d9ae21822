#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Usage: make.sh DEVICE NAME [TRACE...]
# Sweeps a device and publishes it: the preset full as results/reports/NAME, and with traces (safetensors) the preset
# traces as NAME-traces. Run again after a stop it goes on where it was. PyTorch's kernels are measured beside them where
# PYTHON (python3) has PyTorch and the device is a CUDA one or the processors; PEERS=0 leaves them out.
#   HARNESS  build/harness/harness    WORK  the sweeps' own folders, default build/reports
#   COMMIT   the commit of a build that does not know its own
set -euo pipefail
if [ $# -lt 2 ]; then
    sed -n '3,8s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
device=$1 name=$2
shift 2
root=$(cd "$(dirname "$0")/../.." && pwd)
harness=${HARNESS:-build/harness/harness}
python=${PYTHON:-python3}
work=${WORK:-build/reports}
traces=''
for file in "$@"; do
    traces=$traces${traces:+,}trace:$(realpath "$file")
done
cd "$root"
mkdir -p "$work"

# Times of processors scatter more than those of GPUs.
cpu=false
"$harness" --list-devices | grep -A3 "^$device " | grep -q ' cpu$' && cpu=true
limit=()
$cpu && limit=(--time-limit 1.5s)

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
        "$harness" --resume "$folder" >"$folder.txt" || status=$?
    else
        "$harness" --sweep --device "$device" --out "$folder" ${limit[@]+"${limit[@]}"} \
            ${peers[@]+"${peers[@]}"} "$@" >"$folder.txt" || status=$?
    fi
    tail -n 3 "$folder.txt"
    [ $status -eq 0 ] || [ $status -eq 5 ]
}

publish()
{
    results/reports/publish.py "$work/$1" "$1" ${COMMIT:+--commit "$COMMIT"}
}

sweep "$name" --preset full
publish "$name"
if [ -n "$traces" ]; then
    sweep "$name-traces" --preset traces -a "workload=$traces"
    publish "$name-traces"
fi
results/reports/tables.py
