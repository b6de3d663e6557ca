// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/discretisation.hpp>
#include <formwork/core/legendre.hpp>
#include <formwork/kernel/tile.hpp>

#include <algorithm>
#include <cmath>
#include <concepts>
#include <numbers>

namespace formwork::inline FORMWORK_ABI {

/// The step of a linear memory, x⁺ = A_k x + B_k u at position k, for the channels of one tile at once.
///
///   t.forward(next, x, u, k, room)      next, x (rows × tile_cols), u (tile_cols); a column is a channel
///   t.backward(before, g, du, k, room)  the adjoint: before = A_kᵀ g, du = B_kᵀ g; before is not g
///   t.rows() ≥ t.order()                of a state: whole tiles; rows past the order are never read
///   t.room()                            numbers of scratch that each call needs
template <class T>
concept transition = requires(const T& t, typename T::scalar* to, const typename T::scalar* from, Index position) {
  { t.order() } -> std::same_as<Index>;
  { t.rows() } -> std::same_as<Index>;
  { t.room() } -> std::same_as<Index>;
  t.forward(to, from, from, position, to);
  t.backward(to, from, to, position, to);
};

constexpr Index whole_tiles(Index rows) { return (rows + tile_rows - 1) / tile_rows * tile_rows; }

/// out = a b on the columns of one tile; first(i, j) is what the chains of row i, pack j start from.
///
/// Shapes    out (rows × tile_cols), b (depth × tile_cols), a(i, k) at a[i * a_row + k * a_step], rows a multiple of tile_rows.
template <real S, class First>
void multiply_columns(S* out, Index rows, Index depth, const S* a, Index a_row, Index a_step, const S* b, First first) {
  for (Index r = 0; r < rows; r += tile_rows) {
    tile<S, tile_rows, tile_packs> t;
    t.each([&](int i, int j, pack<S>& sum) { sum = first(r + i, j); });
    t.chain(depth, a + r * a_row, a_row, a_step, b, tile_cols<S>);
    t.store(out + r * tile_cols<S>, tile_cols<S>);
  }
}
template <real S>
void multiply_columns(S* out, Index rows, Index depth, const S* a, Index a_row, Index a_step, const S* b) {
  multiply_columns(out, rows, depth, a, a_row, a_step, b, [](Index, int) { return pack<S>(0); });
}

/// x⁺ = A x + B u with a dense A, the same at every position.
///
/// Cost      order² FMAs a step and channel, near the peak.
template <real S>
class dense_transition {
 public:
  using scalar = S;

  /// a (order × order), b (order × 1).
  dense_transition(view<const double> a, view<const double> b)
      : order_(a.rows()), a_(whole_tiles(order_), whole_tiles(order_), S(0)), b_(1, rows(), S(0)) {
    for (Index i = 0; i < order_; ++i) {
      for (Index j = 0; j < order_; ++j) a_(i, j) = static_cast<S>(a(i, j));
      b_(0, i) = static_cast<S>(b(i, 0));
    }
  }

  Index order() const { return order_; }
  Index rows() const { return a_.rows(); }
  Index room() const { return 0; }

  void forward(S* next, const S* x, const S* u, Index, S*) const {
    multiply_columns(next, rows(), order_, a_.data(), a_.stride(), 1, x,
                     [&](Index i, int j) { return pack<S>(b_(0, i)) * pack<S>::load(u + j * lanes<S>); });
  }
  void backward(S* before, const S* g, S* du, Index, S*) const {
    multiply_columns(before, rows(), order_, a_.data(), 1, a_.stride(), g);
    for (int j = 0; j < tile_packs; ++j) {
      pack<S> sum(0);
      for (Index n = 0; n < order_; ++n) sum = fma(pack<S>(b_(0, n)), pack<S>::load(g + n * tile_cols<S> + j * lanes<S>), sum);
      sum.store(du + j * lanes<S>);
    }
  }

 private:
  Index order_;
  matrix<S> a_, b_;
};

/// LegS by a one-step discretisation, (I - λA) x⁺ = (I + βA) x + input B u with λ = after, β = before. With r_n = √(2n+1) its A
/// is diag(n) - tril(r rᵀ), so that products and solves are sums that run on:
///
///   (A x)_n = n x_n - r_n Σ_{k≤n} r_k x_k;   (I - λA) z = v:  z_n = (v_n - λ r_n Σ_{k<n} r_k z_k) / (1 + λ (n+1))
///
/// The adjoint is the same from the other end. Before position 1 there is nothing to scale: x_1 = (√2 u_0, 0, ...).
///
/// Numerics  equal to the dense step to 1e-12 in double. x⁺ is formed as x + (I - λA)⁻¹ ((β + λ) A x + input B u), where the
///           state keeps its digits once changes are small; before position `order`, where A x would cancel, as
///           -β/λ x + (I - λA)⁻¹ ((1 + β/λ) x + input B u). In float the error is at most 8 times that of a dense step
///           there, and that of a dense step after 2000 positions (recur_test.cpp).
/// Cost      8 instructions a coefficient and pack of channels; forming the position's factors, 1 division a coefficient.
/// Source    Gu et al., 2008.07669, appendix E.
template <real S, one_step Discretisation>
class legs_transition {
 public:
  using scalar = S;

