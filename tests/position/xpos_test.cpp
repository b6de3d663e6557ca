// SPDX-License-Identifier: MIT
#include <formwork/attention.hpp>
#include <formwork/position.hpp>

#include <cmath>
#include <utility>

#include "laws/mixer_laws.hpp"
#include "laws/position_laws.hpp"

namespace fw = formwork;
using fw::Index;

namespace {

template <class S, class Position = fw::xpos<>>
using decaying = fw::attention<S, fw::causal, Position>;
const fw::sizes small{.width = 24, .heads = 3};

/// A score of queries and keys whose columns are all 1, at that distance: Σ_i 2 ζ_i^(distance / 512) cos(distance θ_i).
double score_of_ones(const auto& position, Index width, Index distance) {
  const auto table = position.template table<double>(width, distance + 1);
  const auto at = [&](Index place, fw::side of) {
    fw::matrix<double> x(1, width, 1.0);
    fw::sequences one{1};
    one.starts(std::vector<Index>{place});
    fw::rotate_side<double>(position, x.all(), 1, table, one, fw::direction::forward, of);
    return x;
  };
  return fw::eigen(at(distance, fw::side::queries)).row(0).dot(fw::eigen(at(0, fw::side::keys)).row(0));
}

}  // namespace

TEST_CASE("xpos keeps the laws of a rotation whose sides differ") {
  laws::position_laws(fw::xpos<>{}, 12);
  laws::position_laws(fw::xpos<fw::pairing::interleaved>{.base = 500, .gamma = 1, .scale_base = 100, .origin = 9}, 10);
}

TEST_CASE("xpos multiplies the part of each pair in rope's score by ζ to the distance over 512") {
  const double zeta[] = {.28571429, .46428571, .64285714, .82142857};
  const auto rope = fw::rope<>{}.table<double>(8, 1500);
  const auto xpos = fw::xpos<>{}.table<double>(8, 1500);
  for (const auto& [m, n] : {std::pair{Index(512), Index(0)}, {1024, 512}, {1499, 1300}, {700, 700}})
    for (Index i = 0; i < 4; ++i) {
      const auto part = [&](const auto& queries, const auto& keys) {  // of a query and a key (1, 1)
        const double a = queries.cos(m)[i] - queries.sin(m)[i], b = queries.cos(m)[i] + queries.sin(m)[i];
        return a * (keys.cos(n)[i] - keys.sin(n)[i]) + b * (keys.cos(n)[i] + keys.sin(n)[i]);
      };
      const double expected = std::pow(zeta[i], static_cast<double>(m - n) / 512);
      CHECK(std::abs(part(xpos.queries, xpos.keys) / part(rope, rope) / expected - 1) <= 1e-7);
    }
}

TEST_CASE("xpos: the mean of all pairs decays with the distance as published, rope's does not") {
  const auto mean = [](const auto& position, Index distance) { return score_of_ones(position, 64, distance) / 64; };
  CHECK(std::abs(mean(fw::xpos<>{}, 128) - .2953) <= 5e-5);
  CHECK(std::abs(mean(fw::xpos<>{}, 2048) - .0767) <= 5e-5);
  CHECK(std::abs(mean(fw::rope<>{}, 128) - .2839) <= 5e-5);
  CHECK(std::abs(mean(fw::rope<>{}, 2048) + .0397) <= 5e-5);
}

TEST_CASE("xpos: the origin changes no score, only how far positions reach") {
  CHECK(std::abs(score_of_ones(fw::xpos<>{.origin = 300}, 16, 700) - score_of_ones(fw::xpos<>{}, 16, 700)) <= 1e-12);
  CHECK_THROWS_WITH(fw::xpos<>{}.table<float>(8, 40000), ContainsSubstring("origin nearer the middle"));
  CHECK_NOTHROW((fw::xpos<>{.origin = 20000}.table<float>(8, 40000)));
  CHECK_NOTHROW(fw::xpos<>{}.table<double>(2, 100000));
  CHECK_THROWS_WITH(fw::xpos<>{}.table<float>(7, 4), ContainsSubstring("7 columns"));
}

TEST_CASE("attention with xpos keeps the laws of mixers") {
  laws::alone_as_in_a_batch<decaying<float>>(small);
  laws::any_split_equals_the_parallel_form<decaying<float>>(small);
  laws::gradients_are_right<decaying<double>>(small);
  laws::gradients_are_right<decaying<double, fw::xpos<fw::pairing::interleaved>>>({.width = 24, .heads = 6});
}
