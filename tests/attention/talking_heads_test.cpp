// SPDX-License-Identifier: MIT
#include <formwork/attention.hpp>
#include <formwork/heads.hpp>
#include <formwork/mask.hpp>
#include <formwork/position.hpp>

#include "laws/mixer_laws.hpp"

namespace fw = formwork;
using fw::Index;

template <class S>
using talking = fw::attention<S, fw::causal, fw::talking_heads<S>, fw::rope<>>;

static_assert(fw::mixer<talking<float>> && fw::mixer<talking<double>>);

namespace {

const fw::sizes equal{.width = 24, .heads = 3};
const fw::sizes widths{.width = 20, .heads = 4, .key_width = 6, .head_width = 7, .bias = fw::biases::all};

/// 2 heads of queries and keys, 4 of weights, 3 of values; the mixing matrices away from their start.
template <class S>
struct unequal : talking<S> {
  static unequal make(const fw::builder& b) {
    unequal m{talking<S>::make(b, fw::talking_heads<S>{.score_heads = 2, .value_heads = 3})};
    b.random.fill_normal(m.heads.score_mix.value(), 0.7);
    b.random.fill_normal(m.heads.weight_mix.value(), 0.7);
    return m;
  }
};

}  // namespace

TEST_CASE("talking heads: a sequence has the same bits alone and in a ragged batch") {
  laws::alone_as_in_a_batch<talking<float>>(equal);
  laws::alone_as_in_a_batch<unequal<float>>(widths);
  laws::alone_as_in_a_batch<unequal<double>>(widths);
}

TEST_CASE("talking heads: prefill in any split, then steps, equals the parallel form") {
  laws::any_split_equals_the_parallel_form<talking<float>>(equal);
  laws::any_split_equals_the_parallel_form<unequal<float>>(widths);
}

TEST_CASE("talking heads: nothing sees the future") {
  laws::nothing_sees_the_future<unequal<float>>(widths);
  laws::nothing_sees_the_future<unequal<double>>(widths);
}

TEST_CASE("talking heads: gradients match central differences, the mixing matrices' included") {
  laws::gradients_are_right<talking<double>>(equal);
  laws::gradients_are_right<unequal<double>>(widths);
}

TEST_CASE("talking heads: a layer that moves before the backward pass still gets its gradients; wrong calls are refused") {
  laws::a_moved_layer_gets_its_gradients<unequal<float>>(widths);
  laws::wrong_calls_are_refused<unequal<float>>("attention", widths);
}

TEST_CASE("talking heads start as plain attention") {
  using plain = fw::attention<double, fw::causal, fw::rope<>>;
  const auto a = laws::make_mixer<talking<double>>(equal);
  const auto b = laws::make_mixer<plain>(equal);
  fw::tape<double> quiet{fw::recording::off};
  const auto x = laws::normal_matrix<double>(70, 24, 1);
  const auto y = a(quiet.constant(fw::matrix<double>(x))), z = b(quiet.constant(fw::matrix<double>(x)));
  CHECK((fw::eigen(y.value()) - fw::eigen(z.value())).cwiseAbs().maxCoeff() < 1e-14);
}

TEST_CASE("talking heads: with unequal heads each starts as the average of those it overlaps") {
  fw::rng random{1};
  const auto m = talking<double>::make(
      fw::builder{.sizes = {.width = 24, .heads = 4, .key_width = 6, .head_width = 6}, .random = random},
      fw::talking_heads<double>{.score_heads = 2, .value_heads = 3});
  CHECK(m.query.out() == 12);
  CHECK(m.key.out() == 12);
  CHECK(m.value.out() == 18);
  CHECK(m.output.in() == 18);
  const double copies[2][4] = {{1, 1, 0, 0}, {0, 0, 1, 1}};
  const double means[4][3] = {{.75, 0, 0}, {.25, .5, 0}, {0, .5, .25}, {0, 0, .75}};
  for (Index i = 0; i < 4; ++i) {
    for (Index a = 0; a < 2; ++a) CHECK(m.heads.score_mix.value()(a, i) == copies[a][i]);
    for (Index o = 0; o < 3; ++o) CHECK(m.heads.weight_mix.value()(i, o) == means[i][o]);
  }
}

TEST_CASE(
    "talking heads: a layer that moves before the backward pass still gets its mixing gradients; frozen ones get "
    "none") {
  auto here = laws::make_mixer<talking<double>>(equal);
  here.heads.weight_mix.freeze();
  fw::tape<double> t;
  const auto y = here(t.input(laws::normal_matrix<double>(5, 24, 1)));
  const auto loss = fw::sum(fw::multiply(y, y));
  auto there = std::move(here);
  t.backward(loss);
  CHECK(there.heads.score_mix.has_gradient());
  CHECK_FALSE(there.heads.weight_mix.has_gradient());
}

TEST_CASE("talking heads: key heads of other sizes are refused with a remedy") {
  fw::rng random{1};
  CHECK_THROWS_WITH(
      talking<float>::make(fw::builder{.sizes = {.width = 24, .heads = 4, .key_heads = 2}, .random = random}),
      ContainsSubstring("talking heads have keys of their own, 4 heads of them, but sizes.key_heads is 2; leave it 0"));
}
