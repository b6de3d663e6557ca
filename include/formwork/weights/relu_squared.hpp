// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/weights.hpp>

namespace formwork::inline FORMWORK_ABI {

/// weight_j = max(s_j, 0)² / n for a query that sees n keys; kept is 1/n.
///
/// Numerics  no exponential, nothing to rescale: a later key never changes an earlier weight but for n.
/// Cost      less than softmax.
/// Source    Hua et al., 2202.10447, section 3.1; kexue.fm/archives/9105.
/// Differs   n is the keys that the row sees, as in bert4keras, not the sequence's length.
struct relu_squared {
  using plugs_into = slot::weights;
  static constexpr double score_unit = 1;

  template <number S>
  struct row {
    S share;
  };
  template <number S>
  row<S> begin(Index visible) const {
    return {visible > 0 ? S(1) / static_cast<S>(visible) : S(0)};
  }
  template <number S>
  FORMWORK_INLINE S step(row<S>&, S* scores, Index packs) const {
    for (Index j = 0; j < packs * lanes<S>; j += lanes<S>) square(pack<S>::load(scores + j)).store(scores + j);
    return S(1);
  }
  template <number S>
  finished_row<S> finish(row<S> r) const {
    return {r.share, r.share};
  }
  template <number S>
  FORMWORK_INLINE pack<S> weight(pack<S> score, saved_row<S> saved) const {
    return pack<S>(saved.kept) * square(score);
  }
  template <number S>
  FORMWORK_INLINE pack<S> slope(pack<S> score, pack<S>, pack<S> gradient, saved_row<S> saved) const {
    return pack<S>(2 * saved.kept) * max(score, pack<S>(0)) * gradient;
  }

 private:
  template <number S>
  FORMWORK_INLINE static pack<S> square(pack<S> score) {
    const pack<S> x = max(score, pack<S>(0));
    return x * x;
  }
};
static_assert(weights_policy<relu_squared>);

}  // namespace formwork
