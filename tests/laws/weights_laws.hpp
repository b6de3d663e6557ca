// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/weights.hpp>

#include <vector>

#include "kernel/checks.hpp"

/// What every weights policy promises (contract/weights.hpp).
namespace laws {

namespace fw = formwork;
using fw::Index;

/// The weights of one row, its packs taken in blocks of the given sizes: what attention does with values of 1 at one key.
template <class S, class Weights>
struct weighed_row {
  std::vector<S> weights;
  fw::finished_row<S> done;

  weighed_row(const Weights& policy, std::vector<S> scores, const std::vector<Index>& blocks)
      : weights(std::move(scores)) {
    for (S& s : weights) s *= static_cast<S>(Weights::score_unit);
    auto row = policy.template begin<S>(static_cast<Index>(weights.size()));
    Index at = 0;
    for (const Index packs : blocks) {
      const S factor = policy.step(row, weights.data() + at, packs);
      for (Index j = 0; j < at; ++j) weights[static_cast<std::size_t>(j)] *= factor;
      at += packs * fw::lanes<S>;
    }
    done = policy.finish(row);
    for (S& w : weights) w *= done.factor;
  }
};

template <class S, class Weights>
void weights_laws(const Weights& policy) {
  constexpr Index packs = 7, n = packs * fw::lanes<S>;
  const S eps = std::numeric_limits<S>::epsilon();
  const auto from = checks::numbers(3).matrix<S>(2, n, 2);
  std::vector<S> scores(from.row(0), from.row(0) + n);
  for (const Index masked : {Index(0), Index(5), n - 1})
    scores[static_cast<std::size_t>(masked)] = -std::numeric_limits<S>::infinity();
  const auto largest_difference = [](const auto& a, const auto& b) {
    double most = 0;
    for (std::size_t j = 0; j < a.size(); ++j) most = std::max(most, static_cast<double>(std::abs(a[j] - b[j])));
    return most;
  };

  const weighed_row<S, Weights> whole(policy, scores, {packs});
  for (const auto& blocks : {std::vector<Index>{3, 3, 1}, {1, 6}, {1, 1, 1, 1, 1, 1, 1}})
    CHECK(largest_difference(weighed_row<S, Weights>(policy, scores, blocks).weights, whole.weights) <= 20 * eps);
  for (const std::size_t masked : {std::size_t(0), std::size_t(5), std::size_t(n - 1)})
    CHECK(whole.weights[masked] == 0);

  // backward: the same weights again, and the gradient of Σ g_j w_j.
  std::vector<S> gradient(from.row(1), from.row(1) + n), again(scores.size()), slope(scores.size());
  fw::saved_row<S> saved{whole.done.kept, S(0)};
  for (std::size_t j = 0; j < scores.size(); ++j) saved.sum += gradient[j] * whole.weights[j];
  for (Index j = 0; j < n; j += fw::lanes<S>) {
    const auto s = fw::pack<S>::load(scores.data() + j) * fw::pack<S>(Weights::score_unit);
    const auto w = policy.weight(s, saved);
    w.store(again.data() + j);
    policy.slope(s, w, fw::pack<S>::load(gradient.data() + j), saved).store(slope.data() + j);
  }
  CHECK(largest_difference(again, whole.weights) <= 20 * eps);
  if constexpr (std::is_same_v<S, double>)
    for (std::size_t j = 0; j < scores.size(); ++j) {
      if (std::isinf(scores[j])) continue;
      const auto side = [&](S by) {
        auto moved = scores;
        moved[j] += by;
        const weighed_row<S, Weights> row(policy, moved, {packs});
        S sum = 0;
        for (std::size_t i = 0; i < scores.size(); ++i) sum += gradient[i] * row.weights[i];
        return sum;
      };
      const S h = 1e-3, difference = (8 * (side(h) - side(-h)) - (side(2 * h) - side(-2 * h))) / (12 * h);
      CHECK(std::abs(slope[j] - difference) <= 1e-9);
    }
}

}  // namespace laws
