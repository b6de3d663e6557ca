// SPDX-License-Identifier: MIT
#include "model/small_models.hpp"
#include "support/catch.hpp"

using namespace small;

TEST_CASE("greedy generation takes the likeliest token of the full forward each time") {
  const auto model = make_gated<float>();
  std::vector<Index> text{3, 1, 4};
  fw::rng random{1};
  const auto drawn = fw::generate(model, text, {.temperature = 0}, random, {.count = 12});
  REQUIRE(drawn.size() == 12);
  for (const Index id : drawn) {
    fw::tape<float> quiet{fw::recording::off};
    const auto scores = model(quiet, fw::tokens(text)).last();
    Index best = 0;
    for (Index j = 1; j < 31; ++j)
      if (scores(0, j) > scores(0, best)) best = j;
    CHECK(id == best);
    text.push_back(id);
  }
}

TEST_CASE("generation streams each token and stops where the callback says so") {
  const auto model = make_gated<float>();
  fw::rng random{1};
  std::vector<Index> seen;
  const std::vector<Index> prompt{3};
  const auto drawn = fw::generate(model, prompt, {}, random, {.count = 12}, [&](Index id) {
    seen.push_back(id);
    return seen.size() < 5;
  });
  CHECK(drawn == seen);
  CHECK(drawn.size() == 5);
}

TEST_CASE("generation repeats with the same random state") {
  const auto model = make_gated<float>();
  const std::vector<Index> prompt{3, 5};
  fw::rng a{7}, b{7};
  CHECK(fw::generate(model, prompt, {}, a, {.count = 20}) == fw::generate(model, prompt, {}, b, {.count = 20}));
}

TEST_CASE("an empty prompt and a negative count are refused") {
  const auto model = make_gated<float>();
  fw::rng random{1};
  const std::vector<Index> none, prompt{1};
  CHECK_THROWS_WITH(fw::generate(model, none, {}, random), "generate: the prompt is empty; needs at least one token");
  CHECK_THROWS_AS(fw::generate(model, prompt, {}, random, {.count = -1}), fw::argument_error);
}
