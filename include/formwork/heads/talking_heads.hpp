// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/heads.hpp>
#include <formwork/tape/fields.hpp>

#include <algorithm>

namespace formwork::inline FORMWORK_ABI {

/// Talking heads: learned matrices mix the heads before and after the softmax.
///
///   J_a = q_a k_aᵀ scale,  L_h = Σ_a J_a Λ_l(a, h),  W_h = weights(mask(formula(L_h))),
///   U_o = Σ_h W_h Λ_w(h, o),  y_o = U_o v_o
///
/// Shapes    Λ_l (score_heads × heads), Λ_w (heads × value_heads); q, k have score_heads, v and the output value_heads heads.
/// Units     rows of U_o sum to Σ_h Λ_w(h, o), 1 at the start.
/// Cost      2 heads (score_heads + value_heads) operations a query and key beside attention's, in the same pass.
/// Throws    argument_error where sizes.key_heads asks for shared keys.
/// Source    Shazeer et al., 2003.02436; kexue.fm/archives/7325 (without Λ_w).
/// Differs   starts as plain attention (the identity) instead of random; where two head counts differ, each head starts as the
///           average of those it overlaps when both are laid over the same interval: copies where there are more, means where
///           there are fewer.
template <number S>
struct talking_heads {
  using plugs_into = slot::heads;
  using scalar = S;
  static constexpr head_tile tile = head_tile::all;

  Index score_heads = 0;      ///< of queries and keys; 0: heads
  Index value_heads = 0;      ///< of values and outputs; 0: heads
  parameter<S> score_mix{};   ///< Λ_l
  parameter<S> weight_mix{};  ///< Λ_w

  head_shape shape(const sizes& z) const {
    head_shape r = shape_of_heads(z);
    if (score_heads > 0) r.query_heads = r.key_heads = score_heads;
    if (value_heads > 0) r.value_heads = r.output_heads = value_heads;
    require(z.key_heads == 0 || z.key_heads == r.key_heads, "attention: talking heads have keys of their own, ",
            r.key_heads, " heads of them, but sizes.key_heads is ", z.key_heads, "; leave it 0");
    return r;
  }
  /// With the matrices for the counts of a value such as talking_heads<float>{.score_heads = 4}.
  template <class Builder>
  static talking_heads make(const Builder& b, const talking_heads& wanted) {
    const head_shape h = wanted.shape(b.sizes);
    return {wanted.score_heads, wanted.value_heads, overlapping(h.query_heads, h.heads), overlapping(h.heads, h.output_heads)};
  }
  head_mixing<S> mixing() const { return {score_mix.value(), weight_mix.value()}; }

  template <class M>
  static auto fields(M& m) {
    return formwork::fields("score_mix", m.score_mix, "weight_mix", m.weight_mix);
  }

 private:
  /// Column j averages the rows i whose share of [0, 1), [i / from, (i + 1) / from), overlaps its own.
  static parameter<S> overlapping(Index from, Index to) {
    matrix<S> m(from, to);
    for (Index i = 0; i < from; ++i)
      for (Index j = 0; j < to; ++j) {
        const Index shared = std::min((i + 1) * to, (j + 1) * from) - std::max(i * to, j * from);
        m(i, j) = static_cast<S>(std::max<Index>(shared, 0)) / static_cast<S>(from);
      }
    return {std::move(m), role::mixing};
  }
};
static_assert(heads_policy<talking_heads<float>> && heads_policy<talking_heads<double>>);

}  // namespace formwork
