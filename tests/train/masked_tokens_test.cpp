// SPDX-License-Identifier: MIT
#include <formwork/train.hpp>

#include <algorithm>
#include <cmath>

#include "support/catch.hpp"

namespace fw = formwork;
using fw::Index;

namespace {

fw::tokens many(Index count) {
  std::vector<Index> ids;
  for (Index i = 0; i < count; ++i) ids.push_back(i % 50);
  return fw::tokens(std::move(ids), fw::sequences{count / 2, count - count / 2});
}

}  // namespace

TEST_CASE("masked_tokens: the published shares are hidden, replaced and kept; nothing else changes or counts") {
  constexpr Index count = 40000;
  const auto x = many(count);
  fw::rng random{1};
  const auto batch = fw::masked_tokens{.mask = 50}(x, random);
  CHECK(batch.input.batch == x.batch);
  double counted = 0, hidden = 0, changed = 0, kept = 0;
  for (std::size_t i = 0; i < x.ids.size(); ++i) {
    if (batch.target[i] < 0) {
      REQUIRE(batch.input.ids[i] == x.ids[i]);
      continue;
    }
    REQUIRE(batch.target[i] == x.ids[i]);
    ++counted;
    hidden += batch.input.ids[i] == 50;
    changed += batch.input.ids[i] != 50 && batch.input.ids[i] != x.ids[i];
    kept += batch.input.ids[i] == x.ids[i];
  }
  const auto near = [](double share, double expected, double n) {  // five standard deviations
    return std::abs(share - expected) <= 5 * std::sqrt(expected * (1 - expected) / n);
  };
  CHECK(near(counted / count, 0.15, count));
  CHECK(near(hidden / counted, 0.8, counted));
  CHECK(near(changed / counted, 0.1 * 49 / 50, counted));
  CHECK(near(kept / counted, 0.1 + 0.1 / 50, counted));
}

TEST_CASE("masked_tokens: the same generator chooses the same tokens, and at least one counts") {
  fw::rng a{3}, b{3};
  const auto x = many(64);
  CHECK(fw::masked_tokens{.mask = 50}(x, a).input.ids == fw::masked_tokens{.mask = 50}(x, b).input.ids);
  const auto rare = fw::masked_tokens{.mask = 50, .rate = 0}(x, a);
  CHECK(std::count_if(rare.target.begin(), rare.target.end(), [](Index t) { return t >= 0; }) == 1);
}

TEST_CASE("masked_tokens names what it cannot mask") {
  fw::rng random{1};
  CHECK_THROWS_WITH(fw::masked_tokens{.mask = 50}(fw::tokens{3, 50}, random), ContainsSubstring("a token has id 50"));
  CHECK_THROWS_WITH((fw::masked_tokens{.mask = 50, .rate = 2}(fw::tokens{3}, random)), ContainsSubstring("rate is 2"));
}
