// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/position.hpp>
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
template <real S>
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
    require(table.cols() == heads, "t5: the table is ", shape_text(table), "; needs a column for each of ", heads, " heads");
    auto y = t.output(heads, distances.size(), share(sequences{heads}));
    for (Index c = 0; c < distances.size(); ++c) {
      const S* entry = table.value().row(bucket(-(distances.first + c)));
      for (Index h = 0; h < heads; ++h) y.write()(h, c) = entry[h];
    }
    return record(
        y,
        [d = gradient_of(table), distances, by = t5{buckets, longest, sides}](matrix<S>& dy) {
          matrix<double> sums(by.buckets, dy.rows(), 0.0);
          for (Index c = 0; c < distances.size(); ++c) {
            double* entry = sums.row(by.bucket(-(distances.first + c)));
            for (Index h = 0; h < dy.rows(); ++h) entry[h] += static_cast<double>(dy(h, c));
          }
          d.add([&](view<S> g, start how) {
            for (Index b = 0; b < g.rows(); ++b)
              for (Index h = 0; h < g.cols(); ++h) g(b, h) = static_cast<S>(sums(b, h)) + (how == start::fresh ? S(0) : g(b, h));
          });
        },
        table);
  }

  template <class M>
  static auto fields(M& m) {
    return formwork::fields("table", m.table);
  }
};
static_assert(position_policy<t5<float>> && position_policy<t5<double>>);

}  // namespace formwork
