// SPDX-License-Identifier: MIT
#include <string>

#include "golden/model.hpp"

namespace fw = formwork;
using fw::Index;

namespace {

using attention = fw::attention<double, fw::causal, fw::rope<>>;
/// tiny_gpt: own head, no biases.
using gated =
    fw::language_model<double,
                       fw::block<double, fw::pre_norm<fw::rms_norm>, attention, fw::gated_mlp<double, fw::silu>>>;
/// tiny_gpt2: tied head, biases everywhere.
using plain =
    fw::language_model<double, fw::block<double, fw::pre_norm<fw::layer_norm>, attention, fw::mlp<double, fw::gelu>>>;
/// tiny_gpt2_learned: tied head, no biases, learned positions in the place of rotary ones.
using placed =
    fw::language_model<double, fw::learned<double>,
                       fw::block<double, fw::pre_norm<fw::layer_norm>, fw::attention<double, fw::causal>,
                                 fw::mlp<double, fw::gelu>>>;

constexpr fw::adamw all_decayed{
    .rate = 1e-2, .beta1 = 0.9, .beta2 = 0.95, .epsilon = 1e-8, .weight_decay = 0.1, .decays = fw::adamw::decayed::all};

/// A model with the parameters whose names in the file begin with `prefix`: the same paths, no more and no fewer.
template <class Model, class... Value>
Model loaded(const golden::file& file, const std::string& prefix, fw::biases bias, fw::tying head, Index depth = 2,
             const Value&... value) {
  fw::rng random{1};
  auto model = Model::make(
      {.vocab = 31, .width = 24, .depth = depth, .heads = 3, .hidden = 40, .bias = bias, .head = head}, random, value...);
  golden::give_parameters(file, prefix, model);
  return model;
}
gated load_gated(const golden::file& file, const std::string& prefix) {
  return loaded<gated>(file, prefix, fw::biases::none, fw::tying::own);
}
plain load_plain(const golden::file& file, const std::string& prefix) {
  return loaded<plain>(file, prefix, fw::biases::all, fw::tying::tied);
}
placed load_placed(const golden::file& file, const std::string& prefix) {
  return loaded<placed>(file, prefix, fw::biases::none, fw::tying::tied, 1, fw::learned<double>{.longest = 18});
}

/// Trains on batch0, batch1, batch0, ... of `data`; `before_step` clips or does nothing. What comes out is in `file`.
template <class Model>
void check_training(const golden::file& data, const golden::file& file, Model& model, auto optimizer,
                    auto before_step) {
  const golden::batch batches[] = {{data, "batch0"}, {data, "batch1"}};
  const auto losses = file["training.losses"], norms = file["training.norms"];
  fw::tape<double> tape;
  for (Index step = 0; step < losses.cols(); ++step) {
    const golden::batch& b = batches[step % 2];
    const auto loss = fw::cross_entropy(model(tape, b.input), b.target);
    CAPTURE(step);
    CHECK(std::abs(loss.item() / losses(0, step) - 1) <= 1e-12);
    tape.backward(loss);
    CHECK(std::abs(fw::gradient_norm(model) / norms(0, step) - 1) <= 1e-12);
    before_step(model);
    optimizer.step(model);
  }
  fw::for_each_named_parameter(model, [&](const std::string& path, auto& p) {
    INFO(path);
    CHECK(golden::error(p.value(), file["final." + path]) <= 1e-11);
  });
}
constexpr auto unclipped = [](auto&) {};

template <class Model>
void check_greedy(const golden::file& file, const Model& model) {
  fw::rng random{1};
  const auto expected = file.integers("generate.tokens");
  const auto drawn = fw::generate(model, file.integers("generate.prompt"), fw::sampler{.temperature = 0}, random,
                                  {.count = static_cast<Index>(expected.size())});
  CHECK(drawn == expected);
}

}  // namespace

TEST_CASE("a gated model's scores, loss and every gradient are PyTorch's") {
  const golden::file file("tiny_gpt");
  golden::check_one_step(file, load_gated(file, "initial."));
}

TEST_CASE("a tied model with biases has PyTorch's scores, loss and every gradient") {
  const golden::file file("tiny_gpt2");
  golden::check_one_step(file, load_plain(file, "initial."));
}

TEST_CASE("ten AdamW steps of a gated model are PyTorch's, and so is what it then generates") {
  const golden::file file("tiny_gpt");
  auto model = load_gated(file, "initial.");
  check_training(file, file, model, fw::optimizer(fw::otherwise(all_decayed)), unclipped);
  check_greedy(file, model);
}

TEST_CASE("ten clipped AdamW steps of a tied model are PyTorch's, and so is what it then generates") {
  const golden::file file("tiny_gpt2");
  auto model = load_plain(file, "initial.");
  check_training(file, file, model, fw::optimizer(fw::otherwise(all_decayed)),
                 [](auto& m) { fw::clip_by_global_norm(m, 0.5); });
  check_greedy(file, model);
}

TEST_CASE("a model with learned positions has PyTorch's scores and gradients, trains to its numbers and generates its tokens") {
  const golden::file file("tiny_gpt2_learned");
  golden::check_one_step(file, load_placed(file, "initial."));
  auto model = load_placed(file, "initial.");
  check_training(file, file, model, fw::optimizer(fw::otherwise(all_decayed)), unclipped);
  check_greedy(file, model);
}

TEST_CASE("five SGD steps with momentum are PyTorch's") {
  const golden::file data("tiny_gpt"), file("tiny_gpt_sgd");
  auto model = load_gated(data, "initial.");
  check_training(data, file, model, fw::optimizer(fw::otherwise(fw::sgd{.rate = 0.1, .momentum = 0.9})), unclipped);
}
