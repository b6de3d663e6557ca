// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/activation.hpp>

namespace formwork::inline FORMWORK_ABI {

/// max(x, 0)².
///
/// Numerics  one rounding; the slope at 0 is 0.
/// Source    So et al., Primer, 2109.08668.
struct relu2 {
  using plugs_into = slot::activation;

  template <class T>
  T operator()(T x) const {
    const T y = max(x, T(0));
    return y * y;
  }
};
static_assert(activation_policy<relu2>);

}  // namespace formwork
