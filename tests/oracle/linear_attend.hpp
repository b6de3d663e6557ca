// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/heads.hpp>
#include <formwork/core/matrix.hpp>
#include <formwork/core/sequences.hpp>
#include <formwork/kernel/linear_attend.hpp>

#include <algorithm>
#include <cmath>

// Linear attention as its recurrence reads, token by token. In double the oracle, in float the naive loop
// whose error ours may not exceed by much.

namespace oracle {

namespace fw = formwork;
using fw::Index;

template <class S>
struct linearly_attended {
  fw::matrix<S> out, kept, dq, dk, dv;
  double dq_part = 0, dk_part = 0;  ///< the size of the largest terms of a gradient's two parts: they can cancel
};

/// The features of one head of a sequence, turned ones beside them, and the slopes.
template <class S>
struct featured {
  fw::matrix<S> plain, turned, slope;

  template <class Policies>
  featured(fw::view<const S> x, const Policies& policies, Index position)
      : plain(x.rows(), x.cols()), turned(x.rows(), x.cols()), slope(x.rows(), x.cols()) {
    using P = fw::pack<S, 1>;
    for (Index i = 0; i < x.rows(); ++i)
      for (Index j = 0; j < x.cols(); ++j) {
        const fw::dual<P> y = policies.feature(fw::dual<P>(P(x(i, j)), P(1)));
        plain(i, j) = turned(i, j) = y.value[0];
        slope(i, j) = y.slope[0];
      }
    policies.template turned<S>(turned, position, fw::direction::forward);
  }
};

template <class S, class Policies>
linearly_attended<S> linear_attend(const fw::matrix<S>& q, const fw::matrix<S>& k, const fw::matrix<S>& v,
                                   const fw::matrix<S>& dout, const fw::sequences& batch, fw::head_shape shape,
                                   const Policies& policies) {
  constexpr bool causal = Policies::sums == fw::key_sums::causal;
  const Index m = shape.key_width, d = shape.head_width;
  linearly_attended<S> r{{q.rows(), shape.heads * d, S(0)},
                         {q.rows(), shape.heads},
                         {q.rows(), q.cols(), S(0)},
                         {k.rows(), k.cols(), S(0)},
                         {v.rows(), v.cols(), S(0)}};
  for (Index s = 0; s < batch.count(); ++s)
    for (Index h = 0; h < shape.heads; ++h) {
      const Index n = batch.length(s), row = batch.first(s), g = h / (shape.heads / shape.key_heads);
      const auto part = [&](auto& x, Index head, Index width) { return x.rows(row, n).cols(head * width, width); };
      const featured<S> fq(part(q, h, m), policies, batch.start(s)), fk(part(k, g, m), policies, batch.start(s));
      const auto vs = part(v, g, d), gs = part(dout, h, d);
      auto out = part(r.out, h, d), dq = part(r.dq, h, m), dk = part(r.dk, g, m), dv = part(r.dv, g, d);

      fw::matrix<S> sums(m, d, S(0)), key_sum(1, m, S(0)), dn(n, d), turned_dq(n, m, S(0)), turned_dk(n, m, S(0)), dz(1, n);
      fw::matrix<S> dz_size(1, n, S(0)), dq_size(n, m), dk_size(n, m), later_size(1, m, S(0));
      const auto add_key = [&](Index j) {
        for (Index f = 0; f < m; ++f) {
          for (Index x = 0; x < d; ++x) sums(f, x) += fk.turned(j, f) * vs(j, x);
          key_sum(0, f) += fk.plain(j, f);
        }
      };
      if (!causal)
        for (Index j = 0; j < n; ++j) add_key(j);
      for (Index i = 0; i < n; ++i) {
        if (causal) add_key(i);
        S denominator = 0;
        for (Index f = 0; f < m; ++f) denominator += fq.plain(i, f) * key_sum(0, f);
        r.kept(row + i, h) = denominator;
        const S inverse = denominator == 0 ? S(0) : 1 / denominator;
        dz(0, i) = 0;
        for (Index x = 0; x < d; ++x) {
          for (Index f = 0; f < m; ++f) out(i, x) += fq.turned(i, f) * sums(f, x);
          out(i, x) *= inverse;
          dn(i, x) = gs(i, x) * inverse;
          dz(0, i) -= dn(i, x) * out(i, x);
          dz_size(0, i) += std::abs(dn(i, x) * out(i, x));
        }
        for (Index f = 0; f < m; ++f) {
          for (Index x = 0; x < d; ++x) turned_dq(i, f) += sums(f, x) * dn(i, x);
          dq(i, f) = dz(0, i) * key_sum(0, f);
          dq_size(i, f) = dz_size(0, i) * key_sum(0, f);
        }
      }

      fw::matrix<S> later(m, d, S(0)), later_q(1, m, S(0)), plain_dk(n, m);
      const auto add_query = [&](Index i) {
        for (Index f = 0; f < m; ++f) {
          for (Index x = 0; x < d; ++x) later(f, x) += fq.turned(i, f) * dn(i, x);
          later_q(0, f) += dz(0, i) * fq.plain(i, f);
          later_size(0, f) += dz_size(0, i) * fq.plain(i, f);
        }
      };
      if (!causal)
        for (Index i = 0; i < n; ++i) add_query(i);
      for (Index j = n - 1; j >= 0; --j) {
        if (causal) add_query(j);
        for (Index f = 0; f < m; ++f) {
          for (Index x = 0; x < d; ++x) {
            turned_dk(j, f) += later(f, x) * vs(j, x);
            dv(j, x) += later(f, x) * fk.turned(j, f);
          }
          plain_dk(j, f) = later_q(0, f);
          dk_size(j, f) = later_size(0, f);
        }
      }
      policies.template turned<S>(turned_dq, batch.start(s), fw::direction::backward);
      policies.template turned<S>(turned_dk, batch.start(s), fw::direction::backward);
      for (Index i = 0; i < n; ++i)
        for (Index f = 0; f < m; ++f) {
          r.dq_part = std::max(r.dq_part, std::abs(static_cast<double>(dq_size(i, f) * fq.slope(i, f))));
          r.dk_part = std::max(r.dk_part, std::abs(static_cast<double>(dk_size(i, f) * fk.slope(i, f))));
          dq(i, f) = (dq(i, f) + turned_dq(i, f)) * fq.slope(i, f);
          dk(i, f) += (plain_dk(i, f) + turned_dk(i, f)) * fk.slope(i, f);
        }
    }
  return r;
}

}  // namespace oracle
