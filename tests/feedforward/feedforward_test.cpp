// SPDX-License-Identifier: MIT
#include <formwork/activation.hpp>
#include <formwork/feedforward.hpp>
#include <formwork/tape.hpp>

#include "support/catch.hpp"

namespace fw = formwork;
using fw::Index;

namespace {

fw::matrix<double> normal(Index rows, Index cols, std::uint64_t seed) {
  fw::rng random{seed};
  fw::matrix<double> m(rows, cols);
  random.fill_normal(m.all(), 1.0);
  return m;
}

template <class F>
struct with_input {
  F feed;
  fw::parameter<double> x;
  static auto fields(with_input& w) { return fw::fields("feed", w.feed, "x", w.x); }
};

template <class F>
with_input<F> make(fw::biases with, Index rows) {
  static fw::rng random{1};
  random = fw::rng{1};
  return {F::make(fw::builder{.sizes = {.width = 5, .hidden = 19, .bias = with}, .random = random}),
          {normal(rows, 5, 2), fw::role::matrix}};
}

template <class F>
void gradients_are_right() {
  for (const auto with : {fw::biases::none, fw::biases::all})
    for (const Index rows : {1, 4}) {
      auto all = make<F>(with, rows);
      const auto report = fw::gradcheck(all, [&](fw::tape<double>& t) {
        const auto y = all.feed(fw::use(t, all.x));
        return fw::sum(fw::multiply(y, y));
      });
      INFO(report);
      CHECK(report);
    }
}

}  // namespace

TEST_CASE("mlp and gated_mlp have the gradients of their formulas") {
  gradients_are_right<fw::mlp<double, fw::gelu>>();
  gradients_are_right<fw::mlp<double, fw::relu2>>();
  gradients_are_right<fw::gated_mlp<double, fw::silu>>();
  gradients_are_right<fw::gated_mlp<double, fw::gelu>>();
}

TEST_CASE("gated_mlp is (act(x G + g) ⊙ (x U + u)) D + d, op by op") {
  auto all = make<fw::gated_mlp<double, fw::silu>>(fw::biases::all, 4);
  fw::tape<double> quiet{fw::recording::off};
  const auto x = fw::use(quiet, all.x);
  const auto& f = all.feed;
  const auto expected = f.down(fw::multiply(fw::map(f.gate(x), fw::silu{}), f.up(x)));
  CHECK(fw::eigen(f(x).value()).isApprox(fw::eigen(expected.value()), 1e-14));
}

TEST_CASE("gated_mlp's default hidden width keeps the parameters of an mlp, in whole 32s") {
  fw::rng random{1};
  CHECK(fw::gated_mlp<float>::make(fw::builder{.sizes = {.width = 256}, .random = random}).up.out() == 704);
  CHECK(fw::mlp<float>::make(fw::builder{.sizes = {.width = 256}, .random = random}).up.out() == 1024);
}
