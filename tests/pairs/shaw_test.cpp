// SPDX-License-Identifier: MIT
#include "pairs/pairs.hpp"

TEST_CASE("attention with shaw has right gradients beside every mask, scale, score, kind of heads and weights") {
  CHECK(pairs::check_position<7, formwork::shaw<double>>() == 72);
}
