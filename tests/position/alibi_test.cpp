// SPDX-License-Identifier: MIT
#include <formwork/attention.hpp>
#include <formwork/position.hpp>

#include "laws/mixer_laws.hpp"
#include "laws/position_laws.hpp"
#include "laws/score_laws.hpp"

namespace fw = formwork;
using fw::Index;

namespace {

template <class S>
using biased = fw::attention<S, fw::causal, fw::alibi>;
template <class S>
using biased_and_capped = fw::attention<S, fw::causal, fw::grouped, fw::softcap, fw::alibi>;
const fw::sizes sizes{.width = 24, .heads = 6};

/// The kernel's formula, with tables for 4 heads and more as the laws of scores ask.
template <class S>
struct table {
  fw::matrix<S> numbers;
  Index first;

  explicit table(Index heads, Index behind = 5000, Index ahead = 5000) : first(-behind) {
    fw::tape<S> quiet{fw::recording::off};
    numbers = fw::matrix<S>(fw::alibi{}.distance_biases(quiet, heads, {-behind, ahead + 1}).value());
  }
  template <class Score = fw::plain>
  auto scores(Score score = {}) const {
    return fw::with_bias(score, fw::by_distance<S>{numbers, first});
  }
};

/// The same as a position whose bias is a formula of the site.
struct by_formula {
  using plugs_into = fw::slot::position;
  struct of_head {
    double slope;
    template <class T>
    T bias(fw::score_site<T> at) const {
      return T(-slope) * abs(at.distance);
    }
  };
  of_head at_head(Index head, Index heads) const { return {fw::alibi::slope(head, heads)}; }
  template <class T>
  T bias(fw::score_site<T> at) const {
    return at_head(at.head, at.heads).bias(at);
  }
};
static_assert(fw::biased_position<by_formula> && fw::position_policy<by_formula>);

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
  const table<float> floats(4);
  const table<double> doubles(4);
  laws::lanes_agree<float>(floats.scores());
  laws::lanes_agree<double>(doubles.scores(fw::softcap{5}));
  laws::slope_is_right(doubles.scores());
  laws::slope_is_right(doubles.scores(fw::softcap{5}));
}

TEST_CASE("a position whose bias is a formula keeps the laws of scores, and has the bits of alibi's table") {
  laws::score_laws(fw::with_bias(fw::plain{}, by_formula{}));
  laws::score_laws(fw::with_bias(fw::softcap{5}, by_formula{}));
  const auto x = laws::normal_matrix<float>(150, 24, 1);
  const auto run = [&]<class Position>(std::type_identity<Position>) {
    const auto m = laws::make_mixer<fw::attention<float, fw::causal, Position>>(sizes);
    fw::tape<float> t;
    const auto in = t.input(fw::matrix<float>(x));
    const auto y = m(in);
    t.backward(fw::sum(fw::multiply(y, y)));
    return std::pair(fw::matrix<float>(y.value()), fw::matrix<float>(in.gradient()));
  };
  const auto [y, dx] = run(std::type_identity<fw::alibi>());
  const auto [z, dz] = run(std::type_identity<by_formula>());
  CHECK(laws::same_bits(y, z));
  CHECK(laws::same_bits(dx, dz));
}

TEST_CASE("alibi: biases depend on their head and distance alone") {
  laws::distances_do_not_depend_on_the_range<float>(fw::alibi{}, 6);
}

TEST_CASE("attention with alibi adds -slope |i - j| to every score") {
  const cases::attention_case<double> one({6, 3, 8, 5}, {70, 1, 33});
  const table<double> biases(6, 100, 200);
  const auto check = [&](auto mask) {
    const auto got = one.run(cases::policies(mask, fw::inv_sqrt{}, biases.scores()));
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
  const table<double> biases(8, 100, 100);
  const auto got = one.run(cases::policies(fw::causal{}, fw::inv_sqrt{}, biases.scores()));
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
