// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/position.hpp>
#include <formwork/core/math.hpp>
#include <formwork/kernel/rotate.hpp>
#include <formwork/position/frequencies.hpp>
#include <formwork/tape/tape.hpp>

#include <algorithm>
#include <utility>

namespace formwork::inline FORMWORK_ABI {

/// Absolute positions without parameters: the token at position k gets p(2i) = sin(k θ_i) and p(2i + 1) = cos(k θ_i) with
/// θ_i = base^(-2i/width), so that p_m · p_n = Σ_i cos((m - n) θ_i). Given to the model:
///
///   language_model<float, layer, sinusoidal>
///
/// Shapes    x, y (tokens × width).
/// Units     positions in tokens from 0; θ in radians per token.
/// Numerics  angles, sines and cosines in double, rounded once.
/// Cost      6 ns a token and pair of columns (Zen 3), and one power a pair and call; nothing is kept between calls.
/// Throws    argument_error for a base that is not above 0.
/// Source    Vaswani et al., 1706.03762, section 3.5; kexue.fm/archives/8231, which would choose the base 1000.
/// Differs   an odd width ends with a sine; implementations with all sines first differ by a permutation of the columns.
struct sinusoidal {
  using plugs_into = slot::position;

  double base = 10000;

  template <number S>
  var<S> embed(const var<S>& x) const {
    const Index width = x.cols();
    const auto theta = frequencies{}.of(base, width + width % 2);
    auto y = x.tape().output(x.rows(), width, x.shared_batch());
    parallel_ranges(x.rows(), 16, [&](Index first, Index last) {
      for (Index i = first; i < last; ++i)
        add_waves(y.write().row(i), x.value().row(i), width, static_cast<double>(x.batch().position_of(i)), theta.data());
    });
    return record(
        y, [dx = gradient_of(x)](matrix<S>& dy) { dx.add(std::move(dy)); }, x);
  }

 private:
  template <number S>
  static void add_waves(S* y, const S* x, Index width, double position, const double* theta) {
    using P = pack<double>;
    for (Index j = 0; j < width; j += 2 * P::size) {
      const Index here = std::min<Index>(width - j, 2 * P::size);
      auto [even, odd] = sincos(P(position) * P::load(theta + j / 2, (here + 1) / 2));
      join_lanes(even, odd);
      alignas(alignment) double wave[2 * P::size];
      even.store(wave), odd.store(wave + P::size);
      for (Index l = 0; l < here; ++l) y[j + l] = x[j + l] + static_cast<S>(wave[l]);
    }
  }
};
static_assert(position_policy<sinusoidal>);

}  // namespace formwork
