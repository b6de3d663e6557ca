// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/kernel/attend_tangent.hpp>

#include "kernel/attend_cases.hpp"
#include "oracle/attend_tangent.hpp"

#include <array>

// One attention and a direction, which is an attention's inputs again: how everything changes, by the kernel and by differences.

namespace cases {

using oracle::attended_tangent;

/// A case and a direction at random, as hard on both.
template <class S>
struct moving_case {
  attention_case<S> at, along;

  moving_case(fw::head_shape shape, const fw::sequences& queries, const fw::sequences& keys)
      : at(shape, queries, keys), along(shape, queries, keys, 1, 77) {}
  moving_case(fw::head_shape shape, const fw::sequences& both) : moving_case(shape, both, both) {}
  moving_case(attention_case<S> where, attention_case<S> direction) : at(std::move(where)), along(std::move(direction)) {}
  template <class T>
  explicit moving_case(const moving_case<T>& other) : at(other.at), along(other.along) {}

  template <class Policies>
  attended_tangent<S> run(const Policies& chosen, checks::places put = {}) const {
    const auto output = [&](Index rows, Index cols) { return put.template output<S>(rows, cols); };
    auto q = put(at.q), k = put(at.k), v = put(at.v), dout = put(at.dout), q_t = put(along.q), k_t = put(along.k),
         v_t = put(along.v), dout_t = put(along.dout);
    auto out = output(at.dout.rows(), at.dout.cols()), lse = output(at.q.rows(), at.shape.heads), out_t = out, lse_t = lse;
    auto dq = output(at.q.rows(), at.q.cols()), dk = output(at.k.rows(), at.k.cols()), dv = output(at.v.rows(), at.v.cols()),
         dq_t = dq, dk_t = dk, dv_t = dv;
    fw::attend_tangent<S>({out, out_t}, {lse, lse_t}, {q, q_t}, {k, k_t}, {v, v_t}, at.batch, at.key_batch, at.shape, chosen);
    fw::attend_gradient_tangent<S>({dq, dq_t}, {dk, dk_t}, {dv, dv_t}, {dout, dout_t}, {out, out_t}, {lse, lse_t}, {q, q_t},
                                   {k, k_t}, {v, v_t}, at.batch, at.key_batch, at.shape, chosen);
    return {{out.copy(), lse.copy(), dq.copy(), dk.copy(), dv.copy()},
            {out_t.copy(), lse_t.copy(), dq_t.copy(), dk_t.copy(), dv_t.copy()}};
  }
  attended_tangent<S> expect(const auto& chosen, const auto& bent) const {
    return oracle::attend_tangent<S>(at, along, chosen, bent);
  }
};

/// Outputs, log-sum-exps and gradients.
inline constexpr std::array output_names = {"out", "lse", "dq", "dk", "dv"};
template <class S>
std::array<const fw::matrix<S>*, 5> outputs(const attended<S>& a) {
  return {&a.out, &a.lse, &a.dq, &a.dk, &a.dv};
}

template <class S>
fw::matrix<S> combined(double a, const fw::matrix<S>& x, double b, const fw::matrix<S>& y) {
  fw::matrix<S> r(x.rows(), x.cols());
  for (Index i = 0; i < r.size(); ++i) r.data()[i] = static_cast<S>(a) * x.data()[i] + static_cast<S>(b) * y.data()[i];
  return r;
}
/// a x + b y, inputs and dout.
template <class S>
attention_case<S> combined(double a, const attention_case<S>& x, double b, const attention_case<S>& y) {
  attention_case<S> r = x;
  r.q = combined(a, x.q, b, y.q), r.k = combined(a, x.k, b, y.k), r.v = combined(a, x.v, b, y.v);
  r.dout = combined(a, x.dout, b, y.dout);
  return r;
}

inline double inner(const fw::matrix<double>& a, const fw::matrix<double>& b) {
  double sum = 0;
  for (Index i = 0; i < a.size(); ++i) sum += a.data()[i] * b.data()[i];
  return sum;
}

/// (8 (f(h) - f(-h)) - (f(2h) - f(-2h))) / 12h, the derivative of f at 0 up to h⁴; 0 where f is infinite on both sides.
inline fw::matrix<double> difference(double h, const fw::matrix<double>& far_below, const fw::matrix<double>& below,
                                     const fw::matrix<double>& above, const fw::matrix<double>& far_above) {
  fw::matrix<double> r(above.rows(), above.cols(), 0.0);
  for (Index i = 0; i < r.size(); ++i)
    if (std::isfinite(above.data()[i]))
      r.data()[i] = (8 * (above.data()[i] - below.data()[i]) - (far_above.data()[i] - far_below.data()[i])) / (12 * h);
  return r;
}
/// The derivative of f(t), an attended, at t = 0.
inline attended<double> differences(double h, auto f) {
  const attended<double> a = f(-2 * h), b = f(-h), c = f(h), d = f(2 * h);
  return {difference(h, a.out, b.out, c.out, d.out), difference(h, a.lse, b.lse, c.lse, d.lse),
          difference(h, a.dq, b.dq, c.dq, d.dq), difference(h, a.dk, b.dk, c.dk, d.dk), difference(h, a.dv, b.dv, c.dv, d.dv)};
}

template <class S>
bool same_bits(const attended_tangent<S>& a, const attended_tangent<S>& b) {
  return same_bits(a.value, b.value) && same_bits(a.slope, b.slope);
}

}  // namespace cases
