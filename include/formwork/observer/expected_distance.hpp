// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/observer.hpp>

namespace formwork::inline FORMWORK_ABI {

/// Σ_j w_j (i - j): how far back the query at position i looks on average; negative where it looks ahead.
///
/// Units     tokens. Of weights that do not sum to 1 the same sum.
/// Numerics  0 for a row that sees nothing.
/// Source    Vig and Belinkov, 1906.04284 (attention distance).
struct expected_distance {
  using plugs_into = slot::observer;
  static constexpr std::string_view name = "expected_distance";

  template <real S>
  pack<S> begin() const {
    return pack<S>(0);
  }
  template <real S>
  FORMWORK_INLINE void take(pack<S>& total, observer_site<S> at, pack<S>, pack<S> weights) const {
    total = fma(weights, at.distance, total);
  }
  template <real S>
  S finish(pack<S> total) const {
    return sum(total);
  }
};
static_assert(observer_policy<expected_distance>);

}  // namespace formwork
