// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/layer/embedding.hpp>
#include <formwork/layer/tokens_seen.hpp>
#include <formwork/loss/logits.hpp>
#include <formwork/model/parts.hpp>
#include <formwork/model/stack.hpp>

#include <tuple>
#include <utility>

namespace formwork::inline FORMWORK_ABI {

/// A decoder over tokens: embedding, a stack of layers, a final norm where the residual policy ends with one, and a head of
/// its own or the embedding's table. Layers of one or several kinds, and an absolute position or none, in any order:
///
///   auto model = language_model<float, layer>::make({.vocab = 256, .width = 256, .depth = 6, .heads = 8}, rng);
///   auto loss = cross_entropy(model(tape, batch.input), batch.target);
///   auto other = language_model<float, layer, learned<float>>::make(sizes, rng, learned<float>{.longest = 512});
///
/// Shapes    tokens (one id a row) -> logits (tokens × vocab), not yet multiplied.
/// Throws    argument_error for sizes that do not fit, a token id outside the vocabulary, or a state that is full: then the
///           state is as before.
template <number S, class... Part>
struct language_model {
  using scalar = S;
  using stack_type = typename model_parts<S, Part...>::stack_type;
  using position_type = typename model_parts<S, Part...>::position_type;
  using policies = join_lists<policy_list<position_type>, policies_of_t<stack_type>>;
  using first_layer = std::variant_alternative_t<0, typename stack_type::kind>;
  using norm_type = final_norm_t<stack_type>;

  /// What incremental decoding has seen.
  struct state {
    tokens_seen seen;
    typename stack_type::state layers;
  };

  formwork::sizes sizes;
  embedding<S> embed;
  position_type position;
  stack_type layers;
  norm_type norm;
  parameter<S> head;  ///< absent when tied

  template <class... Value>
  static language_model make(formwork::sizes sizes, rng& random, const Value&... value) {
    require_values_fill<language_model, Value...>();
    require(sizes.vocab > 0 && sizes.width > 0, "language_model: vocab is ", sizes.vocab, " and width ", sizes.width,
            "; needs both > 0");
    const builder b{.sizes = sizes, .random = random};
    language_model m{sizes, embedding<S>::make(b), make_policy<position_type>(b, value...), stack_type::make(b, value...),
                     make_norm<norm_type>(sizes.width, value...), {}};
    if (sizes.head == tying::own) m.head = b.normal<S>(sizes.width, sizes.vocab, 0.02, role::head);
    return m;
  }

  /// Whole sequences.
  logits<S> operator()(tape<S>& t, const tokens& x) const {
    return scores(layers(embed_tokens(t, embed, position, x.ids, x.batch)));
  }
  /// The next tokens of each sequence.
  logits<S> operator()(tape<S>& t, const tokens& x, state& st) const {
    const sequences here = st.seen.place("language_model", x.batch);
    auto y = scores(layers(embed_tokens(t, embed, position, x.ids, here), st.layers));
    st.seen.add(here);
    return y;
  }

  /// Everything incremental decoding needs, allocated at once.
  state make_state(state_sizes room) const { return {tokens_seen(room), layers.make_state(room)}; }

  /// Turns the keys of a state again, once: after assign() has given the layers another table, or for another declared length.
  /// What the layers had computed from their old tables stays; only a new state forgets it.
  void turn_again(state& st) const { turn_again(st, st.seen.declared()); }
  void turn_again(state& st, Index length) const {
    layers.turn_again(st.layers, length);
    st.seen.declare(length);
  }

  template <class M>
  static auto slots(M& m) {
    return std::tie(m.position);
  }
  template <class M>
  static auto fields(M& m) {
    return std::tuple_cat(formwork::fields("embedding", m.embed), policy_field("position", m.position),
                          formwork::fields("layers", m.layers, "norm", m.norm, "head.weight", m.head));
  }

 private:
  logits<S> scores(const var<S>& x) const {
    auto y = norm(x);
    return sizes.head == tying::own ? logits<S>::by_weight(std::move(y), head) : logits<S>::by_table(std::move(y), embed.table);
  }
};

}  // namespace formwork
