// SPDX-License-Identifier: MIT
#include "io/scratch_folder.hpp"
#include "model/small_models.hpp"
#include "support/catch.hpp"

#include <formwork/io.hpp>

using namespace small;

namespace {

using layer = fw::block<float, fw::pre_norm<fw::rms_norm>, fw::attention<float, fw::causal, fw::rope<>, fw::talking_heads<float>>,
                        fw::gated_mlp<float, fw::silu>>;
using talker = fw::language_model<float, layer>;

talker make_talker(std::uint64_t seed) {
  fw::rng random{seed};
  return talker::make({.vocab = 31, .width = 24, .depth = 2, .heads = 3, .hidden = 40}, random,
                      fw::talking_heads<float>{.score_heads = 2, .value_heads = 4});
}
const auto& mixing_of(const talker& model) { return std::get<0>(model.layers.layers[1]).mix.heads; }

/// A few steps on one batch.
void train(talker& model, auto& optimizer, int steps) {
  fw::tape<float> tape{{.seed = 1}};
  const auto input = batch_of({9, 14}, 31, 1);
  const auto target = ids(23, 31, 2);
  for (int step = 0; step < steps; ++step) {
    tape.backward(fw::cross_entropy(model(tape, input), target));
    optimizer.step(model);
  }
}

}  // namespace

TEST_CASE("a language model of talking heads routes its mixing matrices to the rule of their role") {
  auto model = make_talker(1);
  const fw::matrix<float> scores(mixing_of(model).score_mix.value()), query(std::get<0>(model.layers.layers[1]).mix.query.weight.value());
  fw::optimizer only_matrices(fw::when(fw::role::matrix, fw::sgd{.rate = 0.1}), fw::otherwise(fw::sgd{.rate = 0}));
  train(model, only_matrices, 2);
  CHECK(same_bits(mixing_of(model).score_mix.value(), scores));
  CHECK_FALSE(same_bits(std::get<0>(model.layers.layers[1]).mix.query.weight.value(), query));
  fw::optimizer mixing(fw::when(fw::role::mixing, fw::adamw{.rate = 0.1}), fw::otherwise(fw::sgd{.rate = 0}));
  train(model, mixing, 2);
  CHECK_FALSE(same_bits(mixing_of(model).score_mix.value(), scores));
}

TEST_CASE("a language model of talking heads is saved and loaded with the same bits, and refused by one without") {
  const scratch_folder folder;
  auto saved = make_talker(1);
  fw::optimizer optimizer(fw::otherwise(fw::adamw{.rate = 0.01}));
  train(saved, optimizer, 3);
  fw::save_model(folder.path("model"), saved);
  auto loaded = make_talker(2);
  fw::load_model(folder.path("model"), loaded);
  const auto a = parameters_of(saved), b = parameters_of(loaded);
  REQUIRE(a.size() == b.size());
  for (std::size_t i = 0; i < a.size(); ++i) CHECK(same_bits(a[i], b[i]));

  const auto file = fw::safetensors_file::read(folder.path("model"));
  CHECK(file.metadata().at("formwork.composition").find("talking_heads<float>") != std::string::npos);
  CHECK(file.contains("layers.1.mixer.heads.score_mix"));
  CHECK(file.contains("layers.1.mixer.heads.weight_mix"));
  auto plain = make_gated<float>();
  CHECK_THROWS_WITH(fw::load_model(folder.path("model"), plain), ContainsSubstring("it has talking_heads"));
}

TEST_CASE("a language model of talking heads learns its batch, and generates what its full forward finds likeliest") {
  auto model = make_talker(1);
  fw::optimizer optimizer(fw::otherwise(fw::adamw{.rate = 0.01}));
  fw::tape<float> tape{{.seed = 1}};
  const auto input = batch_of({9, 14}, 31, 1);
  const auto target = ids(23, 31, 2);
  const double before = double(fw::cross_entropy(model(tape, input), target).item());
  tape.clear();
  train(model, optimizer, 40);
  CHECK(double(fw::cross_entropy(model(tape, input), target).item()) < before / 2);

  std::vector<Index> text{3, 1, 4};
  fw::rng random{1};
  const auto drawn = fw::generate(model, text, {.temperature = 0}, random, {.count = 12});
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

TEST_CASE("a steady training step of talking heads makes no call to the system for memory") {
  auto model = make_talker(1);
  fw::optimizer optimizer(fw::otherwise(fw::adamw{.rate = 0.01}));
  train(model, optimizer, 2);
  const auto before = fw::pool::instance().statistics().system_calls;
  train(model, optimizer, 3);
  CHECK(fw::pool::instance().statistics().system_calls == before);
}
