// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/heads.hpp>
#include <formwork/kernel/attend.hpp>
#include <formwork/mask.hpp>
#include <formwork/scale.hpp>
#include <formwork/score.hpp>
#include <formwork/weights.hpp>

#include "kernel/sweep.hpp"
#include "oracle/talking_heads.hpp"

// One talking-heads attention with random inputs, run by the kernel and by the oracle.

namespace cases {

namespace fw = formwork;
using fw::Index;
using oracle::talked;

/// query heads → heads → output heads.
inline fw::head_shape talking(Index from, Index heads, Index to, Index key_width, Index head_width) {
  return {.heads = heads,
          .key_heads = from,
          .key_width = key_width,
          .head_width = head_width,
          .value_heads = to,
          .query_heads = from,
          .output_heads = to};
}

/// Mechanisms but for the heads, which belong to the case.
template <class Mask, class Scale = fw::inv_sqrt, class Score = fw::plain>
struct mechanisms {
  Mask mask;
  Scale scale = {};
  Score score = {};
};
template <class Mask, class... Rest>
mechanisms(Mask, Rest...) -> mechanisms<Mask, Rest...>;

template <class S>
struct talking_case {
  fw::head_shape shape;
  fw::sequences batch, key_batch;
  fw::matrix<S> q, k, v, dout, score_mix, weight_mix;

  talking_case(fw::head_shape sizes, const fw::sequences& queries, const fw::sequences& keys, double spread = 1.5)
      : talking_case(sizes, queries, keys, spread, static_cast<std::uint64_t>(queries.rows() * 7 + sizes.key_width)) {}
  talking_case(fw::head_shape sizes, const fw::sequences& queries, const fw::sequences& keys, double spread,
               std::uint64_t seed)
      : shape(sizes), batch(queries), key_batch(keys) {
    checks::numbers random(seed);
    q = random.matrix<S>(queries.rows(), sizes.query_heads * sizes.key_width, spread);
    k = random.matrix<S>(keys.rows(), sizes.key_heads * sizes.key_width, spread);
    v = random.matrix<S>(keys.rows(), sizes.value_heads * sizes.head_width);
    dout = random.matrix<S>(queries.rows(), sizes.output_heads * sizes.head_width);
    score_mix = random.matrix<S>(sizes.query_heads, sizes.heads, 1 / std::sqrt(double(sizes.query_heads)));
    weight_mix = random.matrix<S>(sizes.heads, sizes.output_heads, 1 / std::sqrt(double(sizes.heads)));
  }
  talking_case(fw::head_shape sizes, const fw::sequences& both) : talking_case(sizes, both, both) {}
  template <class T>
  explicit talking_case(const talking_case<T>& other)
      : shape(other.shape),
        batch(other.batch),
        key_batch(other.key_batch),
        q(checks::as<S>(other.q)),
        k(checks::as<S>(other.k)),
        v(checks::as<S>(other.v)),
        dout(checks::as<S>(other.dout)),
        score_mix(checks::as<S>(other.score_mix)),
        weight_mix(checks::as<S>(other.weight_mix)) {}

  auto policies(const auto& chosen) const { return policies(chosen, score_mix, weight_mix); }
  static auto policies(const auto& chosen, fw::view<const S> scores, fw::view<const S> weights) {
    return fw::attend_policies{chosen.mask, chosen.scale, chosen.score, fw::softmax{},
                               fw::head_mixing<S>{scores, weights}};
  }

  /// Forward and backward by the kernel.
  talked<S> run(const auto& chosen, checks::places at = {}) const {
    auto q_there = at(q), k_there = at(k), v_there = at(v), dout_there = at(dout), scores = at(score_mix),
         weights = at(weight_mix);
    const auto like = [&](const fw::matrix<S>& m) { return at.template output<S>(m.rows(), m.cols()); };
    auto out = like(dout), lse = at.template output<S>(q.rows(), shape.heads), dq = like(q), dk = like(k), dv = like(v),
         dscores = like(score_mix), dweights = like(weight_mix);
    const auto all = policies(chosen, scores, weights);
    fw::attend_forward<S>(out, lse, q_there, k_there, v_there, batch, key_batch, shape, all);
    fw::attend_backward<S>(dq, dk, dv, fw::head_mixing_gradient<S>{dscores, dweights}, dout_there, out, lse, q_there,
                           k_there, v_there, batch, key_batch, shape, all);
    return {{out.copy(), lse.copy(), dq.copy(), dk.copy(), dv.copy()}, dscores.copy(), dweights.copy()};
  }
  talked<S> expect(const auto& chosen) const {
    return oracle::talking_heads<S>(q, k, v, dout, batch, key_batch, shape, chosen.mask, chosen.scale, chosen.score,
                                    score_mix, weight_mix);
  }
};

template <class S>
bool same_bits(const talked<S>& a, const talked<S>& b) {
  using checks::same_bits;
  const auto &x = a.plain, &y = b.plain;
  return same_bits(x.out, y.out) && same_bits(x.lse, y.lse) && same_bits(x.dq, y.dq) && same_bits(x.dk, y.dk) &&
         same_bits(x.dv, y.dv) && same_bits(a.dscores, b.dscores) && same_bits(a.dweights, b.dweights);
}

}  // namespace cases
