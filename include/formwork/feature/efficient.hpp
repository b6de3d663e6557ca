// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/feature.hpp>
#include <formwork/contract/mask.hpp>
#include <formwork/core/math.hpp>
#include <formwork/core/parallel.hpp>
#include <formwork/kernel/softmax.hpp>

#include <algorithm>
#include <limits>

namespace formwork::inline FORMWORK_ABI {

/// Efficient attention: the softmax of each query over its features, and of each feature over the keys of the sequence. The
/// denominator is then 1, so the weights are those of the paper, which has none. As a key's features depend on later keys it is
/// not causal; its causal relative is `exponential`: the normalisation of a query cancels there, and that of keys is left out.
///
/// Shapes    key_width features.
/// Numerics  the largest number of a row or column is subtracted first. The denominator is 1 but for rounding.
/// Cost      three passes over the keys beside linear attention's.
/// Source    Shen et al., 1812.01243.
/// Differs   the rounded denominator is divided by: rows sum to 1 to the last bits.
struct efficient {
  using plugs_into = slot::feature;
  static constexpr turned turns = turned::features;

  Index width(Index key_width) const { return key_width; }

  template <real S>
  void forward(view<S> y, view<const S> x, side of) const {
    if (of == side::queries) return softmax_forward<S>(y, nullptr, x);
    for (Index i = 0; i < x.rows(); ++i) std::copy_n(x.row(i), x.cols(), y.row(i));
  }
  template <real S>
  void backward(view<S> dx, view<S> dy, view<const S> y, view<const S>, side of) const {
    if (of == side::queries) return softmax_backward<S>(dx, dy, y);
    for (Index i = 0; i < dy.rows(); ++i) std::copy_n(dy.row(i), dy.cols(), dx.row(i));
  }

  /// k(:, f) = softmax of it over each sequence.
  template <real S>
  void over_sequences(view<S> k, Index, const sequences& batch) const {
    using P = pack<S>;
    each_strip<S>(k, batch, [&](index_range rows, Index j, Index count) {
      P most(-std::numeric_limits<S>::infinity()), total(0);
      for (Index i = rows.first; i < rows.last; ++i) most = max(P::load(k.row(i) + j, count), most);
      for (Index i = rows.first; i < rows.last; ++i) {
        const P e = exp(P::load(k.row(i) + j, count) - most);
        e.store(k.row(i) + j, count);
        total += e;
      }
      const P inverse = P(1) / total;
      for (Index i = rows.first; i < rows.last; ++i) (P::load(k.row(i) + j, count) * inverse).store(k.row(i) + j, count);
    });
  }
  /// dk = y ⊙ (dk - Σ_j y_j dk_j) for what became of the keys, y.
  template <real S>
  void over_sequences_backward(view<S> dk, view<const S> y, Index, const sequences& batch) const {
    using P = pack<S>;
    each_strip<S>(dk, batch, [&](index_range rows, Index j, Index count) {
      P along(0);
      for (Index i = rows.first; i < rows.last; ++i)
        along = fma(P::load(y.row(i) + j, count), P::load(dk.row(i) + j, count), along);
      for (Index i = rows.first; i < rows.last; ++i)
        (P::load(y.row(i) + j, count) * (P::load(dk.row(i) + j, count) - along)).store(dk.row(i) + j, count);
    });
  }

 private:
  /// f(rows, j, count) for each sequence and pack of columns.
  template <real S, class F>
  static void each_strip(view<S> x, const sequences& batch, F f) {
    const Index strips = (x.cols() + lanes<S> - 1) / lanes<S>;
    parallel_for(batch.count() * strips, [&](Index task) {
      const Index s = task / strips, j = task % strips * lanes<S>;
      f(index_range{batch.first(s), batch.first(s + 1)}, j, x.cols() - j);
    });
  }
};
static_assert(feature_policy<efficient> && looks_over_sequences<efficient, float>);

}  // namespace formwork
