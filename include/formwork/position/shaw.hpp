// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/position.hpp>
#include <formwork/tape/distances.hpp>
#include <formwork/tape/fields.hpp>
#include <formwork/tape/tape.hpp>

#include <algorithm>
#include <cmath>

namespace formwork::inline FORMWORK_ABI {

/// The classic relative positions: learned vectors for the distance key - query, clipped at `longest` on either side, are added
/// to every key and to every value,
///
///   s_ij = q_i · (k_j + a_{j-i}) scale,   o_i = Σ_j w_ij (v_j + b_{j-i}),
///
/// so that equal tokens can tell where they stand. All heads share them.
///
/// Shapes    key_vectors (2 longest + 1 × key_width) and value_vectors (2 longest + 1 × head_width), role table, N(0, 1 / width)
///           at the start; row longest + d is that of distance d.
/// Numerics  an entry's gradient sums its pairs row by row. An incremental call has the bits of the parallel.
/// Cost      forward a product of the queries with the keys' vectors and one of the summed weights with the values', 2 longest + 1
///           of them and two packs more, and two sums a pair; backward twice as much. Two numbers a head, token and vector.
/// Throws    argument_error for longest < 1.
/// Source    Shaw, Uszkoreit and Vaswani, 1803.02155, equations 3 and 4; NEZHA, 1909.00204.
/// Differs   each layer has its own vectors.
template <number S>
struct shaw {
  using plugs_into = slot::position;
  using scalar = S;

  Index longest = 16;
  parameter<S> key_table = {}, value_table = {};

  template <class Builder>
  static shaw make(const Builder& b, const shaw& wanted) {
    require(wanted.longest > 0, "shaw: longest is ", wanted.longest, "; needs > 0");
    const double deviation = 1 / std::sqrt(static_cast<double>(b.sizes.width));
    const auto table = [&](Index width) { return b.template normal<S>(2 * wanted.longest + 1, width, deviation, role::table); };
    const Index each = b.sizes.heads > 0 ? b.sizes.width / b.sizes.heads : 0;
    auto keys = table(b.sizes.key_width > 0 ? b.sizes.key_width : each);
    return {wanted.longest, std::move(keys), table(b.sizes.head_width > 0 ? b.sizes.head_width : each)};
  }

  var<S> key_vectors(tape<S>& t, index_range distances) const { return vectors_of(t, distances, key_table); }
  var<S> value_vectors(tape<S>& t, index_range distances) const { return vectors_of(t, distances, value_table); }

  template <class M>
  static auto fields(M& m) {
    return formwork::fields("key_vectors", m.key_table, "value_vectors", m.value_table);
  }

 private:
  var<S> vectors_of(tape<S>& t, index_range distances, const parameter<S>& table) const {
    return vectors_of_distances(t, distances, table, [far = longest](Index d) { return far + std::clamp(d, -far, far); });
  }
};
static_assert(position_policy<shaw<float>> && position_policy<shaw<double>>);

}  // namespace formwork
