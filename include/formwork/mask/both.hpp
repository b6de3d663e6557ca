// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/mask.hpp>
#include <formwork/core/sequences.hpp>

namespace formwork::inline FORMWORK_ABI {

/// A query sees the keys that both masks show it: both<causal, documents>.
///
/// Numerics  it sees later keys only where both do, and then has no incremental form.
/// Differs   one of the two has to be of one range a query, as the common part of two pairs may be three ranges.
template <mask_policy A, mask_policy B>
struct both {
  static_assert(sees_one_range<A> || sees_one_range<B>,
                "formwork: a query sees two ranges of keys at most; one mask of both has to show one range (`one_range`)");

  using plugs_into = slot::mask;
  static constexpr bool sees_ahead = A::sees_ahead && B::sees_ahead;
  static constexpr bool by_head = sees_by_head<A> || sees_by_head<B>;
  static constexpr bool one_range = sees_one_range<A> && sees_one_range<B>;

  A a = {};
  B b = {};

  constexpr key_spans spans(query_site query) const {
    key_spans common = {};
    std::size_t found = 0;
    for (const index_range x : a.spans(query))
      for (const index_range y : b.spans(query))
        if (const index_range z = x.clipped(y); !z.empty()) common[found++] = z;
    return common;
  }
  constexpr Index count(query_site query) const {
    const key_spans seen = spans(query);
    return seen[0].size() + seen[1].size();
  }
  constexpr bool visible(query_site query, Index key) const { return a.visible(query, key) && b.visible(query, key); }

  void fits(const sequences& queries) const {
    require_fit(a, queries);
    require_fit(b, queries);
  }
};
template <class A, class B>
both(A, B) -> both<A, B>;

}  // namespace formwork
