// SPDX-License-Identifier: MIT
#include <formwork/norm.hpp>
#include <formwork/residual.hpp>

#include "laws/residual_laws.hpp"

namespace fw = formwork;

TEST_CASE("pre_norm keeps the laws of residuals") {
  laws::residual_laws(fw::pre_norm<fw::rms_norm>{});
  laws::residual_laws(fw::pre_norm<fw::layer_norm>{});
}

TEST_CASE("pre_norm starts the weights that end a branch smaller with depth") {
  const auto residual = fw::pre_norm<fw::rms_norm>{}.at({.depth = 8, .layer = 3});
  CHECK(residual.gain(fw::place::output) == Approx(0.25));
  CHECK(residual.gain(fw::place::down) == Approx(0.25));
  CHECK(residual.gain(fw::place::query) == 1);
}
