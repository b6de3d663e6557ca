// SPDX-License-Identifier: MIT
#include <formwork/core/matrix_exponential.hpp>

#include "kernel/checks.hpp"

namespace fw = formwork;
using fw::Index;

TEST_CASE("solve: the product gives the right side back, rows exchanged where they must be") {
  checks::numbers random(1);
  for (const Index n : {1, 2, 5, 33}) {
    auto a = random.matrix<double>(n, n);
    if (n > 1) a(0, 0) = 0;  // a pivot that cannot be used
    const auto b = random.matrix<double>(n, 3);
    const auto x = fw::solve(a, b);
    CHECK(checks::largest_error(fw::dense_product(a, x), b) < 1e-12 * checks::largest_of(x));
  }
  CHECK_THROWS_WITH(fw::solve(fw::matrix<double>(2, 2, 1.0), fw::matrix<double>(2, 1, 1.0)), ContainsSubstring("singular"));
  CHECK_THROWS_WITH(fw::solve(fw::matrix<double>(2, 3, 1.0), fw::matrix<double>(2, 1, 1.0)), ContainsSubstring("(2 × 3)"));
}

TEST_CASE("matrix_exponential: of a number, a nilpotent, a rotation; e^a e^-a = 1") {
  fw::matrix<double> one(1, 1, -3.25);
  CHECK(std::abs(fw::matrix_exponential(one)(0, 0) / std::exp(-3.25) - 1) < 1e-15);

  fw::matrix<double> shift(3, 3, 0.0);
  shift(1, 0) = 2, shift(2, 1) = 3;
  const auto e = fw::matrix_exponential(shift);
  CHECK(std::abs(e(1, 0) - 2) + std::abs(e(2, 1) - 3) + std::abs(e(2, 0) - 3) + std::abs(e(0, 1)) < 1e-14);

  fw::matrix<double> turn(2, 2, 0.0);
  turn(0, 1) = -20, turn(1, 0) = 20;
  const auto r = fw::matrix_exponential(turn);
  CHECK(std::abs(r(0, 0) - std::cos(20.0)) + std::abs(r(1, 0) - std::sin(20.0)) < 1e-13);

  checks::numbers random(2);
  const auto a = random.matrix<double>(12, 12, 0.4), minus = random.matrix<double>(12, 12, 0);
  auto negative = minus;
  for (Index i = 0; i < a.size(); ++i) negative.data()[i] = -a.data()[i];
  CHECK(checks::largest_error(fw::dense_product(fw::matrix_exponential(a), fw::matrix_exponential(negative)), fw::identity(12)) < 1e-12);

  one(0, 0) = std::numeric_limits<double>::quiet_NaN();
  CHECK_THROWS_WITH(fw::matrix_exponential(one), ContainsSubstring("not finite"));
}
