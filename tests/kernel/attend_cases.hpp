// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/heads.hpp>
#include <formwork/kernel/attend.hpp>
#include <formwork/mask.hpp>
#include <formwork/scale.hpp>
#include <formwork/score.hpp>
#include <formwork/weights.hpp>

#include "kernel/checks.hpp"
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
      : shape(sizes), batch(queries), key_batch(keys) {
    checks::numbers random(static_cast<std::uint64_t>(queries.rows() * 7 + sizes.key_width));
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
  attended<S> run(const Policies& chosen) const {
    const S unread = std::numeric_limits<S>::quiet_NaN();  // fresh outputs are never read
    attended<S> r{{dout.rows(), dout.cols(), unread},
                  {q.rows(), shape.heads, unread},
                  {q.rows(), q.cols(), unread},
                  {k.rows(), k.cols(), unread},
                  {v.rows(), v.cols(), unread}};
    fw::attend_forward<S>(r.out, r.lse, q, k, v, batch, key_batch, shape, chosen);
    fw::attend_backward<S>(r.dq, r.dk, r.dv, dout, r.out, r.lse, q, k, v, batch, key_batch, shape, chosen);
    return r;
  }
  template <class Policies>
  attended<S> expect(const Policies& chosen) const {
    return oracle::attend<S>(q, k, v, dout, batch, key_batch, shape, chosen.mask, chosen.scale, chosen.score);
  }
};

template <class S>
bool same_bits(const attended<S>& a, const attended<S>& b) {
  using checks::same_bits;
  return same_bits(a.out, b.out) && same_bits(a.lse, b.lse) && same_bits(a.dq, b.dq) && same_bits(a.dk, b.dk) &&
         same_bits(a.dv, b.dv);
}

}  // namespace cases
