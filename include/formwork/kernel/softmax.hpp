// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/math.hpp>
#include <formwork/core/reduce.hpp>
#include <formwork/kernel/transform.hpp>

#include <cmath>

namespace formwork::inline FORMWORK_ABI {

/// y_j = exp(x_j - max x) / Σ exp(x_j - max x), each row alone; lse = max x + log of that sum. y may be x.
///
/// Shapes    x, y (rows × width), lse (rows) or null.
/// Numerics  error ≤ 2 × that of a naive loop + 4 eps; -∞ gives exactly 0. A row of -∞ alone, or without columns, gives zeros
///           and lse = -∞.
template <number S>
void softmax_forward(view<S> y, std::type_identity_t<S>* lse, const_view<S> x) {
  using P = pack<S>;
  const Index n = y.cols();
  parallel_ranges(y.rows(), rows_per_task(n), [&](Index first, Index last) {
    for (Index i = first; i < last; ++i) {
      const S* from = x.row(i);
      S* to = y.row(i);
      const real_of<S> most = largest(from, n);
      if (most == -std::numeric_limits<real_of<S>>::infinity()) {
        std::fill_n(to, n, S(0));
        if (lse) lse[i] = most;
        continue;
      }
      const P shift(most);
      const auto sum = sum_in_blocks<S>(n, [=](Index j, Index count, P a) {
        P e = exp(P::load(from + j, count) - shift);
        e.store(to + j, count);
        if (count < P::size) e = select(P::ramp(0) < P(count), e, P(0));
        return a + e;
      });
      const P inverse(rounded<S>(1 / sum));
      for (Index j = 0; j < n; j += P::size) (P::load(to + j, n - j) * inverse).store(to + j, n - j);
      if (lse) lse[i] = rounded<S>(static_cast<double>(most) + logarithm(sum));
    }
  });
}

/// dx = y ⊙ (dy - Σ_j y_j dy_j), each row alone. dx may be dy or y.
template <number S>
void softmax_backward(view<S> dx, const_view<S> dy, const_view<S> y, start how = start::fresh) {
  using P = pack<S>;
  const Index n = dx.cols();
  parallel_ranges(dx.rows(), rows_per_task(n), [&](Index first, Index last) {
    for (Index i = first; i < last; ++i) {
      const P along(rounded<S>(dot(y.row(i), dy.row(i), n)));
      S* const to = dx.row(i);
      for (Index j = 0; j < n; j += P::size) {
        P d = P::load(y.row(i) + j, n - j) * (P::load(dy.row(i) + j, n - j) - along);
        if (how == start::continued) d = P::load(to + j, n - j) + d;
        d.store(to + j, n - j);
      }
    }
  });
}

}  // namespace formwork
