// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/mask.hpp>

namespace formwork::inline FORMWORK_ABI {

/// The prefix language model: the first `length` keys of each sequence are seen by every query, the others causally, j < length
/// or j <= p.
///
/// Numerics  with a state, the first call must bring the whole prefix, as its queries see each other.
/// Source    Raffel et al., 1910.10683, section 3.2.1; Dong et al., 1905.03197; kexue.fm/archives/9529.
/// Differs   prefixes of unequal length: unilm.
struct prefix {
  using plugs_into = slot::mask;
  static constexpr bool sees_ahead = true;
  static constexpr bool one_range = true;

  Index length = 0;

  constexpr Index keys_at_once(Index) const { return length; }

  constexpr key_spans spans(query_site query) const { return {index_range{0, count(query)}}; }
  constexpr Index count(query_site query) const { return std::min(std::max(query.position + 1, length), query.keys); }
  constexpr bool visible(query_site query, Index key) const { return 0 <= key && key < count(query); }

  constexpr coverage over(query_site first, Index queries, index_range keys) const {
    const Index least = count(first), most = count({first.position + queries - 1, first.keys, first.sequence});
    return keys.last <= least ? coverage::all : keys.first < most ? coverage::some : coverage::none;
  }
};
static_assert(mask_policy<prefix>);

}  // namespace formwork
