// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/scale.hpp>
#include <formwork/core/matrix.hpp>
#include <formwork/core/pack.hpp>
#include <formwork/core/parallel.hpp>

namespace formwork::inline FORMWORK_ABI {

/// y_h = factor_h x_h, or factor_h x_h / |x_h| for unit lengths: the heads of a row lie side by side, x becomes y.
///
/// Shapes    x (rows × heads · width), factor (heads) or null for 1, inverse (rows × heads): 1 / |x_h|, written for unit lengths.
/// Numerics  bits depend on a row alone. A vector whose squares sum to 0 gives 0 and gets the gradient 0.
template <number S>
void scale_heads(view<S> x, Index heads, const S* factor, lengths length, view<S> inverse) {
  using P = pack<S>;
  const Index width = x.cols() / heads;
  parallel_ranges(x.rows(), rows_per_task(x.cols()), [&](Index first, Index last) {
    for (Index i = first; i < last; ++i)
      for (Index h = 0; h < heads; ++h) {
        S* v = x.row(i) + h * width;
        S by = factor ? factor[h] : S(1);
        if (length == lengths::unit) {
          P squares(0);
          for (Index j = 0; j < width; j += P::size) {
            const P p = P::load(v + j, width - j);
            squares = fma(p, p, squares);
          }
          using one = pack<S, 1>;
          const S total = sum(squares);
          inverse(i, h) = total > S(0) ? (one(1) / sqrt(one(total)))[0] : S(0);
          by *= inverse(i, h);
        }
        for (Index j = 0; j < width; j += P::size) (P(by) * P::load(v + j, width - j)).store(v + j, width - j);
      }
  });
}

/// dy becomes dx; factor_h's gradient is the sum over the rows of dots(i, h) / factor_h, dots(i, h) = y_h · dy_h:
///   dx_h = factor_h dy_h, for unit lengths (factor_h dy_h - y_h dots / factor_h) / |x_h|.
///
/// Shapes    dy, y as x above; dots (rows × heads), or empty where nobody learns the factors.
/// Numerics  bits depend on a row alone.
template <number S>
void scale_heads_backward(view<S> dy, view<const S> y, Index heads, const S* factor, lengths length, view<const S> inverse,
                          view<S> dots) {
  using P = pack<S>;
  const Index width = y.cols() / heads;
  parallel_ranges(y.rows(), rows_per_task(y.cols()), [&](Index first, Index last) {
    for (Index i = first; i < last; ++i)
      for (Index h = 0; h < heads; ++h) {
        S* d = dy.row(i) + h * width;
        const S* v = y.row(i) + h * width;
        P products(0);
        for (Index j = 0; j < width; j += P::size) products = fma(P::load(v + j, width - j), P::load(d + j, width - j), products);
        const S dot = sum(products), by = factor ? factor[h] : S(1);
        if (dots.data()) dots(i, h) = dot;
        const S inv = length == lengths::unit ? inverse(i, h) : S(1);
        const P direct(by * inv), along(length == lengths::unit && inv != S(0) ? -inv * dot / by : S(0));
        for (Index j = 0; j < width; j += P::size)
          fma(direct, P::load(d + j, width - j), along * P::load(v + j, width - j)).store(d + j, width - j);
      }
  });
}

}  // namespace formwork
