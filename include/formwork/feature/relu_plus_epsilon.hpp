// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/feature.hpp>

namespace formwork::inline FORMWORK_ABI {

/// max(x, 0) + ε.
///
/// Numerics  one rounding; the slope at 0 is 0. With ε > 0 every query finds some weight.
/// Source    Choromanski et al., 2009.14794, section 4.2: the "generalized attention" of Performers, ε = 1e-3 as in their code.
struct relu_plus_epsilon {
  using plugs_into = slot::feature;

  double epsilon = 1e-3;

  template <class T>
  T operator()(T x) const {
    return max(x, T(0)) + T(epsilon);
  }
};
static_assert(feature_policy<relu_plus_epsilon>);

}  // namespace formwork
