// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/layer/pooling.hpp>
#include <formwork/model/language_model.hpp>

namespace formwork::inline FORMWORK_ABI {

/// Whether a layer's mixer lets a token see later ones.
template <class Part>
concept sees_both_ways = requires { requires Part::mixer_type::mask_type::sees_ahead; };

/// A language_model that reads whole sequences: its layers see both ways, so it has no state and does not generate; it learns
/// by the masked-token objective (train/masked_tokens.hpp) and gives rows for tokens or one row for each sequence.
///
///   auto model = encoder<float, block<float, attention<float, full, rope<>>, mlp<float>>>::make({.vocab = 257, ...}, rng);
///   auto loss = cross_entropy(model(tape, masked.input), masked.target);
///   auto rows = model.pooled(tape, x);                                     // (sequences × width)
///
/// Shapes    tokens (one id a row) -> logits (tokens × vocab), not yet multiplied; hidden (tokens × width).
/// Source    Devlin et al., 1810.04805.
/// Differs   there is no dense layer before the head nor after the first token's row; a `linear` of the user's takes its place.
template <number S, class... Part>
struct encoder : language_model<S, Part...> {
  using trunk = language_model<S, Part...>;
  static_assert((sees_both_ways<Part> || ...),
                "formwork: no layer of this encoder sees later tokens; give at least one of them attention<S, full>");

  template <class... Value>
  static encoder make(formwork::sizes sizes, rng& random, const Value&... value) {
    return {trunk::make(sizes, random, value...)};
  }

  logits<S> operator()(tape<S>& t, const tokens& x) const { return trunk::operator()(t, x); }
  /// The rows before the head.
  var<S> hidden(tape<S>& t, const tokens& x) const { return trunk::operator()(t, x).hidden; }
  /// One row for each sequence.
  var<S> pooled(tape<S>& t, const tokens& x, pooling how = pooling::mean) const { return formwork::pooled(hidden(t, x), how); }

  void make_state(state_sizes) const = delete;  // a token sees later ones
};

}  // namespace formwork
