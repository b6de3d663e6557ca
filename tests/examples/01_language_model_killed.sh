#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# 01_language_model killed by SIGKILL at random moments, some of them inside a save: each run resumed from what it left ends
# with the bytes of one that was never killed, and leaves nothing else behind.
# slow: 200
set -u
program=$1/01_language_model
kills=${2:-5}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1
failures=0
fail() { echo "FAILED: kill $done_kills after $delay ms: $*"; failures=$((failures + 1)); }

for i in $(seq 400); do echo "line $i: the quick brown fox jumps over the lazy dog, $((i * i)) times"; done >text
any_start=(--text text --threads 1 --sample 0 --evaluate-every 15 --save-every 1)
from_nothing=("${any_start[@]}" --width 32 --depth 2 --heads 2 --window 32 --batch 4 --steps 40 --warm-up 4)
milliseconds() { echo $(($(date +%s%N) / 1000000)); }

mkdir whole run
begin=$(milliseconds)
"$program" "${from_nothing[@]}" --save whole/model.safetensors >out 2>err || { echo "FAILED: $(tail -1 err)"; exit 1; }
length=$(($(milliseconds) - begin))

RANDOM=1
done_kills=0 inside=0 before=0 tries=0
while [ $done_kills -lt "$kills" ] && [ $tries -lt $((20 * kills)) ]; do
  tries=$((tries + 1))
  rm -rf run/* run/.[!.]*
  delay=$((RANDOM * length / 32768))
  "$program" "${from_nothing[@]}" --save run/model.safetensors >out 2>err &
  pid=$!
  sleep "$((delay / 1000)).$(printf %03d $((delay % 1000)))"
  kill -KILL $pid 2>/dev/null
  { wait $pid; } 2>/dev/null
  [ $? -eq 137 ] || continue  # it was faster
  done_kills=$((done_kills + 1))
  compgen -G 'run/.model.safetensors.*.tmp' >/dev/null && inside=$((inside + 1))
  if [ -e run/model.safetensors ]; then
    start=("${any_start[@]}" --resume run/model.safetensors)
  else
    start=("${from_nothing[@]}")
    before=$((before + 1))
  fi
  "$program" "${start[@]}" --save run/model.safetensors >out 2>err || fail "resuming ends with $?: $(tail -1 err)"
  diff -r whole run || fail "the files differ from those of a run that was never killed"
done

echo "$done_kills kills of a run of $length ms: $inside inside a save, $before before the first had ended"
[ $done_kills -eq "$kills" ] || fail "only $done_kills of $kills runs could be killed"
[ "$kills" -lt 100 ] || [ $inside -ge 10 ] || fail "too few kills fell inside a save"
[ $failures -eq 0 ] && echo "all checks passed"
exit $((failures > 0))
