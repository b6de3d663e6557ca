// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/generate/sampler.hpp>
#include <formwork/layer/embedding.hpp>
#include <formwork/tape/tape.hpp>

#include <concepts>
#include <span>
#include <type_traits>
#include <vector>

namespace formwork::inline FORMWORK_ABI {

struct generate_options {
  Index count = 256;     ///< tokens to draw
  Index capacity = 0;    ///< room of the state; 0: what the prompt and count need
  Index length = 0;      ///< declared for positions whose table depends on it; 0: none
};

/// Continues the prompt: prefills a state, then draws `count` tokens one by one. Each drawn token is passed to `on_token`,
/// which may return false to stop. Returns the drawn tokens.
///
/// Cost      one token of the model a draw; no heap allocation after the first.
/// Throws    argument_error for an empty prompt or a token outside the vocabulary.
template <class Model, class OnToken>
  requires std::invocable<OnToken&, Index>
std::vector<Index> generate(const Model& model, std::span<const Index> prompt, const sampler& draw, rng& random,
                            generate_options options, OnToken&& on_token) {
  using S = typename Model::scalar;
  require(!prompt.empty(), "generate: the prompt is empty; needs at least one token");
  require(options.count >= 0, "generate: count is ", options.count, "; needs >= 0");
  const Index needed = static_cast<Index>(prompt.size()) + options.count;
  auto state = model.make_state({.sequences = 1, .capacity = options.capacity > 0 ? options.capacity : needed,
                                 .length = options.length});
  tape<S> quiet{recording::off};
  tokens next{std::vector<Index>(prompt.begin(), prompt.end())};
  std::vector<Index> drawn;
  drawn.reserve(static_cast<std::size_t>(options.count));
  while (static_cast<Index>(drawn.size()) < options.count) {
    const matrix<S> scores = model(quiet, next, state).last();
    const Index id = draw(std::span<const S>(scores.data(), static_cast<std::size_t>(scores.cols())), random);
    drawn.push_back(id);
    if constexpr (std::convertible_to<std::invoke_result_t<OnToken&, Index>, bool>) {
      if (!on_token(id)) break;
    } else {
      on_token(id);
    }
    if (next.ids.size() != 1) next = tokens{id};
    next.ids[0] = id;
  }
  return drawn;
}

/// The same without watching.
template <class Model>
std::vector<Index> generate(const Model& model, std::span<const Index> prompt, const sampler& draw, rng& random,
                            generate_options options = {}) {
  return generate(model, prompt, draw, random, options, [](Index) {});
}

}  // namespace formwork
