// SPDX-License-Identifier: MIT
#include "pairs/pairs.hpp"

TEST_CASE("attention with relu_squared has right gradients beside every mask, scale, score, kind of heads and position") {
  CHECK(pairs::check_weights<formwork::relu_squared>() == 104);
}
