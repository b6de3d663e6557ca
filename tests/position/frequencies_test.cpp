// SPDX-License-Identifier: MIT
#include <formwork/position/rope.hpp>

#include <cmath>
#include <limits>
#include <vector>

#include "laws/position_laws.hpp"

namespace fw = formwork;
using fw::Index;

namespace {

using formula = double (*)(const fw::frequency_site&);
constexpr formula all[] = {fw::geometric, fw::interpolated, fw::ntk_old,      fw::ntk_aware,            fw::ntk_fixed,
                           fw::ntk_mixed, fw::dynamic,      fw::ntk_by_parts, fw::ntk_by_parts_in_code, fw::llama3};

std::vector<double> of(const fw::frequencies& f, Index width, double base = 10000) {
  const auto inverse = f.of(base, width);
  return {inverse.begin(), inverse.end()};
}
std::vector<double> extended(formula f, Index width, double extension) {
  return of({.formula = f, .extension = extension}, width);
}

double largest_ratio_error(const std::vector<double>& a, const std::vector<double>& b) {
  REQUIRE(a.size() == b.size());
  double most = 0;
  for (std::size_t i = 0; i < a.size(); ++i) most = std::max(most, std::abs(a[i] / b[i] - 1));
  return most;
}

/// The base of which a dynamic table is the geometric series.
double base_of(double extension, Index length) {
  const auto table = of({.formula = fw::dynamic, .extension = extension, .training_length = 2048, .length = length}, 128);
  const double base = std::pow(table.back(), -128.0 / 126);
  CHECK(largest_ratio_error(table, of({}, 128, base)) <= 1e-13);
  return base;
}

}  // namespace

TEST_CASE("the tables at width 8, base 10000, extension 8 are the published ones") {
  const std::pair<formula, std::vector<double>> published[] = {
      {fw::geometric, {1, .1, .01, .001}},
      {fw::interpolated, {.125, .0125, .00125, .000125}},
      {fw::ntk_old, {1, .0594603558, .00353553391, .000210224104}},
      {fw::ntk_aware, {1, .05, .0025, .000125}},
      {fw::ntk_fixed, {.594603558, .0353553391, .00210224104, .000125}},
      {fw::ntk_mixed, {.417154981, .0259668095, .00176005376, .000125}}};
  for (const auto& [f, table] : published) CHECK(largest_ratio_error(extended(f, 8, 8), table) <= 2e-9);
}

TEST_CASE("how much the first pair of 64 is slowed down by 8 is as published") {
  const auto ratio = [](formula f) { return 1 / extended(f, 128, 8)[0]; };
  CHECK(ratio(fw::ntk_old) == 1);
  CHECK(ratio(fw::ntk_aware) == 1);
  CHECK(std::abs(ratio(fw::ntk_fixed) - 1.03302) <= 5e-6);
  CHECK(std::abs(ratio(fw::ntk_mixed) - 1.16714) <= 5e-6);
  CHECK(std::abs(std::log(ratio(fw::ntk_mixed)) - .15455542) <= 5e-9);
}

