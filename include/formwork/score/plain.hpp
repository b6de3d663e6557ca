// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/score.hpp>

namespace formwork::inline FORMWORK_ABI {

/// Scores as they are.
struct plain {
  using plugs_into = slot::score;
  static constexpr bool unchanged = true;

  template <class T>
  T operator()(T score, score_site<T>) const {
    return score;
  }
};
static_assert(score_policy<plain>);

}  // namespace formwork
