#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# 03_extrapolation: a quick run ends with its verdicts, tables and pictures. At the training length every table is the one that
# was trained, as is log n beyond it and re_rope with a window as long; a smaller window and all lengths beyond differ. Bad input
# gets one line and exit code 2.
set -u
here=$(cd "$(dirname "$0")" && pwd)
program=$1/03_extrapolation
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1
source "$here/support/study.sh"

expect_study "$program" 20 extrapolation_{inv_sqrt,log_n_beyond,log_n,trained}

# at CHART MULTIPLE [NAME]: the losses of all ways there, or of those whose name that is.
at() { awk -F, -v m="$2" -v name="${3:-.}" '$2 == m && $1 ~ name { print $3 }' "extrapolation_$1.csv"; }
# beyond CHART: how many ways differ at any of the longer lengths. At one alone two may agree to the last digit.
beyond() {
  awk -F, 'NR > 1 && $2 > 1 { l[$1] = l[$1] " " $3 } END { for (way in l) print l[way] }' "extrapolation_$1.csv" | sort -u | wc -l
}
for scale in inv_sqrt log_n_beyond log_n; do
  [ "$(at $scale 1 | wc -l)" -eq 13 ] || fail "$scale: not 13 ways: $(cat extrapolation_$scale.csv)"
  [ "$(at $scale 1 '^(none|interpolated|ntk.*|yarn|re_rope 1)$' | sort | uniq -c | awk '{ print $1 }')" = 8 ] ||
    fail "$scale: what is rope at the training length differs there: $(at $scale 1)"
  [ "$(at $scale 1 '^none$')" != "$(at $scale 1 '^re_rope 1/8$')" ] || fail "$scale: a small window changes nothing"
  [ "$(beyond $scale)" -eq 13 ] || fail "$scale: ways do not all differ beyond the training length: $(cat extrapolation_$scale.csv)"
done
[ "$(at inv_sqrt 1)" = "$(at log_n_beyond 1)" ] || fail "log n beyond the training length changes something at it"
[ "$(at inv_sqrt 8)" != "$(at log_n_beyond 8)" ] || fail "log n beyond the training length changes nothing there"
[ "$(beyond trained)" -eq 6 ] || fail "what was trained for the purpose does not differ: $(cat extrapolation_trained.csv)"
[ "$(at trained 2 '^windows$')" = "$(at trained 8 '^windows$')" ] || fail "three layers of windows of 48 see more than 256 bytes"

head -c 3000 "$program" >short
expect_refusal 'divisible' "$program" --quick --width 30 --heads 4
expect_refusal 'at least 8 bytes' "$program" --quick --window 4
expect_refusal 'missing' "$program" --quick --text missing
expect_refusal 'needs more than' "$program" --quick --text short
finish