TEST_CASE("the tables are related as the articles say") {
  for (const Index width : {2, 8, 128})
    for (const double k : {2.0, 8.0, 32.0}) {
      CAPTURE(width, k);
      const auto mixed = [&](double exponent) {
        return of({.formula = fw::ntk_mixed, .extension = k, .exponent = exponent}, width);
      };
      const auto plain = of({}, width), by_k = extended(fw::interpolated, width, k), fixed = extended(fw::ntk_fixed, width, k);
      CHECK(largest_ratio_error(mixed(1), fixed) <= 1e-14);
      CHECK(largest_ratio_error(mixed(0), by_k) <= 1e-14);
      CHECK(largest_ratio_error(extended(fw::ntk_old, width, k), of({}, width, 10000 * k)) <= 1e-14);
      CHECK(std::abs(fixed.back() / by_k.back() - 1) <= 1e-14);
      CHECK(std::abs(mixed(.625).back() / by_k.back() - 1) <= 1e-14);
      const double d = static_cast<double>(width);
      CHECK(std::abs(plain.back() / extended(fw::ntk_old, width, k).back() / std::pow(k, (d - 2) / d) - 1) <= 1e-14);
      CHECK(std::abs(plain.front() / fixed.front() / std::pow(k, 2 / d) - 1) <= 1e-14);
      if (width == 2) continue;
      CHECK(std::abs(extended(fw::ntk_aware, width, k).back() / by_k.back() - 1) <= 1e-14);
      CHECK(largest_ratio_error(extended(fw::ntk_aware, width, k), of({}, width, 10000 * std::pow(k, d / (d - 2)))) <= 1e-13);
    }
  CHECK(extended(fw::ntk_aware, 2, 8) == std::vector<double>{1});
}

TEST_CASE("without extension every table is the geometric one") {
  for (const formula f : all)
    CHECK(largest_ratio_error(of({.formula = f, .training_length = 100, .length = 100}, 32), of({}, 32)) <= 1e-15);
  // a site by itself is not extended either
  const fw::frequency_site bare{.pair = 3, .rotated_width = 16, .training_length = 100};
  for (const formula f : all) CHECK(std::abs(f(bare) / fw::geometric(bare) - 1) <= 1e-15);
  CHECK(largest_ratio_error(of(fw::yarn(1, 100), 32), of({}, 32)) <= 1e-15);
  CHECK(fw::yarn(1, 100).factor == 1);
}

TEST_CASE("tables by turns within the training length are the published ones") {
  const std::pair<fw::frequencies, std::vector<double>> published[] = {
      {fw::yarn(4, 512), {1, .268553, .0422953, .0091121, .0025, .0007906, .00025, .0000791}},
      {fw::yarn(4, 512, fw::ntk_by_parts_in_code), {1, .2569351, .0625, .013835, .0025, .0007906, .00025, .0000791}},
      {{.formula = fw::llama3, .extension = 8, .training_length = 512},
       {1, .3162278, .1, .0184967, .00125, .0003953, .000125, .0000395}}};
  for (const auto& [f, table] : published) {
    const auto got = of(f, 16);
    REQUIRE(got.size() == table.size());
    for (std::size_t i = 0; i < got.size(); ++i) CHECK(std::abs(got[i] - table[i]) <= 6e-8);
  }
}

TEST_CASE("yarn's two ramps differ as published at width 128") {
  const auto plain = of({}, 128);
  const auto kept = [&](formula f, std::size_t pair) {  // 1: as trained, 0: interpolated by 16
    const auto table = of({.formula = f, .extension = 16, .training_length = 4096}, 128);
    return (table[pair] / plain[pair] - 1. / 16) / (1 - 1. / 16);
  };
  for (const auto& [pair, code, paper] : {std::tuple{25, .8077, .5436}, {30, .6154, .2482}, {40, .2308, .0342}}) {
    CHECK(std::abs(kept(fw::ntk_by_parts_in_code, std::size_t(pair)) - code) <= 5e-5);
    CHECK(std::abs(kept(fw::ntk_by_parts, std::size_t(pair)) - paper) <= 5e-5);
  }
  // The code's ramp begins and ends at whole pairs.
  for (const auto& [length, low, high] : {std::tuple{2048, 16, 41}, {4096, 20, 46}, {8192, 25, 50}}) {
    const auto table = of({.formula = fw::ntk_by_parts_in_code, .extension = 16, .training_length = length}, 128);
    const auto ratio = [&](int pair) { return table[std::size_t(pair)] / plain[std::size_t(pair)]; };
    CHECK(std::abs(ratio(low) - 1) <= 1e-14);
    CHECK(ratio(low + 1) < 0.99);
    CHECK(ratio(high - 1) > 1.01 / 16);
    CHECK(std::abs(ratio(high) - 1. / 16) <= 1e-14);
  }
}

