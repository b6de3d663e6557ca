// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/heads.hpp>
#include <formwork/kernel/attend.hpp>
#include <formwork/mask.hpp>
#include <formwork/scale.hpp>
#include <formwork/score.hpp>
#include <formwork/weights.hpp>

#include "kernel/sweep.hpp"
#include "oracle/attend.hpp"

// One attention with random inputs, run by the kernel and by the oracle.

namespace cases {

namespace fw = formwork;
using fw::Index;
using oracle::attended;

template <class Mask, class Scale = fw::inv_sqrt, class Score = fw::plain>
auto policies(Mask mask, Scale scale = {}, Score score = {}) {
  return fw::attend_policies{mask, scale, score, fw::softmax{}, fw::grouped{}};
}

template <class S>
struct attention_case {
  fw::head_shape shape;
  fw::sequences batch, key_batch;
  fw::matrix<S> q, k, v, dout;

  attention_case(fw::head_shape sizes, const fw::sequences& queries, const fw::sequences& keys, double spread = 1.5)
      : attention_case(sizes, queries, keys, spread, static_cast<std::uint64_t>(queries.rows() * 7 + sizes.key_width)) {
  }
  attention_case(fw::head_shape sizes, const fw::sequences& queries, const fw::sequences& keys, double spread,
                 std::uint64_t seed)
      : shape(sizes), batch(queries), key_batch(keys) {
    checks::numbers random(seed);
    q = random.matrix<S>(queries.rows(), sizes.heads * sizes.key_width, spread);
    k = random.matrix<S>(keys.rows(), sizes.key_heads * sizes.key_width, spread);
    v = random.matrix<S>(keys.rows(), sizes.key_heads * sizes.head_width);
    dout = random.matrix<S>(queries.rows(), sizes.heads * sizes.head_width);
  }
  attention_case(fw::head_shape sizes, const fw::sequences& both) : attention_case(sizes, both, both) {}
  template <class T>
  explicit attention_case(const attention_case<T>& other)
      : shape(other.shape),
        batch(other.batch),
        key_batch(other.key_batch),
        q(checks::as<S>(other.q)),
        k(checks::as<S>(other.k)),
        v(checks::as<S>(other.v)),
        dout(checks::as<S>(other.dout)) {}

  /// Forward and backward by the kernel.
  template <class Policies>
  attended<S> run(const Policies& chosen, checks::places at = {}) const {
    auto q_there = at(q), k_there = at(k), v_there = at(v), dout_there = at(dout);
    const auto output = [&](Index rows, Index cols) { return at.template output<S>(rows, cols); };
    auto out = output(dout.rows(), dout.cols()), lse = output(q.rows(), shape.heads), dq = output(q.rows(), q.cols()),
         dk = output(k.rows(), k.cols()), dv = output(v.rows(), v.cols());
    fw::attend_forward<S>(out, lse, q_there, k_there, v_there, batch, key_batch, shape, chosen);
    fw::attend_backward<S>(dq, dk, dv, dout_there, out, lse, q_there, k_there, v_there, batch, key_batch, shape,
                           chosen);
    return {out.copy(), lse.copy(), dq.copy(), dk.copy(), dv.copy()};
  }
  template <class Policies>
  attended<S> expect(const Policies& chosen) const {
    return oracle::attend<S>(q, k, v, dout, batch, key_batch, shape, chosen.mask, chosen.scale, chosen.score);
  }
};

/// Sequences of queries and their keys: the same ones, the last queries of longer ones, or others.
struct random_sequences {
  fw::sequences queries, keys;

  random_sequences(checks::trial& t, Index rows) : queries(t.ragged(rows)), keys(queries) {
    const Index kind = t.below(3);
    if (kind == 0) return;
    std::vector<Index> lengths, starts;
    for (Index s = 0; s < queries.count(); ++s) {
      const Index more = t.size(rows, 0);
      lengths.push_back(kind == 1 ? queries.length(s) + more : more);
      starts.push_back(kind == 1 ? more : 0);
    }
    keys = fw::sequences(lengths);
    queries.starts(starts);
  }
};

/// The accuracy rule on outputs and gradients.
inline void check_attended(checks::trial& t, const attended<float>& a, const attended<float>& b,
                           const attended<double>& c, const attended<double>& d) {
  t.accurate("out", a.out, b.out, c.out, 2), t.accurate("out", d.out, c.out);
  t.accurate("lse", a.lse, b.lse, c.lse, 2, 1), t.accurate("lse", d.lse, c.lse);
  t.accurate("dq", a.dq, b.dq, c.dq, 3, c.dq_part), t.accurate("dq", d.dq, c.dq, c.dq_part);
  t.accurate("dk", a.dk, b.dk, c.dk, 3, c.dk_part), t.accurate("dk", d.dk, c.dk, c.dk_part);
  t.accurate("dv", a.dv, b.dv, c.dv, 3), t.accurate("dv", d.dv, c.dv);
}

template <class S>
bool same_bits(const attended<S>& a, const attended<S>& b) {
  using checks::same_bits;
  return same_bits(a.out, b.out) && same_bits(a.lse, b.lse) && same_bits(a.dq, b.dq) && same_bits(a.dk, b.dk) &&
         same_bits(a.dv, b.dv);
}

}  // namespace cases
