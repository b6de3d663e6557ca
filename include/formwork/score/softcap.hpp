// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/score.hpp>

namespace formwork::inline FORMWORK_ABI {

/// s -> cap tanh(s / cap): scores stay within ±cap.
///
/// Units     cap in units of a score after its scale.
/// Cost      one tanh for each visible score, forward and backward.
/// Source    Bello et al., 1611.09940; Gemma 2, 2408.00118, section 2.
struct softcap {
  using plugs_into = slot::score;

  double cap = 30;

  template <class T>
  T operator()(T score, score_site<T>) const {
    return T(cap) * tanh(score * T(1 / cap));
  }
};
static_assert(score_policy<softcap>);

}  // namespace formwork
