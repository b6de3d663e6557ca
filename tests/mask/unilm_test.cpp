// SPDX-License-Identifier: MIT
#include <formwork/mask/unilm.hpp>

#include "laws/mask_laws.hpp"

namespace fw = formwork;
using fw::Index;

TEST_CASE("unilm keeps the laws of masks") {
  std::vector<Index> segments(40, 0);
  for (const int i : {9, 10, 11, 20, 39}) segments[static_cast<std::size_t>(i)] = 1;
  laws::mask_laws(fw::unilm{{40}, segments});
}

TEST_CASE("unilm: key j is seen where the running sums of the segments are c_j <= c_i") {
  const std::vector<Index> segments{0, 0, 1, 1, 1, /* second sequence */ 1, 0, 0, 1, 0};
  const fw::unilm mask{{5, 5}, segments};
  const Index counts[] = {2, 2, 3, 4, 5};
  for (Index i = 0; i < 5; ++i) CHECK(mask.count({i, 5, 0}) == counts[i]);
  for (const Index s : {0, 1})
    for (Index i = 0; i < 5; ++i)
      for (Index j = 0; j < 5; ++j) {
        const auto sum = [&](Index until) {
          Index c = 0;
          for (Index t = 0; t <= until; ++t) c += segments[static_cast<std::size_t>(5 * s + t)];
          return c;
        };
        CAPTURE(s, i, j);
        CHECK(mask.visible({i, 5, s}, j) == (sum(j) <= sum(i)));
      }
}

TEST_CASE("unilm refuses segments and batches that do not fit") {
  CHECK_THROWS_WITH((fw::unilm{{2}, std::vector<Index>{0, 2}}), ContainsSubstring("segment 2; needs 0 (source) or 1"));
  CHECK_THROWS_WITH((fw::unilm{{2}, std::vector<Index>{0}}), ContainsSubstring("unilm: 1 numbers for 2 rows"));
  CHECK_THROWS_WITH((fw::unilm{{2}, std::vector<Index>{0, 1}}.fits({3})), ContainsSubstring("unilm: was made for another"));
}
