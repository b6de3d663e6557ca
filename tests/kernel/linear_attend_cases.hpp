// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/feature.hpp>
#include <formwork/kernel/linear_attend.hpp>
#include <formwork/position.hpp>

#include <memory>
#include <vector>

#include "kernel/sweep.hpp"
#include "oracle/linear_attend.hpp"

// One linear attention with random inputs, run by the kernel and by the oracle.

namespace cases {

namespace fw = formwork;
using fw::Index;
using oracle::linearly_attended;

/// A user's own formula: one that can vanish.
struct squared_relu {
  using plugs_into = fw::slot::feature;
  template <class T>
  T operator()(T x) const {
    const T y = max(x, T(0));
    return y * y;
  }
};

/// Turns features as rope does; the frequencies are given.
template <class S>
struct turned_by_rope {
  std::shared_ptr<const fw::rotary_table<S>> table;

  turned_by_rope(const std::vector<double>& inverse_frequencies, Index positions)
      : table(std::make_shared<fw::rotary_table<S>>(inverse_frequencies, positions)) {}
  void operator()(fw::view<S> x, Index position, fw::direction way) const {
    fw::sequences rows{x.rows()};
    rows.starts(std::vector<Index>{position});
    fw::rotate<S>(x, *table, 1, x.cols(), 2 * table->pairs(), fw::pairing::half, rows, way);
  }
};

template <fw::key_sums Sums = fw::key_sums::causal, class Feature = fw::elu_plus_one>
auto linear(Feature feature = {}) {
  return fw::linear_attend_policies<Sums, Feature>{feature, {}};
}
template <class S, fw::key_sums Sums = fw::key_sums::causal, class Feature = fw::elu_plus_one>
auto turning(Feature feature = {}) {
  return fw::linear_attend_policies<Sums, Feature, turned_by_rope<S>>{feature, {{1.0, 0.1}, 2000}};
}

template <class S>
struct linear_case {
  fw::head_shape shape;
  fw::sequences batch;
  fw::matrix<S> q, k, v, dout;

  linear_case(fw::head_shape sizes, const fw::sequences& rows, double spread = 1)
      : linear_case(sizes, rows, spread, static_cast<std::uint64_t>(rows.rows() * 7 + sizes.key_width)) {}
  linear_case(fw::head_shape sizes, const fw::sequences& rows, double spread, std::uint64_t seed)
      : shape(sizes), batch(rows) {
    checks::numbers random(seed);
    q = random.matrix<S>(rows.rows(), sizes.heads * sizes.key_width, spread);
    k = random.matrix<S>(rows.rows(), sizes.key_heads * sizes.key_width, spread);
    v = random.matrix<S>(rows.rows(), sizes.key_heads * sizes.head_width);
    dout = random.matrix<S>(rows.rows(), sizes.heads * sizes.head_width);
  }
  template <class T>
  explicit linear_case(const linear_case<T>& other)
      : shape(other.shape),
        batch(other.batch),
        q(checks::as<S>(other.q)),
        k(checks::as<S>(other.k)),
        v(checks::as<S>(other.v)),
        dout(checks::as<S>(other.dout)) {}

  /// Forward and backward by the kernel.
  template <class Policies>
  linearly_attended<S> run(const Policies& chosen, checks::places at = {}) const {
    auto q_there = at(q), k_there = at(k), v_there = at(v), dout_there = at(dout);
    const auto output = [&](Index rows, Index cols) { return at.template output<S>(rows, cols); };
    auto out = output(dout.rows(), dout.cols()), kept = output(q.rows(), shape.heads), dq = output(q.rows(), q.cols()),
         dk = output(k.rows(), k.cols()), dv = output(v.rows(), v.cols());
    fw::linear_attend_forward<S>(out, kept, q_there, k_there, v_there, batch, shape, chosen);
    fw::linear_attend_backward<S>(dq, dk, dv, dout_there, out, kept, q_there, k_there, v_there, batch, shape, chosen);
    return {out.copy(), kept.copy(), dq.copy(), dk.copy(), dv.copy()};
  }
  template <class Policies>
  linearly_attended<S> expect(const Policies& chosen) const {
    return oracle::linear_attend<S>(q, k, v, dout, batch, shape, chosen);
  }
};

template <class S>
bool same_bits(const linearly_attended<S>& a, const linearly_attended<S>& b) {
  using checks::same_bits;
  return same_bits(a.out, b.out) && same_bits(a.kept, b.kept) && same_bits(a.dq, b.dq) && same_bits(a.dk, b.dk) &&
         same_bits(a.dv, b.dv);
}

}  // namespace cases
