// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/matrix.hpp>
#include <formwork/core/parallel.hpp>
#include <formwork/core/reduce.hpp>

#include <cmath>

namespace formwork::inline FORMWORK_ABI {

/// f(count, address in each view...) over packs of the numbers of matrices of one shape, in tasks of 16,384; row by row where
/// one of them has gaps between its rows.
template <real S, class F, class... View>
void each_number(F f, const view<S>& main, const View&... other) {
  constexpr Index grain = 16384;
  const bool whole = main.stride() == main.cols() && ((other.stride() == other.cols()) && ...);
  const Index rows = whole ? Index(main.size() > 0) : main.rows(), cols = whole ? main.size() : main.cols();
  const Index tasks = (cols + grain - 1) / grain;
  parallel_for(rows * tasks, [&](Index task) {
    const Index row = task / tasks, last = std::min(cols, task % tasks * grain + grain);
    Index j = task % tasks * grain;
    for (; j + lanes<S> <= last; j += lanes<S>) f(Index(lanes<S>), main.row(row) + j, (other.row(row) + j)...);
    if (j < last) f(last - j, main.row(row) + j, (other.row(row) + j)...);
  });
}

/// The numbers of one AdamW step.
struct adamw_numbers {
  double rate = 3e-4;
  double beta1 = 0.9, beta2 = 0.95;
  double epsilon = 1e-8;  ///< added outside the root
  double weight_decay = 0;
  Index step = 1;  ///< t, 1 for the first
};

/// m ← β1 m + (1 - β1) g,  v ← β2 v + (1 - β2) g²,  p ← p - (ηλ p + η m̂ / (√v̂ + ε)) with m̂ = m / (1 - β1ᵗ), v̂ = v / (1 - β2ᵗ).
///
/// Shapes    value, first (m), second (v), gradient all alike.
/// Numerics  bias corrections in double; the whole change of p is rounded once when it is subtracted.
/// Cost      one pass: reads 16 and writes 12 bytes a float; bound by memory.
/// Source    Loshchilov and Hutter, 1711.05101; Kingma and Ba, 1412.6980.
template <real S>
void adamw_update(view<S> value, view<S> first, view<S> second, const_view<S> gradient, const adamw_numbers& with) {
  using P = pack<S>;
  require(with.step >= 1, "adamw_update: step is ", with.step, "; needs 1 for the first");
  const double t = static_cast<double>(with.step);
  const P rate(with.rate / (1 - std::pow(with.beta1, t))), root(1 / std::sqrt(1 - std::pow(with.beta2, t)));
  const P beta1(with.beta1), rest1(1 - with.beta1), beta2(with.beta2), rest2(1 - with.beta2);
  const P decay(with.rate * with.weight_decay), epsilon(with.epsilon);
  each_number<S>(
      [=](Index count, S* p, S* m, S* v, const S* g) {
        const P slope = P::load(g, count);
        const P mean = fma(beta1, P::load(m, count), rest1 * slope);
        const P square = fma(beta2, P::load(v, count), rest2 * slope * slope);
        const P old = P::load(p, count);
        const P change = fma(decay, old, rate * mean / fma(sqrt(square), root, epsilon));
        mean.store(m, count);
        square.store(v, count);
        (old - change).store(p, count);
      },
      value, first, second, gradient);
}

/// Which direction a momentum step takes.
enum class momentum_form {
  heavy_ball,  ///< m
  nesterov     ///< g + μ m
};

/// The numbers of one SGD step.
struct sgd_numbers {
  double rate = 1e-2;
  double momentum = 0.9;
  double weight_decay = 0;
  momentum_form form = momentum_form::heavy_ball;
};

/// m ← μ m + g,  p ← p - (ηλ p + η m), or with Nesterov's form η (g + μ m). An empty momentum stands for μ = 0.
///
/// Cost      one pass: reads 12 and writes 8 bytes a float.
/// Source    Polyak 1964; Sutskever et al., ICML 2013.
/// Differs   weight decay is decoupled; PyTorch adds it to the gradient.
template <real S>
void sgd_update(view<S> value, std::type_identity_t<view<S>> momentum, const_view<S> gradient, const sgd_numbers& with) {
  using P = pack<S>;
  const P rate(with.rate), mu(with.momentum), decay(with.rate * with.weight_decay);
  const auto moved = [=](P old, P direction) { return old - fma(rate, direction, decay * old); };
  if (momentum.empty()) {
    require(with.momentum == 0 || value.empty(), "sgd_update: momentum is ", with.momentum, " but its matrix is empty");
    return each_number<S>(
        [=](Index count, S* p, const S* g) { moved(P::load(p, count), P::load(g, count)).store(p, count); }, value, gradient);
  }
  const bool ahead = with.form == momentum_form::nesterov;
  each_number<S>(
      [=](Index count, S* p, S* m, const S* g) {
        const P slope = P::load(g, count), sum = fma(mu, P::load(m, count), slope);
        sum.store(m, count);
        moved(P::load(p, count), ahead ? fma(mu, sum, slope) : sum).store(p, count);
      },
      value, momentum, gradient);
}

/// The numbers of a momentum that is kept apart from the step.
struct momentum_numbers {
  double momentum = 0.95;
  double share = 1;  ///< of a gradient in the momentum: 1 sums, 1 - momentum averages
  momentum_form form = momentum_form::nesterov;
};

/// m ← μ m + σ g, σ the share;  direction = m, or with Nesterov's form σ g + μ m.
///
/// Cost      one pass: reads 8 and writes 8 bytes a float.
template <real S>
void momentum_update(view<S> momentum, view<S> direction, const_view<S> gradient, const momentum_numbers& with) {
  using P = pack<S>;
  const P mu(with.momentum), share(with.share);
  const bool ahead = with.form == momentum_form::nesterov;
  each_number<S>(
      [=](Index count, S* m, S* d, const S* g) {
        const P slope = share * P::load(g, count), sum = fma(mu, P::load(m, count), slope);
        sum.store(m, count);
        (ahead ? fma(mu, sum, slope) : sum).store(d, count);
      },
      momentum, direction, gradient);
}

/// Σ x² over a matrix, for clipping: what core/reduce gives each stretch of 65,536 numbers, added in their order in double.
/// The same bits for any number of threads.
template <real S>
double squared_norm(view<const S> x) {
  constexpr Index stretch = 65536;
  const bool whole = x.stride() == x.cols();
  const Index rows = whole ? Index(x.size() > 0) : x.rows(), cols = whole ? x.size() : x.cols();
  const Index tasks = (cols + stretch - 1) / stretch;
  const scratch<double> part(std::max<Index>(rows * tasks, 1));
  parallel_for(rows * tasks, [&](Index task) {
    const Index j = task % tasks * stretch;
    part[task] = static_cast<double>(sum_of_squares(x.row(task / tasks) + j, std::min(stretch, cols - j)));
  });
  compensated_sum<> total;
  for (Index task = 0; task < rows * tasks; ++task) total.add(part[task]);
  return total.value();
}
template <real S>
double squared_norm(const matrix<S>& x) {
  return squared_norm<S>(x.all());
}

}  // namespace formwork
