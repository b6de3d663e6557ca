// SPDX-License-Identifier: MIT
#include "golden/model.hpp"

namespace fw = formwork;

namespace {

using gpt2_layer =
    fw::block<double, fw::pre_norm<fw::layer_norm>, fw::attention<double, fw::causal>, fw::mlp<double, fw::gelu_tanh>>;
using gpt2 = fw::language_model<double, fw::learned<double>, gpt2_layer>;

using llama_attention = fw::attention<double, fw::causal, fw::rope<>, fw::grouped>;
using llama_layer = fw::block<double, fw::pre_norm<fw::rms_norm>, llama_attention, fw::gated_mlp<double, fw::silu>>;
using llama = fw::language_model<double, llama_layer>;

}  // namespace

// The weights went through examples/convert_huggingface.py; the numbers are those of the models as transformers has them.

TEST_CASE("GPT-2 is a composition: scores, loss and every gradient are PyTorch's") {
  const golden::file file("gpt2_huggingface");
  fw::rng random{1};
  auto model = gpt2::make(
      {.vocab = 48, .width = 32, .depth = 2, .heads = 4, .hidden = 64, .bias = fw::biases::all, .head = fw::tying::tied},
      random, fw::learned<double>{.longest = 16}, fw::layer_norm<double>{.epsilon = 1e-5});
  golden::give_parameters(file, "initial.", model);
  golden::check_one_step(file, model);
}

TEST_CASE("Llama is a composition: scores, loss and every gradient are PyTorch's") {
  const golden::file file("llama_huggingface");
  fw::rng random{1};
  auto model = llama::make({.vocab = 48, .width = 32, .depth = 2, .heads = 4, .key_heads = 2, .hidden = 56}, random,
                           fw::rope<>{.base = 500000}, fw::rms_norm<double>{.epsilon = 1e-5});
  golden::give_parameters(file, "initial.", model);
  golden::check_one_step(file, model);
}
