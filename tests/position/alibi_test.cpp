// SPDX-License-Identifier: MIT
#include <formwork/attention.hpp>
#include <formwork/position.hpp>

#include "laws/mixer_laws.hpp"
#include "laws/score_laws.hpp"

namespace fw = formwork;
using fw::Index;

namespace {

template <class S>
using biased = fw::attention<S, fw::causal, fw::alibi>;
template <class S>
using biased_and_capped = fw::attention<S, fw::causal, fw::grouped, fw::softcap, fw::alibi>;
const fw::sizes sizes{.width = 24, .heads = 6};

/// The bias as its formula reads.
struct written_out {
  using plugs_into = fw::slot::score;
  template <class T>
  T operator()(T score, fw::score_site<T> at) const {
    return score - T(fw::alibi::slope(at.head, at.heads)) * abs(at.distance);
  }
};

/// As the reference code adds it.
struct by_key {
  using plugs_into = fw::slot::score;
  template <class T>
  T operator()(T score, fw::score_site<T> at) const {
    return score + T(fw::alibi::slope(at.head, at.heads)) * (T(static_cast<double>(at.position)) - at.distance);
  }
};

}  // namespace

TEST_CASE("alibi: slopes of the reference code") {
  const auto check = [](std::vector<double> expected) {
    const auto heads = static_cast<Index>(expected.size());
    for (Index h = 0; h < heads; ++h) {
      CAPTURE(heads, h);
      CHECK(std::abs(fw::alibi::slope(h, heads) - expected[static_cast<std::size_t>(h)]) <= 5.1e-9);
    }
  };
  check({.00390625});
  check({.25, .0625, .015625, .00390625, .5, .125});
  check({.5, .25, .125, .0625, .03125, .015625, .0078125, .00390625});
  check({.5, .25, .125, .0625, .03125, .015625, .0078125, .00390625, .70710678, .35355339, .1767767, .08838835});
}

TEST_CASE("alibi as part of a score formula keeps the laws of scores") {
  laws::score_laws(fw::with_bias(fw::plain{}, fw::alibi{}));
  laws::score_laws(fw::with_bias(fw::softcap{5}, fw::alibi{}));
}

TEST_CASE("attention with alibi adds -slope |i - j| to every score") {
  const cases::attention_case<double> one({6, 3, 8, 5}, {70, 1, 33});
  const auto check = [&](auto mask) {
    const auto got = one.run(cases::policies(mask, fw::inv_sqrt{}, fw::with_bias(fw::plain{}, fw::alibi{})));
    const auto expected = one.expect(cases::policies(mask, fw::inv_sqrt{}, written_out{}));
    CHECK(checks::largest_error(got.out, expected.out) <= 1e-13);
    CHECK(checks::largest_error(got.dq, expected.dq) <= 1e-12);
    CHECK(checks::largest_error(got.dk, expected.dk) <= 1e-12);
    CHECK(checks::largest_error(got.dv, expected.dv) <= 1e-12);
  };
  check(fw::causal{});
  check(fw::full{});
}

TEST_CASE("alibi: slope j, as the reference code adds it, gives the same attention") {
  const cases::attention_case<double> one({8, 8, 8, 5}, {90});
  const auto got = one.run(cases::policies(fw::causal{}, fw::inv_sqrt{}, fw::with_bias(fw::plain{}, fw::alibi{})));
  const auto expected = one.expect(cases::policies(fw::causal{}, fw::inv_sqrt{}, by_key{}));
  CHECK(checks::largest_error(got.out, expected.out) <= 1e-12);
}

TEST_CASE("attention with alibi keeps the laws of mixers") {
  laws::alone_as_in_a_batch<biased<float>>(sizes);
  laws::any_split_equals_the_parallel_form<biased<float>>(sizes);
  laws::any_split_equals_the_parallel_form<biased_and_capped<float>>({.width = 24, .heads = 6, .key_heads = 2});
  laws::gradients_are_right<biased<double>>(sizes);
  laws::gradients_are_right<biased_and_capped<double>>({.width = 24, .heads = 6, .key_heads = 2});
  laws::gradients_are_right<fw::attention<double, fw::full, fw::talking_heads<double>, fw::alibi>>({.width = 16, .heads = 4});
}
