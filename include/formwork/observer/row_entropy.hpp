// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/observer.hpp>
#include <formwork/core/math.hpp>

namespace formwork::inline FORMWORK_ABI {

/// H = -Σ_j w_j log w_j of a row's weights: 0 where one key has all of it, log n where n keys have alike.
///
/// Units     natural logarithm. Of weights that do not sum to 1 the same sum, which may then be negative.
/// Numerics  a row that sees nothing has 0; of one key it may be below 0 by a few eps times the score. Of softmax weights over
///           scores λ s, H ≥ log n - λ (max s - mean s), asserted by tests/observer/row_entropy_test.cpp.
/// Cost      one logarithm a visible pair.
/// Source    kexue.fm/archives/8823; the bound: 9034.
struct row_entropy {
  using plugs_into = slot::observer;
  static constexpr std::string_view name = "row_entropy";

  template <real S>
  pack<S> begin() const {
    return pack<S>(0);
  }
  template <real S>
  FORMWORK_INLINE void take(pack<S>& entropy, observer_site<S>, pack<S>, pack<S> weights) const {
    entropy -= select(weights == pack<S>(0), pack<S>(0), weights * log(weights));
  }
  template <real S>
  S finish(pack<S> entropy) const {
    return sum(entropy);
  }
};
static_assert(observer_policy<row_entropy>);

}  // namespace formwork
