// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/position.hpp>
#include <formwork/tape/distances.hpp>
#include <formwork/tape/fields.hpp>

#include <utility>

namespace formwork::inline FORMWORK_ABI {

/// -r₁ log(1 + r₂ |i - j|) with r₁, r₂ > 0.
struct kerple_logarithmic {
  template <class T>
  T operator()(T distance, const T* learned) const {
    return -softplus(learned[0]) * log1p(softplus(learned[1]) * abs(distance));
  }
  template <class T>
  static T second_of(T number) {
    return log(expm1(number));
  }
};
/// -r₁ |i - j|^r₂ with r₁ > 0 and 0 < r₂ < 2.
struct kerple_power {
  template <class T>
  T operator()(T distance, const T* learned) const {
    const T d = abs(distance), power = exp(T(2) * sigmoid(learned[1]) * log(max(d, T(1))));
    return select(d == T(0), T(0), -softplus(learned[0]) * power);
  }
  template <class T>
  static T second_of(T number) {
    return log(number / (T(2) - number));
  }
};

/// A bias that falls with the distance by a kernel whose numbers each head learns, kerple<S> or kerple<S, kerple_power>.
///
///   logarithmic: -r₁ log(1 + r₂ |i - j|)      power: -r₁ |i - j|^r₂
///
/// Shapes    amplitude, rate (1 × heads), role table: r₁ = softplus(amplitude), r₂ = softplus(rate), or 2 sigmoid(rate) for
///           the power, so that each is what it must be whatever is learned.
/// Numerics  distances are exact in the scalar: below 2^24 positions in float; d = 0 has the bias 0.
/// Cost      a table by distance once a call; one load and one sum a score.
/// Source    Chi et al., 2205.09921, equations 3 (both kernels) and section 4.
/// Differs   positive by softplus instead of clamping. r₁ starts evenly over (0, 2), r₂ over (0, 1), head by head, where the
///           paper's code draws them. |i - j| also where later keys are seen; the paper is causal.
template <number S, class Kernel = kerple_logarithmic>
struct kerple {
  using plugs_into = slot::position;
  using scalar = S;

  parameter<S> amplitude = {}, rate = {};

  template <class Builder>
  static kerple make(const Builder& b, const kerple&) {
    const Index heads = b.sizes.heads;
    matrix<S> first(1, heads), second(1, heads);
    for (Index h = 0; h < heads; ++h) {
      using one = pack<double, 1>;
      const one share((static_cast<double>(h) + 0.5) / static_cast<double>(heads));
      first(0, h) = static_cast<S>(log(expm1(one(2) * share))[0]);
      second(0, h) = static_cast<S>(Kernel::second_of(share)[0]);
    }
    return {{std::move(first), role::table}, {std::move(second), role::table}};
  }

  var<S> distance_biases(tape<S>& t, Index heads, index_range distances) const {
    return map_distances(t, heads, distances, Kernel{}, amplitude, rate);
  }

  template <class M>
  static auto fields(M& m) {
    return formwork::fields("amplitude", m.amplitude, "rate", m.rate);
  }
};
static_assert(position_policy<kerple<float>> && position_policy<kerple<double, kerple_power>>);

}  // namespace formwork
