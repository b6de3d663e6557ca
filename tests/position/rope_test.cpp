// SPDX-License-Identifier: MIT
#include <formwork/position/rope.hpp>

#include "laws/position_laws.hpp"

namespace fw = formwork;
using fw::Index;

namespace {

struct not_a_position {
  using plugs_into = fw::slot::position;
};
static_assert(!fw::position_policy<not_a_position>);
static_assert(std::same_as<decltype(fw::rope{.base = 5e5}), fw::rope<>>);

/// A user writes a table of their own like the library's: here, no pair turns slower than once in the training length.
double never_slower(const fw::frequency_site& at) {
  return std::max(fw::geometric(at), 2 * 3.14159265358979 / static_cast<double>(at.training_length));
}

}  // namespace

TEST_CASE("rope keeps the laws of a rotation, in both pairings, whole and in part") {
  for (const Index key_width : {2, 8, 34, 64}) {
    laws::position_laws(fw::rope<>{}, key_width);
    laws::position_laws(fw::rope<fw::pairing::interleaved>{.base = 500}, key_width);
  }
  laws::position_laws(fw::rope<>{.rotated_width = 6}, 10);
  laws::position_laws(fw::rope<fw::pairing::interleaved>{.rotated_width = 6}, 11);
  laws::position_laws(fw::rope{.inverse_frequencies = {.formula = never_slower, .training_length = 100}}, 16);
}

TEST_CASE("rope's table holds the frequencies of its value, a user's formula among them") {
  const double plain[] = {1, .1, .01, .001}, lifted[] = {1, .1, .0628318530717958, .0628318530717958};
  const auto table = fw::rope<>{}.table<double>(8, 1);
  const auto other = fw::rope{.inverse_frequencies = {.formula = never_slower, .training_length = 100}}.table<double>(8, 1);
  REQUIRE(table.pairs() == 4);
  for (std::size_t i = 0; i < 4; ++i) {
    CHECK(std::abs(table.inverse_frequency()[i] / plain[i] - 1) <= 1e-15);
    CHECK(std::abs(other.inverse_frequency()[i] / lifted[i] - 1) <= 1e-15);
  }
}

TEST_CASE("rope: the mean size of partial sums of unit rotations decays with distance as published") {
  const std::pair<Index, double> published[] = {{0, 32.5}, {1, 31.5382}, {4, 22.6040}, {16, 15.7750}, {64, 10.0899}, {256, 6.5431}};
  const auto table = fw::rope<>{}.table<double>(128, 257);
  for (const auto& [distance, bound] : published) {
    double real = 0, imaginary = 0, total = 0;
    for (Index i = 0; i < 64; ++i) {
      real += table.cos(distance)[i], imaginary += table.sin(distance)[i];
      total += std::hypot(real, imaginary) / 64;
    }
    CHECK(std::abs(total - bound) <= 5.1e-5);
  }
}

TEST_CASE("rope: a factor on the table multiplies the turned columns") {
  const auto plain = fw::rope<>{}.table<double>(4, 3);
  const auto larger = fw::rope{.inverse_frequencies = {.factor = 1.5}}.table<double>(4, 3);
  CHECK(std::abs(larger.cos(2)[1] - 1.5 * plain.cos(2)[1]) <= 1e-15);
  CHECK(std::abs(larger.sin(2)[0] - 1.5 * plain.sin(2)[0]) <= 1e-15);
}

TEST_CASE("rope: values compare, so that a table is made again only when one has changed") {
  CHECK(fw::rope<>{} == fw::rope<>{});
  CHECK(fw::rope<>{} != fw::rope{.base = 5e5});
  CHECK(fw::rope<>{} != fw::rope{.inverse_frequencies = {.formula = never_slower}});
}

TEST_CASE("rope names a width it cannot turn") {
  CHECK_THROWS_WITH(fw::rope<>{}.table<float>(7, 4), ContainsSubstring("7 of 7 columns"));
  CHECK_THROWS_WITH((fw::rope{.rotated_width = 10}.table<float>(8, 4)), ContainsSubstring("10 of 8 columns"));
  CHECK_THROWS_WITH((fw::rope{.base = 0}.table<float>(8, 4)), ContainsSubstring("base is 0"));
  fw::matrix<float> x(3, 8);
  CHECK_THROWS_WITH(fw::rope<>{}.rotate<float>(x, 0, fw::rope<>{}.table<float>(8, 4), fw::sequences{3}, fw::direction::forward),
                    ContainsSubstring("there are 0 heads of width 0"));
}
