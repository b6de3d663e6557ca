// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/observer.hpp>

#include <limits>

namespace formwork::inline FORMWORK_ABI {

/// The largest score of a row, after the formula: what grows without bound where training is about to diverge.
///
/// Units     natural, as the exponential takes it: scale and bias included.
/// Numerics  -inf for a row that sees nothing, NaN where a score that is seen is NaN; within 2 eps of the kernel's score.
/// Source    Dehghani et al., 2302.05442 (attention logits that grow).
struct largest_logit {
  using plugs_into = slot::observer;
  static constexpr std::string_view name = "largest_logit";

  template <real S>
  pack<S> begin() const {
    return pack<S>(-std::numeric_limits<S>::infinity());
  }
  template <real S>
  FORMWORK_INLINE void take(pack<S>& most, observer_site<S>, pack<S> scores, pack<S>) const {
    most = select(most == most, max(scores, most), most);  // once NaN, always NaN
  }
  template <real S>
  S finish(pack<S> most) const {
    return any(most != most) ? std::numeric_limits<S>::quiet_NaN() : largest(most);
  }
};
static_assert(observer_policy<largest_logit>);

}  // namespace formwork
