// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/mask.hpp>
#include <formwork/core/matrix.hpp>
#include <formwork/core/pack.hpp>

#include <algorithm>
#include <type_traits>

namespace formwork::inline FORMWORK_ABI {

/// Numbers by distance that every row has for itself: what a query adds to the scores of keys so far away, and what the weights
/// of keys so far away sum to. Distances key - query beyond `longest` share its number, on either side; a pack's worth of
/// copies on both ends lets kernels load and add whole packs wherever they stand.
///
/// Shapes    a row of one head has width(longest) numbers, those of the distances met(longest) in order.
template <number S>
struct relative_rows {
  static constexpr int parts = 1;

  Index longest = 0;
  view<const S> scores = {};            ///< (rows × query_heads · width): added to q · k, before the scale
  view<S> weight_sums = {};             ///< the forward's output (rows × output_heads · width)
  view<const S> weight_gradients = {};  ///< for the backward (rows × output_heads · width): added to those of the weights
  view<S> score_gradients = {};         ///< the backward's output, as scores

  static index_range met(Index longest) { return {-longest - lanes<S>, longest + lanes<S> + 1}; }
  static Index width(Index longest) { return met(longest).size(); }
  Index width() const { return width(longest); }

  /// Where the numbers of a pack of keys begin, the first of which is at that distance.
  Index at(Index distance) const { return std::clamp(distance, -longest - lanes<S>, longest + 1) + longest + lanes<S>; }
};

template <class Columns>
inline constexpr bool is_relative = false;
template <number S>
inline constexpr bool is_relative<relative_rows<S>> = true;

/// to[j] += factor · numbers of the keys' distances; key 0 is at `distance`.
template <number S>
void add_relative(S* to, index_range keys, const relative_rows<S>& relative, const S* numbers, Index distance, S factor) {
  for (Index j = keys.first; j < keys.last; j += lanes<S>)
    fma(pack<S>(factor), pack<S>::load(numbers + relative.at(distance + j)), pack<S>::load(to + j)).store(to + j);
}

/// sums of the keys' distances += from[j].
template <number S>
void sum_relative(S* sums, index_range keys, const relative_rows<S>& relative, const S* from, Index distance) {
  for (Index j = keys.first; j < keys.last; j += lanes<S>) {
    S* to = sums + relative.at(distance + j);
    (pack<S>::load(to) + pack<S>::load(from + j)).store(to);
  }
}

/// A row's numbers times a factor.
template <number S>
void scale_relative(S* row, const relative_rows<S>& relative, S factor) {
  for (Index j = 0; j < relative.width(); j += lanes<S>) {
    const Index count = relative.width() - j;
    (pack<S>(factor) * pack<S>::load(row + j, count)).store(row + j, count);
  }
}

}  // namespace formwork
