#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# bench/medians.sh [-n PROCESSES] EXECUTABLE [benchmark options]
# Runs the executable in several processes, as machines are noisy, and prints for each row the median of every counter
# and, in brackets, the range of share_of_peak (or of share_of_bandwidth) over the processes.
#   bench/medians.sh -n 5 build/release/bench/product_bench --benchmark_filter=product/nn
set -euo pipefail

processes=3
if [ "${1:-}" = -n ]; then processes=$2; shift 2; fi
[ $# -ge 1 ] || { sed -n '3,6s/^# //p' "$0" >&2; exit 2; }

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for ((i = 1; i <= processes; ++i)); do
  printf 'process %d of %d\r' "$i" "$processes" >&2
  "$@" --benchmark_out="$folder/$i.json" --benchmark_out_format=json >/dev/null 2>"$folder/err" ||
    { cat "$folder/err" >&2; exit 1; }
done

awk '
  function median(key, count,   i, j, t, v) {
    for (i = 1; i <= count; ++i) v[i] = values[key, i]
    for (i = 2; i <= count; ++i) { t = v[i]; for (j = i - 1; j > 0 && v[j] > t; --j) v[j + 1] = v[j]; v[j + 1] = t }
    low = v[1]; high = v[count]
    return count % 2 ? v[(count + 1) / 2] : (v[count / 2] + v[count / 2 + 1]) / 2
  }
  /"processor":|"simd":|"flags":|"peak_1_thread":/ && !told[$1]++ { sub(/^ */, ""); sub(/,$/, ""); print }
  /^ *"name":/ {
    row = $0; sub(/^[^:]*: "/, "", row); sub(/",$/, "", row)
    if (!(row in order)) { order[row] = ++rows; name[rows] = row; if (length(row) > width) width = length(row) }
  }
  /^ *"(share_of_peak|share_of_bandwidth|GFLOP\/s|bytes\/s|tokens\/s|ms|peak_MB)":/ {
    key = $1; gsub(/[":]/, "", key); value = $2; sub(/,$/, "", value)
    values[row, key, ++n[row, key]] = value + 0
  }
  END {
    split("share_of_peak share_of_bandwidth GFLOP/s bytes/s tokens/s ms peak_MB", keys, " ")
    for (r = 1; r <= rows; ++r) {
      printf "%-" width "s", name[r]
      for (k = 1; k <= 7; ++k) {
        c = n[name[r], keys[k]]
        if (!c) continue
        m = median(name[r] SUBSEP keys[k], c)
        if (keys[k] ~ /^share/) printf "  %s %.3f [%.3f, %.3f]", keys[k], m, low, high
        else printf "  %s %.4g", keys[k], m
      }
      printf "\n"
    }
  }' "$folder"/*.json
