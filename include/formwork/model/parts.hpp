// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/position.hpp>
#include <formwork/layer/embedding.hpp>
#include <formwork/model/stack.hpp>

#include <span>
#include <type_traits>
#include <variant>

namespace formwork::inline FORMWORK_ABI {

/// Sorts what a model of tokens is composed of, in any order: kinds of layers, and at most one absolute position.
template <number S, class... Part>
struct model_parts {
 private:
  template <class P>
  static constexpr bool is_policy = requires { typename P::plugs_into; };
  template <class P>
  using if_layer = std::conditional_t<is_policy<P>, policy_list<>, policy_list<P>>;
  template <class P>
  using if_policy = std::conditional_t<is_policy<P>, policy_list<P>, policy_list<>>;

  template <class... Layer>
  static std::type_identity<stack<S, Layer...>> stack_of(policy_list<Layer...>);
  template <class... Policy>
  static auto position_of(policy_list<Policy...>) {
    static_assert((fits_one_of<Policy, slot::position> && ...),
                  "formwork: a model takes layers and an absolute position; give any other policy to a layer");
    return std::type_identity<pick_t<slot::position, no_position, Policy...>>();
  }

 public:
  using stack_type = typename decltype(stack_of(join_lists<if_layer<Part>...>()))::type;
  using position_type = typename decltype(position_of(join_lists<if_policy<Part>...>()))::type;
  static_assert(!rotary_position<position_type>,
                "formwork: a rotary position turns queries and keys; give it to attention, not to the model");
  static_assert(!absolute_position<position_type> || embeds<position_type, S>,
                "formwork: this position is not written for the model's scalar; one that learns is given it, as in learned<S>, "
                "others are template <number S>");
  static_assert(!biased_position<position_type> && !distance_position<position_type>,
                "formwork: this position adds to scores; give it to attention, not to the model");
};

/// In the place of a final norm where the residual policy needs none.
template <number S>
struct no_norm {
  static no_norm make(Index, no_norm = {}) { return {}; }
  var<S> operator()(const var<S>& x) const { return x; }
  template <class M>
  static auto fields(M&) {
    return formwork::fields();
  }
};

/// What ends a stack: its first layer's norm, where the residual policy asks for one.
template <class Stack, class First = std::variant_alternative_t<0, typename Stack::kind>>
using final_norm_t =
    std::conditional_t<First::residual_type::final_norm, typename First::norm_type, no_norm<typename Stack::scalar>>;

/// Where a model of tokens begins: their vectors and, where it has an absolute position, those of their places.
template <number S, class Position>
var<S> embed_tokens(tape<S>& t, const embedding<S>& embed, const Position& position, std::span<const Index> ids,
                    const sequences& batch) {
  auto x = embed(t, ids, batch);
  if constexpr (embeds<Position, S>)
    return position.embed(x);
  else
    return x;
}

}  // namespace formwork
