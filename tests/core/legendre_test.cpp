// SPDX-License-Identifier: MIT
#include <formwork/core/legendre.hpp>

#include "support/catch.hpp"

namespace fw = formwork;
using fw::Index;

TEST_CASE("legendre: the first polynomials") {
  double p[5];
  for (const double z : {-1.0, -0.3, 0.0, 0.7, 1.0}) {
    fw::legendre(p, 5, z);
    CHECK(p[0] == 1);
    CHECK(p[1] == z);
    CHECK(std::abs(p[2] - (3 * z * z - 1) / 2) < 1e-15);
    CHECK(std::abs(p[3] - (5 * z * z * z - 3 * z) / 2) < 1e-15);
    CHECK(std::abs(p[4] - (35 * z * z * z * z - 30 * z * z + 3) / 8) < 1e-15);
  }
}

TEST_CASE("gauss_legendre integrates polynomials up to degree 2 count - 1") {
  for (const Index count : {1, 2, 7, 64, 201}) {
    const fw::gauss_legendre rule(count);
    for (Index degree = 0; degree < 2 * count; ++degree) {
      double sum = 0;
      for (Index i = 0; i < count; ++i) sum += rule.weight(0, i) * std::pow(rule.node(0, i), static_cast<double>(degree));
      CHECK(std::abs(sum - 1 / static_cast<double>(degree + 1)) < 1e-14);
    }
    for (Index i = 1; i < count; ++i) CHECK(rule.node(0, i - 1) < rule.node(0, i));
  }
}
