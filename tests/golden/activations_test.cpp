// SPDX-License-Identifier: MIT
#include <formwork/activation/gelu.hpp>
#include <formwork/activation/gelu_tanh.hpp>
#include <formwork/activation/relu2.hpp>
#include <formwork/activation/silu.hpp>
#include <formwork/core/dual.hpp>

#include <algorithm>
#include <cmath>

#include "golden/golden.hpp"
#include "support/catch.hpp"

namespace fw = formwork;
using fw::Index;

namespace {

/// Every element on its own, so that the small values of the negative tails count as much as the large ones.
void check(const char* name, auto activation) {
  using P = fw::pack<double>;
  const golden::file file("activations");
  const std::string at = name;
  const auto x = file[at + ".input.x"], y = file[at + ".output.y"], dy = file[at + ".upstream.y"],
             dx = file[at + ".grad.x"];
  for (Index j = 0; j < x.cols(); j += P::size) {
    const Index count = std::min<Index>(P::size, x.cols() - j);
    const fw::dual<P> got = activation(fw::dual<P>(P::load(x.data() + j, count), P(1)));
    double value[P::size], slope[P::size];
    got.value.store(value);
    got.slope.store(slope);
    for (Index i = 0; i < count; ++i) {
      const double expected = y(0, j + i), expected_slope = dx(0, j + i) / dy(0, j + i);
      INFO(name << " at " << x(0, j + i));
      CHECK(std::abs(value[i] - expected) <= 2e-13 * std::abs(expected));
      CHECK(std::abs(slope[i] - expected_slope) <= 2e-13 * std::abs(expected_slope) + 1e-15 * (expected_slope > 1e-3));
    }
  }
}

}  // namespace

TEST_CASE("gelu, gelu_tanh, silu and relu2 and their slopes by dual numbers are PyTorch's") {
  check("gelu", fw::gelu{});
  check("gelu_tanh", fw::gelu_tanh{});
  check("silu", fw::silu{});
  check("relu2", fw::relu2{});
}
