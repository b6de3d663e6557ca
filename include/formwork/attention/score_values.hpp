// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/attention/biased_scores.hpp>
#include <formwork/contract/position.hpp>
#include <formwork/contract/score.hpp>
#include <formwork/kernel/attend.hpp>
#include <formwork/tape/tape.hpp>

#include <utility>

namespace formwork::inline FORMWORK_ABI {

/// What a score formula and a position have to give to the kernel besides themselves: numbers of each head and tables by
/// distance, made on the tape, so that their gradients go back to whatever they were made from. Empty where there are none.
template <real S>
struct score_values {
  var<S> numbers = {}, biases = {};
  Index first = 0;  ///< the distance of the tables' first column

  /// For queries and keys of these distances.
  template <class Score, class Position>
  static score_values make(tape<S>& t, const Score& score, const Position& position, const head_shape& h, index_range distances) {
    score_values r{.first = distances.first};
    if constexpr (learns_numbers<Score, S>) r.numbers = score.numbers(t, h.heads);
    if constexpr (biases_distances<Position, S>) r.biases = position.distance_biases(t, h.heads, distances);
    return r;
  }

  /// Room for the gradients that a backward writes.
  struct gradients {
    matrix<S> numbers, biases;
    operator score_gradients<S>() { return {.numbers = numbers.all(), .biases = biases.all()}; }
  };
  gradients wanted() const {
    const auto room = [](const var<S>& x) { return x && x.tracked() ? matrix<S>(x.rows(), x.cols()) : matrix<S>(); };
    return {room(numbers), room(biases)};
  }
  void add(gradients&& d) const {
    if (numbers) gradient_of(numbers).add(std::move(d.numbers));
    if (biases) gradient_of(biases).add(std::move(d.biases));
  }

  friend bool is_tracked(const score_values& v) {
    return (v.numbers && v.numbers.tracked()) || (v.biases && v.biases.tracked());
  }
};

/// The same without a tape, for a state.
template <real S>
struct kept_score_values {
  matrix<S> numbers = {}, biases = {};
  Index first = 0;

  kept_score_values() = default;
  explicit kept_score_values(const score_values<S>& v) : first(v.first) {
    if (v.numbers) numbers = matrix<S>(v.numbers.value());
    if (v.biases) biases = matrix<S>(v.biases.value());
  }
};

/// The kernel's score formula of the policies and their values.
template <real S, class Score, class Position>
auto scores_in_kernel(const Score& score, const Position& position, view<const S> numbers, view<const S> biases, Index first) {
  const auto formula = [&] {
    if constexpr (learns_numbers<Score, S>)
      return typename Score::kernel_form{score.formula, numbers};
    else
      return score;
  }();
  if constexpr (biases_distances<Position, S>)
    return with_bias(formula, by_distance<S>{biases, first});
  else
    return with_bias(formula, position);
}
template <real S, class Score, class Position>
auto scores_in_kernel(const Score& score, const Position& position, const score_values<S>& v) {
  const auto seen = [](const var<S>& x) { return x ? x.value() : view<const S>(); };
  return scores_in_kernel<S>(score, position, seen(v.numbers), seen(v.biases), v.first);
}
template <real S, class Score, class Position>
auto scores_in_kernel(const Score& score, const Position& position, const kept_score_values<S>& v) {
  return scores_in_kernel<S>(score, position, v.numbers.all(), v.biases.all(), v.first);
}

}  // namespace formwork
