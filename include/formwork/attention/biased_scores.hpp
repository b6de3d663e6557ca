// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/position.hpp>
#include <formwork/contract/score.hpp>
#include <formwork/contract/weights.hpp>

#include <type_traits>

namespace formwork::inline FORMWORK_ABI {

/// A score formula with a position's bias added: one formula for the kernel.
template <class Score, class Position>
struct biased_scores {
  using plugs_into = slot::score;
  static constexpr int learned = numbers_learned<Score>;

  Score score;
  Position position;

  template <class T>
  T operator()(T value, score_site<T> at) const {
    return score(value, at) + position.bias(at);
  }
  auto at_head(Index head, Index heads) const {
    const auto& formula = formwork::at_head(score, head, heads);
    const auto& bias = formwork::at_head(position, head, heads);
    return biased_scores<std::remove_cvref_t<decltype(formula)>, std::remove_cvref_t<decltype(bias)>>{formula, bias};
  }
};

/// A score formula with a bias by distance added.
template <number S, class Score>
struct distance_biased_scores {
  using plugs_into = slot::score;
  static constexpr int learned = numbers_learned<Score>;

  Score score;
  by_distance<S> biases;

  template <class Formula>
  struct of_head {
    Formula formula;
    const S* biases;  ///< of distance d at [d]

    template <class T>
    T operator()(T value, score_site<T> at) const {
      return formula(value, at) + constant_lanes<T>(biases + at.key - at.position);
    }
  };
  auto at_head(Index head, Index heads) const {
    const auto& formula = formwork::at_head(score, head, heads);
    return of_head<std::remove_cvref_t<decltype(formula)>>{formula, biases.of(head)};
  }
  template <class T>
  T operator()(T value, score_site<T> at) const {
    return at_head(at.head, at.heads)(value, at);
  }
};

/// Weights that are multiplied by a factor of their distance.
template <number S, weights_policy Base>
struct distance_weighed : Base {
  by_distance<S> factors;
};

/// What the kernel takes for a formula and a position.
template <score_policy Score, position_policy Position>
auto with_bias(const Score& score, const Position& position) {
  if constexpr (biased_position<Position>)
    return biased_scores<Score, Position>{score, position};
  else
    return score;
}
template <number S, score_policy Score>
auto with_bias(const Score& score, by_distance<S> biases) {
  return distance_biased_scores<S, Score>{score, biases};
}

}  // namespace formwork
