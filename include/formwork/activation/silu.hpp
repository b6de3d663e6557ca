// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/activation.hpp>

namespace formwork::inline FORMWORK_ABI {

/// x / (1 + e^-x), also called swish.
///
/// Numerics  ≤ 3 ULP (math_test.cpp).
/// Source    Elfwing et al., 1702.03118; Ramachandran et al., 1710.05941.
struct silu {
  using plugs_into = slot::activation;

  template <class T>
  T operator()(T x) const {
    return times_sigmoid(x);
  }
};
static_assert(activation_policy<silu>);

}  // namespace formwork
