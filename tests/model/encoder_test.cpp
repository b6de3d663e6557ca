// SPDX-License-Identifier: MIT
#include <numeric>

#include "model/small_models.hpp"
#include "support/catch.hpp"

using namespace small;

namespace {

template <class S, class... Position>
using reader = fw::encoder<S, fw::block<S, fw::post_norm<fw::layer_norm>, fw::attention<S, fw::full, Position...>, fw::mlp<S>>>;

template <class S, class... Position>
reader<S, Position...> make_reader() {
  fw::rng random{3};
  return reader<S, Position...>::make({.vocab = 32, .width = 24, .depth = 2, .heads = 3, .bias = fw::biases::all}, random);
}

}  // namespace

TEST_CASE("encoder: every gradient is right, of the masked-token objective and of the pooled rows") {
  auto model = make_reader<double, fw::rope<>>();
  const auto x = batch_of({5, 1, 3}, 31, 6);
  fw::rng random{5};
  const auto batch = fw::masked_tokens{.mask = 31, .rate = 0.4}(x, random);
  const auto report = fw::gradcheck(
      model,
      [&](fw::tape<double>& t) {
        const auto rows = model.pooled(t, x);
        return fw::add(fw::cross_entropy(model(t, batch.input), batch.target), fw::mean(fw::multiply(rows, rows)));
      },
      {.every_up_to = 60, .sample = 16});
  INFO(report);
  CHECK(report);
}

TEST_CASE("encoder: a sequence has the same rows and the same pooled row alone and in a ragged batch", "[D3]") {
  const auto model = make_reader<float, fw::rope<>>();
  const auto x = batch_of({70, 1, 33}, 31, 4);
  fw::tape<float> quiet{fw::recording::off};
  const auto hidden = model.hidden(quiet, x), pooled = model.pooled(quiet, x);
  for (Index s = 0; s < 3; ++s) {
    const auto first = x.ids.begin() + x.batch.first(s);
    const fw::tokens alone(std::vector<Index>(first, first + x.batch.length(s)));
    CHECK(same_bits(model.hidden(quiet, alone).value(), hidden.value().rows(x.batch.first(s), x.batch.length(s))));
    CHECK(same_bits(model.pooled(quiet, alone).value(), pooled.value().rows(s, 1)));
  }
}

TEST_CASE("encoder: a token's row depends on earlier and later tokens") {
  const auto model = make_reader<double, fw::rope<>>();
  fw::tape<double> quiet{fw::recording::off};
  const fw::matrix<double> before(model.hidden(quiet, {1, 2, 3, 4}).value()), after(model.hidden(quiet, {1, 2, 3, 5}).value());
  CHECK_FALSE(same_bits(before.rows(0, 1), after.rows(0, 1)));
}

TEST_CASE("encoder without positions does not know the order of its tokens") {
  const auto model = make_reader<double>();
  fw::tape<double> quiet{fw::recording::off};
  const std::vector<Index> ids{4, 9, 2, 30, 11, 7};
  const std::vector<std::size_t> order{3, 0, 5, 1, 4, 2};
  std::vector<Index> moved;
  for (const std::size_t i : order) moved.push_back(ids[i]);
  const auto here = model.hidden(quiet, fw::tokens(ids)), there = model.hidden(quiet, fw::tokens(moved));
  for (std::size_t i = 0; i < order.size(); ++i)
    for (Index j = 0; j < 24; ++j)
      CHECK(there.value()(static_cast<Index>(i), j) == Approx(here.value()(static_cast<Index>(order[i]), j)).epsilon(1e-12));
}

TEST_CASE("encoder learns what stands under a mask") {
  auto model = make_reader<float, fw::rope<>>();
  auto optimizer = fw::optimizer(fw::otherwise(fw::adamw{.rate = 3e-3}));
  fw::tape<float> tape;
  fw::rng random{8};
  std::vector<Index> ids(24);  // each token follows from its neighbours on either side
  std::iota(ids.begin(), ids.end(), Index(3));
  float first = 0, last = 0;
  for (int step = 0; step < 800; ++step) {
    const auto batch = fw::masked_tokens{.mask = 31}(fw::tokens(ids, fw::sequences{12, 12}), random);
    const auto loss = fw::cross_entropy(model(tape, batch.input), batch.target);
    if (step == 0) first = loss.item();
    if (step >= 780) last += loss.item() / 20;
    tape.backward(loss);
    optimizer.step(model);
  }
  CHECK(first > 3);
  CHECK(last < 1);  // knowing nothing but the 24 tokens: log 24 = 3.2
}
