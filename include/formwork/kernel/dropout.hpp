// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/random.hpp>
#include <formwork/core/sequences.hpp>
#include <formwork/kernel/transform.hpp>

namespace formwork::inline FORMWORK_ABI {

/// sum = [sum +] x ⊙ factor with factor 1 / (1 - rate) where the mask keeps a number, else 0. Nothing is stored: forward and
/// backward draw the same mask again, which is keyed by (seed, step, stream) and each number's sequence id, position and
/// column. So a sequence draws the same alone and in any batch, as a whole and in pieces. sum may be x.
///
/// Shapes    sum, x (tokens × width); the row r of sequence s has the id id(s) and the position start(s) + r.
/// Numerics  one rounding; a dropped NaN or infinity becomes 0.
/// Throws    argument_error where the rows are not those of the sequences.
/// Source    Srivastava et al., JMLR 15 (2014), inverted.
template <number S>
void apply_dropout(view<S> sum, start how, const_view<S> x, const dropout_mask& mask, const sequences& rows) {
  using P = pack<S>;
  require(x.rows() == rows.rows(), "dropout: x is ", shape_text(x), " but the sequences have ", rows.rows(), " rows");
  const Index n = sum.cols(), stride = padded<S>(n);
  const scratch<real_of<S>> factors(std::max<Index>(stride * threads(), 1));
  parallel_ranges(sum.rows(), rows_per_task(n), [&](Index first, Index last) {
    real_of<S>* const factor = factors.data() + thread_number() * stride;
    Index s = rows.sequence_of(first);
    for (Index i = first; i < last; ++i) {
      while (i >= rows.first(s + 1)) ++s;
      mask.row(factor, n, rows.id(s), rows.start(s) + i - rows.first(s));
      S* const to = sum.row(i);
      for (Index j = 0; j < n; j += P::size) {
        const P f = P::load(factor + j);
        P y = select(f > P(0), P::load(x.row(i) + j, n - j) * f, P(0));
        if (how == start::continued) y = P::load(to + j, n - j) + y;
        y.store(to + j, n - j);
      }
    }
  });
}

/// y = x ⊙ factor. y may be x.
template <number S>
void dropout_forward(view<S> y, const_view<S> x, const dropout_mask& mask, const sequences& rows) {
  apply_dropout(y, start::fresh, x, mask, rows);
}

/// dx = dy ⊙ factor, the same. dx may be dy.
template <number S>
void dropout_backward(view<S> dx, const_view<S> dy, const dropout_mask& mask, const sequences& rows, start how = start::fresh) {
  apply_dropout(dx, how, dy, mask, rows);
}

}  // namespace formwork
