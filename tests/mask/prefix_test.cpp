// SPDX-License-Identifier: MIT
#include <formwork/mask/prefix.hpp>

#include "laws/mask_laws.hpp"

namespace fw = formwork;
using fw::Index;

TEST_CASE("prefix keeps the laws of masks") {
  for (const Index length : {0, 1, 5, 24, 39}) laws::mask_laws(fw::prefix{length});
  static_assert(fw::incremental_mask<fw::prefix>);
}

TEST_CASE("prefix: j <= i or j < length") {
  const fw::prefix mask{4};
  for (Index i = 0; i < 9; ++i)
    for (Index j = 0; j < 9; ++j) CHECK(mask.visible({i, 9}, j) == (j <= i || j < 4));
}
