// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/position.hpp>
#include <formwork/tape/tape.hpp>

#include <bit>
#include <cmath>
#include <cstdlib>

namespace formwork::inline FORMWORK_ABI {

/// Attention with linear biases: a score falls with the distance, -slope |i - j|, each head at its own pace.
///
/// Units     slopes of h = 2^m heads are 2^(-8 t / h), t = 1 ... h; of other counts those of the power of two below, then every
///           second of those of twice that power, from the first.
/// Numerics  distances are exact in the scalar: below 2^24 positions in float. An incremental call has the bits of the parallel.
/// Cost      a table by distance once a call; one load and one sum a score, less than the formula. No parameter.
/// Source    Press et al., 2108.12409, and its reference code for counts that are no power of two.
/// Differs   |i - j| also where later keys are seen; the paper is causal. The reference code adds slope j, which is the same to
///           softmax. Not learned.
struct alibi {
  using plugs_into = slot::position;

  template <number S>
  var<S> distance_biases(tape<S>& t, Index heads, index_range distances) const {
    auto y = t.output(heads, distances.size(), share(sequences{heads}));
    for (Index h = 0; h < heads; ++h) {
      const S factor = static_cast<S>(-slope(h, heads));
      for (Index c = 0; c < distances.size(); ++c) y.write()(h, c) = factor * static_cast<S>(std::abs(distances.first + c));
    }
    return y;
  }

  static double slope(Index head, Index heads) {
    const auto power = static_cast<Index>(std::bit_floor(static_cast<std::size_t>(heads)));
    const auto of = [](Index t, Index h) { return std::exp2(-8.0 * static_cast<double>(t) / static_cast<double>(h)); };
    return head < power ? of(head + 1, power) : of(2 * (head - power) + 1, 2 * power);
  }

  friend bool operator==(const alibi&, const alibi&) = default;
};
static_assert(position_policy<alibi>);

}  // namespace formwork
