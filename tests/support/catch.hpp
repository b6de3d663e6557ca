// SPDX-License-Identifier: MIT
#pragma once

// Catch2 in one spelling for v2.13 (Debian 12) and v3: include this, never a Catch2 header. Everywhere the same:
//   TEST_CASE, TEMPLATE_TEST_CASE, TEMPLATE_LIST_TEST_CASE, SECTION, GENERATE, CAPTURE, INFO, CHECK..., REQUIRE...
//   Approx(x).margin(m)                                             without a namespace
//   Catch::Matchers::{WithinAbs, WithinRel, WithinULP, ContainsSubstring, StartsWith, EndsWith, Message}
//   CHECK_THROWS_WITH(f(), ContainsSubstring("needs ..."))          matchers are visible without a namespace as well
// A test tagged [.slow] runs in the ctest entry labelled `slow`, which the default test command leaves out.

#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>

using Catch::Approx;
#else
#include <catch2/catch.hpp>

namespace Catch::Matchers {
/// Version 3's name for version 2's Contains, on strings.
inline auto ContainsSubstring(const std::string& text, CaseSensitive::Choice choice = CaseSensitive::Yes) {
  return Contains(text, choice);
}
}  // namespace Catch::Matchers
#endif

using Catch::Matchers::ContainsSubstring;
using Catch::Matchers::EndsWith;
using Catch::Matchers::Message;
using Catch::Matchers::StartsWith;
using Catch::Matchers::WithinAbs;
using Catch::Matchers::WithinRel;
using Catch::Matchers::WithinULP;
