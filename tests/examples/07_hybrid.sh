#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# 07_hybrid: a quick run ends with four verdicts, tables and pictures; bad input gets one line and exit code 2.
set -u
here=$(cd "$(dirname "$0")" && pwd)
program=$1/07_hybrid
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1
source "$here/support/study.sh"

expect_study "$program" 4 hybrid_loss hybrid_decoding
expect_refusal 'divisible' "$program" --quick --heads 5
expect_refusal 'longer' "$program" --quick --short-context 1000
expect_refusal 'missing' "$program" --quick --text missing
finish
