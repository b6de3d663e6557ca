// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/weights.hpp>
#include <formwork/tape/distances.hpp>
#include <formwork/tape/fields.hpp>
#include <formwork/weights/softmax.hpp>

#include <algorithm>
#include <utility>

namespace formwork::inline FORMWORK_ABI {

/// Universal relative position: weights, after their normalisation, are multiplied by a learned factor of their distance, so
/// that a row's no longer sum to 1 and equal tokens can tell where they stand:
///
///   O = (softmax(S) ∘ C) V,  C_ij = c_h(j - i)
///
/// A weights policy, since it changes what weights are: any position goes with it, as in the paper.
///
/// Shapes    table (2 longest - 1 × output heads), role table: row longest - 1 + (j - i); it starts as 1, which is the base.
/// Units     distances of longest and more share the outermost rows.
/// Numerics  an entry's gradient is Σ weight · dweight over the pairs of its distance: a sequence's rows in order, then the
///           sequences, then the distances.
/// Cost      one load and one product a weight; in the backward a sum more. With talking heads one mix more in the backward.
/// Throws    argument_error for longest < 1.
/// Source    Luo et al., 2205.13401, equation 7; kexue.fm/archives/9105 for the probe.
/// Differs   clipped at longest, where the paper has a table as long as any sequence; each layer has its own.
template <number S, weights_policy Base = softmax>
struct urpe {
  using plugs_into = slot::weights;
  using scalar = S;

  Index longest = 512;
  Base base = {};
  parameter<S> table = {};

  /// With the table that a value such as urpe<float>{.longest = 128} asks for.
  template <class Builder>
  static urpe make(const Builder& b, const urpe& wanted) {
    require(wanted.longest > 0, "urpe: longest is ", wanted.longest, "; needs > 0");
    return {wanted.longest, wanted.base, {matrix<S>(2 * wanted.longest - 1, b.sizes.heads, S(1)), role::table}};
  }

  var<S> distance_factors(tape<S>& t, Index heads, index_range distances) const {
    return lookup_distances(t, heads, distances, table, [far = longest - 1](Index d) { return far + std::clamp(d, -far, far); });
  }

  template <class M>
  static auto fields(M& m) {
    return formwork::fields("table", m.table);
  }
};
static_assert(learns_weights<urpe<float>, float> && learns_weights<urpe<double>, double>);

}  // namespace formwork
