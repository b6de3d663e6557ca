// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/generate/sampler.hpp>
#include <formwork/layer/embedding.hpp>
#include <formwork/tape/tape.hpp>

#include <algorithm>
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

/// A callback may watch each drawn token, and return false to stop.
template <class F>
concept watches_tokens = std::invocable<F&, Index>;

/// Feeds the prompt to a state, then draws tokens one by one: what every generate() below does with a state of its own.
///
/// Throws    argument_error for an empty prompt, a token outside the vocabulary, or a state that is full.
template <class Model, watches_tokens OnToken>
std::vector<Index> generate_from(typename Model::state& state, const Model& model, std::span<const Index> prompt,
                                 const sampler& draw, rng& random, Index count, OnToken&& on_token) {
  using S = typename Model::scalar;
  require(!prompt.empty(), "generate: the prompt is empty; needs at least one token");
  require(count >= 0, "generate: count is ", count, "; needs >= 0");
  tape<S> quiet{recording::off};
  tokens next{std::vector<Index>(prompt.begin(), prompt.end())};
  std::vector<Index> drawn;
  drawn.reserve(static_cast<std::size_t>(count));
  while (static_cast<Index>(drawn.size()) < count) {
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

inline state_sizes room_for(std::span<const Index> prompt, const generate_options& options) {
  const Index needed = static_cast<Index>(prompt.size()) + std::max<Index>(options.count, 0);
  return {.sequences = 1, .capacity = options.capacity > 0 ? options.capacity : needed, .length = options.length};
}

/// Continues the prompt: prefills a state, then draws `count` tokens one by one. Each drawn token is passed to `on_token`,
/// which may return false to stop. Returns the drawn tokens.
///
/// Cost      one token of the model a draw; no heap allocation after the first.
/// Throws    argument_error for an empty prompt or a token outside the vocabulary.
template <class Model, watches_tokens OnToken>
std::vector<Index> generate(const Model& model, std::span<const Index> prompt, const sampler& draw, rng& random,
                            generate_options options, OnToken&& on_token) {
  auto state = model.make_state(room_for(prompt, options));
  return generate_from(state, model, prompt, draw, random, options.count, on_token);
}

/// The same without watching.
template <class Model>
std::vector<Index> generate(const Model& model, std::span<const Index> prompt, const sampler& draw, rng& random,
                            generate_options options = {}) {
  return generate(model, prompt, draw, random, options, [](Index) {});
}

/// Writes a text given another: encodes the source once, then goes on as above from a prompt such as a token that begins texts.
template <class Model, watches_tokens OnToken>
std::vector<Index> generate(const Model& model, std::span<const Index> source, std::span<const Index> prompt, const sampler& draw,
                            rng& random, generate_options options, OnToken&& on_token) {
  auto state = model.make_state(room_for(prompt, options), tokens{std::vector<Index>(source.begin(), source.end())});
  return generate_from(state, model, prompt, draw, random, options.count, on_token);
}
template <class Model>
std::vector<Index> generate(const Model& model, std::span<const Index> source, std::span<const Index> prompt, const sampler& draw,
                            rng& random, generate_options options = {}) {
  return generate(model, source, prompt, draw, random, options, [](Index) {});
}

}  // namespace formwork
