// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/error.hpp>
#include <formwork/core/memory.hpp>
#include <formwork/core/random.hpp>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>

namespace formwork::inline FORMWORK_ABI {

/// Draws the next token from its scores: p = softmax(scores / temperature), kept to the top_k largest and then to the
/// smallest set whose probabilities reach top_p, drawn by one uniform number.
///
/// Numerics  in double; ties go to the smaller id; temperature 0 takes the largest score and draws nothing.
/// Throws    argument_error for a negative temperature, top_k < 0, top_p outside (0, 1]; numeric_error where no score is
///           finite or one is NaN.
/// Source    Fan et al., 1805.04833 (top-k); Holtzman et al., 1904.09751 (top-p, nucleus).
struct sampler {
  double temperature = 1;
  Index top_k = 0;   ///< 0: all
  double top_p = 1;

  template <class S>
  Index operator()(std::span<const S> scores, rng& random) const {
    require(temperature >= 0 && top_k >= 0 && top_p > 0 && top_p <= 1, "sampler: temperature ", temperature, ", top_k ", top_k,
            ", top_p ", top_p, "; needs temperature >= 0, top_k >= 0, 0 < top_p <= 1");
    const auto best = std::max_element(scores.begin(), scores.end());
    const bool sound = best != scores.end() && std::isfinite(*best) &&
                       std::none_of(scores.begin(), scores.end(), [](S s) { return std::isnan(s); });
    require<numeric_error>(sound, "sampler: the scores are empty or not finite; the model has diverged");
    if (temperature == 0) return best - scores.begin();

    pooled_vector<Index> order(scores.size());
    std::iota(order.begin(), order.end(), Index(0));
    const auto before = [&](Index a, Index b) {
      const S u = scores[static_cast<std::size_t>(a)], v = scores[static_cast<std::size_t>(b)];
      return u > v || (u == v && a < b);
    };
    std::sort(order.begin(), order.end(), before);
    if (top_k > 0) order.resize(std::min(order.size(), static_cast<std::size_t>(top_k)));

    pooled_vector<double> weight;
    for (const Index id : order)
      weight.push_back(std::exp((static_cast<double>(scores[static_cast<std::size_t>(id)]) - static_cast<double>(*best)) / temperature));
    const double total = std::accumulate(weight.begin(), weight.end(), 0.0);
    double kept = 0;
    std::size_t count = 0;
    while (count < weight.size() && (count == 0 || kept < top_p * total)) kept += weight[count++];

    double rest = random.uniform() * kept;
    for (std::size_t i = 0; i + 1 < count; ++i)
      if ((rest -= weight[i]) < 0) return order[i];
    return order[count - 1];
  }
};

}  // namespace formwork