  explicit legs_transition(Index order, Discretisation by = {}) : order_(order), by_(by), fixed_(2, padded<S>(order)) {
    for (Index n = 0; n < stride(); ++n) {
      fixed_(0, n) = static_cast<S>(n);
      fixed_(1, n) = static_cast<S>(std::sqrt(static_cast<double>(2 * n + 1)));
    }
  }

  Index order() const { return order_; }
  Index rows() const { return order_; }
  Index room() const { return 3 * stride(); }

  void forward(S* next, const S* x, const S* u, Index position, S* room) const {
    if (position == 0) return only_constant(next, next, u);
    const auto [rate, input, keep] = factors(position, room);
    P product[tile_packs], solved[tile_packs], in[tile_packs];
    each([&](int j) { product[j] = solved[j] = P(0), in[j] = input * P::load(u + j * lanes<S>); });
    for (Index n = 0; n < order_; ++n) {
      const P r(root(n)), own(room[n]), divide(room[n + stride()]), carry(room[n + 2 * stride()]);
      each([&](int j) {
        const Index at = n * tile_cols<S> + j * lanes<S>;
        const P old = P::load(x + at);
        product[j] = fma(r, old, product[j]);
        const P v = fma(r, fma(-rate, product[j], in[j]), own * old);
        const P z = fma(-carry, solved[j], divide * v);
        solved[j] = fma(r, z, solved[j]);
        fma(keep, old, z).store(next + at);
      });
    }
  }

  void backward(S* before, const S* g, S* du, Index position, S* room) const {
    if (position == 0) return only_constant(before, du, g);
    const auto [rate, input, keep] = factors(position, room);
    P sum[tile_packs];
    each([&](int j) { sum[j] = P(0); });
    for (Index n = order_; n-- > 0;) {
      const P r(root(n)), own(room[n]), divide(room[n + stride()]), carry(room[n + 2 * stride()]);
      each([&](int j) {
        const Index at = n * tile_cols<S> + j * lanes<S>;
        const P whole = P::load(g + at), q = fma(-carry, sum[j], divide * whole);
        sum[j] = fma(r, q, sum[j]);
        fma(-r, rate * sum[j], fma(own, q, keep * whole)).store(before + at);
      });
    }
    each([&](int j) { (input * sum[j]).store(du + j * lanes<S>); });
  }

 private:
  using P = pack<S>;

  template <class F>
  FORMWORK_INLINE static void each(F f) {
#pragma GCC unroll 16
    for (int j = 0; j < tile_packs; ++j) f(j);
  }
  S root(Index n) const { return fixed_(1, n); }
  Index stride() const { return fixed_.cols(); }

  /// x⁺ = keep x + (I - after A)⁻¹ (own ⊙ x - rate r ⊙ (running sum of r ⊙ x) + input r u).
  struct scalars {
    P rate, input, keep;
  };
  /// The position's scalars, and for every n: own, 1 / (1 + after (n+1)), and after r_n times that.
  scalars factors(Index position, S* to) const {
    const step_weights w = by_.weights(1 / static_cast<double>(position), 1 / static_cast<double>(position + 1));
    const bool early = position < order_ && w.after > 0;
    const double ratio = early ? w.before / w.after : 0;
    const P rate(early ? 0 : w.before + w.after), whole(early ? 1 + ratio : 0), after(w.after), one(1);
    for (Index n = 0; n < stride(); n += P::size) {
      const P count = P::load(fixed_.row(0) + n), divide = one / fma(after, count + one, one);
      fma(rate, count, whole).store(to + n);
      divide.store(to + stride() + n);
      (after * P::load(fixed_.row(1) + n) * divide).store(to + 2 * stride() + n);
    }
    return {rate, P(w.input * std::numbers::sqrt2), P(early ? -ratio : 1)};
  }

  /// The step from nothing, whose only number is to = √2 from; and its adjoint.
  void only_constant(S* zeros, S* to, const S* from) const {
    std::fill_n(zeros, order_ * tile_cols<S>, S(0));
    each([&](int j) { (P(std::numbers::sqrt2) * P::load(from + j * lanes<S>)).store(to + j * lanes<S>); });
  }

  Index order_;
  Discretisation by_;
  matrix<S> fixed_;  // n; r_n
};

/// LegS solved exactly: x⁺ = c + E (x - c) with c = (√2 u, 0, ...) and E = e^(ln((k+1)/k) A). E shrinks a function on [0, 1] to
/// [0, k/(k+1)] and projects it again, so it is applied as what it does: values at Gauss nodes σ, then weighted sums of the
/// functions at σ k/(k+1). That is exact for polynomials and has no large numbers in it; the eigenvectors of A grow like
/// 2^(4 order / 3), and the powers of a scaled exponential like its hump.
///
/// Numerics  equal to the exponential to 1e-12 in double, in float at most 4 times as far off as a dense step (recur_test.cpp):
///           from position `order` on x⁺ is formed as x + (E - I) (x - c), where the state keeps its digits once changes are
///           small; before, where that would cancel, as c + E (x - c).
/// Cost      2 order² FMAs a step and channel, and order² to form the position's functions.
template <real S>
class exact_legs_transition {
 public:
  using scalar = S;

