// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/scale.hpp>
#include <formwork/scale/inv_sqrt.hpp>
#include <formwork/tape/fields.hpp>
#include <formwork/tape/ops.hpp>

#include <utility>

namespace formwork::inline FORMWORK_ABI {

/// A scale with a learned factor for every head: scores are multiplied by τ_h base(site), τ_h = exp(θ_h).
///
/// Shapes    logarithms θ (1 × query heads), role gain; they start at 0, which is the base.
/// Numerics  the exponential keeps τ above 0. Its gradient is Σ q · dq of the head, rows in order, in double.
/// Cost      one pass over the queries.
/// Source    a learned temperature as of cosine attention, Liu et al., 2111.09883, section 3.3: temperature<S, cosine>.
/// Differs   neither bounded nor shared: freeze it, or clip the parameter, for that.
template <number S, scale_policy Base = inv_sqrt>
struct temperature {
  using plugs_into = slot::scale;
  using scalar = S;

  Base base = {};
  parameter<S> logarithms = {};

  template <class Builder>
  static temperature make(const Builder& b, const temperature& wanted) {
    return {wanted.base, b.template constant<S>(b.sizes.heads, S(0), role::gain)};
  }

  double operator()(scale_site at) const { return base(at); }

  /// τ (1 × query heads).
  var<S> factors(tape<S>& t) const {
    return map(use(t, logarithms), [](auto v) { return exp(v); });
  }

  template <class M>
  static auto fields(M& m) {
    return formwork::fields("logarithms", m.logarithms);
  }
};
static_assert(scale_policy<temperature<float>> && learns_factors<temperature<double>, double>);

}  // namespace formwork
