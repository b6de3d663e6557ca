// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/attention/biased_scores.hpp>
#include <formwork/contract/position.hpp>
#include <formwork/contract/scale.hpp>
#include <formwork/contract/score.hpp>
#include <formwork/kernel/attend.hpp>
#include <formwork/kernel/scale_heads.hpp>
#include <formwork/score/learned_formula.hpp>
#include <formwork/tape/tape.hpp>

#include <utility>

namespace formwork::inline FORMWORK_ABI {

/// What scale, score, position and weights have to give besides themselves: factors and numbers of each head and tables by
/// distance, made on the tape, so that their gradients go back to whatever they were made from. Empty where there are none.
template <number S>
struct score_values {
  var<S> factors = {};  ///< of the scale, (1 × query heads)
  var<S> numbers = {}, biases = {}, weight_factors = {};
  var<S> key_vectors = {}, value_vectors = {};  ///< by distance, see relative_rows
  Index first = 0;  ///< the distance of the tables' first column

  /// For queries and keys of these distances.
  template <class Scale, class Score, class Position, class Weights>
  static score_values make(tape<S>& t, const Scale& scale, const Score& score, const Position& position, const Weights& weights,
                           const head_shape& h, index_range distances) {
    score_values r{.first = distances.first};
    if constexpr (learns_factors<Scale, S>) r.factors = scale.factors(t);
    if constexpr (learns_numbers<Score, S>) r.numbers = score.numbers(t, h.heads);
    if constexpr (biases_distances<Position, S>) r.biases = position.distance_biases(t, h.heads, distances);
    if constexpr (learns_weights<Weights, S>) r.weight_factors = weights.distance_factors(t, h.output_heads, distances);
    if constexpr (relates_vectors<Position, S>) {
      const index_range met = relative_rows<S>::met(position.longest);
      r.key_vectors = position.key_vectors(t, met), r.value_vectors = position.value_vectors(t, met);
    }
    return r;
  }

  /// Room for the gradients that a backward writes.
  struct gradients {
    matrix<S> numbers, biases, factors, key_vectors, value_vectors;
    operator score_gradients<S>() { return {numbers, biases, factors}; }
  };
  gradients wanted() const {
    const auto room = [](const var<S>& x) { return x && x.tracked() ? matrix<S>(x.rows(), x.cols()) : matrix<S>(); };
    return {room(numbers), room(biases), room(weight_factors), room(key_vectors), room(value_vectors)};
  }
  void add(gradients&& d) const {
    if (numbers) gradient_of(numbers).add(std::move(d.numbers));
    if (biases) gradient_of(biases).add(std::move(d.biases));
    if (weight_factors) gradient_of(weight_factors).add(std::move(d.factors));
    if (key_vectors) gradient_of(key_vectors).add(std::move(d.key_vectors));
    if (value_vectors) gradient_of(value_vectors).add(std::move(d.value_vectors));
  }

  friend bool is_tracked(const score_values& v) {
    const auto learns = [](const var<S>& x) { return x && x.tracked(); };
    return learns(v.factors) || learns(v.numbers) || learns(v.biases) || learns(v.weight_factors) || learns(v.key_vectors) ||
           learns(v.value_vectors);
  }
};

template <number S>
view<const S> value_of(const var<S>& x) {
  return x ? x.value() : view<const S>();
}
template <number S>
view<const S> value_of(const matrix<S>& x) {
  return x;
}

/// The same without a tape, for a state.
template <number S>
struct kept_score_values {
  matrix<S> factors = {}, numbers = {}, biases = {}, weight_factors = {}, key_vectors = {}, value_vectors = {};
  Index first = 0;