  explicit exact_legs_transition(Index order)
      : order_(order), rows_(whole_tiles(order)), node_(1, rows_, 0.0), weight_(1, rows_, 0.0), resting_(order, rows_, 0.0),
        values_(rows_, rows_, S(0)) {
    const gauss_legendre gauss(order);
    matrix<double> p(1, order);
    for (Index i = 0; i < order; ++i) {
      node_(0, i) = gauss.node(0, i);
      weight_(0, i) = gauss.weight(0, i);
      legendre(p.data(), order, 2 * node_(0, i) - 1);
      for (Index n = 0; n < order; ++n) {
        values_(i, n) = static_cast<S>(root(n) * p(0, n));
        resting_(n, i) = root(n) * p(0, n) * weight_(0, i);
      }
    }
  }

  Index order() const { return order_; }
  Index rows() const { return rows_; }
  Index room() const { return rows_ * rows_ + rows_ * tile_cols<S>; }

  void forward(S* next, const S* x, const S* u, Index position, S* room) const {
    S *project = room, *at_nodes = room + rows_ * rows_;
    const P root2(std::numbers::sqrt2);
    if (position > 0) {
      form(project, position);
      multiply_columns(at_nodes, rows_, order_, values_.data(), rows_, 1, x,
                       [&](Index, int j) { return -(root2 * P::load(u + j * lanes<S>)); });
      multiply_columns(next, rows_, order_, project, rows_, 1, at_nodes);
    } else {
      std::fill_n(next, rows_ * tile_cols<S>, S(0));
    }
    if (settled(position)) return add(next, x);
    for (Index j = 0; j < tile_cols<S>; j += P::size) fma(root2, P::load(u + j), P::load(next + j)).store(next + j);
  }

  void backward(S* before, const S* g, S* du, Index position, S* room) const {
    S *project = room, *at_nodes = room + rows_ * rows_;
    if (position > 0) {
      form(project, position);
      multiply_columns(at_nodes, rows_, order_, project, 1, rows_, g);
      multiply_columns(before, rows_, order_, values_.data(), 1, rows_, at_nodes);
    } else {
      std::fill_n(before, rows_ * tile_cols<S>, S(0));
    }
    const bool change = settled(position);
    for (Index j = 0; j < tile_cols<S>; j += P::size) {
      const P kept = change ? P(0) : P::load(g + j);
      (P(std::numbers::sqrt2) * (kept - P::load(before + j))).store(du + j);
    }
    if (change) add(before, g);
  }

 private:
  using P = pack<S>;
  static double root(Index n) { return std::sqrt(static_cast<double>(2 * n + 1)); }

  /// Where the step is formed as a change.
  bool settled(Index position) const { return position >= order_; }
  void add(S* to, const S* from) const {
    for (Index i = 0; i < order_ * tile_cols<S>; i += P::size) (P::load(from + i) + P::load(to + i)).store(to + i);
  }

  /// to[n][i] = c w_i ψ_n(c σ_i), less w_i ψ_n(σ_i) for a change; c = k / (k+1), ψ_n = √(2n+1) P_n(2s - 1); a few nodes at a
  /// time.
  void form(S* to, Index position) const {
    constexpr int few = 4;
    static_assert(tile_rows % few == 0);
    const double c = static_cast<double>(position) / static_cast<double>(position + 1);
    const double rest = settled(position) ? 1 : 0;
    std::fill_n(to + order_ * rows_, (rows_ - order_) * rows_, S(0));
    for (Index first = 0; first < rows_; first += few) {
      double at[few], now[few], before[few];
      for (int i = 0; i < few; ++i) at[i] = 2 * c * node_(0, first + i) - 1, now[i] = c * weight_(0, first + i), before[i] = 0;
      for (Index n = 0; n < order_; ++n) {
        const auto d = static_cast<double>(n);
        const double rise = (2 * d + 1) / (d + 1), fall = d / (d + 1), scale = root(n);
        for (int i = 0; i < few; ++i) {
          to[n * rows_ + first + i] = static_cast<S>(scale * now[i] - rest * resting_(n, first + i));
          before[i] = rise * at[i] * now[i] - fall * before[i];
          std::swap(now[i], before[i]);
        }
      }
    }
  }

  Index order_, rows_;
  matrix<double> node_, weight_, resting_;  // w_i ψ_n(σ_i) at (n, i)
  matrix<S> values_;  // ψ_n(σ_i) at (i, n)
};

}  // namespace formwork
