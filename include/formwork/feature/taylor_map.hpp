// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/feature/monomials.hpp>

namespace formwork::inline FORMWORK_ABI {

/// φ(q) · φ(k) = Σ_{m <= N} s^m / m!, s = q · k / √d: softmax attention's weight e^s by its Taylor polynomial of even order N,
/// which is positive for every s.
///
/// Shapes    C(d + N, N) features for a key of d numbers: 153 for d = 16, N = 2 and 4,845 for N = 4.
/// Numerics  relative error of the weight for |s| <= 1: 0.36 (N = 2), 0.020 (4), 4.9e-4 (6); far from 0 it grows as s^N only.
/// Cost      a product and a load for each feature; see monomials.
/// Throws    argument_error for an odd order, or more than ten million features.
/// Source    Su, kexue.fm/archives/8601.
/// Differs   each monomial once, with the root of its multinomial number, instead of d^m products.
struct taylor_map {
  using plugs_into = slot::feature;
  static constexpr turned turns = turned::inputs;

  Index order = 2;

  Index width(Index key_width) const { return monomials<double>::count_of("taylor_map", key_width, order); }
  template <real S>
  monomials<S> prepared(Index key_width) const {
    return {"taylor_map", key_width, order, [](Index) { return 1.0; }};
  }
};
static_assert(feature_policy<taylor_map>);

}  // namespace formwork
