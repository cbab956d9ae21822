#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Usage: gpu.sh HARNESS FOLDER [DEVICE]
# All that an NVIDIA GPU must show of the kernels, with the host's cores busy: every file of cases, 2000
# random problems, the peaks, OpenCL's tensor cores, and where compute-sanitizer is installed a small check
# under each of its tools. A line each, what was printed in FOLDER; exit status 1 if anything is wrong. Some
# ten minutes. What racecheck says of warpgroups that share rows is told but not held against them:
# kernels/cuda/NOTES.md.
set -u
harness=$1
folder=$2
device=${3:-cuda:0}
jobs=$(nproc)
cases=$(dirname "$0")/cases
failed=0
mkdir -p "$folder" || exit 2

# part NAME COMMAND...
part()
{
    local name=$1 start=$SECONDS status
    shift
    "$@" >"$folder/$name.txt" 2>&1
    status=$?
    echo "$name: exit $status in $((SECONDS - start)) s: $(tr '\r' '\n' <"$folder/$name.txt" | tail -n 1)"
    [ $status -eq 0 ] || failed=1
}

# sanitize NAME TOOL CASES
sanitize()
{
    part "$1" compute-sanitizer --tool "$2" --target-processes all --error-exitcode 9 \
        "$harness" --check --strict --device "$device" --cases "$cases/$3.cases"
}

"$harness" --list-devices | sed -n "/^$device /,+2p"
for name in dims masks density tiles variants-cuda; do
    part "$name" "$harness" --check --strict --jobs "$jobs" --device "$device" --cases "$cases/$name.cases"
done
part peak "$harness" --peak --device "$device"
part random "$harness" --check --random 2000 --jobs "$jobs" --device "$device"
opencl=$("$harness" --list-devices | sed -n 's/^\(opencl:[0-9.]*\) .*NVIDIA.*sm_.*/\1/p' | head -n 1)
if [ -n "$opencl" ]; then
    part opencl "$harness" --check --strict --jobs "$jobs" --device "$opencl" --cases "$cases/host-opencl.cases"
    part opencl-gpu "$harness" --check --strict --jobs "$jobs" --device "$opencl" \
        --cases "$cases/variants-opencl-brief.cases"
    for variant in mma gpu; do
        part "opencl-random-$variant" "$harness" --check --random 500 --jobs "$jobs" --device "$opencl" \
            -a variant=$variant -a kernel=masked-dense,tile-skip
    done
else
    echo "opencl: no NVIDIA device, left out"
fi
if command -v compute-sanitizer >/dev/null; then
    for tool in memcheck racecheck initcheck synccheck; do
        sanitize "$tool" "$tool" sanitizer
    done
    for tool in memcheck initcheck synccheck; do
        sanitize "$tool-key-groups" "$tool" sanitizer-key-groups
    done
    before=$failed
    sanitize racecheck-key-groups racecheck sanitizer-key-groups
    failed=$before
else
    echo "compute-sanitizer: not installed, left out"
fi
exit $failed
