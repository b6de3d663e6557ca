// SPDX-License-Identifier: MIT
#include <formwork/scale.hpp>

#include <vector>

#include "laws/scale_laws.hpp"

namespace fw = formwork;
using fw::Index;

TEST_CASE("log_n keeps the laws of scales") {
  laws::scale_laws(fw::log_n{});
  laws::scale_laws(fw::log_n{.base = 64, .smallest = 16});
}

TEST_CASE("log_n: factors of the article at d = 64") {
  const auto factor = [](Index n) { return fw::log_n{}({.visible_keys = n, .key_width = 64}); };
  const std::pair<Index, double> table[] = {{1, 0},           {2, .01388889},   {64, .08333333},  {128, .09722222},
                                            {512, .125},      {1024, .13888889}, {4096, .16666667}};
  for (const auto& [n, expected] : table) {
    CAPTURE(n);
    CHECK(std::abs(factor(n) - expected) <= 5.1e-9);
  }
}

TEST_CASE("log_n is inv_sqrt at n = base, bit for bit") {
  for (const Index base : {16, 512, 1000})
    for (const Index width : {1, 3, 48, 64, 80}) {
      const fw::scale_site at{.visible_keys = base, .key_width = width, .position = base - 1};
      CHECK(fw::log_n{.base = static_cast<double>(base)}(at) == fw::inv_sqrt{}(at));
    }
}

TEST_CASE("log_n scales rows that see fewer than `smallest` keys as if they saw so many") {
  const fw::log_n floored{.smallest = 16};
  CHECK(floored({.visible_keys = 3, .key_width = 64}) == floored({.visible_keys = 16, .key_width = 64}));
  CHECK(floored({.visible_keys = 17, .key_width = 64}) > floored({.visible_keys = 16, .key_width = 64}));
}

TEST_CASE("log_n with at_least 1 changes nothing up to its base: the factors of the article") {
  const fw::log_n clipped{.base = 512, .at_least = 1};
  laws::scale_laws(clipped);
  for (const auto& [n, expected] : {std::pair<Index, double>{1, 1}, {256, 1}, {512, 1}, {1024, 1.1111111}, {4096, 1.3333333}}) {
    CAPTURE(n);
    const fw::scale_site at{.visible_keys = n, .key_width = 64};
    CHECK(std::abs(clipped(at) / fw::inv_sqrt{}(at) - expected) <= 5.1e-8);
    if (n <= 512) CHECK(clipped(at) == fw::inv_sqrt{}(at));
  }
}

TEST_CASE("log_n: κ log n / d, which is base 512 at d = 64 for κ = 1.28239559") {
  const auto scale = fw::log_n::kappa(1.28239559, 64);
  CHECK(scale.base == Approx(512).epsilon(1e-7));
  for (const Index n : {2, 100, 5000})
    CHECK(fw::log_n::kappa(0.7, 48)({.visible_keys = n, .key_width = 48}) ==
          Approx(0.7 * std::log(static_cast<double>(n)) / 48).epsilon(1e-14));
}

TEST_CASE("log_n counts the keys a row sees: causal attention's rows are scaled one by one") {
  cases::attention_case<double> one({2, 1, 6, 5}, {40, 1, 17});
  const auto got = one.run(cases::policies(fw::causal{}, fw::log_n{.base = 20})), expected = one.expect(cases::policies(fw::causal{}, fw::log_n{.base = 20}));
  CHECK(checks::largest_error(got.out, expected.out) <= 1e-13);
  CHECK(checks::largest_error(got.dq, expected.dq) <= 1e-12);
}

// kexue.fm/archives/9034: H = log n + log mean exp(λ s) - λ Σ p s is at least log n - λ (max s - mean s).
TEST_CASE("the entropy of a softmax row is at least log n - scale (max - mean)") {
  const auto entropy_and_bound = [](const std::vector<double>& s, double factor) {
    double largest = s[0], mean = 0, z = 0, h = 0;
    for (const double x : s) largest = std::max(largest, x), mean += x / static_cast<double>(s.size());
    for (const double x : s) z += std::exp(factor * (x - largest));
    for (const double x : s) {
      const double p = std::exp(factor * (x - largest)) / z;
      h -= p > 0 ? p * std::log(p) : 0;
    }
    return std::pair(h, std::log(static_cast<double>(s.size())) - factor * (largest - mean));
  };
  const auto [h1, b1] = entropy_and_bound({0, 1, 2, 3}, 1);
  const auto [h2, b2] = entropy_and_bound({0, 1, 2, 3}, 2);
  CHECK(std::abs(h1 - .94753696) <= 5.1e-9);
  CHECK(std::abs(b1 + .11370564) <= 5.1e-9);
  CHECK(std::abs(h2 - .45542862) <= 5.1e-9);
  CHECK(std::abs(b2 + 1.61370564) <= 5.1e-9);
  checks::numbers random(3);
  for (const Index n : {2, 16, 300})
    for (int round = 0; round < 50; ++round) {
      const auto s = random.matrix<double>(1, n, 2);
      const auto [h, bound] = entropy_and_bound(std::vector<double>(s.data(), s.data() + n), fw::log_n{.base = 64}({.visible_keys = n, .key_width = 4}));
      CHECK(h >= bound - 1e-12);
    }
}
