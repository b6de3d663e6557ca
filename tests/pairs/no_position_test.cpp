// SPDX-License-Identifier: MIT
#include "pairs/pairs.hpp"

TEST_CASE("attention without positions has right gradients beside every mask, scale, score, kind of heads and weights") {
  CHECK(pairs::check_position<0, formwork::no_position>() == 72);
}
