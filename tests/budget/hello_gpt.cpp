// SPDX-License-Identifier: MIT
// What is measured: composes a GPT and trains it.
#include <formwork/formwork.hpp>

#include <cstdio>
#include <vector>

namespace fw = formwork;

using attention = fw::attention<float, fw::causal, fw::rope<>>;
using layer = fw::block<float, fw::pre_norm<fw::rms_norm>, attention, fw::gated_mlp<float, fw::silu>>;

int main() {
  fw::rng random{7};
  auto model = fw::language_model<float, layer>::make({.vocab = 256, .width = 64, .depth = 2, .heads = 4}, random);
  auto optimizer = fw::optimizer(fw::otherwise(fw::adamw{.rate = 3e-3}));
  fw::tape<float> tape{{.seed = 7}};

  const fw::tokens input{{1, 2, 3, 4, 5, 6, 7, 8}, fw::sequences{5, 3}};
  const std::vector<fw::Index> target{2, 3, 4, 5, 6, 7, 8, 9};
  for (int step = 0; step < 10; ++step) {
    const auto loss = fw::cross_entropy(model(tape, input), target);
    tape.backward(loss);
    fw::clip_by_global_norm(model, 1.0);
    optimizer.step(model);
    std::printf("%g\n", static_cast<double>(loss.value()(0, 0)));
  }
}
