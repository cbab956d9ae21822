#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Usage: run_check.sh HARNESS DEVICE CASES...
# The correctness sweep of one device; where the device is missing the test is skipped (77).
harness=$1
device=$2
shift 2
for cases; do
    set -- "$@" --cases "$cases"
    shift
done
"$harness" --check --strict --device "$device" "$@"
status=$?
if [ $status -eq 3 ]; then
    exit 77
fi
exit $status
