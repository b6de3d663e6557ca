// SPDX-License-Identifier: MIT
#include <formwork/mask/sliding_window.hpp>

#include "laws/mask_laws.hpp"

namespace fw = formwork;
using fw::Index;

TEST_CASE("sliding_window keeps the laws of masks") {
  for (const Index width : {0, 1, 2, 7, 24, 100}) laws::mask_laws(fw::sliding_window{width});
}

TEST_CASE("sliding_window: 0 <= i - j < width") {
  const fw::sliding_window mask{3};
  for (Index i = 0; i < 12; ++i)
    for (Index j = 0; j < 12; ++j) CHECK(mask.visible({i, 12}, j) == (0 <= i - j && i - j < 3));
  CHECK(mask.count({0, 12}) == 1);
  CHECK(mask.count({11, 12}) == 3);
}

TEST_CASE("sliding_window as wide as the sequence is causal") {
  for (Index i = 0; i < 9; ++i) CHECK(fw::sliding_window{9}.spans({i, 9})[0] == fw::index_range{0, i + 1});
}
