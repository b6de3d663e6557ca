// SPDX-License-Identifier: MIT
#include <formwork/core/random.hpp>
#include <formwork/norm.hpp>
#include <formwork/tape.hpp>

#include "support/catch.hpp"

namespace fw = formwork;
using fw::Index;

namespace {

fw::parameter<double> normal(Index rows, Index cols, std::uint64_t seed) {
  fw::rng random{seed};
  fw::matrix<double> m(rows, cols);
  random.fill_normal(m.all(), 1.0);
  return {std::move(m), fw::role::matrix};
}

template <class Norm>
void gradients_are_right() {
  for (const auto& [rows, cols] : {std::pair<Index, Index>{1, 3}, {5, 17}}) {
    struct all_of {
      Norm norm;
      fw::parameter<double> x;
      static auto fields(all_of& a) { return fw::fields("norm", a.norm, "x", a.x); }
    } all{Norm::make(cols), normal(rows, cols, 1)};
    fw::for_each_parameter(all.norm, [](auto& p) {
      for (Index j = 0; j < p.size(); ++j) p.value().data()[j] = 0.5 + 0.1 * double(j % 7);
    });
    const auto weight = normal(rows, cols, 2);
    const auto loss = [&](fw::tape<double>& t) {
      const auto y = all.norm(fw::use(t, all.x));
      return fw::sum(fw::multiply(fw::multiply(y, y), t.constant(fw::matrix<double>(weight.value()))));
    };
    const auto report = fw::gradcheck(all, loss);
    INFO(report);
    CHECK(report);
    fw::freeze(all.norm);  // the input's gradient does not need the gains'
    CHECK(fw::gradcheck(all, loss));
  }
}

}  // namespace

TEST_CASE("rms_norm and layer_norm have the gradients of their formulas") {
  gradients_are_right<fw::rms_norm<double>>();
  gradients_are_right<fw::layer_norm<double>>();
}

TEST_CASE("a wrong width names both shapes") {
  fw::tape<double> t;
  CHECK_THROWS_WITH(fw::rms_norm<double>::make(4)(t.constant(fw::matrix<double>(2, 3, 1.0))),
                    "rms_norm: x is (2 × 3) but gain is (1 × 4); needs x.width = gain.width");
}
