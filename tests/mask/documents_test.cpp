// SPDX-License-Identifier: MIT
#include <formwork/mask/both.hpp>
#include <formwork/mask/causal.hpp>
#include <formwork/mask/documents.hpp>

#include "laws/mask_laws.hpp"

namespace fw = formwork;
using fw::Index;

namespace {
const fw::sequences batch{40, 3};
fw::documents packed() {
  std::vector<Index> ids(43, 2);
  std::fill_n(ids.begin(), 7, 5);
  std::fill_n(ids.begin() + 20, 9, 1);  // its neighbours on both sides have one id, and are two documents
  ids[42] = 9;
  return {batch, ids};
}
}  // namespace

TEST_CASE("documents keeps the laws of masks, alone and causal") {
  laws::mask_laws(packed());
  laws::mask_laws(fw::both{fw::causal{}, packed()});
}

TEST_CASE("documents: a query sees the run of ids it stands in") {
  const auto mask = packed();
  CHECK(mask.spans({0, 40})[0] == fw::index_range{0, 7});
  CHECK(mask.spans({19, 40})[0] == fw::index_range{7, 20});
  CHECK(mask.spans({28, 40})[0] == fw::index_range{20, 29});
  CHECK(mask.spans({29, 40})[0] == fw::index_range{29, 40});
  CHECK(mask.spans({1, 3, 1})[0] == fw::index_range{0, 2});
  CHECK(mask.spans({2, 3, 1})[0] == fw::index_range{2, 3});
  CHECK(fw::both{fw::causal{}, mask}.spans({25, 40})[0] == fw::index_range{20, 26});
}

TEST_CASE("documents refuses ids and batches that do not fit") {
  const std::vector<Index> ids(42, 0);
  CHECK_THROWS_WITH((fw::documents{batch, ids}), ContainsSubstring("documents: 42 numbers for 43 rows"));
  CHECK_NOTHROW(packed().fits(batch));
  CHECK_NOTHROW(packed().fits({12, 3}));
  CHECK_THROWS_WITH(packed().fits({41, 3}), ContainsSubstring("was made for another batch"));
  CHECK_THROWS_WITH(packed().fits({40}), ContainsSubstring("was made for another batch"));
  CHECK_THROWS_WITH((fw::both{fw::causal{}, fw::documents{}}.fits(batch)), ContainsSubstring("was given no batch"));
  CHECK(packed().count({0, 40, 7}) == 0);
  CHECK(packed().count({50, 60, 0}) == 0);
}
