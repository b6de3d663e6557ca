#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Sourced by run.sh, test.sh and core.sh: finds what is missing on this machine and installs it, or says what to install.

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

say() { printf '\n==> %s\n' "$*"; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# Debian package, what it is, and what shows that it is there: a command, one of several headers, or a file.
needed=(
  "g++|a C++20 compiler, g++ 12 or newer|command c++"
  "cmake|CMake 3.25 or newer|command cmake"
  "ninja-build|Ninja|command ninja"
  "libeigen3-dev|Eigen 3.4 or newer|header Eigen/Core eigen3/Eigen/Core"
  "nlohmann-json3-dev|nlohmann/json|header nlohmann/json.hpp"
  "libcli11-dev|CLI11|header CLI/CLI.hpp"
  "libbenchmark-dev|Google Benchmark|header benchmark/benchmark.h"
  "catch2|Catch2 2.13 or newer|header catch2/catch.hpp catch2/catch_all.hpp"
)

present() {  # present command NAME | present header FILE... | present file PATH
  local kind=$1 folder name
  shift
  if [ "$kind" = command ]; then command -v "$1" >/dev/null; return; fi
  if [ "$kind" = file ]; then [ -e "$1" ]; return; fi
  for folder in /usr/include /usr/local/include /opt/homebrew/include ${CMAKE_PREFIX_PATH:+"${CMAKE_PREFIX_PATH%%:*}/include"}; do
    for name in "$@"; do [ -e "$folder/$name" ] && return 0; done
  done
  return 1
}

missing_packages=() missing_names=()
find_missing() {
  missing_packages=() missing_names=()
  local line package name test
  for line in "${needed[@]}"; do
    IFS='|' read -r package name test <<<"$line"
    # shellcheck disable=SC2086  # the test is several words
    present $test || { missing_packages+=("$package"); missing_names+=("$name"); }
  done
}

install_missing() {
  find_missing
  if [ ${#missing_packages[@]} -eq 0 ]; then
    say "Everything needed is installed"
  elif ! command -v apt-get >/dev/null; then
    printf 'error: this machine has no apt-get, so please install by its own package manager:\n' >&2
    printf '  - %s\n' "${missing_names[@]}" >&2
    exit 1
  else
    local as_root=()
    if [ "$(id -u)" -ne 0 ]; then
      command -v sudo >/dev/null || die "not root and no sudo; as root: apt-get install ${missing_packages[*]}"
      as_root=(sudo)
    fi
    say "Installing by apt-get: ${missing_packages[*]}"
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing_packages[@]}"
    find_missing
    [ ${#missing_packages[@]} -eq 0 ] || die "still missing after the installation: ${missing_names[*]}"
  fi

  local version
  version=$(cmake --version | sed -n '1s/[^0-9]*\([0-9.]*\).*/\1/p')
  [ "$(printf '%s\n' 3.25 "$version" | sort -V | head -1)" = 3.25 ] ||
    die "CMake is $version but 3.25 or newer is needed; get one from https://cmake.org/download or by: pip install cmake"
  printf '#include <version>\n#ifndef __cpp_lib_constexpr_vector\n#error\n#endif\n' | "${CXX:-c++}" -std=c++20 -fsyntax-only -x c++ - 2>/dev/null ||
    die "$("${CXX:-c++}" --version | head -1) is too old; install g++ 12 or newer and let CXX name it"
}

# Ninja where it is there, all cores, but not more compilers than memory (about 1.5 GB each) allows.
prepare_build() {
  cores=$(nproc 2>/dev/null || getconf _NPROCESSORS_ONLN)
  local memory
  memory=$(awk '/MemAvailable/ {print int($2 / 1500000)}' /proc/meminfo 2>/dev/null || true)
  jobs=$cores
  [ -n "$memory" ] && [ "$memory" -lt "$jobs" ] && jobs=$((memory > 0 ? memory : 1))
  export CMAKE_BUILD_PARALLEL_LEVEL=$jobs CTEST_PARALLEL_LEVEL=$cores
  if command -v ninja >/dev/null; then export CMAKE_GENERATOR=${CMAKE_GENERATOR:-Ninja}; fi
}

# A build folder made by another generator cannot be continued: it keeps its own.
configure() {  # configure PRESET
  local cache=build/$1/CMakeCache.txt
  [ -f "$cache" ] && export CMAKE_GENERATOR=$(sed -n 's/^CMAKE_GENERATOR:INTERNAL=//p' "$cache")
  cmake --preset "$1"
}
