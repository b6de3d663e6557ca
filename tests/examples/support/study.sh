# SPDX-License-Identifier: MIT
# What the tests of the studies share; sourced.
failures=0
fail() { echo "FAILED: $*"; failures=$((failures + 1)); }

# expect_study PROGRAM VERDICTS CHART...: a quick run says so many verdicts and leaves each chart as CSV and SVG.
expect_study() {
  local program=$1 verdicts=$2
  shift 2
  "$program" --quick >out 2>err || fail "a quick run ends with $?: $(tail -1 err)"
  [ "$(grep -c '^Verdict   ' out)" -eq "$verdicts" ] || fail "$(grep -c '^Verdict   ' out) verdicts instead of $verdicts"
  local chart
  for chart in "$@"; do
    [ "$(wc -l <"$chart.csv")" -gt 2 ] || fail "$chart.csv has no rows"
    grep -q '</svg>' "$chart.svg" || fail "$chart.svg is not whole"
    grep -qi 'nan\|inf' "$chart.svg" && fail "$chart.svg has numbers that are none"
  done
  "$program" --help | grep -q -- --quick || fail "--help does not list --quick"
}

# expect_refusal TEXT PROGRAM OPTION...: one line on standard error that says TEXT, exit code 2.
expect_refusal() {
  local expected=$1 code
  shift
  "$@" >out 2>err
  code=$?
  [ $code -eq 2 ] || fail "$*: exit code $code"
  [ "$(wc -l <err)" -eq 1 ] || fail "$*: $(wc -l <err) lines: $(cat err)"
  grep -qi -- "$expected" err || fail "$*: does not say \"$expected\": $(cat err)"
}

finish() {
  [ $failures -eq 0 ] && echo "all checks passed"
  exit $((failures > 0))
}
