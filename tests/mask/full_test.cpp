// SPDX-License-Identifier: MIT
#include <formwork/mask/full.hpp>

#include "laws/mask_laws.hpp"

namespace fw = formwork;

TEST_CASE("full keeps the laws of masks") { laws::mask_laws(fw::full{}); }

TEST_CASE("full: every query sees every key and none beyond") {
  CHECK(fw::full{}.count({4, 9}) == 9);
  CHECK(fw::full{}.visible({0, 9}, 8));
  CHECK_FALSE(fw::full{}.visible({0, 9}, 9));
  static_assert(fw::full::sees_ahead);
}