  kept_score_values() = default;
  explicit kept_score_values(const score_values<S>& v) : first(v.first) {
    const auto keep = [](matrix<S>& to, const var<S>& from) {
      if (from) to = matrix<S>(from.value());
    };
    keep(factors, v.factors), keep(numbers, v.numbers), keep(biases, v.biases), keep(weight_factors, v.weight_factors);
    keep(key_vectors, v.key_vectors), keep(value_vectors, v.value_vectors);
  }
};

/// Queries and keys as the scale wants them, before they are turned: in place, with what the way back needs.
template <class Scale, number S>
struct scaled_heads {
  using base = kernel_scale<Scale>;
  static constexpr lengths q_lengths = query_lengths_of<base>, k_lengths = key_lengths_of<base>;
  static constexpr bool changes_q = learns_factors<Scale, S> || q_lengths == lengths::unit, changes_k = k_lengths == lengths::unit;

  matrix<S> q_inverse = {}, k_inverse = {};  ///< 1 / lengths
  matrix<S> q = {}, k = {};                  ///< as they came out, before they were turned

  scaled_heads(view<S> queries, view<S> keys, const head_shape& h, [[maybe_unused]] view<const S> factors) {
    if constexpr (q_lengths == lengths::unit) q_inverse = matrix<S>(queries.rows(), h.query_heads);
    if constexpr (k_lengths == lengths::unit) k_inverse = matrix<S>(keys.rows(), h.key_heads);
    if constexpr (changes_q) scale_heads<S>(queries, h.query_heads, factors.data(), q_lengths, q_inverse);
    if constexpr (changes_k) scale_heads<S>(keys, h.key_heads, nullptr, k_lengths, k_inverse);
  }

  /// For the way back.
  void remember(view<const S> queries, view<const S> keys) {
    if constexpr (changes_q) q = matrix<S>(queries);
    if constexpr (changes_k) k = matrix<S>(keys);
  }

  /// Gradients before from those after.
  void backward(view<S> dq, view<S> dk, const head_shape& h, const var<S>& factors) const {
    if constexpr (changes_q) {
      const bool learns = factors && factors.tracked();
      const S* by = factors ? factors.value().data() : nullptr;
      matrix<S> dots = learns ? matrix<S>(q.rows(), h.query_heads) : matrix<S>();
      scale_heads_backward<S>(dq, q, h.query_heads, by, q_lengths, q_inverse, dots);
      if (learns) gradient_of(factors).add(factor_gradient(dots, by));
    }
    if constexpr (changes_k)
      scale_heads_backward<S>(dk, k, h.key_heads, nullptr, k_lengths, k_inverse, view<S>());
  }

 private:
  static matrix<S> factor_gradient(const matrix<S>& dots, const S* factors) {
    matrix<S> d(1, dots.cols());
    for (Index h = 0; h < dots.cols(); ++h) {
      wide_of<S> total(0);
      for (Index i = 0; i < dots.rows(); ++i) total += widened(dots(i, h));
      d(0, h) = rounded<S>(total / widened(factors[h]));
    }
    return d;
  }
};

/// The kernel's score formula of the policies and their values.
template <number S, class Score, class Position>
auto scores_in_kernel(const Score& score, const Position& position, view<const S> numbers, view<const S> biases, Index first) {
  const auto formula = [&] {
    if constexpr (learns_numbers<Score, S>)
      return formula_of_numbers<S, std::remove_cvref_t<decltype(score.formula)>>{score.formula, numbers};
    else
      return score;
  }();
  if constexpr (biases_distances<Position, S>)
    return with_bias(formula, by_distance<S>{biases, first});
  else
    return with_bias(formula, position);
}
template <number S, class Score, class Position>
auto scores_in_kernel(const Score& score, const Position& position, const auto& values) {
  return scores_in_kernel<S>(score, position, value_of(values.numbers), value_of(values.biases), values.first);
}

/// The kernel's weights.
template <number S, class Weights>
auto weights_in_kernel(const Weights& weights, [[maybe_unused]] const auto& values) {
  if constexpr (learns_weights<Weights, S>)
    return distance_weighed<S, std::remove_cvref_t<decltype(weights.base)>>{weights.base,
                                                                           {value_of(values.weight_factors), values.first}};
  else
    return weights;
}

}  // namespace formwork
