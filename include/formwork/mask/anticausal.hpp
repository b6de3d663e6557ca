// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/mask.hpp>

namespace formwork::inline FORMWORK_ABI {

/// A query at position p sees the keys at positions j >= p: causal for a text that is read backwards.
struct anticausal {
  using plugs_into = slot::mask;
  static constexpr bool sees_ahead = true;
  static constexpr bool one_range = true;

  constexpr key_spans spans(query_site query) const { return {index_range{std::min(query.position, query.keys), query.keys}}; }
  constexpr Index count(query_site query) const { return std::max<Index>(query.keys - query.position, 0); }
  constexpr bool visible(query_site query, Index key) const { return query.position <= key && key < query.keys; }
};
static_assert(mask_policy<anticausal>);

}  // namespace formwork
