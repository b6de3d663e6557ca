// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/position.hpp>
#include <formwork/kernel/rotate.hpp>

#include <cmath>

namespace formwork::inline FORMWORK_ABI {

/// What the inverse frequency of a pair of columns may depend on.
struct frequency_site {
  Index pair = 0;           ///< 0 .. rotated_width / 2 - 1
  Index rotated_width = 2;  ///< of one head
  double base = 10000;
  double extension = 1;  ///< how many times longer than in training sequences are to be
  Index length = 0;      ///< declared for the call or the state; 0: none
};

/// base^(-2i/d): the wavelengths run from 2π to 2π base in a geometric series.
inline double geometric(const frequency_site& at) {
  return std::pow(at.base, -2 * static_cast<double>(at.pair) / static_cast<double>(at.rotated_width));
}

/// The inverse frequencies of a rotary position as one value: a formula and its numbers. Another table is another value,
/// not another type, so that a trained model can be given one at run time.
struct frequencies {
  double (*formula)(const frequency_site&) = geometric;
  double extension = 1;
  Index length = 0;
  double factor = 1;  ///< on cos and sin, so its square is on the scores

  /// Of all pairs.
  pooled_vector<double> of(double base, Index rotated_width) const {
    pooled_vector<double> inverse;
    for (Index i = 0; i < rotated_width / 2; ++i) inverse.push_back(formula({i, rotated_width, base, extension, length}));
    return inverse;
  }
  friend bool operator==(const frequencies&, const frequencies&) = default;
};

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
  using table_type = rotary_table<S>;
  static constexpr pairing pairs = Pairing;

  double base = 10000;
  Index rotated_width = 0;
  frequencies inverse_frequencies = {};

  /// cos and sin for heads of that width and positions 0 .. positions - 1.
  template <real S>
  rotary_table<S> table(Index key_width, Index positions) const {
    const Index width = rotated_width > 0 ? rotated_width : key_width;
    require(base > 0, "rope: base is ", base, "; needs > 0");
    require(width <= key_width && width % 2 == 0, "rope: ", width, " of ", key_width,
            " columns are to be turned; needs an even number, at most the key width");
    return {inverse_frequencies.of(base, width), positions, inverse_frequencies.factor};
  }

  template <real S>
  void rotate(view<S> x, Index heads, const rotary_table<S>& table, const sequences& rows, direction way) const {
    const Index key_width = heads > 0 ? x.cols() / heads : 0;
    formwork::rotate(x, table, heads, key_width, 2 * table.pairs(), pairs, rows, way);
  }

  friend bool operator==(const rope&, const rope&) = default;
};
static_assert(position_policy<rope<>> && position_policy<rope<pairing::interleaved>>);

}  // namespace formwork
