// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/feature/monomials.hpp>

namespace formwork::inline FORMWORK_ABI {

/// φ(q) · φ(k) = (1 + s/N)^N, s = q · k / √d: softmax attention's weight e^s as the limit that defines it, stopped at an even
/// order N; it is 0 at s = -N and positive elsewhere.
///
/// Shapes    C(d + N, N) features for a key of d numbers, as taylor_map.
/// Numerics  relative error of the weight about -s²/(2N).
/// Cost      a product and a load for each feature; see monomials.
/// Throws    argument_error for an odd order, or more than ten million features.
/// Source    Su, kexue.fm/archives/8601.
/// Differs   each monomial once, with the root of its multinomial number, instead of (d + 1)^N products.
struct limit_map {
  using plugs_into = slot::feature;
  static constexpr turned turns = turned::inputs;

  Index order = 2;

  Index width(Index key_width) const { return monomials<double>::count_of("limit_map", key_width, order); }
  template <real S>
  monomials<S> prepared(Index key_width) const {
    return {"limit_map", key_width, order, [this](Index m) { return 1 - double(m - 1) / double(order); }};
  }
};
static_assert(feature_policy<limit_map>);

}  // namespace formwork