TEST_CASE("yarn's factor on queries and keys is the published one") {
  for (const auto& [extension, factor, squared] :
       {std::tuple{2., 1.0693147, 1.1434340}, {4., 1.1386294, 1.2964770}, {8., 1.2079442, 1.4591291},
        {16., 1.2772589, 1.6313902}, {32., 1.3465736, 1.8132604}}) {
    CHECK(std::abs(fw::yarn(extension, 512).factor - factor) <= 5e-8);
    CHECK(std::abs(std::pow(fw::yarn(extension, 512).factor, 2) - squared) <= 1e-7);
  }
}

TEST_CASE("llama3 leaves 29 pairs of 64 alone, interpolates 29 and blends between as published") {
  const auto plain = of({}, 128, 5e5), table = of({.formula = fw::llama3, .extension = 8, .training_length = 8192}, 128, 5e5);
  int alone = 0, interpolated = 0;
  for (std::size_t i = 0; i < table.size(); ++i) {
    alone += std::abs(table[i] / plain[i] - 1) <= 1e-14;
    interpolated += std::abs(8 * table[i] / plain[i] - 1) <= 1e-14;
  }
  CHECK(alone == 29);
  CHECK(interpolated == 29);
  CHECK(std::abs(table[29] / .00216657076 - 1) <= 3e-9);
  CHECK(std::abs(table[34] / .000178507813 - 1) <= 3e-9);
}

TEST_CASE("the dynamic table's base grows with the declared length as published, and not before") {
  CHECK(std::abs(base_of(1, 4096) / 20221.2617 - 1) <= 3e-9);
  CHECK(std::abs(base_of(1, 8192) / 40889.9424 - 1) <= 2e-9);
  CHECK(std::abs(base_of(8, 4096) / 93194.271 - 1) <= 1e-8);
  CHECK(std::abs(base_of(8, 8192) / 263105.261 - 1) <= 3e-9);
  for (const Index length : {0, 1, 2047, 2048})
    CHECK(of({.formula = fw::dynamic, .extension = 8, .training_length = 2048, .length = length}, 128) == of({}, 128));
  // Even an extension from which 1 cannot be taken away.
  CHECK(of({.formula = fw::dynamic, .extension = 1e17, .training_length = 2048, .length = 2048}, 128) == of({}, 128));
}

TEST_CASE("a declared length makes another value of rope; one of the policy's own stays without") {
  const fw::rope<> own{.inverse_frequencies = {.formula = fw::dynamic, .training_length = 16, .length = 64}};
  CHECK(own.declared(64) == own);
  CHECK(own.declared(128) != own);
  CHECK(own.declared(128).inverse_frequencies.length == 128);
  STATIC_REQUIRE(fw::depends_on_length<fw::rope<>>);
}

TEST_CASE("rope keeps the laws of a rotation with every table") {
  for (const formula f : all)
    laws::position_laws(
        fw::rope{.inverse_frequencies = {.formula = f, .extension = 4, .training_length = 16, .factor = 1, .length = 100}}, 12);
}

TEST_CASE("tables that cannot be formed are refused by name") {
  for (const formula f : {fw::ntk_by_parts, fw::ntk_by_parts_in_code, fw::llama3})
    CHECK_THROWS_WITH(extended(f, 8, 2), ContainsSubstring("training length, which is 0"));
  CHECK_THROWS_WITH(extended(fw::ntk_fixed, 8, 0), ContainsSubstring("extension is 0"));
  CHECK_THROWS_WITH(extended(fw::ntk_fixed, 8, std::numeric_limits<double>::quiet_NaN()), ContainsSubstring("extension"));
  CHECK_THROWS_WITH(of({}, 8, -1), ContainsSubstring("base is -1"));
  CHECK_THROWS_WITH(extended(fw::dynamic, 8, 2), ContainsSubstring("training_length is 0"));
}
