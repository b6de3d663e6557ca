// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/heads.hpp>
#include <formwork/contract/mask.hpp>
#include <formwork/contract/scale.hpp>
#include <formwork/contract/score.hpp>
#include <formwork/core/matrix.hpp>
#include <formwork/core/sequences.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <vector>

// Softmax attention as its formula reads, in loops. In double the oracle, in float the naive loop whose
// error ours may not exceed by much.

namespace oracle {

namespace fw = formwork;
using fw::Index;

template <class S>
struct attended {
  fw::matrix<S> out, lse, dq, dk, dv;
  double dq_part = 0, dk_part = 0;  ///< the largest number they are differences of: of a row of one key nothing is left
};

/// One score after its formula, and the formula's slope.
template <class S, class Score>
std::pair<S, S> formula(const Score& score, S s, Index position, Index key, Index head, Index heads) {
  using P = fw::pack<S, 1>;
  using D = fw::dual<P>;
  const D bent = score(D(P(s), P(1)), fw::score_site<D>{D(P(position - key)), position, key, head, heads});
  return {bent.value[0], bent.slope[0]};
}

template <class S, class Mask, class Scale, class Score>
attended<S> attend(const fw::matrix<S>& q, const fw::matrix<S>& k, const fw::matrix<S>& v, const fw::matrix<S>& dout,
                   const fw::sequences& batch, const fw::sequences& key_batch, fw::head_shape shape, const Mask& mask,
                   const Scale& scale, const Score& score) {
  attended<S> r{{q.rows(), shape.heads * shape.head_width, S(0)},
                {q.rows(), shape.heads},
                {q.rows(), q.cols(), S(0)},
                {k.rows(), k.cols(), S(0)},
                {v.rows(), v.cols(), S(0)}};
  for (Index s = 0; s < batch.count(); ++s)
    for (Index h = 0; h < shape.heads; ++h)
      for (Index i = 0; i < batch.length(s); ++i) {
        const Index keys = key_batch.length(s), row = batch.first(s) + i, key_row = key_batch.first(s);
        const Index key_head = h / (shape.heads / shape.key_heads), d = shape.key_width, w = shape.head_width;
        const fw::query_site site{batch.start(s) + i, keys, s};
        Index visible = 0;
        for (Index j = 0; j < keys; ++j) visible += mask.visible(site, j);
        const S factor = static_cast<S>(scale(fw::scale_site{visible, d, site.position}));

        std::vector<S> p(static_cast<std::size_t>(keys), S(0)), slope = p;
        const auto at = [](Index j) { return static_cast<std::size_t>(j); };
        S largest = -std::numeric_limits<S>::infinity(), sum = 0;
        for (Index j = 0; j < keys; ++j) {
          if (!mask.visible(site, j)) continue;
          S dot = 0;
          for (Index x = 0; x < d; ++x) dot += q(row, h * d + x) * k(key_row + j, key_head * d + x);
          std::tie(p[at(j)], slope[at(j)]) = formula<S>(score, dot * factor, site.position, j, h, shape.heads);
          largest = std::max(largest, p[at(j)]);
        }
        for (Index j = 0; j < keys; ++j) {
          p[at(j)] = mask.visible(site, j) ? std::exp(p[at(j)] - largest) : S(0);
          sum += p[at(j)];
        }
        r.lse(row, h) = visible > 0 ? largest + std::log(sum) : -std::numeric_limits<S>::infinity();
        for (Index j = 0; j < keys; ++j) {
          if (!mask.visible(site, j)) continue;
          p[at(j)] /= sum;
          for (Index x = 0; x < w; ++x) r.out(row, h * w + x) += p[at(j)] * v(key_row + j, key_head * w + x);
        }

        std::vector<S> dp(p.size(), S(0));
        S total = 0;
        for (Index j = 0; j < keys; ++j) {
          if (!mask.visible(site, j)) continue;
          for (Index x = 0; x < w; ++x) {
            dp[at(j)] += dout(row, h * w + x) * v(key_row + j, key_head * w + x);
            r.dv(key_row + j, key_head * w + x) += p[at(j)] * dout(row, h * w + x);
          }
          total += p[at(j)] * dp[at(j)];
        }
        for (Index j = 0; j < keys; ++j) {
          if (!mask.visible(site, j)) continue;
          const S ds = p[at(j)] * (dp[at(j)] - total) * slope[at(j)] * factor;
          const S part = p[at(j)] * dp[at(j)] * slope[at(j)] * factor;
          for (Index x = 0; x < d; ++x) {
            r.dq_part = std::max(r.dq_part, std::abs(static_cast<double>(part * k(key_row + j, key_head * d + x))));
            r.dk_part = std::max(r.dk_part, std::abs(static_cast<double>(part * q(row, h * d + x))));
            r.dq(row, h * d + x) += ds * k(key_row + j, key_head * d + x);
            r.dk(key_row + j, key_head * d + x) += ds * q(row, h * d + x);
          }
        }
      }
  return r;
}

// Masks unlike causal and full, as hard on the kernel as the contract allows.

/// A query sees the first `first` keys and the last `width` up to its own: two ranges, blind to what lies between.
struct sinks_and_window {
  using plugs_into = fw::slot::mask;
  static constexpr bool sees_ahead = false;
  Index first = 3, width = 20;

  fw::key_spans spans(fw::query_site at) const {
    const Index last = std::min(at.position + 1, at.keys), begin = std::max<Index>(0, last - width);
    return {fw::index_range{0, std::min(first, begin)}, fw::index_range{begin, last}};
  }
  Index count(fw::query_site at) const { return spans(at)[0].size() + spans(at)[1].size(); }
  bool visible(fw::query_site at, Index key) const { return spans(at)[0].holds(key) || spans(at)[1].holds(key); }
};
static_assert(fw::mask_policy<sinks_and_window>);

/// Every third query sees nothing, the others all keys from their own position on.
struct ahead_with_blind_rows {
  using plugs_into = fw::slot::mask;
  static constexpr bool sees_ahead = true;

  fw::key_spans spans(fw::query_site at) const {
    if (at.position % 3 == 1) return {};
    return {fw::index_range{at.position, at.keys}};
  }
  Index count(fw::query_site at) const { return spans(at)[0].size(); }
  bool visible(fw::query_site at, Index key) const { return spans(at)[0].holds(key); }
};
static_assert(fw::mask_policy<ahead_with_blind_rows>);

/// Scores fall with the distance, each head at its own pace, and are squashed: uses all a site has.
struct squashed_recency {
  using plugs_into = fw::slot::score;
  double rate = 0.02;

  template <class T>
  T operator()(T score, fw::score_site<T> at) const {
    return T(4) * tanh(score / T(4)) - T(rate * static_cast<double>(at.head + 1)) * at.distance;
  }
};
static_assert(fw::score_policy<squashed_recency>);

/// A formula that learns: a tanh of some height and width.
struct learned_tanh {
  static constexpr std::array start = {3.0, 2.0};
  template <class T>
  T operator()(T score, fw::score_site<T> at) const {
    return at.learned[0] * tanh(score / at.learned[1]);
  }
};

/// Depends on the number of keys a row sees, as log_n does.
struct by_visible_keys {
  using plugs_into = fw::slot::scale;
  double operator()(fw::scale_site at) const {
    return std::log(1.0 + static_cast<double>(at.visible_keys)) / std::sqrt(static_cast<double>(at.key_width));
  }
};
static_assert(fw::scale_policy<by_visible_keys>);

}  // namespace oracle
