// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/dual.hpp>
#include <formwork/kernel/transform.hpp>

namespace formwork::inline FORMWORK_ABI {

// Formulas applied to every number. A formula is written once, for any number type, and gets its slope by being called with
// duals of packs; see contract/activation.hpp for what it may assume.

/// y = formula(x). y may be x.
template <real S, class Formula>
void map_forward(view<S> y, const Formula& formula, const_view<S> x) {
  transform(y, [&](pack<S> v) { return formula(v); }, x);
}

/// dx = dy ⊙ formula'(x). dx may be dy.
template <real S, class Formula>
void map_backward(view<S> dx, const Formula& formula, const_view<S> dy, const_view<S> x, start how = start::fresh) {
  contribute(
      dx, how, [&](pack<S> d, pack<S> v) { return d * formula(dual<pack<S>>(v, pack<S>(1))).slope; }, dy, x);
}

/// y = formula(g) ⊙ u: gated feed-forward parts. y may be g or u.
///
/// Source    Dauphin et al., 1612.08083; Shazeer, 2002.05202.
template <real S, class Formula>
void gate_forward(view<S> y, const Formula& formula, const_view<S> g, const_view<S> u) {
  transform(y, [&](pack<S> gate, pack<S> up) { return formula(gate) * up; }, g, u);
}

/// dg = dy ⊙ u ⊙ formula'(g), du = dy ⊙ formula(g), in one pass. dg may be g, du may be u; neither may be the other's input.
template <real S, class Formula>
void gate_backward(view<S> dg, view<S> du, const Formula& formula, const_view<S> dy, const_view<S> g, const_view<S> u,
                   start dg_start = start::fresh, start du_start = start::fresh) {
  using P = pack<S>;
  const auto put = [](S* to, P value, Index count, start how) {
    (how == start::continued ? P::load(to, count) + value : value).store(to, count);
  };
  parallel_ranges(dg.rows(), rows_per_task(dg.cols()), [&](Index first, Index last) {
    for (Index i = first; i < last; ++i)
      for (Index j = 0; j < dg.cols(); j += P::size) {
        const Index count = std::min<Index>(P::size, dg.cols() - j);
        const P d = P::load(dy.row(i) + j, count), up = P::load(u.row(i) + j, count);
        const dual<P> gate = formula(dual<P>(P::load(g.row(i) + j, count), P(1)));
        put(dg.row(i) + j, d * up * gate.slope, count, dg_start);
        put(du.row(i) + j, d * gate.value, count, du_start);
      }
  });
}

}  // namespace formwork
