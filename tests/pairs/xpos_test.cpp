// SPDX-License-Identifier: MIT
#include "pairs/pairs.hpp"

TEST_CASE("attention with xpos has right gradients beside every mask, scale, score, kind of heads and weights") {
  CHECK(pairs::check_position<2, formwork::xpos<>, pairs::past>() == 27);
}
