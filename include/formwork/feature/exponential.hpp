// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/feature.hpp>

namespace formwork::inline FORMWORK_ABI {

/// e^x of every number, with a key width of about four times the head width: weights of higher rank than elu + 1 gives.
///
/// Numerics  ≤ 1 ULP as exp (math_test.cpp). Nothing is subtracted: in float the sums of products e^(q + k) stay finite while
///           q + k < 80.
/// Source    Su, kexue.fm/archives/8338.
struct exponential {
  using plugs_into = slot::feature;

  template <class T>
  T operator()(T x) const {
    return exp(x);
  }
};
static_assert(feature_policy<exponential>);

}  // namespace formwork
