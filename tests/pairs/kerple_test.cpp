// SPDX-License-Identifier: MIT
#include "pairs/pairs.hpp"

TEST_CASE("attention with kerple has right gradients beside every mask, scale, score, kind of heads and weights") {
  CHECK(pairs::check_position<4, formwork::kerple<double>>() == 72);
}
