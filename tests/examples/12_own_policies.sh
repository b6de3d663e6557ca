#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# 12_own_policies: a quick run ends with two verdicts, a table and a picture; bad input gets one line and exit code 2.
set -u
here=$(cd "$(dirname "$0")" && pwd)
program=$1/12_own_policies
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1
source "$here/support/study.sh"

expect_study "$program" 2 own_policies
expect_refusal steps "$program" --steps 0
finish
