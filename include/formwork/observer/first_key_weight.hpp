// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/observer.hpp>

namespace formwork::inline FORMWORK_ABI {

/// The weight of a sequence's first key: how much of a row goes into the attention sink.
///
/// Numerics  0 where the row does not see that key.
/// Source    Xiao et al., 2309.17453 (attention sinks).
struct first_key_weight {
  using plugs_into = slot::observer;
  static constexpr std::string_view name = "first_key_weight";

  template <real S>
  S begin() const {
    return S(0);
  }
  template <real S>
  FORMWORK_INLINE void take(S& weight, observer_site<S> at, pack<S>, pack<S> weights) const {
    if (at.key == 0) weight = weights[0];
  }
  template <real S>
  S finish(S weight) const {
    return weight;
  }
};
static_assert(observer_policy<first_key_weight>);

}  // namespace formwork
