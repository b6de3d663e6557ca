// SPDX-License-Identifier: MIT
#pragma once
#include "oracle/attend.hpp"

// Talking-heads attention as its formula reads, in loops.

namespace oracle {

template <class S>
struct talked {
  attended<S> plain;
  fw::matrix<S> dscores, dweights;  ///< of the mixing matrices
  double dscores_part = 0;          ///< as dq_part
};

/// Numbers of one query: (heads × keys).
template <class S>
using rows_of_heads = std::vector<std::vector<S>>;

/// out[o] = Σ_i m(i, o) in[i], key by key.
template <class S>
rows_of_heads<S> mixed(const rows_of_heads<S>& in, const fw::matrix<S>& m, bool transposed = false) {
  const Index outs = transposed ? m.rows() : m.cols();
  rows_of_heads<S> out(static_cast<std::size_t>(outs), std::vector<S>(in.empty() ? 0 : in[0].size(), S(0)));
  for (std::size_t o = 0; o < out.size(); ++o)
    for (std::size_t i = 0; i < in.size(); ++i)
      for (std::size_t j = 0; j < in[i].size(); ++j)
        out[o][j] += in[i][j] * (transposed ? m(Index(o), Index(i)) : m(Index(i), Index(o)));
  return out;
}

/// m(i, o) += Σ_j in[i][j] dout[o][j]
template <class S>
void add_outer(fw::matrix<S>& m, const rows_of_heads<S>& in, const rows_of_heads<S>& dout) {
  for (std::size_t i = 0; i < in.size(); ++i)
    for (std::size_t o = 0; o < dout.size(); ++o)
      for (std::size_t j = 0; j < in[i].size(); ++j) m(Index(i), Index(o)) += in[i][j] * dout[o][j];
}

template <class S, class Mask, class Scale, class Score>
talked<S> talking_heads(const fw::matrix<S>& q, const fw::matrix<S>& k, const fw::matrix<S>& v,
                        const fw::matrix<S>& dout, const fw::sequences& batch, const fw::sequences& key_batch,
                        fw::head_shape shape, const Mask& mask, const Scale& scale, const Score& score,
                        const fw::matrix<S>& score_mix, const fw::matrix<S>& weight_mix) {
  const Index d = shape.key_width, w = shape.head_width;
  talked<S> r{{{q.rows(), shape.output_heads * w, S(0)},
               {q.rows(), shape.heads, -std::numeric_limits<S>::infinity()},
               {q.rows(), q.cols(), S(0)},
               {k.rows(), k.cols(), S(0)},
               {v.rows(), v.cols(), S(0)}},
              {score_mix.rows(), score_mix.cols(), S(0)},
              {weight_mix.rows(), weight_mix.cols(), S(0)}};
  const auto at = [](Index i) { return static_cast<std::size_t>(i); };
  for (Index s = 0; s < batch.count(); ++s)
    for (Index i = 0; i < batch.length(s); ++i) {
      const Index row = batch.first(s) + i;
      const fw::query_site site{batch.start(s) + i, key_batch.length(s), s};
      std::vector<Index> seen;  // the visible keys: others take no part at all
      for (Index j = 0; j < site.keys; ++j)
        if (mask.visible(site, j)) seen.push_back(j);
      if (seen.empty()) continue;
      const S factor = static_cast<S>(scale(fw::scale_site{Index(seen.size()), d, site.position}));
      const auto key_row = [&](std::size_t j) { return key_batch.first(s) + seen[j]; };

      rows_of_heads<S> dots(at(shape.query_heads), std::vector<S>(seen.size(), S(0)));
      for (Index a = 0; a < shape.query_heads; ++a)
        for (std::size_t j = 0; j < seen.size(); ++j) {
          for (Index x = 0; x < d; ++x) dots[at(a)][j] += q(row, a * d + x) * k(key_row(j), a * d + x);
          dots[at(a)][j] *= factor;
        }
      auto weights = mixed(dots, score_mix), slopes = weights;
      for (Index h = 0; h < shape.heads; ++h) {
        S largest = -std::numeric_limits<S>::infinity(), sum = 0;
        auto& p = weights[at(h)];
        for (std::size_t j = 0; j < seen.size(); ++j) {
          std::tie(p[j], slopes[at(h)][j]) = formula<S>(score, p[j], site.position, seen[j], h, shape.heads);
          largest = std::max(largest, p[j]);
        }
        for (S& x : p) sum += x = std::exp(x - largest);
        for (S& x : p) x /= sum;
        r.plain.lse(row, h) = largest + std::log(sum);
      }
      const auto used = mixed(weights, weight_mix);

      auto dused = used;
      for (Index o = 0; o < shape.output_heads; ++o)
        for (std::size_t j = 0; j < seen.size(); ++j) {
          dused[at(o)][j] = 0;
          for (Index x = 0; x < w; ++x) {
            r.plain.out(row, o * w + x) += used[at(o)][j] * v(key_row(j), o * w + x);
            r.plain.dv(key_row(j), o * w + x) += used[at(o)][j] * dout(row, o * w + x);
            dused[at(o)][j] += dout(row, o * w + x) * v(key_row(j), o * w + x);
          }
        }
      add_outer(r.dweights, weights, dused);
      auto dscores = mixed(dused, weight_mix, true);
      S part = 0;
      for (std::size_t h = 0; h < dscores.size(); ++h) {
        S total = 0;
        for (std::size_t j = 0; j < seen.size(); ++j) total += weights[h][j] * dscores[h][j];
        for (std::size_t j = 0; j < seen.size(); ++j) {
          part = std::max(part, std::abs(weights[h][j] * dscores[h][j] * slopes[h][j]));
          dscores[h][j] = weights[h][j] * (dscores[h][j] - total) * slopes[h][j];
        }
      }
      add_outer(r.dscores, dots, dscores);
      const auto ddots = mixed(dscores, score_mix, true);
      const auto parted = [part](double& most, S times) {
        most = std::max(most, std::abs(static_cast<double>(part * times)));
      };
      for (Index a = 0; a < shape.query_heads; ++a)
        for (std::size_t j = 0; j < seen.size(); ++j) {
          parted(r.dscores_part, dots[at(a)][j]);
          for (Index x = 0; x < d; ++x) {
            parted(r.plain.dq_part, factor * k(key_row(j), a * d + x));
            parted(r.plain.dk_part, factor * q(row, a * d + x));
            r.plain.dq(row, a * d + x) += factor * ddots[at(a)][j] * k(key_row(j), a * d + x);
            r.plain.dk(key_row(j), a * d + x) += factor * ddots[at(a)][j] * q(row, a * d + x);
          }
        }
    }
  return r;
}

}  // namespace oracle
