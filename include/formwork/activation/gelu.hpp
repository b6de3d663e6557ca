// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/activation.hpp>

namespace formwork::inline FORMWORK_ABI {

/// x Φ(x) with the standard normal's Φ.
///
/// Numerics  ≤ 4 ULP, the negative tail included (math_test.cpp).
/// Source    Hendrycks and Gimpel, 1606.08415.
/// Differs   the exact form; GPT-2's approximation by tanh, up to 5e-4 away, is gelu_tanh.
struct gelu {
  using plugs_into = slot::activation;

  template <class T>
  T operator()(T x) const {
    return times_normal_cdf(x);
  }
};
static_assert(activation_policy<gelu>);

}  // namespace formwork
