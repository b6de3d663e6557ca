// SPDX-License-Identifier: MIT
#include <formwork/mask/causal.hpp>

#include "laws/mask_laws.hpp"

namespace fw = formwork;

TEST_CASE("causal keeps the laws of masks") { laws::mask_laws(fw::causal{}); }

TEST_CASE("causal: the query at position p sees the p + 1 keys up to its own") {
  CHECK(fw::causal{}.count({4, 9}) == 5);
  CHECK(fw::causal{}.visible({4, 9}, 4));
  CHECK_FALSE(fw::causal{}.visible({4, 9}, 5));
  static_assert(!fw::causal::sees_ahead);
}
