// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/role.hpp>
#include <formwork/core/pack.hpp>
#include <formwork/core/slot.hpp>

#include <array>
#include <concepts>
#include <vector>

namespace formwork::inline FORMWORK_ABI {

template <number S>
class var;
template <number S>
class tape;
template <number S>
class parameter;

enum class biases { none, all };
enum class tying {
  own,  ///< the head is a matrix of its own
  tied  ///< the head is the embedding's table
};

/// The sizes of a model; a zero means "derive it". Every part reads the ones it needs.
struct sizes {
  Index vocab = 256;
  Index width = 64;       ///< columns of the residual stream
  Index depth = 1;        ///< blocks; of an encoder_decoder, the encoder's
  Index heads = 1;
  Index key_heads = 0;    ///< heads of keys and values; 0: heads
  Index key_width = 0;    ///< of one head; 0: width / heads
  Index head_width = 0;   ///< of one head's values; 0: width / heads
  Index hidden = 0;       ///< of the feed-forward part; 0: 4 width, or 8/3 width for gated ones, in whole 32s
  Index state_width = 64; ///< real numbers a channel of a state space holds
  biases bias = biases::none;
  tying head = tying::own;
  double dropout = 0;     ///< of each branch's output, while training
  std::vector<int> pattern = {};  ///< which of a stack's layer kinds each block is; empty: the first kind
  Index source_vocab = 0;         ///< of an encoder_decoder whose source has a table of its own; 0: both texts share one
  Index decoder_depth = 0;        ///< of an encoder_decoder; 0: depth
  std::vector<int> decoder_pattern = {};  ///< as pattern, for its decoder
};

/// The only stack of a model, or one of an encoder and a decoder.
enum class stack_kind { alone, encoder, decoder };

/// Where a branch sits; what residual policies derive their factors from.
struct site {
  Index depth = 1;  ///< blocks of its stack
  Index layer = 0;  ///< this one
  stack_kind stack = stack_kind::alone;
  Index other_depth = 0;  ///< blocks of the other stack, where there is one

  /// Of each block: a decoder's has one more, which looks at what the encoder read.
  Index branches() const { return stack == stack_kind::decoder ? 3 : 2; }
  /// The number of this block's i-th branch among all of the model, the encoder's first.
  Index branch(Index i) const { return (stack == stack_kind::decoder ? 2 * other_depth : 0) + branches() * layer + i; }
};

/// What the standard deviation of a fresh weight (in × out) comes from, before its gain.
enum class fan {
  in,      ///< 1 / √in (LeCun)
  average  ///< √(2 / (in + out)) (Glorot)
};

/// The values a state holds room for.
struct state_sizes {
  Index sequences = 1;
  Index capacity = 1024;  ///< tokens of each
  Index length = 0;       ///< declared for positions whose table depends on it; 0: none
};

/// The policy types a module can be given values for: make(sizes, rng, values...) checks against it.
template <class... P>
struct policy_list {};

template <class List, class P>
inline constexpr bool lists = false;
template <class... Q, class P>
inline constexpr bool lists<policy_list<Q...>, P> = (std::same_as<Q, P> || ...);

template <class... List>
struct joined_lists;
template <class... P>
struct joined_lists<policy_list<P...>> {
  using type = policy_list<P...>;
};
template <class... P, class... Q, class... Rest>
struct joined_lists<policy_list<P...>, policy_list<Q...>, Rest...> : joined_lists<policy_list<P..., Q...>, Rest...> {};
template <class... List>
using join_lists = typename joined_lists<policy_list<>, List...>::type;

/// The policies of a module and of everything inside it.
template <class M>
struct policies_of {
  using type = policy_list<>;
};
template <class M>
  requires requires { typename M::policies; }
struct policies_of<M> {
  using type = typename M::policies;
};
template <class M>
using policies_of_t = typename policies_of<M>::type;

template <class Module, class... Value>
constexpr void require_values_fill() {
  static_assert((lists<policies_of_t<Module>, Value> && ...),
                "formwork: make() was given a value that fills no slot of this composition; add its policy to the type or "
                "remove the value");
}

}  // namespace formwork
