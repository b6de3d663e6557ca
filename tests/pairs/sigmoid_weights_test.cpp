// SPDX-License-Identifier: MIT
#include "pairs/pairs.hpp"

TEST_CASE("attention with sigmoid_weights has right gradients beside every mask, scale, score, kind of heads and position") {
  CHECK(pairs::check_weights<formwork::sigmoid_weights>() == 104);
}
