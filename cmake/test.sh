#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# bash cmake/test.sh [options of ctest]
# Installs what is missing, builds the tests and runs all but those labelled `slow` or `budget`.
# Safe to run again: what is installed or built is not done twice.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

say "formwork: 1. install what is missing, 2. build the tests, 3. run them"
install_missing
prepare_build
say "Building build/test with $jobs jobs"
configure test
cmake --build --preset test
say "Running the tests, $cores at a time"
ctest --preset test "$@"
