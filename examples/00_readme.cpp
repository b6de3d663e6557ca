// SPDX-License-Identifier: MIT
// The program of the README: composes, trains and samples a GPT.
#include <formwork/formwork.hpp>
#include <iostream>
namespace fw = formwork;

using attention = fw::attention<float, fw::causal, fw::rope<>>;  // order-free policies; the mask must be stated
using layer = fw::block<float, fw::pre_norm<fw::rms_norm>, attention, fw::gated_mlp<float, fw::silu>>;

int main() {
  fw::rng random{7};
  auto model = fw::language_model<float, layer>::make({.vocab = 256, .width = 64, .depth = 2, .heads = 4}, random);
  fw::optimizer optimizer(fw::otherwise(fw::adamw{.rate = 3e-3}));
  fw::byte_text text("The quick brown fox jumps over the lazy dog. The dog sleeps. The fox, being quick, jumps again.", 0);
  fw::tape<float> tape{{.seed = 7}};
  for (int step = 0; step < 200; ++step) {
    auto batch = text.draw(8, 32, random);
    tape.backward(fw::cross_entropy(model(tape, batch.input), batch.target));
    fw::clip_by_global_norm(model, 1.0);
    optimizer.step(model);
  }
  fw::generate(model, fw::byte_text::tokens_of("The "), {.temperature = 0.5}, random, {.count = 60},
               [](fw::Index byte) { std::cout << char(byte) << std::flush; });
}
