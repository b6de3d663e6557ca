#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# 13_encoder_decoder: a quick run ends with two verdicts, a table and a picture; bad input gets one line and exit code 2.
set -u
here=$(cd "$(dirname "$0")" && pwd)
program=$1/13_encoder_decoder
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1
source "$here/support/study.sh"

expect_study "$program" 2 encoder_decoder
expect_refusal longest "$program" --longest 0
expect_refusal 'width 10 is not divisible by heads 4' "$program" --quick --width 10
finish
