// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/feature.hpp>
#include <formwork/core/random.hpp>
#include <formwork/kernel/linear_attend.hpp>
#include <formwork/tape/gradcheck.hpp>
#include <formwork/tape/ops.hpp>

#include <cstring>
#include <ostream>

namespace formwork::inline FORMWORK_ABI {

struct feature_check_options {
  Index key_width = 6;
  Index length = 2 * linear_chunk + 5;  ///< of the longer of two sequences
  double spread = 1;                    ///< deviation of queries and keys
  std::uint64_t seed = 1;
  gradcheck_options gradients = {.every_up_to = 56, .sample = 56};
};

/// What check_feature found.
struct feature_report {
  double lowest = 0;          ///< weight, of the mean size of weights
  double pairs = 0;           ///< largest error against Σ_j w_ij v_j / Σ_j w_ij, w_ij = φ(q_i) · φ(k_j)
  double last_row = 0;        ///< largest difference between the last causal row and the full one
  Index different_rows = 0;   ///< of prefill and steps, in bits, from the parallel form
  gradcheck_report gradient;

  bool passed() const { return lowest >= -1e-12 && pairs <= 1e-10 && last_row <= 1e-10 && different_rows == 0 && gradient; }
  explicit operator bool() const { return passed(); }
  friend std::ostream& operator<<(std::ostream& out, const feature_report& r) {
    return out << "lowest weight " << r.lowest << ", error against pairs " << r.pairs << ", last row " << r.last_row << ", "
               << r.different_rows << " rows with other bits; gradients: " << r.gradient;
  }
};

namespace feature_checks {

/// Random queries of two heads, keys and values of one, in two sequences.
template <class Map>
struct example {
  static constexpr Index value_width = 3;
  Map map;
  head_shape shape;
  sequences batch;
  parameter<double> q, k, v;

  example(const Map& m, const feature_check_options& o)
      : map(m), shape{2, 1, o.key_width, value_width}, batch{o.length, 7} {
    rng random{o.seed};
    const auto normal = [&](Index cols, double spread) {
      matrix<double> x(batch.rows(), cols);
      random.fill_normal(x, spread);
      return parameter<double>(std::move(x), role::matrix);
    };
    q = normal(2 * o.key_width, o.spread), k = normal(o.key_width, o.spread), v = normal(value_width, 1);
  }
  template <class M>
  static auto fields(M& m) {
    return formwork::fields("q", m.q, "k", m.k, "v", m.v);
  }

  static constexpr bool over_sequences = looks_over_sequences<Map, double>;
  matrix<double> prepared_keys() const {
    matrix<double> keys(k.value());
    if constexpr (over_sequences) map.over_sequences(keys.all(), 1, batch);
    return keys;
  }

  template <key_sums Sums>
  auto policies() const {
    return linear_attend_policies<Sums, Map>{map, {}};
  }
  template <key_sums Sums>
  var<double> attended(tape<double>& t) const {
    const auto query = use(t, q), key = use(t, k), value = use(t, v);
    const matrix<double> keys = prepared_keys();
    auto y = t.output(batch.rows(), 2 * value_width, share(batch));
    matrix<double> kept(batch.rows(), 2);
    linear_attend_forward<double>(y.write(), kept, query.value(), keys, value.value(), batch, shape, policies<Sums>());
    return record(y, [=, this, keys = keys, kept = std::move(kept)](matrix<double>& dy) {
      matrix<double> dq(dy.rows(), query.cols()), dk(dy.rows(), key.cols()), dv(dy.rows(), value.cols());
      linear_attend_backward<double>(dq, dk, dv, dy, y.value(), kept, query.value(), keys, value.value(), batch, shape,
                                     policies<Sums>());
      if constexpr (over_sequences) map.over_sequences_backward(dk.all(), view<const double>(keys), 1, batch);
      gradient_of(query).add(std::move(dq)), gradient_of(key).add(std::move(dk)), gradient_of(value).add(std::move(dv));
    }, query, key, value);
  }
  template <key_sums Sums>
  matrix<double> outputs() const {
    tape<double> quiet{recording::off};
    return matrix<double>(attended<Sums>(quiet).value());
  }

