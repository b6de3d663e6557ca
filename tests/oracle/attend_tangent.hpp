// SPDX-License-Identifier: MIT
#pragma once
#include "oracle/attend.hpp"

// How attention's output and gradients change in a direction, in loops: each line of the formula with its derivative beneath it.
// What ends in _t is the tangent of what stands before.

namespace oracle {

/// A score after its formula, and the formula's first and second derivative.
template <class S>
struct bent_score {
  S value, slope, curvature;
};

struct unbent {
  template <class S>
  bent_score<S> operator()(S x, Index, Index) const {
    return {x, S(1), S(0)};
  }
};
/// cap tanh(x / cap), less rate (head + 1) distance: fw::softcap where the rate is 0, squashed_recency where cap is 4.
struct squashed {
  double cap, rate = 0;

  template <class S>
  bent_score<S> operator()(S x, Index distance, Index head) const {
    const S c = static_cast<S>(cap), t = std::tanh(x / c);
    return {c * t - static_cast<S>(rate * static_cast<double>((head + 1) * distance)), 1 - t * t, -2 * t * (1 - t * t) / c};
  }
};

template <class S>
struct attended_tangent {
  attended<S> value, slope;
};

/// q, k, v and dout, and their tangents, as attention cases (tests/kernel/attend_cases.hpp) hold them.
template <class S, class Policies, class Bent>
attended_tangent<S> attend_tangent(const auto& at, const auto& along, const Policies& chosen, const Bent& bent) {
  const auto zeros = [&] {
    return attended<S>{{at.dout.rows(), at.dout.cols(), S(0)},
                       {at.q.rows(), at.shape.heads, S(0)},
                       {at.q.rows(), at.q.cols(), S(0)},
                       {at.k.rows(), at.k.cols(), S(0)},
                       {at.v.rows(), at.v.cols(), S(0)}};
  };
  attended_tangent<S> r{zeros(), zeros()};
  const Index d = at.shape.key_width, w = at.shape.head_width, shared = at.shape.heads / at.shape.key_heads;
  for (Index s = 0; s < at.batch.count(); ++s)
    for (Index h = 0; h < at.shape.heads; ++h)
      for (Index i = 0; i < at.batch.length(s); ++i) {
        const Index keys = at.key_batch.length(s), row = at.batch.first(s) + i;
        const fw::query_site site{at.batch.start(s) + i, keys, s};
        std::vector<Index> seen;
        for (Index j = 0; j < keys; ++j)
          if (chosen.mask.visible(site, j)) seen.push_back(j);
        const auto n = seen.size();
        const S scale = static_cast<S>(chosen.scale(fw::scale_site{static_cast<Index>(n), d, site.position}));
        const auto key_row = [&](std::size_t j) { return at.key_batch.first(s) + seen[j]; };
        const auto dot = [&](const auto& a, const auto& b, std::size_t j, Index width) {
          S sum = 0;
          for (Index x = 0; x < width; ++x) sum += a(row, h * width + x) * b(key_row(j), h / shared * width + x);
          return sum;
        };

        std::vector<S> x_t(n), score(n), score_t(n), slope(n), curvature(n), p(n), p_t(n), dp(n), dp_t(n);
        S largest = -std::numeric_limits<S>::infinity();
        for (std::size_t j = 0; j < n; ++j) {
          x_t[j] = scale * (dot(along.q, at.k, j, d) + dot(at.q, along.k, j, d));
          const bent_score<S> y = bent(scale * dot(at.q, at.k, j, d), site.position - seen[j], h);
          score[j] = y.value, slope[j] = y.slope, curvature[j] = y.curvature;
          score_t[j] = slope[j] * x_t[j];
          largest = std::max(largest, score[j]);
        }
        S sum = 0, mean_t = 0;
        for (std::size_t j = 0; j < n; ++j) sum += std::exp(score[j] - largest);
        for (std::size_t j = 0; j < n; ++j) {
          p[j] = std::exp(score[j] - largest) / sum;
          mean_t += p[j] * score_t[j];
        }
        for (std::size_t j = 0; j < n; ++j) p_t[j] = p[j] * (score_t[j] - mean_t);
        r.value.lse(row, h) = n > 0 ? largest + std::log(sum) : largest;
        r.slope.lse(row, h) = mean_t;

        S total = 0, total_t = 0;
        for (std::size_t j = 0; j < n; ++j) {
          dp[j] = dot(at.dout, at.v, j, w);
          dp_t[j] = dot(along.dout, at.v, j, w) + dot(at.dout, along.v, j, w);
          total += p[j] * dp[j];
          total_t += p_t[j] * dp[j] + p[j] * dp_t[j];
          for (Index x = 0; x < w; ++x) {
            const Index o = h * w + x, c = h / shared * w + x;
            r.value.out(row, o) += p[j] * at.v(key_row(j), c);
            r.slope.out(row, o) += p_t[j] * at.v(key_row(j), c) + p[j] * along.v(key_row(j), c);
            r.value.dv(key_row(j), c) += p[j] * at.dout(row, o);
            r.slope.dv(key_row(j), c) += p_t[j] * at.dout(row, o) + p[j] * along.dout(row, o);
          }
        }
        for (std::size_t j = 0; j < n; ++j) {
          const S ds = p[j] * (dp[j] - total), ds_t = p_t[j] * (dp[j] - total) + p[j] * (dp_t[j] - total_t);
          const S dx = scale * ds * slope[j], dx_t = scale * (ds_t * slope[j] + ds * curvature[j] * x_t[j]);
          for (Index x = 0; x < d; ++x) {
            const Index a = h * d + x, c = h / shared * d + x;
            r.value.dq(row, a) += dx * at.k(key_row(j), c);
            r.slope.dq(row, a) += dx_t * at.k(key_row(j), c) + dx * along.k(key_row(j), c);
            r.value.dk(key_row(j), c) += dx * at.q(row, a);
            r.slope.dk(key_row(j), c) += dx_t * at.q(row, a) + dx * along.q(row, a);
          }
        }
      }
  return r;
}

}  // namespace oracle
