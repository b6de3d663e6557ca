// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/weights.hpp>

#include "oracle/attend.hpp"

// Rows of attention weights as their formulas read, in loops, and what observers make of them.

namespace oracle {

/// What a query sees, key by key.
template <class S>
struct seen_keys {
  std::vector<S> scores, weights, distances;
  std::vector<Index> keys;

  std::size_t size() const { return keys.size(); }
};

/// Weights of the scores of a row.
template <class S>
std::vector<S> weigh(fw::softmax, std::vector<S> s) {
  const S most = s.empty() ? S(0) : *std::max_element(s.begin(), s.end());
  S sum = 0;
  for (S& x : s) sum += x = std::exp(x - most);
  for (S& x : s) x /= sum;
  return s;
}
template <class S>
std::vector<S> weigh(fw::l2_normalized, std::vector<S> s) {
  const S most = s.empty() ? S(0) : *std::max_element(s.begin(), s.end());
  S squares = 0;
  for (S& x : s) x = std::exp(x - most), squares += x * x;
  for (S& x : s) x /= std::sqrt(squares);
  return s;
}
template <class S>
std::vector<S> weigh(fw::relu_squared, std::vector<S> s) {
  for (S& x : s) x = x > 0 ? x * x / static_cast<S>(s.size()) : S(0);
  return s;
}
template <class S>
std::vector<S> weigh(fw::sigmoid_weights, std::vector<S> s) {
  for (S& x : s) x = 1 / (1 + static_cast<S>(s.size()) * std::exp(-x));
  return s;
}

/// see(row, head, what it sees) for all rows and heads. `mix` (query heads × heads) is the identity where heads do not mix.
template <class S, class Policies, class See>
void each_row(const fw::matrix<S>& q, const fw::matrix<S>& k, const fw::sequences& batch, const fw::sequences& key_batch,
              fw::head_shape shape, const Policies& by, const fw::matrix<S>* mix, See see) {
  for (Index s = 0; s < batch.count(); ++s)
    for (Index i = 0; i < batch.length(s); ++i) {
      const fw::query_site site{batch.start(s) + i, key_batch.length(s), s};
      seen_keys<S> plain;
      for (Index j = 0; j < site.keys; ++j)
        if (by.mask.visible(site, j)) plain.keys.push_back(j), plain.distances.push_back(static_cast<S>(site.position - j));
      const Index d = shape.key_width, row = batch.first(s) + i;
      const S factor = static_cast<S>(by.scale(fw::scale_site{static_cast<Index>(plain.size()), d, site.position}));
      const auto dot = [&](Index a, Index j) {
        const Index key_head = a / (shape.query_heads / shape.key_heads);
        S sum = 0;
        for (Index x = 0; x < d; ++x) sum += q(row, a * d + x) * k(key_batch.first(s) + j, key_head * d + x);
        return sum * factor;
      };
      for (Index h = 0; h < shape.heads; ++h) {
        seen_keys<S> r = plain;
        for (const Index j : r.keys) {
          S score = mix ? S(0) : dot(h, j);
          for (Index a = 0; mix && a < shape.query_heads; ++a) score += dot(a, j) * (*mix)(a, h);
          r.scores.push_back(formula<S>(by.score, score, site.position, j, h, shape.heads).first);
        }
        r.weights = weigh(by.weights, r.scores);
        see(row, h, r);
      }
    }
}

/// What each observer of the library says of a row.
struct row_numbers {
  template <class S>
  static S row_entropy(const seen_keys<S>& r) {
    S h = 0;
    for (const S w : r.weights) h -= w > 0 ? w * std::log(w) : S(0);
    return h;
  }
  template <class S>
  static S largest_logit(const seen_keys<S>& r) {
    S most = -std::numeric_limits<S>::infinity();
    for (const S s : r.scores) most = std::max(most, s);
    return most;
  }
  template <class S>
  static S expected_distance(const seen_keys<S>& r) {
    S sum = 0;
    for (std::size_t j = 0; j < r.size(); ++j) sum += r.weights[j] * r.distances[j];
    return sum;
  }
  template <class S>
  static S first_key_weight(const seen_keys<S>& r) {
    return r.size() > 0 && r.keys[0] == 0 ? r.weights[0] : S(0);
  }
};

}  // namespace oracle
