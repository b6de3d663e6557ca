#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Usage: long.sh FOLDER MILLIONS: until each harness has had so many million inputs in all; may be stopped and started again.
# FOLDER holds the programs (<build>/tests/fuzz, after building fuzz_tests and fuzz_fast). Of each million, 980,000 inputs go to
# the fast program, then 20,000 to the one under ASan and UBSan, from one corpus.
# FOLDER/<name>.runs says how many there were, one line a finished run: program, seed, inputs.
set -euo pipefail
folder=$(realpath "$1") millions=$2
here=$(realpath "$(dirname "$0")")
cd "$folder"

run() {  # program, corpus, inputs, options
  local seed=$((1 + $(cat "$2.runs" 2>/dev/null | wc -l))) said
  said=$("./$1" -seed="$seed" -runs="$3" "${@:4}" -max_len=4096 -len_control=0 -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 \
    -dict="$here/safetensors.dict" "corpus/$2" "$here/../io/data" 2>&1) || { echo "$said" | tail -n 40; exit 1; }
  echo "$1 $seed $(echo "$said" | sed -n 's/^stat::number_of_executed_units: *//p')" >> "$2.runs"
}

for ((million = 1; million <= millions; ++million)); do
  for name in checkpoint safetensors; do
    mkdir -p "corpus/$name"
    (($(awk '{n += $3} END {print n + 0}' "$name.runs" 2>/dev/null || echo 0) < million * 1000000)) || continue
    run "${name}_fuzz_fast" "$name" 980000 -entropic=0 -reduce_inputs=0
    run "${name}_fuzz" "$name" 20000
  done
done
awk '{n[FILENAME] += $3} END {for (f in n) print f, n[f]}' -- *.runs
