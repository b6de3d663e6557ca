// SPDX-License-Identifier: MIT
#include "pairs/pairs.hpp"

TEST_CASE("attention with rope has right gradients beside every mask, scale, score, kind of heads and weights") {
  CHECK(pairs::check_position<1, formwork::rope<>>() == 72);
}
