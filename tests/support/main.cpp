// SPDX-License-Identifier: MIT

// Catch2's own part of every test executable, compiled once. Version 3 brings it as a library.
#if !__has_include(<catch2/catch_all.hpp>)
#define CATCH_CONFIG_MAIN
#include <catch2/catch.hpp>
#endif
