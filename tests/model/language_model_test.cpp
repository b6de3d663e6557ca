// SPDX-License-Identifier: MIT
#include <cmath>
#include <limits>

#include "model/small_models.hpp"
#include "support/catch.hpp"

using namespace small;

TEST_CASE("every gradient of a whole model is right, at two shapes, one with a sequence of length 1", "[gradcheck]") {
  const auto check = [](auto model, std::initializer_list<Index> lengths) {
    const auto x = batch_of(lengths, 31, 6);
    auto targets = ids(x.batch.rows(), 31, 7);
    targets[2] = -1;
    const auto report = fw::gradcheck(model, [&](fw::tape<double>& t) { return fw::cross_entropy(model(t, x), targets); },
                                      {.every_up_to = 60, .sample = 16});
    INFO(report);
    CHECK(report);
  };
  check(make_gated<double>(), {5, 1, 3});
  check(make_plain<double>(), {7});
  check(make_placed<double>(fw::sinusoidal{}), {4, 1, 3});
  check(make_placed<double>(fw::learned<double>{.longest = 9}), {4, 1, 3});
}

TEST_CASE("training lowers the loss to near zero on a batch that repeats") {
  auto model = make_gated<float>();
  auto optimizer = fw::optimizer(fw::otherwise(fw::adamw{.rate = 1e-2}));
  fw::tape<float> tape;
  const auto x = batch_of({20, 5}, 31, 1);
  const auto targets = ids(25, 31, 2);
  float first = 0, last = 0;
  for (int step = 0; step < 150; ++step) {
    const auto loss = fw::cross_entropy(model(tape, x), targets);
    (step == 0 ? first : last) = loss.item();
    tape.backward(loss);
    optimizer.step(model);
  }
  CHECK(first == Approx(std::log(31.0)).margin(0.5));
  CHECK(last < 0.05f);
}

TEST_CASE("recomputing layers changes no bit of the gradients") {
  auto model = make_gated<float>();
  const auto gradients = [&](fw::recompute how) {
    model.layers.memory = how;
    fw::for_each_parameter(model, [](auto& p) { p.mark_stale(); });
    fw::tape<float> tape;
    tape.backward(fw::cross_entropy(model(tape, batch_of({9, 4}, 31, 1)), ids(13, 31, 2)));
    std::vector<fw::matrix<float>> all;
    fw::for_each_parameter(model, [&](auto& p) { all.emplace_back(std::as_const(p).gradient()); });
    return all;
  };
  const auto recorded = gradients(fw::recompute::none), recomputed = gradients(fw::recompute::each_layer);
  for (std::size_t i = 0; i < recorded.size(); ++i) CHECK(same_bits(recorded[i], recomputed[i]));
}

TEST_CASE("frozen parameters keep their bits while the others learn") {
  auto model = make_gated<float>();
  fw::freeze(model.embed);
  const auto before = parameters_of(model);
  auto optimizer = fw::optimizer(fw::otherwise(fw::adamw{}));
  fw::tape<float> tape;
  tape.backward(fw::cross_entropy(model(tape, batch_of({9}, 31, 1)), ids(9, 31, 2)));
  optimizer.step(model);
  const auto after = parameters_of(model);
  CHECK(same_bits(before[0], after[0]));
  for (std::size_t i = 1; i < after.size(); ++i) CHECK_FALSE(same_bits(before[i], after[i]));
}

TEST_CASE("a token outside the vocabulary is named") {
  const auto model = make_gated<float>();
  fw::tape<float> quiet{fw::recording::off};
  CHECK_THROWS_WITH(model(quiet, fw::tokens{1, 31}), ContainsSubstring("id 31"));
  CHECK_THROWS_WITH(model(quiet, fw::tokens{-1}), ContainsSubstring("id -1"));
}

TEST_CASE("a loss that is not finite throws from backward") {
  auto model = make_gated<float>();
  model.embed.table.value()(1, 0) = std::numeric_limits<float>::quiet_NaN();
  fw::tape<float> tape;
  const auto loss = fw::cross_entropy(model(tape, fw::tokens{1, 2, 3}), {2, 3, 4});
  CHECK_THROWS_AS(tape.backward(loss), fw::numeric_error);
}

TEST_CASE("sizes that do not fit are refused with a remedy") {
  fw::rng random{1};
  CHECK_THROWS_WITH(gated<float>::make({.vocab = 31, .width = 24, .depth = 1, .heads = 5}, random),
                    ContainsSubstring("heads"));
  CHECK_THROWS_WITH((gated<float>::make({.vocab = 31, .width = 24, .depth = 2, .heads = 3, .pattern = {0}}, random)),
                    ContainsSubstring("pattern"));
}

TEST_CASE("values given to make reach every policy of their type") {
  fw::rng random{1};
  const auto model = gated<float>::make({.vocab = 31, .width = 24, .depth = 2, .heads = 3}, random, fw::rope<>{.base = 500});
  for (const auto& one : model.layers)
    CHECK(std::get<0>(one).mix.position.base == 500);
}
