#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# 11_position_probe: a quick run ends with three verdicts, a table and a picture; bad input gets one line and exit code 2.
set -u
here=$(cd "$(dirname "$0")" && pwd)
program=$1/11_position_probe
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1
source "$here/support/study.sh"

expect_study "$program" 3 probe
expect_refusal 'divisible' "$program" --width 10 --heads 3
expect_refusal 'needs 4 or more' "$program" --tokens 2
finish
