// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/weights.hpp>
#include <formwork/core/math.hpp>

#include <cmath>
#include <limits>

namespace formwork::inline FORMWORK_ABI {

/// weight_j = sigmoid(s_j - log n) for a query that sees n keys: each weight by itself, about 1 in all at the start; kept is log n.
///
/// Numerics  nothing to rescale. A row that sees nothing keeps +inf and weighs nothing.
/// Cost      one exponential and one division a weight.
/// Source    Ramapuram et al., 2409.04431, with its bias -log n.
/// Differs   n is the keys that the row sees, not the sequence's length; the bias is not learned.
struct sigmoid_weights {
  using plugs_into = slot::weights;
  static constexpr double score_unit = 1;

  template <number S>
  struct row {
    S log_n;
  };
  template <number S>
  row<S> begin(Index visible) const {
    return {visible > 0 ? static_cast<S>(std::log(static_cast<double>(visible))) : std::numeric_limits<real_of<S>>::infinity()};
  }
  template <number S>
  FORMWORK_INLINE S step(row<S>& r, S* scores, Index packs) const {
    for (Index j = 0; j < packs * lanes<S>; j += lanes<S>)
      sigmoid(pack<S>::load(scores + j) - pack<S>(r.log_n)).store(scores + j);
    return S(1);
  }
  template <number S>
  finished_row<S> finish(row<S> r) const {
    return {S(1), r.log_n};
  }
  template <number S>
  FORMWORK_INLINE pack<S> weight(pack<S> score, saved_row<S> saved) const {
    return sigmoid(score - pack<S>(saved.kept));
  }
  template <number S>
  FORMWORK_INLINE pack<S> slope(pack<S>, pack<S> weight, pack<S> gradient, saved_row<S>) const {
    return gradient * weight * (pack<S>(1) - weight);
  }
};
static_assert(weights_policy<sigmoid_weights>);

}  // namespace formwork
