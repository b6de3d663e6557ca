// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/mask.hpp>

namespace formwork::inline FORMWORK_ABI {

/// Every query sees every key of its sequence.
struct full {
  using plugs_into = slot::mask;
  static constexpr bool sees_ahead = true;
  static constexpr bool one_range = true;

  constexpr key_spans spans(query_site query) const { return {index_range{0, query.keys}}; }
  constexpr Index count(query_site query) const { return query.keys; }
  constexpr bool visible(query_site query, Index key) const { return 0 <= key && key < query.keys; }

  constexpr coverage over(query_site, Index, index_range) const { return coverage::all; }
};
static_assert(mask_policy<full>);

}  // namespace formwork
