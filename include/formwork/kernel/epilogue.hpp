// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/dual.hpp>
#include <formwork/core/matrix.hpp>

#include <tuple>

namespace formwork::inline FORMWORK_ABI {

// An epilogue follows each group of elements of a product as soon as its chains are whole, while the tile is in cache:
// `pack<S> operator()(Index row, Index col, pack<S> value, Index count) const` gets elements (row, col) ... (row, col +
// count - 1), exactly once each, from any thread, and gives what the product stores there. It may store to other matrices.
// Any such callable will do; these are the usual ones. One that touches matrices beside the product's may name them by
// `void operands(f) const`, calling f(view) for each: they are then fetched into cache while the tile is multiplied. One that
// may have nothing to do says so by `bool idle() const` and is then left out.

/// The product is all.
struct none {};

/// value + bias of the column, where there is one.
template <class S>
struct add_bias {
  const S* bias = nullptr;

  pack<S> operator()(Index, Index col, pack<S> value, Index count) const {
    return bias ? value + pack<S>::load(bias + col, count) : value;
  }
  bool idle() const { return !bias; }
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
  void operands(auto f) const { f(before); }
};
template <class S, class Formula>
activate(Formula, view<S>) -> activate<S, Formula>;

/// The backward of activate on the gradient dh of h = formula(a): gives da = dh formula'(a), and h once more.
template <class S, class Formula>
struct activate_backward {
  Formula formula;
  view<const S> a;
  view<S> h;

  pack<S> operator()(Index row, Index col, pack<S> dh, Index count) const {
    const dual<pack<S>> y = formula(dual<pack<S>>(pack<S>::load(a.row(row) + col, count), pack<S>(1)));
    y.value.store(h.row(row) + col, count);
    return dh * y.slope;
  }
  void operands(auto f) const { f(a), f(h); }
};

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
  void operands(auto f) const { f(by), f(before); }
};
template <class S, class Formula>
gate(Formula, view<const S>, view<S>) -> gate<S, Formula>;

/// The backward of gate on the gradient dh of h = formula(g) ⊙ u: gives du = dh formula(g), h once more, and puts
/// dg = dh u formula'(g) in the place of g.
template <class S, class Formula>
struct gate_backward {
  Formula formula;
  view<S> g;
  view<const S> u;
  view<S> h;

  pack<S> operator()(Index row, Index col, pack<S> dh, Index count) const {
    const pack<S> up = pack<S>::load(u.row(row) + col, count);
    const dual<pack<S>> y = formula(dual<pack<S>>(pack<S>::load(g.row(row) + col, count), pack<S>(1)));
    (y.value * up).store(h.row(row) + col, count);
    (dh * up * y.slope).store(g.row(row) + col, count);
    return dh * y.value;
  }
  void operands(auto f) const { f(g), f(u), f(h); }
};

/// x + value.
template <class S>
struct add_residual {
  view<const S> x;

  pack<S> operator()(Index row, Index col, pack<S> value, Index count) const {
    return pack<S>::load(x.row(row) + col, count) + value;
  }
  void operands(auto f) const { f(x); }
};
template <class S>
add_residual(view<const S>) -> add_residual<S>;
template <class S>
add_residual(view<S>) -> add_residual<S>;

/// f(view) for each matrix an epilogue names.
template <class Epilogue, class F>
void name_operands(const Epilogue& e, F f) {
  if constexpr (requires { e.operands(f); }) e.operands(f);
}

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
  void operands(auto f) const {
    std::apply([&](const auto&... e) { (name_operands(e, f), ...); }, each);
  }
};

}  // namespace formwork
