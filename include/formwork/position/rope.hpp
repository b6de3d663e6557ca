// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/position.hpp>
#include <formwork/kernel/rotate.hpp>
#include <formwork/position/frequencies.hpp>

namespace formwork::inline FORMWORK_ABI {

/// Rotary positions: the pairs of columns of a query or key at position p are turned by p θ_i with θ_i = base^(-2i/d), so that
/// a score depends on the distance of query and key only.
///
/// Shapes    x (tokens × heads · key_width); the first rotated_width columns of each head are turned (0: all of them).
/// Units     positions in tokens from 0; θ in radians per token.
/// Numerics  angles in double; scores keep their distance law to 1e-9 up to position 100,000 in double (rotate_test.cpp).
/// Throws    argument_error where the rotated width is odd or larger than a head.
/// Source    Su et al., 2104.09864; kexue.fm/archives/8265; partial rotation as in GPT-J and GPT-NeoX.
/// Differs   the default pairing is (i, i + d/2) as in GPT-NeoX and LLaMA; the paper's is rope<pairing::interleaved>.
template <pairing Pairing = pairing::half>
struct rope {
  using plugs_into = slot::position;
  template <class S>
  using table_type = rotary_table<real_of<S>>;
  static constexpr pairing pairs = Pairing;

  double base = 10000;
  Index rotated_width = 0;
  frequencies inverse_frequencies = {};

  /// cos and sin for heads of that width and positions 0 .. positions - 1.
  template <number S>
  table_type<S> table(Index key_width, Index positions) const {
    const Index width = rotated_width > 0 ? rotated_width : key_width;
    require(width <= key_width && width % 2 == 0, "rope: ", width, " of ", key_width,
            " columns are to be turned; needs an even number, at most the key width");
    return {inverse_frequencies.of(base, width), positions, inverse_frequencies.factor};
  }

  /// The same policy where a call or a state declares how long sequences are to be.
  rope declared(Index length) const {
    rope r = *this;
    r.inverse_frequencies.length = length;
    return r;
  }

  template <number S>
  void rotate(view<S> x, Index heads, const table_type<S>& table, const sequences& rows, direction way) const {
    const Index key_width = heads > 0 ? x.cols() / heads : 0;
    formwork::rotate(x, table, heads, key_width, 2 * table.pairs(), pairs, rows, way);
  }

  friend bool operator==(const rope&, const rope&) = default;
};
static_assert(position_policy<rope<>> && position_policy<rope<pairing::interleaved>>);

}  // namespace formwork
