// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/matrix_exponential.hpp>
#include <formwork/kernel/product.hpp>
#include <formwork/kernel/recur.hpp>
#include <formwork/ssm/discretisation.hpp>
#include <formwork/ssm/hippo_basis.hpp>

#include <span>

namespace formwork::inline FORMWORK_ABI {

/// x⁺ = A x + B u: an equation with a rate that does not change, over a step of time.
///
/// Shapes    as linear_ode.
/// Source    2008.07669, appendix B.3; the exact one from the exponential of [[εA, εB], [0, 0]], which needs no A⁻¹.
template <discretisation D>
linear_ode discretise(const linear_ode& from, double step, const D& by) {
  const Index order = from.a.rows();
  if constexpr (one_step<D>) {
    const step_weights w = by.weights(step, step);
    matrix<double> after = identity(order), right(order, order + 1);
    for (Index i = 0; i < order; ++i) {
      for (Index j = 0; j < order; ++j) {
        after(i, j) -= w.after * from.a(i, j);
        right(i, j) = (i == j ? 1 : 0) + w.before * from.a(i, j);
      }
      right(i, order) = w.input * from.b(i, 0);
    }
    right = solve(std::move(after), std::move(right));
    return {matrix<double>(right.cols(0, order)), matrix<double>(right.cols(order, 1))};
  } else {
    matrix<double> whole(order + 1, order + 1, 0.0);
    for (Index i = 0; i < order; ++i) {
      for (Index j = 0; j < order; ++j) whole(i, j) = step * from.a(i, j);
      whole(i, order) = step * from.b(i, 0);
    }
    whole = matrix_exponential(std::move(whole));
    return {matrix<double>(whole.rows(0, order).cols(0, order)), matrix<double>(whole.rows(0, order).cols(order, 1))};
  }
}

/// How the coefficients of a basis step: LegS in O(order) or exactly, the others by their dense matrix.
template <real S, basis Basis, discretisation D>
auto hippo_transition(Index order, double step, const Basis& b, const D& by) {
  require(order > 0 && step > 0, "hippo: order is ", order, " and step ", step, "; needs both > 0");
  if constexpr (!Basis::scales_with_history) {
    const linear_ode moves = discretise(b.ode(order), step, by);
    return dense_transition<S>(moves.a, moves.b);
  } else if constexpr (one_step<D>) {
    return legs_transition<S, D>(order, by);
  } else {
    return exact_legs_transition<S>(order);
  }
}
template <real S, basis Basis, discretisation D>
using hippo_transition_of = decltype(hippo_transition<S>(Index(), 1.0, std::declval<const Basis&>(), std::declval<const D&>()));

struct hippo_memory_sizes {
  Index order = 64;
  Index channels = 1;
  double step = 1;  ///< how long a sample lasts
};

/// Remembers a signal of several channels while it comes in, in `order` numbers a channel, and gives it back.
///
///   hippo_memory<legs> memory({.order = 32});
///   memory.feed(samples);                                     // (samples × channels), in runs of any length
///   auto past = memory.reconstruct(std::array{0.0, 10.0});    // what was 0 and 10 units of time ago
///
/// Shapes    samples (any × channels), coefficients (channels × order), reconstruct(ages) (ages × channels).
/// Units     ages and windows in units of time; sample k lasts from k step to (k + 1) step, so its middle is `elapsed -
///           (k + 1/2) step` old.
/// Numerics  runs of any length give the same bits. legs with forward_euler grows first: discretisation.hpp.
/// Source    Gu et al., 2008.07669; kexue.fm/archives/10114, 10137, 10162.
template <basis Basis, discretisation Discretisation = bilinear, real S = double>
class hippo_memory {
 public:
  explicit hippo_memory(hippo_memory_sizes sizes, Basis functions = {}, Discretisation by = {})
      : sizes_(sizes), functions_(functions), transition_(hippo_transition<S>(sizes.order, sizes.step, functions, by)),
        states_(1, state_layout(transition_, sizes.channels).numbers(), S(0)) {}

  void feed(const_view<S> samples) {
    require(samples.cols() == sizes_.channels, "hippo_memory: samples are ", shape_text(samples), " but there are ",
            sizes_.channels, " channels; needs (samples × channels)");
    sequences run{samples.rows()};
    run.starts(std::span(&samples_, 1));
    recur_forward(view<S>(), states_.all(), view<S>(), samples, const_view<S>(), const_view<S>(), run, transition_);
    samples_ += samples.rows();
  }

  matrix<S> coefficients() const {
    matrix<S> x(sizes_.channels, sizes_.order);
    const state_layout layout(transition_, sizes_.channels);
    for (Index c = 0; c < sizes_.channels; ++c)
      for (Index n = 0; n < sizes_.order; ++n)
        x(c, n) = states_(0, c / tile_cols<S> * layout.size + n * tile_cols<S> + c % tile_cols<S>);
    return x;
  }

  /// The signal at the given ages.
  matrix<S> reconstruct(std::span<const double> ages) const {
    const auto count = static_cast<Index>(ages.size());
    matrix<S> g(count, sizes_.order), past(count, sizes_.channels);
    matrix<double> values(1, sizes_.order);
    for (Index i = 0; i < count; ++i) {
      functions_.functions(values.data(), sizes_.order, ages[static_cast<std::size_t>(i)], elapsed());
      std::copy_n(values.data(), sizes_.order, g.row(i));
    }
    product_nt<S>(past, g, coefficients());
    return past;
  }

  Index samples() const { return samples_; }
  double elapsed() const { return static_cast<double>(samples_) * sizes_.step; }
  const hippo_memory_sizes& sizes() const { return sizes_; }

 private:
  hippo_memory_sizes sizes_;
  Basis functions_;
  hippo_transition_of<S, Basis, Discretisation> transition_;
  matrix<S> states_;
  Index samples_ = 0;
};

}  // namespace formwork
