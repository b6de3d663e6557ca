// SPDX-License-Identifier: MIT
#include <formwork/feature.hpp>

#include "laws/feature_laws.hpp"

namespace fw = formwork;

TEST_CASE("elu_plus_one keeps the laws of feature maps") { laws::feature_laws(fw::elu_plus_one{}, 1e10); }
TEST_CASE("exponential keeps the laws of feature maps") { laws::feature_laws(fw::exponential{}, 88); }
TEST_CASE("relu_plus_epsilon keeps the laws of feature maps") { laws::feature_laws(fw::relu_plus_epsilon{}, 1e10); }
TEST_CASE("a user's own formula keeps the laws of feature maps") { laws::feature_laws(laws::softplus_feature{}, 1e10); }

TEST_CASE("elu_plus_one has neither a jump nor a corner at 0; relu_plus_epsilon is epsilon below 0") {
  const auto at = [](double x) { return laws::value_and_slope<double>(fw::elu_plus_one{}, x); };
  CHECK(at(0) == std::pair(1.0, 1.0));
  CHECK(at(-1e-300) == std::pair(1.0, 1.0));
  CHECK(at(2) == std::pair(3.0, 1.0));
  CHECK(at(-1).first == Approx(std::exp(-1.0)).epsilon(1e-15));
  const auto relu = [](double x) { return laws::value_and_slope<double>(fw::relu_plus_epsilon{}, x); };
  CHECK(relu(-5) == std::pair(1e-3, 0.0));
  CHECK(relu(0) == std::pair(1e-3, 0.0));
  CHECK(relu(2) == std::pair(2.001, 1.0));
}