  /// Features, one row after another.
  matrix<double> features(view<const double> x, side of) const {
    const Index heads = x.cols() / shape.key_width, m = policies<key_sums::full>().features_of(shape).key_width;
    matrix<double> y(x.rows() * heads, m);
    for (Index i = 0; i < y.rows(); ++i)
      policies<key_sums::full>().template features<double>(
          y.rows(i, 1), x.rows(i / heads, 1).cols(i % heads * shape.key_width, shape.key_width), of);
    return y;
  }
};

template <class Map>
void compare_with_pairs(feature_report& r, const example<Map>& e, const matrix<double>& out, key_sums sums) {
  const auto fq = e.features(e.q.value(), side::queries), fk = e.features(e.prepared_keys(), side::keys);
  for (Index s = 0; s < e.batch.count(); ++s)
    for (Index i = e.batch.first(s); i < e.batch.first(s + 1); ++i)
      for (Index h = 0; h < 2; ++h) {
        double total = 0, size = 0, sum[example<Map>::value_width] = {};
        const Index last = sums == key_sums::causal ? i + 1 : e.batch.first(s + 1);
        for (Index j = e.batch.first(s); j < last; ++j) {
          double weight = 0;
          for (Index f = 0; f < fq.cols(); ++f) weight += fq(2 * i + h, f) * fk(j, f);
          total += weight, size += std::abs(weight) / static_cast<double>(last - e.batch.first(s));
          for (Index x = 0; x < e.value_width; ++x) sum[x] += weight * e.v.value()(j, x);
          r.lowest = std::min(r.lowest, size > 0 ? weight / size : 0);
        }
        for (Index x = 0; x < e.value_width; ++x)
          r.pairs = std::max(r.pairs, std::abs(out(i, h * e.value_width + x) - (total == 0 ? 0 : sum[x] / total)));
      }
}

template <class Map>
Index rows_of_other_bits(const example<Map>& e, const matrix<double>& whole) {
  const auto chosen = e.template policies<key_sums::causal>();
  linear_attend_state<double> state(2, e.shape, chosen.features_of(e.shape).key_width);
  Index different = 0;
  for (Index done = 0, count; done < e.batch.length(0); done += count) {
    count = std::min(done == 0 ? e.batch.length(0) / 2 : done % 3 + 1, e.batch.length(0) - done);
    const Index lengths[] = {count, std::clamp<Index>(e.batch.length(1) - done, 0, count)};
    sequences part(lengths);
    const Index starts[] = {done, std::min(done, e.batch.length(1))};
    part.starts(starts);
    const auto rows_of = [&](view<const double> from) {
      matrix<double> rows(part.rows(), from.cols());
      for (Index s = 0; s < 2; ++s)
        for (Index i = 0; i < lengths[s]; ++i)
          std::copy_n(from.row(e.batch.first(s) + starts[s] + i), from.cols(), rows.row(part.first(s) + i));
      return rows;
    };
    const matrix<double> expected = rows_of(whole);
    matrix<double> out(part.rows(), whole.cols());
    linear_attend_forward<double>(out, rows_of(e.q.value()), rows_of(e.k.value()), rows_of(e.v.value()), state, part, chosen);
    for (Index i = 0; i < out.rows(); ++i)
      different += std::memcmp(out.row(i), expected.row(i), static_cast<std::size_t>(out.cols()) * sizeof(double)) != 0;
  }
  return different;
}

template <key_sums Sums, class Map>
void compare_gradients(feature_report& r, example<Map>& e, const feature_check_options& o) {
  matrix<double> weights(e.batch.rows(), 2 * e.value_width);
  rng random{o.seed + 1};
  random.fill_normal(weights, 1);
  const auto found = gradcheck(e, [&](tape<double>& t) {
    return formwork::sum(multiply(e.template attended<Sums>(t), t.constant(matrix<double>(weights), e.batch)));
  }, o.gradients);
  if (r.gradient.entries == 0 || !(found.worst <= r.gradient.worst)) r.gradient = found;
}

}  // namespace feature_checks

/// Holds any feature map to what linear attention asks of it, in double, on random numbers: no negative weight; the full, the
/// causal and the incremental form are the weighted means of their pairs; the last causal row is the full one; prefill and steps
/// give the bits of the parallel form; gradients match central differences. A map that looks over sequences has the full form only.
///
/// Example   CHECK(check_feature(my_map{}));
/// Numerics  in an exact map errors are about 1e-15 of the values; 1e-10 is allowed, as weights may nearly cancel.
/// Cost      two evaluations of a small attention for every number of it: well under a second for a hundred features.
template <feature_policy Feature>
feature_report check_feature(const Feature& feature, const feature_check_options& options = {}) {
  using namespace feature_checks;
  const auto map = prepared<double>(feature, options.key_width);
  example e(map, options);
  feature_report r;
  const matrix<double> full = e.template outputs<key_sums::full>();
  compare_with_pairs(r, e, full, key_sums::full);
  compare_gradients<key_sums::full>(r, e, options);
  if constexpr (!e.over_sequences) {
    const matrix<double> causal = e.template outputs<key_sums::causal>();
    compare_with_pairs(r, e, causal, key_sums::causal);
    for (Index s = 0; s < 2; ++s)
      for (Index x = 0; x < full.cols(); ++x) {
        const Index last = e.batch.first(s + 1) - 1;
        r.last_row = std::max(r.last_row, std::abs(full(last, x) - causal(last, x)));
      }
    r.different_rows = rows_of_other_bits(e, causal);
    compare_gradients<key_sums::causal>(r, e, options);
  }
  return r;
}

}  // namespace formwork
