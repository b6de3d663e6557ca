#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# 02_entropy: a quick run ends with six verdicts, tables and pictures, and its entropies are those of an independent program;
# bad input gets one line and exit code 2.
set -u
here=$(cd "$(dirname "$0")" && pwd)
program=$1/02_entropy
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1
source "$here/support/study.sh"

expect_study "$program" 6 entropy_random entropy_trained entropy_loss

# Means of 1600 rows (n = 64, 512) and more in NumPy, scores q · k / √64 of normal q and k; they vary by a few percent.
expect_entropy() {
  local line=$1 keys=$2 expected=$3 within=$4
  awk -F, -v n="$keys" -v e="$expected" -v w="$within" -v l="$line" '$1 == l && 2 ^ $2 == n {
      found = 1; d = $3 - e; exit !(d < w && -d < w) } END { if (!found) exit 1 }' entropy_random.csv ||
    fail "$line at $keys keys is not within $within of $expected: $(grep "$line" entropy_random.csv | tr '\n' ' ')"
}
expect_entropy 'inv_sqrt sd 1' 64 3.684 0.03
expect_entropy 'inv_sqrt sd 1' 512 5.743 0.03
expect_entropy 'inv_sqrt sd 1' 4096 7.820 0.03
expect_entropy 'log_n sd 1' 64 3.942 0.03
expect_entropy 'log_n sd 1' 4096 7.434 0.03
expect_entropy 'inv_sqrt sd 3' 64 1.797 0.15
expect_entropy 'inv_sqrt sd 3' 512 3.034 0.15
expect_entropy 'inv_sqrt sd 3' 4096 4.448 0.15
expect_entropy 'log_n sd 3' 64 2.629 0.15
expect_entropy 'log_n sd 3' 4096 3.026 0.15

head -c 3000 "$program" >short
expect_refusal 'divisible' "$program" --quick --width 30 --heads 4
expect_refusal 'missing' "$program" --quick --text missing
expect_refusal 'needs more than' "$program" --quick --text short
finish
