// SPDX-License-Identifier: MIT
#include <formwork/attention.hpp>
#include <formwork/heads.hpp>
#include <formwork/mask.hpp>
#include <formwork/position/kerple.hpp>
#include <formwork/score.hpp>

#include "laws/learned_laws.hpp"
#include "laws/position_laws.hpp"

namespace fw = formwork;
using fw::Index;

namespace {

template <class S>
using logarithmic = fw::kerple<S>;
template <class S>
using power = fw::kerple<S, fw::kerple_power>;
template <class S>
using biased = fw::attention<S, fw::causal, logarithmic<S>>;
template <class S>
using both_ways = fw::attention<S, fw::full, fw::grouped, fw::softcap, power<S>>;
template <class S>
using talking = fw::attention<S, fw::causal, fw::talking_heads<S>, power<S>>;
const fw::sizes sizes{.width = 24, .heads = 4}, shared{.width = 24, .heads = 4, .key_heads = 2};

template <class K>
K make(Index heads) {
  fw::rng random{1};
  return K::make(fw::builder{.sizes = {.heads = heads}, .random = random}, {});
}
double softplus(double x) { return std::log1p(std::exp(x)); }

}  // namespace

TEST_CASE("kerple: r1 and r2 start evenly over (0, 2) and (0, 1), and the biases are the paper's") {
  constexpr Index heads = 5;
  fw::tape<double> quiet{fw::recording::off};
  const auto l = make<logarithmic<double>>(heads);
  const auto p = make<power<double>>(heads);
  const auto logs = l.distance_biases(quiet, heads, {-40, 41}), powers = p.distance_biases(quiet, heads, {-40, 41});
  for (Index h = 0; h < heads; ++h) {
    const double share = (static_cast<double>(h) + 0.5) / heads, r1 = 2 * share, r2 = share;
    CHECK(softplus(l.amplitude.value()(0, h)) == Approx(r1).epsilon(1e-12));
    CHECK(softplus(l.rate.value()(0, h)) == Approx(r2).epsilon(1e-12));
    CHECK(2 / (1 + std::exp(-p.rate.value()(0, h))) == Approx(r2).epsilon(1e-12));
    for (Index c = 0; c <= 80; ++c) {
      const double d = std::abs(static_cast<double>(c - 40));
      CHECK(logs.value()(h, c) == Approx(-r1 * std::log(1 + r2 * d)).epsilon(1e-12).margin(1e-300));
      CHECK(powers.value()(h, c) == Approx(-r1 * std::pow(d, r2)).epsilon(1e-12).margin(1e-300));
    }
    CHECK(logs.value()(h, 40) == 0);
    CHECK(powers.value()(h, 40) == 0);
  }
}

TEST_CASE("kerple: biases depend on their head and distance alone") {
  laws::distances_do_not_depend_on_the_range<float>(make<logarithmic<float>>(3), 3);
  laws::distances_do_not_depend_on_the_range<double>(make<power<double>>(3), 3);
}

TEST_CASE("kerple: whatever is learned, biases fall with the distance") {
  for (const double raw : {-30.0, -3.0, 0.0, 4.0, 30.0}) {
    fw::tape<double> quiet{fw::recording::off};
    auto l = make<logarithmic<double>>(1);
    auto p = make<power<double>>(1);
    l.amplitude.value()(0, 0) = l.rate.value()(0, 0) = p.amplitude.value()(0, 0) = p.rate.value()(0, 0) = raw;
    for (const auto& y : {l.distance_biases(quiet, 1, {0, 200}), p.distance_biases(quiet, 1, {0, 200})})
      for (Index c = 1; c < 200; ++c) {
        CAPTURE(raw, c);
        CHECK(std::isfinite(y.value()(0, c)));
        CHECK(y.value()(0, c) <= y.value()(0, c - 1));
        CHECK(y.value()(0, c) < 0);
      }
  }
}

TEST_CASE("attention with kerple keeps the laws of mixers") {
  laws::alone_as_in_a_batch<biased<float>>(sizes);
  laws::any_split_equals_the_parallel_form<biased<float>>(sizes);
  laws::any_split_equals_the_parallel_form<talking<float>>(sizes);
  laws::nothing_sees_the_future<biased<float>>(sizes);
  laws::a_moved_layer_gets_its_gradients<biased<float>>(sizes);
}

TEST_CASE("kerple gets its gradients, on every kind of heads") {
  laws::gradients_are_right<biased<double>>(sizes);
  laws::gradients_are_right<both_ways<double>>(shared);
  laws::gradients_are_right<talking<double>>(sizes);
  laws::learned_gradients_are_ordered<biased<float>>(sizes);
}
