// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/matrix_exponential.hpp>
#include <formwork/ssm/hippo_memory.hpp>

#include <cmath>
#include <vector>

/// A linear memory by its textbook recurrence, one channel after another, with dense matrices formed in double.
namespace oracle {

namespace fw = formwork;
using fw::Index;

/// A_k, B_k of x⁺ = A_k x + B_k u for k = 0 .. count - 1.
template <class Basis, class Discretisation>
std::vector<fw::linear_ode> steps_of(Index count, Index order, double step, const Basis& basis, const Discretisation& by) {
  std::vector<fw::linear_ode> all;
  const fw::linear_ode ode = basis.ode(order);
  for (Index k = 0; k < count; ++k) {
    if constexpr (!Basis::scales_with_history) {
      all.push_back(k == 0 ? fw::discretise(ode, step, by) : all.front());
    } else if (k == 0) {
      fw::linear_ode first{fw::matrix<double>(order, order, 0.0), fw::matrix<double>(order, 1, 0.0)};
      first.b(0, 0) = std::sqrt(2.0);
      all.push_back(first);
    } else if constexpr (fw::one_step<Discretisation>) {
      // Weights of rates that differ: what one pair of equal rates would give, for each of them.
      const fw::step_weights w = by.weights(1.0 / static_cast<double>(k), 1.0 / static_cast<double>(k + 1));
      auto left = fw::identity(order), right = left;
      auto input = ode.b;
      for (Index i = 0; i < left.size(); ++i) {
        left.data()[i] -= w.after * ode.a.data()[i];
        right.data()[i] += w.before * ode.a.data()[i];
      }
      for (Index i = 0; i < order; ++i) input.data()[i] *= w.input;
      all.push_back({fw::solve(left, right), fw::solve(left, input)});
    } else {
      all.push_back(fw::discretise(ode, std::log(static_cast<double>(k + 1) / static_cast<double>(k)), by));
    }
  }
  return all;
}

template <class S>
struct memory_result {
  fw::matrix<S> y, x;           ///< outputs; last states (sequences · width × order)
  fw::matrix<S> du, dc, dd;
};

/// y_t = c · x_t + d u_t and, for dL/dy, every gradient; in S.
template <class S>
memory_result<S> linear_memory(const fw::matrix<S>& u, const fw::matrix<S>& c, const fw::matrix<S>& d, const fw::matrix<S>& dy,
                               const fw::sequences& batch, const std::vector<fw::linear_ode>& steps) {
  const Index width = u.cols(), order = c.rows();
  memory_result<S> r{fw::matrix<S>(u.rows(), width), fw::matrix<S>(batch.count() * width, order, S(0)),
                     fw::matrix<S>(u.rows(), width), fw::matrix<S>(order, width, S(0)), fw::matrix<S>(1, width, S(0))};
  for (Index s = 0; s < batch.count(); ++s)
    for (Index h = 0; h < width; ++h) {
      const Index first = batch.first(s), length = batch.length(s);
      fw::matrix<S> x(length + 1, order, S(0)), g(1, order, S(0));
      for (Index t = 0; t < length; ++t) {
        S y = d(0, h) * u(first + t, h);
        for (Index n = 0; n < order; ++n) {
          S sum = S(steps[std::size_t(t)].b(n, 0)) * u(first + t, h);
          for (Index k = 0; k < order; ++k) sum += S(steps[std::size_t(t)].a(n, k)) * x(t, k);
          x(t + 1, n) = sum;
          y += c(n, h) * sum;
        }
        r.y(first + t, h) = y;
      }
      std::copy_n(x.row(length), order, r.x.row(s * width + h));
      for (Index t = length; t-- > 0;) {
        const S slope = dy(first + t, h);
        S du = d(0, h) * slope;
        for (Index n = 0; n < order; ++n) {
          r.dc(n, h) += slope * x(t + 1, n);
          g(0, n) += slope * c(n, h);
          du += S(steps[std::size_t(t)].b(n, 0)) * g(0, n);
        }
        r.dd(0, h) += slope * u(first + t, h);
        r.du(first + t, h) = du;
        fw::matrix<S> before(1, order, S(0));
        for (Index n = 0; n < order; ++n)
          for (Index k = 0; k < order; ++k) before(0, k) += S(steps[std::size_t(t)].a(n, k)) * g(0, n);
        g = before;
      }
    }
  return r;
}

}  // namespace oracle
