// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/tape/hessian.hpp>

#include <cmath>

#include "model/small_models.hpp"
#include "support/catch.hpp"

/// What holds for products with the Hessian of any model.
namespace hessian_cases {

using namespace small;

inline fw::matrix<double> direction(Index size, std::uint64_t seed) {
  fw::matrix<double> v(1, size);
  fw::rng{seed}.fill_normal(v, 1 / std::sqrt(static_cast<double>(size)));
  return v;
}
inline double largest(const fw::matrix<double>& m) { return fw::eigen(m).cwiseAbs().maxCoeff(); }

/// The gradients of what is learned, one after another, of a model moved by e v.
template <class Model, class Loss>
fw::matrix<double> gradient(Model model, const Loss& loss, const fw::matrix<double>& v, double e) {
  Index at = 0;
  fw::for_each_parameter(model, [&](auto& p) {
    if (p.frozen()) return;
    for (Index i = 0; i < p.size(); ++i) p.value().data()[i] += e * v.data()[at++];
  });
  fw::tape<double> tape;
  tape.backward(loss(tape, std::as_const(model)));
  fw::matrix<double> g(1, at, 0.0);
  at = 0;
  fw::for_each_parameter(model, [&](auto& p) {
    if (p.frozen()) return;
    for (Index i = 0; i < p.size(); ++i, ++at)
      if (p.has_gradient()) g.data()[at] = p.gradient().data()[i];
  });
  return g;
}

/// H v against central differences of gradients, of fourth order; u · H v = v · H u; H (u - 3 v) = H u - 3 H v.
template <class Model, class Loss, class... Value>
void check(const Model& model, const Loss& loss, const Value&... value) {
  const fw::hessian h(model, loss, value...);
  const auto u = direction(h.size(), 11), v = direction(h.size(), 12);
  const auto hu = h * u, hv = h * v;
  constexpr double e = 2e-4;
  const auto near = [&](double by) { return fw::eigen(gradient(model, loss, v, by)).eval(); };
  const auto differences = ((8 * (near(e) - near(-e)) - (near(2 * e) - near(-2 * e))) / (12 * e)).eval();
  CHECK((fw::eigen(hv) - differences).cwiseAbs().maxCoeff() <= 1e-8 * largest(hv));
  CHECK(largest(hv) > 1e-3);

  const double uhv = fw::dot(u.data(), hv.data(), h.size()), vhu = fw::dot(v.data(), hu.data(), h.size());
  CHECK(std::abs(uhv - vhu) <= 1e-12 * largest(hv));

  fw::matrix<double> both(1, h.size());
  fw::eigen(both) = fw::eigen(u) - 3 * fw::eigen(v);
  CHECK((fw::eigen(h * both) - (fw::eigen(hu) - 3 * fw::eigen(hv))).cwiseAbs().maxCoeff() <= 1e-12 * largest(hv));
}

/// A loss of a small ragged batch, one of whose targets does not count.
inline auto small_loss() {
  auto targets = ids(9, 31, 7);
  targets[2] = -1;
  return [x = batch_of({5, 1, 3}, 31, 6), targets](auto& tape, const auto& model) {
    return fw::cross_entropy(model(tape, x), targets);
  };
}

}  // namespace hessian_cases
