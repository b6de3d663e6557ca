#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# 08_bottleneck: a quick run ends with five verdicts, tables and pictures; bad input gets one line and exit code 2.
set -u
here=$(cd "$(dirname "$0")" && pwd)
program=$1/08_bottleneck
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1
source "$here/support/study.sh"

expect_study "$program" 5 bottleneck_fit bottleneck_recall
expect_refusal 'divisible' "$program" --quick --few-heads 3
expect_refusal 'hidden' "$program" --quick --wide-key 64
finish
