// SPDX-License-Identifier: MIT
#include <formwork/layer.hpp>
#include <formwork/tape.hpp>

#include <cmath>

#include "support/catch.hpp"

namespace fw = formwork;
using fw::Index;

TEST_CASE("dropout keeps the mean, drops the stated share and is the identity in inference") {
  const fw::dropout drop{.rate = 0.25, .stream = 3};
  fw::tape<float> t{{.seed = 9}};
  const auto x = t.input(fw::matrix<float>(200, 50, 1.f));
  const auto y = drop(x);
  Index zeros = 0;
  for (Index i = 0; i < y.value().size(); ++i) {
    const float v = y.value().data()[i];
    CHECK((v == 0 || v == Approx(4.0 / 3)));
    zeros += v == 0;
  }
  CHECK(std::abs(double(zeros) / 10000 - 0.25) < 0.02);  // 4.6 standard deviations
  t.backward(fw::sum(y));
  CHECK(fw::eigen(x.gradient()) == fw::eigen(y.value()));

  fw::tape<float> quiet{fw::recording::off};
  const auto z = quiet.constant(fw::matrix<float>(2, 2, 1.f));
  CHECK(drop(z).address() == z.address());
}

TEST_CASE("dropout draws the same for a sequence of one id in any batch, and anew each step") {
  const fw::dropout drop{.rate = 0.5, .stream = 1};
  const auto drawn = [&](fw::sequences rows, std::uint64_t step) {
    fw::tape<float> t{{.seed = 9, .step = step}};
    return fw::matrix<float>(drop(t.input(fw::matrix<float>(rows.rows(), 33, 1.f), rows)).value());
  };
  const std::vector<Index> five{5}, both{2, 5};
  const auto alone = drawn(fw::sequences{7}.ids(five), 0);
  const auto batch = drawn(fw::sequences{4, 7}.ids(both), 0);
  CHECK(fw::eigen(alone) == fw::eigen(std::as_const(batch).rows(4, 7)));
  CHECK(fw::eigen(alone) != fw::eigen(drawn(fw::sequences{7}.ids(five), 1)));
}

TEST_CASE("a rate outside [0, 1) is refused") {
  fw::tape<float> t;
  CHECK_THROWS_WITH((fw::dropout{.rate = 1}(t.input(fw::matrix<float>(1, 1, 1.f)))), "dropout: rate is 1; needs 0 <= rate < 1");
}
