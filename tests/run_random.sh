#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Usage: run_random.sh HARNESS DEVICE N JOBS
# N random problems on a device, all of which must be right; then a fault that the same problems
# must find. Where the device is missing the test is skipped (77).
harness=$1
device=$2
n=$3
jobs=$4
"$harness" --check --random "$n" --jobs "$jobs" --device "$device"
status=$?
if [ $status -eq 3 ]; then
    exit 77
fi
if [ $status -ne 0 ]; then
    exit $status
fi
found=$("$harness" --check --random 24 --jobs "$jobs" --device "$device" -a kernel=tile-skip -a skip=tile,slice \
    --inject wrong-skip 2>&1)
status=$?
if [ $status -ne 1 ]; then
    echo "tiles left out were not found (exit status $status):"
    echo "$found"
    exit 1
fi
