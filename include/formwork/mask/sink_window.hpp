// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/mask.hpp>

namespace formwork::inline FORMWORK_ABI {

/// The Λ-shaped mask: a query at position p sees the `width` latest keys and the first `sinks` of the sequence, j < sinks or
/// p - width < j <= p. What softmax has nowhere else to put goes to the first keys; a window that loses them fails.
///
/// Source    Xiao et al., 2309.17453 (attention sinks); Han et al., 2308.16137 (LM-Infinite).
/// Differs   positions stay those of the sequence; both papers also count distances within what is kept.
struct sink_window {
  using plugs_into = slot::mask;
  static constexpr bool sees_ahead = false;

  Index sinks = 4, width = 1024;

  constexpr key_spans spans(query_site query) const {
    const Index last = std::min(query.position + 1, query.keys);
    const Index from = std::clamp<Index>(query.position + 1 - std::max<Index>(width, 0), 0, last);
    return {index_range{0, std::clamp<Index>(sinks, 0, from)}, index_range{from, last}};
  }
  constexpr Index count(query_site query) const {
    const key_spans seen = spans(query);
    return seen[0].size() + seen[1].size();
  }
  constexpr bool visible(query_site query, Index key) const {
    const key_spans seen = spans(query);
    return seen[0].holds(key) || seen[1].holds(key);
  }
};
static_assert(mask_policy<sink_window>);

}  // namespace formwork
