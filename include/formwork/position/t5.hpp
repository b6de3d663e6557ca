// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/position.hpp>
#include <formwork/tape/distances.hpp>
#include <formwork/tape/fields.hpp>
#include <formwork/tape/tape.hpp>

#include <algorithm>
#include <cmath>
#include <utility>

namespace formwork::inline FORMWORK_ABI {

/// Which keys have buckets of their own.
enum class t5_sides {
  past,  ///< earlier ones; later ones share the bucket of distance 0
  both   ///< half of the buckets each
};

/// Relative biases of T5: distances fall into buckets, each with a learned number for every head that is added to the scores.
/// The first half of a side's buckets hold one distance each, the others grow by the same factor up to longest, which shares
/// the last bucket with all beyond.
///
/// Shapes    table (buckets × heads), which starts as N(0, 1 / width); role table.
/// Units     distances in tokens; decoders take sides past, encoders both.
/// Numerics  the gradient of an entry is summed in double, its distances in order. An incremental call has the bits of the
///           parallel.
/// Cost      a table by distance once a call; one load and one sum a score.
/// Throws    argument_error for fewer than 2 buckets a side, or a longest that leaves none to grow.
/// Source    Raffel et al., 1910.10683, section 2.1, and its reference code for the buckets.
/// Differs   each layer has a table; T5 shares the first layer's and has no scale 1 / √d, which a scale policy of one's own
///           leaves out.
template <number S>
struct t5 {
  using plugs_into = slot::position;
  using scalar = S;

  Index buckets = 32;
  Index longest = 128;
  t5_sides sides = t5_sides::past;
  parameter<S> table = {};

  template <class Builder>
  static t5 make(const Builder& b, const t5& wanted) {
    const Index of_side = wanted.sides == t5_sides::both ? wanted.buckets / 2 : wanted.buckets;
    require(of_side >= 2 && wanted.longest > of_side / 2, "t5: ", wanted.buckets, " buckets for distances up to ",
            wanted.longest, "; needs at least 2 a side, and .longest > half of a side's");
    return {wanted.buckets, wanted.longest, wanted.sides,
            b.template normal<S>(wanted.buckets, b.sizes.heads, 1 / std::sqrt(static_cast<double>(b.sizes.width)), role::table)};
  }

  /// Of a key so far behind its query: query - key.
  Index bucket(Index behind) const {
    const bool later = behind < 0;
    const Index of_side = sides == t5_sides::both ? buckets / 2 : buckets, offset = sides == t5_sides::both && later ? of_side : 0;
    const Index n = sides == t5_sides::both ? std::abs(behind) : std::max<Index>(behind, 0), single = of_side / 2;
    if (n < single) return offset + n;
    const double grown = std::log(static_cast<double>(n) / static_cast<double>(single)) /
                         std::log(static_cast<double>(longest) / static_cast<double>(single));
    return offset + std::min(single + static_cast<Index>(grown * static_cast<double>(of_side - single)), of_side - 1);
  }

  var<S> distance_biases(tape<S>& t, Index heads, index_range distances) const {
    return lookup_distances(t, heads, distances, table,
                            [by = t5{buckets, longest, sides}](Index distance) { return by.bucket(-distance); });
  }

  template <class M>
  static auto fields(M& m) {
    return formwork::fields("table", m.table);
  }
};
static_assert(position_policy<t5<float>> && position_policy<t5<double>>);

}  // namespace formwork
