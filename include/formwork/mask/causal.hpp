// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/mask.hpp>

namespace formwork::inline FORMWORK_ABI {

/// A query at position p sees the keys at positions j <= p.
///
/// Source    Vaswani et al., 1706.03762, section 3.2.3.
struct causal {
  using plugs_into = slot::mask;
  static constexpr bool sees_ahead = false;
  static constexpr bool one_range = true;

  constexpr key_spans spans(query_site query) const { return {index_range{0, count(query)}}; }
  constexpr Index count(query_site query) const { return std::min(query.position + 1, query.keys); }
  constexpr bool visible(query_site query, Index key) const { return 0 <= key && key < count(query); }

  constexpr coverage over(query_site first, Index queries, index_range keys) const {
    const Index least = count(first), most = count({first.position + queries - 1, first.keys, first.sequence});
    return keys.last <= least ? coverage::all : keys.first < most ? coverage::some : coverage::none;
  }
};
static_assert(mask_policy<causal>);

}  // namespace formwork
