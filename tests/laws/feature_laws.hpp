// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/feature.hpp>

#include "laws/activation_laws.hpp"

/// What every feature map promises (contract/feature.hpp).
namespace laws {

/// A user's own formula.
struct softplus_feature {
  using plugs_into = fw::slot::feature;
  template <class T>
  T operator()(T x) const {
    return softplus(x);
  }
};

/// >= 0 and finite with its slope, up to `largest` and where the map is not overrun.
template <class S, class Feature>
void never_negative(const Feature& feature, S largest) {
  for (S size = S(1e-30); size < largest; size *= S(1.5))
    for (const S x : {size, -size, S(0), -S(0)}) {
      const auto [value, slope] = value_and_slope<S>(feature, x);
      CAPTURE(x, value, slope);
      REQUIRE(value >= 0);
      REQUIRE(std::isfinite(value));
      REQUIRE(std::isfinite(slope));
    }
  REQUIRE(std::isnan(value_and_slope<S>(feature, std::numeric_limits<S>::quiet_NaN()).first));
}

/// `largest`: the numbers up to which the map stays finite.
template <class Feature>
void feature_laws(const Feature& feature, double largest) {
  static_assert(fw::feature_policy<Feature>);
  same_bits_in_every_lane<float>(feature);
  same_bits_in_every_lane<double>(feature);
  slope_is_the_derivative(feature);
  never_negative<float>(feature, static_cast<float>(largest));
  never_negative<double>(feature, largest);
}

}  // namespace laws
