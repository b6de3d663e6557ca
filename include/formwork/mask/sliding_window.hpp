// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/mask.hpp>

namespace formwork::inline FORMWORK_ABI {

/// A query at position p sees the `width` latest keys, its own included: p - width < j <= p.
///
/// Cost      kernels score the panels that the window touches, so time grows with width rather than with the length.
/// Source    Beltagy et al., 2004.05150, section 3.1 (causal form); Jiang et al., 2310.06825; kexue.fm/archives/9603 (as layers
///           below a last layer that sees everything).
/// Differs   also called local or banded attention; widths are counted with the query's own key.
struct sliding_window {
  using plugs_into = slot::mask;
  static constexpr bool sees_ahead = false;
  static constexpr bool one_range = true;

  Index width = 256;

  constexpr key_spans spans(query_site query) const { return {seen(query)}; }
  constexpr Index count(query_site query) const { return seen(query).size(); }
  constexpr bool visible(query_site query, Index key) const { return seen(query).holds(key); }

  constexpr coverage over(query_site first, Index queries, index_range keys) const {
    const index_range top = seen(first), bottom = seen({first.position + queries - 1, first.keys, first.sequence});
    const index_range by_all{bottom.first, top.last}, by_any{top.first, bottom.last};
    if (by_all.first <= keys.first && keys.last <= by_all.last) return coverage::all;
    return width <= 0 || by_any.clipped(keys).empty() ? coverage::none : coverage::some;
  }

 private:
  constexpr index_range seen(query_site query) const {
    return {std::max<Index>(query.position + 1 - std::max<Index>(width, 0), 0), std::min(query.position + 1, query.keys)};
  }
};
static_assert(mask_policy<sliding_window>);

}  // namespace formwork
