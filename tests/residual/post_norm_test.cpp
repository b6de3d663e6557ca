// SPDX-License-Identifier: MIT
#include <formwork/norm.hpp>
#include <formwork/residual.hpp>

#include "laws/residual_laws.hpp"

namespace fw = formwork;

TEST_CASE("post_norm keeps the laws of residuals") {
  laws::residual_laws(fw::post_norm<fw::layer_norm>{});
  laws::residual_laws(fw::post_norm<fw::rms_norm>{});
}

TEST_CASE("post_norm normalises the sum: rows of mean square 1 whatever the branch adds") {
  const auto norm = fw::rms_norm<double>::make(50);
  fw::tape<double> quiet{fw::recording::off};
  const auto x = quiet.constant(checks::numbers(1).matrix<double>(3, 50, 7));
  const auto y = fw::post_norm<fw::rms_norm>{}.join(x, norm, [](const auto& u) { return fw::scale(u, 100); });
  for (fw::Index i = 0; i < 3; ++i) {
    double square = 0;
    for (fw::Index j = 0; j < 50; ++j) square += y.value()(i, j) * y.value()(i, j) / 50;
    CHECK(square == Approx(1).epsilon(1e-6));
  }
}
