// SPDX-License-Identifier: MIT
#include "pairs/pairs.hpp"

namespace {

/// So early that short sequences cross its window.
struct early : formwork::leaky_re_rope<> {
  early() : formwork::leaky_re_rope<>{.window = 2, .step = 3} {}
  friend bool operator==(const early&, const early&) = default;
};

}  // namespace

TEST_CASE("attention with leaky_re_rope has right gradients beside every mask, scale, score, kind of heads and weights") {
  CHECK(pairs::check_position<6, early>() == 72);
}
