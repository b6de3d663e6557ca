#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# 03_extrapolation: a quick run ends with seven verdicts, tables and pictures, every table is the trained one at the training
# length and another beyond it; bad input gets one line and exit code 2.
set -u
here=$(cd "$(dirname "$0")" && pwd)
program=$1/03_extrapolation
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1
source "$here/support/study.sh"

expect_study "$program" 7 extrapolation_inv_sqrt extrapolation_log_n

# values MULTIPLE: how many different losses the seven tables have there.
values() { awk -F, -v m="$1" '$2 == m { print $3 }' extrapolation_inv_sqrt.csv | sort -u | wc -l; }
[ "$(values 1)" -eq 1 ] || fail "the tables differ at the training length: $(cat extrapolation_inv_sqrt.csv)"
[ "$(values 8)" -eq 7 ] || fail "the tables do not all differ at 8 training lengths: $(cat extrapolation_inv_sqrt.csv)"

head -c 3000 "$program" >short
expect_refusal 'divisible' "$program" --quick --width 30 --heads 4
expect_refusal 'missing' "$program" --quick --text missing
expect_refusal 'needs more than' "$program" --quick --text short
finish
