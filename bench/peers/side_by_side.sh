#!/bin/bash
# SPDX-License-Identifier: MIT
# Runs one of our bench executables and PyTorch in turn, in both orders, on one pinned core, and prints the ratio of each row:
#
#   bench/peers/side_by_side.sh build/release/bench/product_bench ['product/nn']
#
# The second argument is a regular expression that names of rows start with (default: all rows PyTorch has too). From the
# environment: PYTHON (python3; needs torch), CPU (1), ROUNDS (3: each runs both, the order changes from round to round),
# SECONDS_PER_ROW (0.5). A ratio above 1 means ours is faster; all numbers are medians over the rounds.
set -euo pipefail
[ $# -ge 1 ] || { sed -n '3,9s/^# \{0,1\}//p' "$0" >&2; exit 2; }
bench=$1
filter=${2:-(product|attend|talking_heads|train_step|decode)/}
here=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-python3}
cpu=${CPU:-1}
rounds=${ROUNDS:-3}
seconds=${SECONDS_PER_ROW:-0.5}
[ -x "$bench" ] || { echo "side_by_side: $bench is not an executable; build the benchmarks first" >&2; exit 2; }
"$python" -c 'import torch' 2>/dev/null || { echo "side_by_side: $python has no torch; set PYTHON to one that has" >&2; exit 2; }
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

ours() {
  OMP_NUM_THREADS=1 taskset -c "$cpu" "$bench" "--benchmark_filter=^($filter)" "--benchmark_min_time=$seconds" \
    "--benchmark_out=$scratch/ours.$1.json" --benchmark_out_format=json >"$scratch/log" 2>&1 || { cat "$scratch/log" >&2; exit 1; }
}
# Only the rows that ours has.
theirs() {
  local rows
  rows=$("$bench" "--benchmark_filter=^($filter)" --benchmark_list_tests | paste -sd'|')
  taskset -c "$cpu" "$python" "$here/pytorch.py" --filter "^pytorch/($rows)\$" --seconds "$seconds" \
    --json "$scratch/pytorch.$1.json" >"$scratch/log"
  head -1 "$scratch/log" >"$scratch/version"
}

for ((round = 1; round <= rounds; ++round)); do
  echo "round $round of $rounds" >&2
  if ((round % 2)); then ours "$round"; theirs "$round"; else theirs "$round"; ours "$round"; fi
done

"$python" - "$scratch" <<'PYTHON'
import glob, json, pathlib, statistics, sys

scratch = sys.argv[1]
ours, theirs, shares = {}, {}, {}
for path in glob.glob(f"{scratch}/ours.*.json"):
    for row in json.load(open(path))["benchmarks"]:
        if row.get("run_type") != "aggregate":
            ours.setdefault(row["name"], []).append(row["ms"])
            shares.setdefault(row["name"], []).append(row.get("share_of_peak", row.get("share_of_bandwidth", 0)))
for path in glob.glob(f"{scratch}/pytorch.*.json"):
    for name, row in json.load(open(path)).items():
        theirs.setdefault(name.removeprefix("pytorch/"), []).append(row)
print(pathlib.Path(f"{scratch}/version").read_text().strip())
print(f"{'row':<44}{'ours ms':>10}{'share':>7}{'pytorch ms':>12}{'rate':>16}{'ratio':>8}{'range':>14}")
for name in ours:
    if name not in theirs:
        continue
    mine, ms = statistics.median(ours[name]), statistics.median(r["ms"] for r in theirs[name])
    unit = "GFLOP/s" if "GFLOP/s" in theirs[name][0] else "GB/s"
    rate = statistics.median(r[unit] for r in theirs[name])
    low, high = min(r["ms"] for r in theirs[name]) / max(ours[name]), max(r["ms"] for r in theirs[name]) / min(ours[name])
    print(f"{name:<44}{mine:>10.4g}{statistics.median(shares[name]):>7.2f}{ms:>12.4g}{rate:>8.4g} {unit:<7}{ms / mine:>8.2f}{low:>8.2f}-{high:.2f}")
PYTHON
