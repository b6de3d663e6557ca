#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# bash cmake/run.sh [options of the example]
# Installs what is missing, builds the examples and trains a language model on this project's own text (about 3 minutes).
# Safe to run again: what is installed or built is not done twice.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

say "formwork: 1. install what is missing, 2. build the examples, 3. train a language model and let it write"
install_missing
prepare_build
say "Building build/release/examples with $jobs jobs"
configure release
cmake --build --preset release --target example_01_language_model
say "Running build/release/examples/01_language_model $*"
exec build/release/examples/01_language_model "$@"
