#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# 06_hippo_memory: checks every claim, draws every picture, and refuses bad input with one line and exit code 2.
set -u
program=$1/06_hippo_memory
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1
failures=0
fail() { echo "FAILED: $*"; failures=$((failures + 1)); }

"$program" --quick --save out >text 2>err || fail "a quick run ends with $?: $(tail -1 err)"
[ "$(grep -c '  claim (' text)" -eq "$(grep -cE -- '-> (holds|does not hold)$' text)" ] || fail "a claim has no verdict"
verdict() {
  grep -A1 "claim.*$1" text | grep -q -- "-> $2\$" || fail "\"$1\" is not judged \"$2\": $(grep -A1 "$1" text | tail -1)"
}
verdict 'LegS remembers the whole history' holds
verdict 'LegT remembers its window' holds
verdict 'the printed bilinear rule holds constants' 'does not hold'
verdict 'mean of both rates' holds
verdict 'exact solution is better' holds
verdict 'forward Euler diverges' 'does not hold'
verdict 'three times slower' holds
verdict 'like a power of time' holds
verdict 'forgets exponentially' holds
verdict 'remembers a sliding window' 'does not hold'
verdict 'twice the pull' holds
verdict 'keeps its digits' holds
for f in bases discretisations forgetting; do
  grep -q '</svg>' out_$f.svg || fail "out_$f.svg is not whole"
  [ "$(wc -l <out_$f.csv)" -gt 10 ] || fail "out_$f.csv has few rows"
done

# The same bytes again.
"$program" --quick --save again >/dev/null 2>&1
cmp out_bases.csv again_bases.csv || fail "a second run differs"

"$program" --help >text 2>err || fail "--help ends with $?"
grep -q -- '--order' text || fail "--help does not list --order"
refuses() {
  local expected=$1
  shift
  "$program" "$@" >text 2>err
  local code=$?
  [ $code -eq 2 ] || fail "$*: exit code $code"
  [ "$(wc -l <err)" -eq 1 ] || fail "$*: $(wc -l <err) lines: $(cat err)"
  grep -qi -- "$expected" err || fail "$*: does not say \"$expected\": $(cat err)"
}
refuses 'order' --order 0
refuses 'samples' --samples -5
refuses 'nonsense' --nonsense
refuses 'missing' --save missing/folder/name

[ $failures -eq 0 ] && echo "all checks passed"
exit $((failures > 0))
