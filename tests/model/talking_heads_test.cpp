// SPDX-License-Identifier: MIT
#include "io/scratch_folder.hpp"
#include "laws/model_laws.hpp"

#include <formwork/io.hpp>

using namespace small;

namespace {

const auto& mixing_of(const talking<float>& model) { return std::get<0>(model.layers.layers[1]).mix.heads; }

/// A few steps on one batch.
void train(talking<float>& model, auto& optimizer, int steps) {
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
  auto model = make_talking<float>(1);
  const fw::matrix<float> scores(mixing_of(model).score_mix.value()),
      query(std::get<0>(model.layers.layers[1]).mix.query.weight.value());
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
  auto saved = make_talking<float>(1);
  fw::optimizer optimizer(fw::otherwise(fw::adamw{.rate = 0.01}));
  train(saved, optimizer, 3);
  fw::save_model(folder.path("model"), saved);
  auto loaded = make_talking<float>(2);
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
  auto model = make_talking<float>(1);
  fw::optimizer optimizer(fw::otherwise(fw::adamw{.rate = 0.01}));
  fw::tape<float> tape{{.seed = 1}};
  const auto input = batch_of({9, 14}, 31, 1);
  const auto target = ids(23, 31, 2);
  const double before = double(fw::cross_entropy(model(tape, input), target).item());
  tape.clear();
  train(model, optimizer, 40);
  CHECK(double(fw::cross_entropy(model(tape, input), target).item()) < before / 2);

  laws::generates_the_likeliest(model, {3, 1, 4}, 12);
}

TEST_CASE("a language model of talking heads keeps the determinism contract", "[D1][D2][D3][D4]") {
  laws::trains_alike_on_any_number_of_threads([] { return make_talking<float>(); });
  laws::reads_alone_as_in_a_batch(make_talking<float>());
  laws::decodes_as_it_reads(make_talking<float>(), {200, 1, 150}, {{192}, {1, 31, 33}}, 3);
}
