// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/attention/score_values.hpp>
#include <formwork/contract/heads.hpp>
#include <formwork/contract/position.hpp>
#include <formwork/kernel/product.hpp>
#include <formwork/kernel/relative_rows.hpp>

namespace formwork::inline FORMWORK_ABI {

/// What vectors by distance add around the kernel: products of queries with those of keys before it, of summed weights with
/// those of values behind it, and the way back. Nothing for a position without such vectors.
template <class Position, number S>
struct relative_heads {
  relative_heads(const Position&, view<const S>, const head_shape&, const auto&) {}
  void enter(auto&) {}
  void add_values(view<S>, const auto&) const {}
  void enter_backward(auto&, view<const S>, const auto&) {}
  void add_gradients(view<S>, view<const S>, view<const S>, auto&, const auto&) const {}
};

template <class Position, number S>
  requires relates_vectors<Position, S>
struct relative_heads<Position, S> {
  head_shape shape;
  Index width;             ///< of one head's numbers by distance
  matrix<S> scores, sums;  ///< q · a (rows × query_heads · width), Σ weights (rows × output_heads · width)
  matrix<S> dscores = {}, dweights = {};

  relative_heads(const Position& position, view<const S> q, const head_shape& h, const auto& values)
      : shape(h),
        width(relative_rows<S>::width(position.longest)),
        scores(q.rows(), h.query_heads * width),
        sums(q.rows(), h.output_heads * width) {
    for (Index a = 0; a < h.query_heads; ++a)
      product_nt<S>(scores.cols(a * width, width), q.cols(a * h.key_width, h.key_width), value_of(values.key_vectors));
  }

  /// What the kernel's forward reads and writes.
  void enter(relative_rows<S>& columns) { columns.scores = scores, columns.weight_sums = sums; }
  /// out += sums b.
  void add_values(view<S> out, const auto& values) const {
    for (Index o = 0; o < shape.output_heads; ++o)
      product_nn<S>(out.cols(o * shape.head_width, shape.head_width), sums.cols(o * width, width), value_of(values.value_vectors),
                    start::continued);
  }

  /// What the kernel's backward reads and writes.
  void enter_backward(relative_rows<S>& columns, view<const S> dout, const auto& values) {
    dscores = matrix<S>(scores.rows(), scores.cols()), dweights = matrix<S>(sums.rows(), sums.cols());
    for (Index o = 0; o < shape.output_heads; ++o)
      product_nt<S>(dweights.cols(o * width, width), dout.cols(o * shape.head_width, shape.head_width),
                    value_of(values.value_vectors));
    columns.scores = scores, columns.weight_sums = {}, columns.weight_gradients = dweights, columns.score_gradients = dscores;
  }
  /// dq += dscores a; da = dscoresᵀ q; db = sumsᵀ dout, where they are wanted.
  void add_gradients(view<S> dq, view<const S> q, view<const S> dout, auto& wanted, const auto& values) const {
    for (Index a = 0; a < shape.query_heads; ++a) {
      const auto how = a == 0 ? start::fresh : start::continued;
      const auto mine = dscores.cols(a * width, width);
      product_nn<S>(dq.cols(a * shape.key_width, shape.key_width), mine, value_of(values.key_vectors), start::continued);
      if (wanted.key_vectors.size() > 0)
        product_tn<S>(wanted.key_vectors, mine, q.cols(a * shape.key_width, shape.key_width), how);
    }
    if (wanted.value_vectors.size() > 0)
      for (Index o = 0; o < shape.output_heads; ++o)
        product_tn<S>(wanted.value_vectors, sums.cols(o * width, width), dout.cols(o * shape.head_width, shape.head_width),
                      o == 0 ? start::fresh : start::continued);
  }
};

}  // namespace formwork
