// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/activation.hpp>

#include "kernel/checks.hpp"

/// What every activation promises (contract/activation.hpp).
namespace laws {

namespace fw = formwork;
using fw::Index;

/// A lane alone has the bits it has in a whole pack, wherever it stands, and a dual's value those of a plain pack.
template <class S, class Activation>
void same_bits_in_every_lane(const Activation& activation) {
  using P = fw::pack<S>;
  using bits = typename P::integer;
  checks::numbers random(1);
  for (int round = 0; round < 2000; ++round) {
    const auto x = random.matrix<S>(1, P::size, round % 2 ? 2 : 30);
    const P all = activation(P::load(x.data()));
    const fw::dual<P> with_slope = activation(fw::dual<P>(P::load(x.data()), P(1)));
    for (int lane = 0; lane < P::size; ++lane) {
      CAPTURE(x(0, lane));
      const S alone = activation(fw::pack<S, 1>(x(0, lane)))[0];
      REQUIRE(std::bit_cast<bits>(alone) == std::bit_cast<bits>(all[lane]));
      REQUIRE(std::bit_cast<bits>(alone) == std::bit_cast<bits>(with_slope.value[lane]));
    }
  }
}

template <class S, class Activation>
std::pair<S, S> value_and_slope(const Activation& activation, S x) {
  using P = fw::pack<S>;
  const fw::dual<P> y = activation(fw::dual<P>(P(x), P(1)));
  return {y.value[0], y.slope[0]};
}

/// The slope by duals is that of central differences, away from corners as well as near 0.
template <class Activation>
void slope_is_the_derivative(const Activation& activation) {
  for (double x = -12.003; x < 12; x += 0.0371) {
    const double h = 1e-4;
    const auto value = [&](double at) { return value_and_slope<double>(activation, at).first; };
    const double slope = (8 * (value(x + h) - value(x - h)) - (value(x + 2 * h) - value(x - 2 * h))) / (12 * h);
    CAPTURE(x);
    REQUIRE(std::abs(value_and_slope<double>(activation, x).second - slope) <= 1e-9 * (1 + std::abs(slope)));
  }
}

/// Numbers up to 1e10 and down to 1e-30 give finite values and slopes; NaN stays NaN.
template <class S, class Activation>
void finite_stays_finite(const Activation& activation) {
  for (S size = S(1e-30); size < S(1e10); size *= 3)
    for (const S x : {size, -size, S(0), -S(0)}) {
      const auto [value, slope] = value_and_slope<S>(activation, x);
      CAPTURE(x, value, slope);
      REQUIRE(std::isfinite(value));
      REQUIRE(std::isfinite(slope));
    }
  const auto strange = value_and_slope<S>(activation, std::numeric_limits<S>::quiet_NaN());
  REQUIRE(std::isnan(strange.first));
}

template <class Activation>
void activation_laws(const Activation& activation) {
  static_assert(fw::activation_policy<Activation>);
  same_bits_in_every_lane<float>(activation);
  same_bits_in_every_lane<double>(activation);
  slope_is_the_derivative(activation);
  finite_stays_finite<float>(activation);
  finite_stays_finite<double>(activation);
}

}  // namespace laws
