// SPDX-License-Identifier: MIT
#include "pairs/pairs.hpp"

TEST_CASE("attention with l2_normalized has right gradients beside every mask, scale, score, kind of heads and position") {
  CHECK(pairs::check_weights<formwork::l2_normalized>() == 104);
}
