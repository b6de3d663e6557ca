#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# 03_extrapolation: a quick run ends with its verdicts, tables and pictures. At the training length every table is the one that
# was trained, as is log n beyond it and re_rope with a window as long; smaller windows and all lengths beyond differ. Bad input
# gets one line and exit code 2.
set -u
here=$(cd "$(dirname "$0")" && pwd)
program=$1/03_extrapolation
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1
source "$here/support/study.sh"

expect_study "$program" 20 extrapolation_{inv_sqrt,log_n_beyond,log_n,trained}

# losses CHART MULTIPLE [NAME]: those of all ways, or those whose name that is.
losses() { awk -F, -v m="$2" -v name="${3:-.}" '$2 == m && $1 ~ name { print $3 }' "extrapolation_$1.csv"; }
different() { losses "$@" | sort -u | wc -l; }
for scale in inv_sqrt log_n_beyond log_n; do
  [ "$(losses $scale 1 | wc -l)" -eq 13 ] || fail "$scale: not 13 ways: $(cat extrapolation_$scale.csv)"
  [ "$(different $scale 1 '^(none|interpolated|ntk|yarn|re_rope 1$)')" -eq 1 ] || fail "$scale: tables differ at the training length"
  [ "$(different $scale 1)" -eq 6 ] || fail "$scale: not 5 ways are taxed at the training length: $(losses $scale 1)"
  [ "$(different $scale 8)" -eq 13 ] || fail "$scale: ways do not all differ at 8 training lengths: $(losses $scale 8)"
done
[ "$(losses inv_sqrt 1)" = "$(losses log_n_beyond 1)" ] || fail "log n beyond the training length changes something at it"
[ "$(losses inv_sqrt 8)" != "$(losses log_n_beyond 8)" ] || fail "log n beyond the training length changes nothing there"
[ "$(different trained 8)" -eq 6 ] || fail "what was trained for the purpose does not differ: $(losses trained 8)"

head -c 3000 "$program" >short
expect_refusal 'divisible' "$program" --quick --width 30 --heads 4
expect_refusal 'at least 8 bytes' "$program" --quick --window 4
expect_refusal 'missing' "$program" --quick --text missing
expect_refusal 'needs more than' "$program" --quick --text short
finish
