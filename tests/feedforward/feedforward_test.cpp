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

/// Outputs, the input's gradient and the weights' gradients of some rows.
template <class F>
struct pass {
  fw::matrix<double> y, dx, up, down;
};
/// The rows at once, or in two calls whose gradients add up.
template <class F>
pass<F> passed(const fw::matrix<double>& x, const fw::matrix<double>& dy, Index split) {
  auto all = make<F>(fw::biases::none, 1);
  fw::tape<double> tape;
  pass<F> r{fw::matrix<double>(x.rows(), 5), x, {}, {}};
  for (const auto& [first, last] : {std::pair<Index, Index>{0, split}, {split, x.rows()}}) {
    if (first == last) continue;
    const auto in = tape.input(fw::matrix<double>(x.rows(first, last - first)));
    const auto y = all.feed(in);
    fw::contribute<double>(r.y.rows(first, last - first), fw::start::fresh, y.value());
    tape.backward(fw::sum(fw::multiply(y, tape.constant(fw::matrix<double>(dy.rows(first, last - first))))));
    fw::contribute<double>(r.dx.rows(first, last - first), fw::start::fresh, in.gradient());
  }
  r.up = fw::matrix<double>(std::as_const(all.feed.up.weight).gradient());
  r.down = fw::matrix<double>(std::as_const(all.feed.down.weight).gradient());
  return r;
}
template <class F>
void rows_may_be_split() {
  const Index rows = 2 * fw::rows_in_cache + 77;
  const auto x = normal(rows, 5, 3), dy = normal(rows, 5, 4);
  const auto whole = passed<F>(x, dy, rows), split = passed<F>(x, dy, 700);
  const auto same = [](const fw::matrix<double>& a, const fw::matrix<double>& b) { return fw::eigen(a) == fw::eigen(b); };
  CHECK(same(whole.y, split.y));
  CHECK(same(whole.dx, split.dx));
  CHECK(same(whole.up, split.up));
  CHECK(same(whole.down, split.down));
}

}  // namespace

TEST_CASE("feed-forward parts: more rows than stay in cache have the bits of fewer, gradients of the weights included") {
  rows_may_be_split<fw::mlp<double, fw::gelu>>();
  rows_may_be_split<fw::gated_mlp<double, fw::silu>>();
}

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
