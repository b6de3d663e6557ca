// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/residual.hpp>
#include <formwork/tape.hpp>

#include "kernel/checks.hpp"

/// What every residual policy promises (contract/residual.hpp).
namespace laws {

namespace fw = formwork;
using fw::Index;

/// y = r.join(x, norm, u ⊙ u), whose gradients of x and the norm match central differences.
template <class Residual>
void joined_branch_has_its_gradient(const Residual& residual) {
  for (const auto& [rows, cols] : {std::pair<Index, Index>{1, 5}, {4, 9}}) {
    struct all_of {
      fw::parameter<double> x;
      typename Residual::template norm<double> norm;
      static auto fields(all_of& a) { return fw::fields("x", a.x, "norm", a.norm); }
    } all{{checks::numbers(1).matrix<double>(rows, cols), fw::role::matrix}, Residual::template norm<double>::make(cols)};
    const auto weight = checks::numbers(2).matrix<double>(rows, cols);
    const auto report = fw::gradcheck(all, [&](fw::tape<double>& t) {
      const auto y = residual.join(fw::use(t, all.x), all.norm, [](const auto& u) { return fw::multiply(u, u); });
      return fw::sum(fw::multiply(y, t.constant(fw::matrix<double>(weight))));
    });
    INFO(report);
    CHECK(report);
  }
}

/// A row alone has the bits it has among others, and the shape is kept.
template <class Residual>
void rows_are_joined_alone(const Residual& residual) {
  const auto norm = Residual::template norm<float>::make(21);
  fw::tape<float> quiet{fw::recording::off};
  const auto join = [&](fw::matrix<float> x) {
    return fw::matrix<float>(residual
                                 .join(quiet.constant(std::move(x)), norm,
                                       [](const auto& u) { return fw::map(u, [](auto v) { return v * v; }); })
                                 .value());
  };
  const auto x = checks::numbers(3).matrix<float>(7, 21);
  const auto all = join(x);
  REQUIRE(all.rows() == 7);
  REQUIRE(all.cols() == 21);
  for (Index i = 0; i < 7; ++i)
    CHECK(checks::same_bits(join(fw::matrix<float>(x.rows(i, 1))), fw::matrix<float>(all.rows(i, 1))));
}

template <class Residual>
void gains_are_positive(const Residual& residual) {
  for (const Index depth : {1, 2, 100, 1000})
    for (int p = 0; p <= static_cast<int>(fw::place::none); ++p) {
      const double gain = residual.at({.depth = depth, .layer = depth / 2}).gain(static_cast<fw::place>(p));
      CAPTURE(depth, p);
      CHECK(std::isfinite(gain));
      CHECK(gain > 0);
    }
}

template <class Residual>
void residual_laws(const Residual& residual) {
  static_assert(fw::residual_policy<Residual>);
  joined_branch_has_its_gradient(residual.at({.depth = 3, .layer = 1}));
  rows_are_joined_alone(residual.at({.depth = 3, .layer = 1}));
  gains_are_positive(residual);
}

}  // namespace laws
