// SPDX-License-Identifier: MIT
#include <formwork/layer.hpp>
#include <formwork/tape.hpp>

#include "support/catch.hpp"

namespace fw = formwork;

TEST_CASE("linear computes x W + b") {
  fw::rng random{1};
  auto layer = fw::linear<double>::make(2, 3, random, fw::biases::all);
  for (fw::Index i = 0; i < 6; ++i) layer.weight.value().data()[i] = double(i + 1);  // (1 2 3; 4 5 6)
  for (fw::Index j = 0; j < 3; ++j) layer.bias.value()(0, j) = 0.5 * double(j);
  fw::tape<double> quiet{fw::recording::off};
  fw::matrix<double> x(1, 2);
  x(0, 0) = 10, x(0, 1) = -1;
  const auto y = layer(quiet.constant(std::move(x)));
  CHECK(y.value()(0, 0) == 6);
  CHECK(y.value()(0, 1) == 15.5);
  CHECK(y.value()(0, 2) == 25);
}

TEST_CASE("linear: every gradient is right, with and without a bias") {
  for (const auto with : {fw::biases::none, fw::biases::all}) {
    fw::rng random{1};
    struct all_of {
      fw::linear<double> layer;
      fw::parameter<double> x;
      static auto fields(all_of& a) { return fw::fields("layer", a.layer, "x", a.x); }
    } all{fw::linear<double>::make(7, 5, random, with), {}};
    fw::matrix<double> x(3, 7);
    random.fill_normal(x.all(), 1.0);
    all.x = {std::move(x), fw::role::matrix};
    const auto report = fw::gradcheck(all, [&](fw::tape<double>& t) {
      const auto y = all.layer(fw::use(t, all.x));
      return fw::sum(fw::multiply(y, y));
    });
    INFO(report);
    CHECK(report);
  }
}

TEST_CASE("linear: initial weights have variance gain² / in, biases are zero") {
  fw::rng random{1};
  const auto layer = fw::linear<double>::make(400, 300, random, fw::biases::all);
  CHECK(fw::eigen(layer.weight.value()).squaredNorm() / 300 == Approx(1).epsilon(0.02));
  CHECK(fw::eigen(layer.bias.value()).isZero(0));
}

TEST_CASE("linear: a wrong width names both shapes and the remedy") {
  fw::rng random{1};
  const auto layer = fw::linear<float>::make(48, 96, random);
  fw::tape<float> t;
  CHECK_THROWS_WITH(layer(t.constant(fw::matrix<float>(64, 32, 0.f))),
                    "linear: x is (64 × 32) but weight is (48 × 96); needs x.width = weight.in");
}
