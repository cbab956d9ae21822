#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Tunes in N parts with GNU parallel, one part at a time on each machine, and merges the records.
# usage: tune-parallel.sh N FOLDER [tuner's options]
# Machines: PARALLEL='--sshlogin gpu1,gpu2' in the environment; FOLDER is one that all of them see.
# Parts that fail, which the exit status counts, keep no others from being merged. Run it again:
# what FOLDER has is not measured again.
set -eu
if [ $# -lt 2 ]; then
    echo "usage: tune-parallel.sh N FOLDER [tuner's options]" >&2
    exit 2
fi
n=$1
folder=$2
shift 2
status=0
tuner=${TUNER:-tuner}
mkdir -p "$folder"
seq "$n" | parallel --quote --jobs 1 --line-buffer \
    "$tuner" --tune --shard "{}/$n" --records "$folder/part-{}.jsonl" --resume "$@" || status=$?
"$tuner" --merge "$folder"/part-*.jsonl -o "$folder/all.jsonl"
exit $status
