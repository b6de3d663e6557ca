// SPDX-License-Identifier: MIT
#include <formwork/kernel/rotate.hpp>

#include <cmath>
#include <string>
#include <vector>

#include "golden/golden.hpp"
#include "support/catch.hpp"

namespace fw = formwork;
using fw::Index;

TEST_CASE("rotations of whole and partly rotated heads, and their gradients, are PyTorch's in both pairings") {
  const auto [pairing, name] =
      GENERATE(std::pair(fw::pairing::half, "half"), std::pair(fw::pairing::interleaved, "interleaved"));
  const Index heads = 2, width = 8, rotated = GENERATE(8, 6);
  const golden::file file("rope");
  const std::string at = std::string(name) + "_" + std::to_string(rotated);
  CAPTURE(at);

  std::vector<double> inverse_frequency;
  for (Index i = 0; i < rotated / 2; ++i)
    inverse_frequency.push_back(std::pow(10000.0, -2.0 * static_cast<double>(i) / static_cast<double>(rotated)));
  auto x = file[at + ".input.x"], dy = file[at + ".upstream.y"];
  const fw::rotary_table<double> table(inverse_frequency, x.rows());
  const fw::sequences one{x.rows()};
  fw::rotate<double>(x, table, heads, width, rotated, pairing, one, fw::direction::forward);
  fw::rotate<double>(dy, table, heads, width, rotated, pairing, one, fw::direction::backward);
  CHECK(golden::error(x, file[at + ".output.y"]) <= 1e-14);
  CHECK(golden::error(dy, file[at + ".grad.x"]) <= 1e-14);
}
