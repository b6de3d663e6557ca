#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# 14_sharpness: a quick run ends with three verdicts, tables and pictures; bad input gets one line and exit code 2.
set -u
here=$(cd "$(dirname "$0")" && pwd)
program=$1/14_sharpness
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1
source "$here/support/study.sh"

expect_study "$program" 3 sharpness_eigenvalue sharpness_loss
expect_refusal 'divisible' "$program" --quick --width 30 --heads 4
expect_refusal 'rates' "$program" --quick --rates 0
expect_refusal 'missing' "$program" --quick --text missing
finish
