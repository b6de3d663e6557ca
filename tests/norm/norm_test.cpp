// SPDX-License-Identifier: MIT
#include <formwork/norm.hpp>

#include "laws/norm_laws.hpp"

namespace fw = formwork;

TEST_CASE("rms_norm and layer_norm keep the laws of norms") {
  laws::norm_laws<fw::rms_norm>();
  laws::norm_laws<fw::layer_norm>();
}

TEST_CASE("epsilon is added under the root, and a norm made like another has its epsilon") {
  fw::tape<double> quiet{fw::recording::off};
  const auto of = [&](const auto& norm) {  // mean square and variance 4
    fw::matrix<double> x(1, 2, 2.0);
    x(0, 1) = -2;
    return norm(quiet.constant(std::move(x))).value()(0, 0);
  };
  CHECK(of(fw::rms_norm<double>::make(2, {.epsilon = 12})) == 0.5);
  CHECK(of(fw::layer_norm<double>::make(2, {.epsilon = 12})) == 0.5);
  CHECK(of(fw::rms_norm<double>::make(2)) == Approx(1 - 1e-6 / 8).epsilon(1e-11));
  CHECK(of(fw::layer_norm<double>::make(2)) == Approx(1 - 1e-5 / 8).epsilon(1e-11));
}

TEST_CASE("a wrong width names both shapes") {
  fw::tape<double> t;
  CHECK_THROWS_WITH(fw::rms_norm<double>::make(4)(t.constant(fw::matrix<double>(2, 3, 1.0))),
                    "rms_norm: x is (2 × 3) but gain is (1 × 4); needs x.width = gain.width");
}
