// SPDX-License-Identifier: MIT
// expect: formwork: tangents need weights that are written for numbers with slopes: template <number S>, not template <real S>
#include <formwork/heads.hpp>
#include <formwork/kernel/attend_tangent.hpp>
#include <formwork/mask.hpp>
#include <formwork/scale.hpp>
#include <formwork/score.hpp>

namespace fw = formwork;

#ifdef MISUSE
template <class S>
concept scalar = fw::real<S>;
#else
template <class S>
concept scalar = fw::number<S>;
#endif

/// Weights that are the scores.
struct linear_weights {
  using plugs_into = fw::slot::weights;
  static constexpr double score_unit = 1;

  template <scalar S>
  struct row {};
  template <scalar S>
  row<S> begin(fw::Index) const {
    return {};
  }
  template <scalar S>
  S step(row<S>&, S*, fw::Index) const {
    return S(1);
  }
  template <scalar S>
  fw::finished_row<S> finish(row<S>) const {
    return {S(1), S(0)};
  }
  template <scalar S>
  fw::pack<S> weight(fw::pack<S> score, fw::saved_row<S>) const {
    return score;
  }
  template <scalar S>
  fw::pack<S> slope(fw::pack<S>, fw::pack<S>, fw::pack<S> gradient, fw::saved_row<S>) const {
    return gradient;
  }
};

void tangent(fw::matrix<float>& m, const fw::sequences& batch) {
  const fw::attend_policies chosen{fw::full{}, fw::inv_sqrt{}, fw::plain{}, linear_weights{}, fw::independent{}};
  fw::attend_tangent<float>({m, m}, {}, {m, m}, {m, m}, {m, m}, batch, batch, {}, chosen);
}
