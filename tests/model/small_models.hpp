// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/formwork.hpp>

#include <cstring>
#include <vector>

/// Models and batches that the tests of whole models share.
namespace small {

namespace fw = formwork;
using fw::Index;

template <class S>
using attention = fw::attention<S, fw::causal, fw::rope<>>;
template <class S>
using gated = fw::language_model<S, fw::block<S, fw::pre_norm<fw::rms_norm>, attention<S>, fw::gated_mlp<S, fw::silu>>>;
template <class S>
using plain = fw::language_model<S, fw::block<S, fw::pre_norm<fw::layer_norm>, attention<S>, fw::mlp<S, fw::gelu>>>;

/// Attention and another mixer in one stack, the other first.
template <class S, class Mixer>
using beside_attention =
    fw::language_model<S, fw::block<S, Mixer, fw::gated_mlp<S, fw::silu>>, fw::block<S, attention<S>, fw::gated_mlp<S, fw::silu>>>;
template <class S>
using with_linear = beside_attention<S, fw::linear_attention<S, fw::causal, fw::rope<>>>;
template <class S>
using with_s4d = beside_attention<S, fw::s4d<S>>;
template <class S>
using with_legs = beside_attention<S, fw::hippo<S, fw::legs>>;

/// Heads that mix, of three different counts.
template <class S>
using talking = fw::language_model<
    S, fw::block<S, fw::pre_norm<fw::rms_norm>, fw::attention<S, fw::causal, fw::rope<>, fw::talking_heads<S>>,
                 fw::gated_mlp<S, fw::silu>>>;

/// Everything inside the scores that learns, at once.
struct bent {
  static constexpr std::array start = {5.0, 0.2};
  template <class T>
  T operator()(T score, fw::score_site<T> at) const {
    return at.learned[0] * tanh(score * at.learned[1]);
  }
};
template <class S>
using learned_scores = fw::language_model<
    S, fw::block<S, fw::pre_norm<fw::rms_norm>,
                 fw::attention<S, fw::causal, fw::t5<S>, fw::temperature<S, fw::cosine>, fw::learned_formula<S, bent>, fw::urpe<S>>,
                 fw::gated_mlp<S, fw::silu>>>;
template <class S>
learned_scores<S> make_learned_scores(std::uint64_t seed = 3) {
  fw::rng random{seed};
  return learned_scores<S>::make({.vocab = 31, .width = 24, .depth = 2, .heads = 3, .hidden = 40}, random,
                                 fw::urpe<S>{.longest = 64});
}

template <class S>
gated<S> make_gated(std::uint64_t seed = 3) {
  fw::rng random{seed};
  return gated<S>::make({.vocab = 31, .width = 24, .depth = 2, .heads = 3, .hidden = 40}, random);
}
template <class S>
plain<S> make_plain(std::uint64_t seed = 3) {
  fw::rng random{seed};
  return plain<S>::make({.vocab = 31, .width = 24, .depth = 2, .heads = 3, .bias = fw::biases::all, .head = fw::tying::tied}, random);
}

/// GPT-2's kind: absolute positions for the model, none in attention.
template <class S, class Position>
using placed = fw::language_model<
    S, Position, fw::block<S, fw::pre_norm<fw::layer_norm>, fw::attention<S, fw::causal>, fw::mlp<S, fw::gelu>>>;
template <class S, class Position>
placed<S, Position> make_placed(const Position& position, std::uint64_t seed = 3) {
  fw::rng random{seed};
  return placed<S, Position>::make(
      {.vocab = 31, .width = 24, .depth = 2, .heads = 3, .bias = fw::biases::all, .head = fw::tying::tied}, random, position);
}

template <class Model>
Model make_hybrid(std::uint64_t seed = 3) {
  fw::rng random{seed};
  return Model::make(
      {.vocab = 31, .width = 24, .depth = 3, .heads = 3, .hidden = 40, .state_width = 8, .pattern = {0, 1, 0}}, random);
}
template <class S>
talking<S> make_talking(std::uint64_t seed = 3) {
  fw::rng random{seed};
  return talking<S>::make({.vocab = 31, .width = 24, .depth = 2, .heads = 3, .hidden = 40}, random,
                          fw::talking_heads<S>{.score_heads = 2, .value_heads = 4});
}

/// One text given another.
template <class S>
using translating = fw::encoder_decoder<
    S, fw::block<S, fw::attention<S, fw::full>, fw::mlp<S>>,
    fw::decoder_block<S, attention<S>, fw::cross_attention<S, fw::talking_heads<S>>, fw::mlp<S>>, fw::sinusoidal>;
template <class S>
translating<S> make_translating(std::uint64_t seed = 3) {
  fw::rng random{seed};
  return translating<S>::make({.vocab = 31, .width = 24, .depth = 2, .heads = 3}, random);
}

inline std::vector<Index> ids(Index count, Index vocab, std::uint64_t seed) {
  fw::rng random{seed};
  std::vector<Index> r;
  for (Index i = 0; i < count; ++i) r.push_back(random.below(vocab));
  return r;
}
inline fw::tokens batch_of(std::initializer_list<Index> lengths, Index vocab, std::uint64_t seed) {
  const fw::sequences rows(lengths);
  return {ids(rows.rows(), vocab, seed), rows};
}

template <class A, class B>
bool same_bits(const A& a, const B& b) {
  if (a.rows() != b.rows() || a.cols() != b.cols()) return false;
  for (Index i = 0; i < a.rows(); ++i)
    if (std::memcmp(a.row(i), b.row(i), static_cast<std::size_t>(a.cols()) * sizeof(*a.row(i))) != 0) return false;
  return true;
}

template <class Model>
std::vector<fw::matrix<typename Model::scalar>> parameters_of(const Model& model) {
  std::vector<fw::matrix<typename Model::scalar>> all;
  fw::for_each_parameter(model, [&](const auto& p) { all.emplace_back(p.value()); });
  return all;
}

}  // namespace small
