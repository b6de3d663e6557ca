// SPDX-License-Identifier: MIT
// Trains a small model of several mechanisms for some steps and tells every bit: losses, a continuation, the model's file.
#ifdef SINGLE
#include <formwork.hpp>
#else
#include <formwork/formwork.hpp>
#include <formwork/io.hpp>
#endif

#include <cstdio>

namespace fw = formwork;

using attention = fw::attention<float, fw::causal, fw::rope<>, fw::log_n>;
using layer = fw::block<float, fw::pre_norm<fw::rms_norm>, attention, fw::gated_mlp<float, fw::silu>>;

int main() {
  fw::rng random{7};
  auto model = fw::language_model<float, layer>::make({.vocab = 256, .width = 16, .depth = 2, .heads = 2}, random);
  fw::optimizer optimizer(fw::otherwise(fw::adamw{.rate = 3e-3}));
  const fw::byte_text text("One part of a formwork is taken down and put up again.", 0);
  fw::tape<float> tape{{.seed = 7}};
  std::printf("%s\n", fw::abi_tag);
  for (int step = 0; step < 5; ++step) {
    const auto batch = text.draw(2, 16, random);
    const auto loss = fw::cross_entropy(model(tape, batch.input), batch.target);
    std::printf("%a\n", static_cast<double>(loss.item()));
    tape.backward(loss);
    optimizer.step(model);
  }
  fw::generate(model, fw::byte_text::tokens_of("One"), {.temperature = 0.5}, random, {.count = 20},
               [](fw::Index byte) { std::printf("%d ", static_cast<int>(byte)); });
  fw::save_model("model.safetensors", model);
}
