// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/formwork.hpp>

/// The models that whole-model benchmarks share.
namespace models {

namespace fw = formwork;
using fw::Index;

/// GPT-2 small: 124 million parameters (rotary positions in the place of the learned table).
using gpt2 = fw::language_model<
    float, fw::block<float, fw::pre_norm<fw::layer_norm>, fw::attention<float, fw::causal, fw::rope<>>, fw::mlp<float, fw::gelu>>>;
inline gpt2 make_gpt2() {
  fw::rng random{1};
  return gpt2::make({.vocab = 50257, .width = 768, .depth = 12, .heads = 12, .bias = fw::biases::all, .head = fw::tying::tied}, random);
}

/// The character model of the examples' kind.
using character = fw::language_model<
    float, fw::block<float, fw::pre_norm<fw::rms_norm>, fw::attention<float, fw::causal, fw::rope<>>, fw::gated_mlp<float, fw::silu>>>;
inline character make_character() {
  fw::rng random{1};
  return character::make({.vocab = 256, .width = 256, .depth = 6, .heads = 8}, random);
}

/// Weights that multiply every token: all matrices and the head.
template <class Model>
double multiplied_weights(const Model& model) {
  double total = model.sizes.head == fw::tying::tied ? static_cast<double>(model.embed.table.size()) : 0;
  fw::for_each_parameter(model, [&](const auto& p) {
    if (p.kind() == fw::role::matrix || p.kind() == fw::role::head) total += static_cast<double>(p.size());
  });
  return total;
}

/// Operations of one training step: 6 a multiplied weight and token; attention's visible pairs, forward and 2.5 times that.
template <class Model>
double step_flops(const Model& model, Index batch, Index length) {
  const auto b = static_cast<double>(batch), t = static_cast<double>(length);
  const double pairs = b * t * (t + 1) / 2;
  const double attention = 3.5 * 4 * pairs * static_cast<double>(model.sizes.width * model.sizes.depth);
  return 6 * multiplied_weights(model) * b * t + attention;
}

inline fw::training_batch random_batch(Index count, Index length, Index vocab) {
  fw::rng random{2};
  fw::training_batch r;
  for (Index i = 0; i < count * length; ++i) {
    r.input.ids.push_back(static_cast<Index>(random.below(static_cast<std::uint64_t>(vocab))));
    r.target.push_back(static_cast<Index>(random.below(static_cast<std::uint64_t>(vocab))));
  }
  r.input.batch = fw::sequences::equal(count, length);
  return r;
}

}  // namespace models
