// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/norm.hpp>
#include <formwork/tape.hpp>

#include "kernel/checks.hpp"

/// What every norm promises (contract/norm.hpp).
namespace laws {

namespace fw = formwork;
using fw::Index;

/// Gradients of the input and of what is learned are those of central differences, also where the latter are frozen.
template <template <class> class Norm>
void norm_has_its_gradients() {
  for (const auto& [rows, cols] : {std::pair<Index, Index>{1, 3}, {5, 17}}) {
    struct all_of {
      Norm<double> norm;
      fw::parameter<double> x;
      static auto fields(all_of& a) { return fw::fields("norm", a.norm, "x", a.x); }
    } all{Norm<double>::make(cols), {checks::numbers(1).matrix<double>(rows, cols), fw::role::matrix}};
    fw::for_each_parameter(all.norm, [](auto& p) {
      for (Index j = 0; j < p.size(); ++j) p.value().data()[j] = 0.5 + 0.1 * double(j % 7);
    });
    const auto weight = checks::numbers(2).matrix<double>(rows, cols);
    const auto loss = [&](fw::tape<double>& t) {
      const auto y = all.norm(fw::use(t, all.x));
      return fw::sum(fw::multiply(fw::multiply(y, y), t.constant(fw::matrix<double>(weight))));
    };
    const auto report = fw::gradcheck(all, loss);
    INFO(report);
    CHECK(report);
    fw::freeze(all.norm);  // the input's gradient does not need the gains'
    CHECK(fw::gradcheck(all, loss));
  }
}

/// A row alone has the bits it has among others, and the shape is kept.
template <template <class> class Norm>
void norm_takes_rows_alone() {
  const auto norm = Norm<float>::make(21);
  fw::tape<float> quiet{fw::recording::off};
  const auto of = [&](fw::matrix<float> x) { return fw::matrix<float>(norm(quiet.constant(std::move(x))).value()); };
  const auto x = checks::numbers(3).matrix<float>(7, 21);
  const auto all = of(x);
  REQUIRE(all.rows() == 7);
  REQUIRE(all.cols() == 21);
  for (Index i = 0; i < 7; ++i)
    CHECK(checks::same_bits(of(fw::matrix<float>(x.rows(i, 1))), fw::matrix<float>(all.rows(i, 1))));
}

/// make(width, like) takes the constants of another norm and nothing that it has learned.
template <template <class> class Norm>
void norm_is_made_like_another() {
  auto other = Norm<double>::make(3);
  fw::for_each_parameter(other, [](auto& p) { p.value().data()[0] = 7; });
  const auto made = Norm<double>::make(5, other);
  fw::tape<double> quiet{fw::recording::off};
  const auto x = checks::numbers(4).matrix<double>(2, 5);
  const auto of = [&](const Norm<double>& norm) {
    return fw::matrix<double>(norm(quiet.constant(fw::matrix<double>(x))).value());
  };
  CHECK(checks::same_bits(of(made), of(Norm<double>::make(5))));
}

template <template <class> class Norm>
void norm_laws() {
  static_assert(fw::norm_of<Norm, float> && fw::norm_of<Norm, double>);
  norm_has_its_gradients<Norm>();
  norm_takes_rows_alone<Norm>();
  norm_is_made_like_another<Norm>();
}

}  // namespace laws
