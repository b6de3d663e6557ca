// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/position.hpp>
#include <formwork/contract/score.hpp>

namespace formwork::inline FORMWORK_ABI {

/// A score formula with a position's bias added: one formula for the kernel.
template <class Score, class Position>
struct biased_scores {
  using plugs_into = slot::score;

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

/// What the kernel takes for the two policies.
template <score_policy Score, position_policy Position>
auto with_bias(const Score& score, const Position& position) {
  if constexpr (biased_position<Position>)
    return biased_scores<Score, Position>{score, position};
  else
    return score;
}

}  // namespace formwork
