// SPDX-License-Identifier: MIT

// Nothing: a target needs a file for the headers that it precompiles (tests/CMakeLists.txt).
