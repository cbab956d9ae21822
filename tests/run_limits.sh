#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Usage: run_limits.sh HARNESS COVER_CONFIGS values|pairs LIMITS AXES...
# The first OpenCL device, made smaller: configurations that have all values of tunables, or all pairs of
# them, build and are right. Without a device the test is skipped (77).
harness=$1
cover=$2
what=$3
limits=$4
shift 4
cases=$(mktemp) || exit 1
trap 'rm -f "$cases"' EXIT
"$cover" "$what" "$limits" "$@" >"$cases" || exit $?
echo "$(wc -l <"$cases") configurations with --limit $limits"
"$harness" --check --strict --device opencl:0.0 --limit "$limits" --cases "$cases"
