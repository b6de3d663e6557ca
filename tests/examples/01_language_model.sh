#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# 01_language_model: runs, stops, resumes with equal bits, and refuses bad input with one line and exit code 2.
set -u
program=$1/01_language_model
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1
failures=0
fail() { echo "FAILED: $*"; failures=$((failures + 1)); }

for i in $(seq 400); do echo "line $i: the quick brown fox jumps over the lazy dog, $((i * i)) times"; done >text
small=(--text text --width 32 --depth 2 --heads 2 --window 32 --batch 4 --steps 24 --warm-up 4 --evaluate-every 8 --sample 20)

# A run: says what it does, saves all three files, beats nothing it does not claim.
"$program" "${small[@]}" --save whole.safetensors >out 2>err || fail "a plain run ends with $?: $(tail -1 err)"
grep -q 'Validation loss .* bigram entropy' out || fail "no verdict printed"
for f in whole.safetensors whole.csv whole.svg; do [ -s $f ] || fail "$f is missing"; done
grep -q '</svg>' whole.svg || fail "the picture is not whole"

# Stopped and resumed: the same bytes as never stopped, on another number of threads as well.
"$program" "${small[@]}" --stop-at 9 --save-every 4 --save part.safetensors >out 2>err || fail "a stopped run ends with $?"
grep -q 'Stopped after step 9 of 24' out || fail "a stopped run does not say so"
"$program" --text text --resume part.safetensors --save part.safetensors --evaluate-every 8 --sample 20 --threads 1 >out 2>err ||
  fail "a resumed run ends with $?: $(tail -1 err)"
cmp whole.safetensors part.safetensors || fail "resumed is not bit-identical"
cmp whole.csv part.csv || fail "the resumed curve differs"

# Ctrl-C ends with a checkpoint that continues to the same bytes.
"$program" "${small[@]}" --steps 4000 --save cut.safetensors >out 2>err &
pid=$!
sleep 2
kill -INT $pid
wait $pid || fail "an interrupted run ends with $?"
[ -s cut.safetensors ] || fail "an interrupted run saves nothing"
at=$(sed -n 's/Stopped after step \([0-9]*\) of.*/\1/p' out)
"$program" "${small[@]}" --steps 4000 --stop-at "$at" --save same.safetensors >out 2>err
cmp cut.safetensors same.safetensors || fail "an interrupted run has other bits than one stopped at step $at"

# Bad input: one line, exit code 2, nothing written.
refuses() {
  local expected=$1
  shift
  rm -rf bad.*
  "$program" --save bad.safetensors "$@" >out 2>err
  local code=$?
  [ $code -eq 2 ] || fail "$*: exit code $code"
  [ "$(wc -l <err)" -eq 1 ] || fail "$*: $(wc -l <err) lines: $(cat err)"
  grep -qi -- "$expected" err || fail "$*: does not say \"$expected\": $(cat err)"
  compgen -G 'bad.*' >/dev/null && fail "$*: left a file"
}
touch empty
head -c 100 text >short
head -c 1000 whole.safetensors >truncated.safetensors
refuses 'missing' --text missing
refuses 'empty' --text empty
refuses 'needs at least' --text short
refuses 'folder' --text .
refuses 'divisible' "${small[@]}" --width 30 --heads 4
refuses 'steps' --text text --steps -3
refuses 'nonsense' --nonsense
refuses 'truncated' --text text --resume truncated.safetensors
refuses 'text' --text text --resume text
refuses 'another text' --text short --resume whole.safetensors
refuses 'excludes' --text text --resume whole.safetensors --width 64
if [ -w /dev/full ]; then
  "$program" "${small[@]}" --steps 1 --save /dev/full >out 2>err
  [ $? -eq 2 ] || fail "a full disk: exit code is not 2"
fi

[ $failures -eq 0 ] && echo "all checks passed"
exit $((failures > 0))
