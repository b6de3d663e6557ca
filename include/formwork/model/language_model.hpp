// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/layer/embedding.hpp>
#include <formwork/loss/logits.hpp>
#include <formwork/model/stack.hpp>

#include <tuple>
#include <type_traits>
#include <utility>

namespace formwork::inline FORMWORK_ABI {

/// In the place of a final norm where the residual policy needs none.
template <real S>
struct no_norm {
  static no_norm make(Index) { return {}; }
  var<S> operator()(const var<S>& x) const { return x; }
  template <class M>
  static auto fields(M&) {
    return formwork::fields();
  }
};

/// A decoder over tokens: embedding, a stack of layers, a final norm where the residual policy ends with one, and a head of
/// its own or the embedding's table.
///
///   auto model = language_model<float, layer>::make({.vocab = 256, .width = 256, .depth = 6, .heads = 8}, rng);
///   auto loss = cross_entropy(model(tape, batch.input), batch.target);
///
/// Shapes    tokens (one id a row) -> logits (tokens × vocab), not yet multiplied.
/// Throws    argument_error for sizes that do not fit, or a token id outside the vocabulary.
template <real S, class... Layer>
struct language_model {
  using scalar = S;
  using stack_type = stack<S, Layer...>;
  using first_layer = std::tuple_element_t<0, std::tuple<Layer...>>;
  using state = typename stack_type::state;
  using policies = policies_of_t<stack_type>;
  static constexpr bool final_norm = first_layer::residual_type::final_norm;
  using norm_type = std::conditional_t<final_norm, typename first_layer::norm_type, no_norm<S>>;

  formwork::sizes sizes;
  embedding<S> embed;
  stack_type layers;
  norm_type norm;
  parameter<S> head;  ///< absent when tied

  template <class... Value>
  static language_model make(formwork::sizes sizes, rng& random, const Value&... value) {
    require_values_fill<language_model, Value...>();
    require(sizes.vocab > 0 && sizes.width > 0, "language_model: vocab is ", sizes.vocab, " and width ", sizes.width,
            "; needs both > 0");
    const builder b{.sizes = sizes, .random = random};
    language_model m{sizes, embedding<S>::make(b), stack_type::make(b, value...), norm_type::make(sizes.width), {}};
    if (sizes.head == tying::own) m.head = b.normal<S>(sizes.width, sizes.vocab, 0.02, role::head);
    return m;
  }

  template <class... State>
  logits<S> operator()(tape<S>& t, const tokens& x, State&... st) const {
    auto y = norm(layers(embed(t, x), st...));
    return sizes.head == tying::own ? logits<S>::by_weight(std::move(y), head) : logits<S>::by_table(std::move(y), embed.table);
  }

  /// Everything incremental decoding needs, allocated at once.
  state make_state(state_sizes room) const { return layers.make_state(room); }

  template <class M>
  static auto fields(M& m) {
    return formwork::fields("embedding", m.embed, "layers", m.layers, "norm", m.norm, "head.weight", m.head);
  }
};

}  // namespace formwork
