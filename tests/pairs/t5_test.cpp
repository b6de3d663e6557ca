// SPDX-License-Identifier: MIT
#include "pairs/pairs.hpp"

TEST_CASE("attention with t5 has right gradients beside every mask, scale, score, kind of heads and weights") {
  CHECK(pairs::check_position<5, formwork::t5<double>>() == 72);
}
