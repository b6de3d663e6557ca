// SPDX-License-Identifier: MIT
#include <formwork/generate.hpp>

#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include "support/catch.hpp"

namespace fw = formwork;
using fw::Index;

namespace {
std::vector<double> frequencies(const fw::sampler& draw, const std::vector<float>& scores, int draws) {
  fw::rng random{5};
  std::vector<double> share(scores.size(), 0);
  for (int i = 0; i < draws; ++i) share[std::size_t(draw(std::span<const float>(scores), random))] += 1.0 / draws;
  return share;
}
}  // namespace

TEST_CASE("a sampler draws by softmax of scores over temperature") {
  const std::vector<float> scores{1.f, 0.f, 2.f};
  const auto share = frequencies({.temperature = 2}, scores, 40000);
  const double total = std::exp(.5) + 1 + std::exp(1.);
  CHECK(share[0] == Approx(std::exp(.5) / total).margin(0.012));
  CHECK(share[1] == Approx(1 / total).margin(0.012));
  CHECK(share[2] == Approx(std::exp(1.) / total).margin(0.012));
}

TEST_CASE("temperature 0 takes the largest score, the first where several are largest, and draws nothing") {
  fw::rng random{5};
  const auto before = random.save();
  const std::vector<float> scores{1.f, 3.f, 3.f};
  CHECK(fw::sampler{.temperature = 0}(std::span<const float>(scores), random) == 1);
  CHECK(random.save() == before);
}

TEST_CASE("top_k keeps the k largest") {
  const auto share = frequencies({.top_k = 2}, {1.f, 0.f, 2.f, -1.f}, 2000);
  CHECK(share[1] == 0);
  CHECK(share[3] == 0);
  CHECK(share[0] > 0);
}

TEST_CASE("top_p keeps the smallest set that reaches p") {
  // probabilities 0.64, 0.24, 0.09, 0.03
  const auto share = frequencies({.top_p = 0.7}, {3.f, 2.f, 1.f, 0.f}, 2000);
  CHECK(share[0] > 0);
  CHECK(share[1] > 0);
  CHECK(share[2] == 0);
  CHECK(frequencies({.top_p = 0.5}, {3.f, 2.f, 1.f, 0.f}, 100)[0] == Approx(1));
}

TEST_CASE("numbers that make no sense are refused") {
  fw::rng random{5};
  const std::vector<float> scores{1.f, 3.f};
  const std::span<const float> all(scores);
  CHECK_THROWS_AS((fw::sampler{.temperature = -1}(all, random)), fw::argument_error);
  CHECK_THROWS_AS((fw::sampler{.top_k = -1}(all, random)), fw::argument_error);
  CHECK_THROWS_AS((fw::sampler{.top_p = 0}(all, random)), fw::argument_error);
  const std::vector<float> bad{1.f, std::numeric_limits<float>::quiet_NaN()};
  CHECK_THROWS_AS((fw::sampler{}(std::span<const float>(bad), random)), fw::numeric_error);
  CHECK_THROWS_AS((fw::sampler{}(std::span<const float>(), random)), fw::numeric_error);
}
