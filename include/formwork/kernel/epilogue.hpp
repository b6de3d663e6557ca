// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/matrix.hpp>

#include <tuple>

namespace formwork::inline FORMWORK_ABI {

// An epilogue follows each group of elements of a product as soon as its chains are whole, while the tile is in cache:
// `pack<S> operator()(Index row, Index col, pack<S> value, Index count) const` gets elements (row, col) ... (row, col +
// count - 1), exactly once each, from any thread, and gives what the product stores there. It may store to other matrices.
// Any such callable will do; these are the usual ones.

/// The product is all.
struct none {};

/// value + bias of the column.
template <class S>
struct add_bias {
  const S* bias = nullptr;

  pack<S> operator()(Index, Index col, pack<S> value, Index count) const {
    return value + pack<S>::load(bias + col, count);
  }
};
template <class S>
add_bias(const S*) -> add_bias<S>;
template <class S>
add_bias(S*) -> add_bias<S>;

/// formula(value); `before`, if given, keeps the value for the backward.
template <class S, class Formula>
struct activate {
  Formula formula;
  view<S> before = {};

  pack<S> operator()(Index row, Index col, pack<S> value, Index count) const {
    if (before.data()) value.store(before.row(row) + col, count);
    return formula(value);
  }
};
template <class S, class Formula>
activate(Formula, view<S>) -> activate<S, Formula>;

/// formula(by) ⊙ value: the second product of a gated layer; `before` as above.
template <class S, class Formula>
struct gate {
  Formula formula;
  view<const S> by;
  view<S> before = {};

  pack<S> operator()(Index row, Index col, pack<S> value, Index count) const {
    if (before.data()) value.store(before.row(row) + col, count);
    return formula(pack<S>::load(by.row(row) + col, count)) * value;
  }
};
template <class S, class Formula>
gate(Formula, view<const S>, view<S>) -> gate<S, Formula>;

/// x + value.
template <class S>
struct add_residual {
  view<const S> x;

  pack<S> operator()(Index row, Index col, pack<S> value, Index count) const {
    return pack<S>::load(x.row(row) + col, count) + value;
  }
};
template <class S>
add_residual(view<const S>) -> add_residual<S>;
template <class S>
add_residual(view<S>) -> add_residual<S>;

/// One after another, the first one first.
template <class... Epilogue>
struct chained {
  std::tuple<Epilogue...> each;

  explicit chained(Epilogue... e) : each(std::move(e)...) {}

  template <class P>
  P operator()(Index row, Index col, P value, Index count) const {
    std::apply([&](const auto&... e) { ((value = e(row, col, value, count)), ...); }, each);
    return value;
  }
};

}  // namespace formwork
