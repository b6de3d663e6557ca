// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/position.hpp>
#include <formwork/kernel/rotate.hpp>
#include <formwork/position/frequencies.hpp>

#include <limits>

namespace formwork::inline FORMWORK_ABI {

/// Rotary positions whose scores also decay: pair i of a query at m is multiplied by ζ_i^((m - origin) / scale_base), of a key
/// at n by the inverse, so that its part of their score is that of rope times ζ_i^((m - n) / scale_base) ≤ 1.
///
/// Shapes    as rope, every column is turned.
/// Units     ζ_i = (2i/d + gamma) / (1 + gamma) for pair i of a head of d columns; scale_base in tokens.
/// Numerics  tables in double, then rounded. Scores depend on the distance only, whatever the origin, but the factors have to
///           be numbers: float reaches 32,000 tokens to either side of the origin, double 250,000.
/// Throws    argument_error where a head's width is odd or a position out of that reach.
/// Source    Sun et al., 2212.10554, with its gamma = 0.4 and scale base 512.
/// Differs   pairs are (i, i + d/2) by default, the paper's are xpos<pairing::interleaved>; torchscale puts the origin in the
///           middle of each call's tokens, here it is a value, so that prefill and steps agree. Only for masks that see no later
///           key: towards them scores would grow.
template <pairing Pairing = pairing::half>
struct xpos {
  using plugs_into = slot::position;
  static constexpr pairing pairs = Pairing;
  static constexpr bool causal_only = true;

  template <class S>
  struct tables {
    rotary_table<S> queries, keys;

    Index capacity() const { return queries.capacity(); }
    void reserve(Index positions) {
      queries.reserve(positions);
      keys.reserve(positions);
    }
  };
  template <class S>
  using table_type = tables<real_of<S>>;

  double base = 10000;
  double gamma = 0.4;
  double scale_base = 512;
  Index origin = 0;

  template <number S>
  table_type<S> table(Index key_width, Index positions) const {
    require(key_width % 2 == 0, "xpos: heads have ", key_width, " columns; needs an even number");
    pooled_vector<double> growth, decay;
    for (Index i = 0; i < key_width / 2; ++i) {
      const double zeta = (2. * static_cast<double>(i) / static_cast<double>(key_width) + gamma) / (1 + gamma);
      growth.push_back(std::log(zeta) / scale_base);
      decay.push_back(-growth.back());
    }
    const double reach = growth.empty() ? 0 : std::abs(growth[0]) * static_cast<double>(std::max(origin, positions - origin));
    require(reach < 0.9 * std::log(double(std::numeric_limits<real_of<S>>::max())), "xpos: positions 0 .. ", positions - 1,
            " with the origin ", origin, " leave the range of this number type; needs an origin nearer the middle, or double");
    const auto inverse = frequencies{}.of(base, key_width);
    return {{inverse, positions, 1, growth, origin}, {inverse, positions, 1, decay, origin}};
  }

  template <number S>
  void rotate(view<S> x, Index heads, const table_type<S>& table, const sequences& rows, direction way, side of) const {
    const auto& mine = of == side::queries ? table.queries : table.keys;
    formwork::rotate(x, mine, heads, 2 * mine.pairs(), 2 * mine.pairs(), pairs, rows, way);
  }

  friend bool operator==(const xpos&, const xpos&) = default;
};
static_assert(position_policy<xpos<>> && position_policy<xpos<pairing::interleaved>>);

}  // namespace formwork
