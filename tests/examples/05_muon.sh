#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# 05_muon: a quick run says what it measured, draws it, and is the same twice; bad input is one line and exit code 2.
set -u
program=$1/05_muon
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1
failures=0
fail() { echo "FAILED: $*"; failures=$((failures + 1)); }

for i in $(seq 2000); do echo "line $i: the quick brown fox jumps over the lazy dog, $((i * i)) times"; done >text
"$program" --quick --text text >out 2>err || fail "a quick run ends with $?: $(tail -1 err)"
[ "$(grep -c '^Verdict' out)" -eq 3 ] || fail "three verdicts expected"
[ "$(grep -c '^\(adamw\|muon\) ' out)" -eq 4 ] || fail "two rates of two rules expected"
for f in muon_by_step muon_by_second; do
  grep -q '</svg>' $f.svg || fail "$f.svg is not whole"
  grep -q '^muon at ' $f.csv || fail "$f.csv has no line of muon"
done
cp muon_by_step.csv first.csv
"$program" --quick --text text --threads 1 >out 2>err || fail "a second run ends with $?"
cmp first.csv muon_by_step.csv || fail "losses differ from run to run"

refuses() {
  local expected=$1
  shift
  "$program" --quick "$@" >out 2>err
  local code=$?
  [ $code -eq 2 ] || fail "$*: exit code $code"
  [ "$(wc -l <err)" -eq 1 ] || fail "$*: $(wc -l <err) lines: $(cat err)"
  grep -qi -- "$expected" err || fail "$*: does not say \"$expected\": $(cat err)"
}
refuses 'missing' --text missing
refuses 'divisible' --text text --width 30 --heads 4
refuses 'rates' --text text --rates 0

[ $failures -eq 0 ] && echo "all checks passed"
exit $((failures > 0))
