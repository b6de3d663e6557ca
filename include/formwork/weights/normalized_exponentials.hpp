// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/weights.hpp>
#include <formwork/core/math.hpp>

#include <limits>
#include <numbers>

namespace formwork::inline FORMWORK_ABI {

/// weight_j = exp(s_j - m) / (Σ_k exp(s_k - m)^Power)^(1/Power), m the largest score of the row; kept is m + the logarithm of the
/// divisor. What softmax (1) and l2_normalized (2) are.
///
/// Numerics  one pass: the sum so far is rescaled when a later block holds a larger score. Scores come times log₂e, so that
///           every exponential is a power of two. A weight below 2^-62 (double: 2^-510) of its row's largest is 0. A row that
///           sees nothing keeps -inf and weighs nothing.
/// Source    Milakov and Gimelshein, 1805.02867; Dao et al., 2205.14135.
template <int Power>
  requires(Power == 1 || Power == 2)
struct normalized_exponentials {
  using plugs_into = slot::weights;
  static constexpr double score_unit = std::numbers::log2e;

  template <number S>
  struct row {
    real_of<S> largest;  ///< moves between weights and sum alone: a constant, whatever slopes the scores have
    S sum;
  };

  template <number S>
  row<S> begin(Index) const {
    return {-infinity<S>, S(0)};
  }

  /// The lanes of the sum are those of every third pack, so that packs of masked scores before or after change no bit.
  template <number S>
  FORMWORK_INLINE S step(row<S>& r, S* scores, Index packs) const {
    using P = pack<S>;
    using one = pack<S, 1>;
    constexpr Index width = P::size;
    using R = pack<real_of<S>>;
    R top[3] = {R(r.largest), R(r.largest), R(r.largest)};
    Index j = 0;
    for (; j + 3 <= packs; j += 3)
#pragma GCC unroll 3
      for (int i = 0; i < 3; ++i) top[i] = max(top[i], value_of(P::load(scores + (j + i) * width)));
    for (int i = 0; j + i < packs; ++i) top[i] = max(top[i], value_of(P::load(scores + (j + i) * width)));

    const auto now = largest(max(max(top[0], top[1]), top[2]));
    const auto shift = now == -infinity<S> ? 0 : now;
    const S factor = exp2_nonpositive(pack<real_of<S>, 1>(r.largest - shift))[0];

    P total[3] = {P(0), P(0), P(0)};
    const auto weigh = [&](S* s, P& sum) {
      const P w = exp2_nonpositive(P::load(s) - P(shift));
      w.store(s);
      sum = Power == 1 ? sum + w : fma(w, w, sum);
    };
    for (j = 0; j + 3 <= packs; j += 3)
#pragma GCC unroll 3
      for (int i = 0; i < 3; ++i) weigh(scores + (j + i) * width, total[i]);
    for (int i = 0; j + i < packs; ++i) weigh(scores + (j + i) * width, total[i]);

    r.largest = now;
    const one before = Power == 1 ? one(factor) : one(factor) * one(factor);
    r.sum = fma(one(r.sum), before, one(sum((total[0] + total[1]) + total[2])))[0];
    return factor;
  }

  template <number S>
  finished_row<S> finish(row<S> r) const {
    using one = pack<S, 1>;
    if (r.sum == S(0)) return {S(0), -infinity<S>};
    const one norm = Power == 1 ? one(r.sum) : sqrt(one(r.sum));
    return {S(1) / norm[0], fma(one(r.largest), one(std::numbers::ln2), log(norm))[0]};
  }

  template <number S>
  FORMWORK_INLINE pack<S> weight(pack<S> score, saved_row<S> saved) const {
    const S kept = saved.kept == -infinity<S> ? S(infinity<S>) : saved.kept;  // of a row that sees nothing: weight 0
    return exp2_nonpositive(fma(pack<S>(-kept), pack<S>(score_unit), score));
  }

  template <number S>
  FORMWORK_INLINE pack<S> slope(pack<S>, pack<S> weight, pack<S> gradient, saved_row<S> saved) const {
    return Power == 1 ? weight * (gradient - pack<S>(saved.sum)) : weight * (gradient - weight * pack<S>(saved.sum));
  }

 private:
  template <number S>
  static constexpr real_of<S> infinity = std::numeric_limits<real_of<S>>::infinity();
};

}  // namespace formwork
