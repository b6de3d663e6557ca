// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/feature.hpp>

namespace formwork::inline FORMWORK_ABI {

/// elu(x) + 1: x + 1 from 0 on, e^x below; positive, and its slope has no jump.
///
/// Numerics  one rounding from 0 on, that of exp below: ≤ 1 ULP with FMA (math_test.cpp).
/// Source    Katharopoulos et al., 2006.16236, section 3.2.
struct elu_plus_one {
  using plugs_into = slot::feature;

  template <class T>
  T operator()(T x) const {
    return select(x >= T(0), x + T(1), exp(x));
  }
};
static_assert(feature_policy<elu_plus_one>);

}  // namespace formwork
