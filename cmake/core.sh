#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# bash cmake/core.sh PRESET [options of ctest]
# Installs what that preset of CMakePresets.json needs, builds the tests labelled `core` (every kernel and every law) by it and
# runs them: clang, asan-ubsan, tsan, coverage, test-v1, test-v2, test-v3 or aarch64. Preset fuzz builds and runs the fuzzers.
# Ends with 77 where this machine cannot have the compiler or the instructions.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

[ $# -gt 0 ] || die "which preset? bash cmake/core.sh PRESET"
preset=$1
shift

case $preset in
  clang | tsan | fuzz)
    needed+=(
      "clang-19|clang 19|command clang++-19"
      "libomp-19-dev|its OpenMP|file /usr/lib/llvm-19/lib/clang/19/include/omp.h"
      "libclang-rt-19-dev|its sanitizers|file /usr/lib/llvm-19/lib/clang/19/include/sanitizer/tsan_interface.h"
    ) ;;
  aarch64)
    needed+=(
      "g++-aarch64-linux-gnu|a compiler for aarch64|command aarch64-linux-gnu-g++"
      "qemu-user|an emulator of aarch64|command qemu-aarch64"
    ) ;;
  test-v3)
    grep -qw avx2 /proc/cpuinfo || { say "This machine has no AVX2"; exit 77; } ;;
esac
(install_missing) || exit 77

label=core
[ "$preset" = fuzz ] && label=fuzz
prepare_build
say "Building the tests labelled $label in build/$preset with $jobs jobs"
configure "$preset"
cmake --build --preset "$preset" --target "${label}_tests"
say "Running them, $cores at a time"
ctest --preset "$preset" -L "^$label\$" "$@"
