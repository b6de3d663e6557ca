// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/scale.hpp>

#include <algorithm>
#include <cmath>

namespace formwork::inline FORMWORK_ABI {

/// Entropy-invariant scale: scores of a query that sees n keys are multiplied by log n / (log base · √d), so that its weights
/// spread over about as many keys however many there are.
///
/// Shapes    one factor per query row, folded into the query.
/// Units     n in keys visible to that row, not the sequence's length; d is the key width of one head.
/// Numerics  formed in double; the bits of inv_sqrt at n = base (log_n_test.cpp). A row that sees one key has the factor 0,
///           and its query and key no gradient.
/// Cost      one logarithm per query row.
/// Source    Su, kexue.fm/archives/8823, 9034, 9588; base 512 as in the article, the training length in general. at_least 1 is
///           for models trained without it, whose training length is the base (9706): up to there nothing changes.
/// Differs   rows that see fewer than `smallest` keys are scaled as if they saw `smallest`: 1 here, 16 in bert4keras.
struct log_n {
  using plugs_into = slot::scale;

  double base = 512;
  Index smallest = 1;
  double at_least = 0;  ///< of log n / log base

  /// The scale κ log n / d, in which the article derives it.
  static log_n kappa(double value, Index key_width) {
    return {.base = std::exp(std::sqrt(static_cast<double>(key_width)) / value)};
  }

  double operator()(scale_site at) const {
    const auto n = static_cast<double>(std::max({at.visible_keys, smallest, Index(1)}));
    return std::max(std::log(n) / std::log(base), at_least) * (1 / std::sqrt(static_cast<double>(at.key_width)));
  }
};
static_assert(scale_policy<log_n>);

}  // namespace formwork
