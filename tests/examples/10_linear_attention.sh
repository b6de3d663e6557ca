#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# 10_linear_attention: a quick run ends with nine verdicts, tables and pictures; bad input gets one line and exit code 2.
set -u
here=$(cd "$(dirname "$0")" && pwd)
program=$1/10_linear_attention
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1
source "$here/support/study.sh"

expect_study "$program" 9 linear_attention_full linear_attention_causal linear_attention_error_0.25 linear_attention_error_2.25
expect_refusal 'longest' "$program" --quick --longest 3
expect_refusal 'narrow' "$program" --quick --narrow 64
finish
