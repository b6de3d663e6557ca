// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/module.hpp>
#include <formwork/core/error.hpp>
#include <formwork/core/matrix.hpp>
#include <formwork/core/slot.hpp>

#include <concepts>

namespace formwork::inline FORMWORK_ABI {

/// Whose rows a policy is given.
enum class side { queries, keys };

/// How the columns of q, k, v and the output are divided: q (rows × query_heads · key_width), k (rows × key_heads · key_width),
/// v (rows × value_heads · head_width), output (rows × output_heads · head_width). Where heads do not mix, there are as many
/// queries and outputs as heads, and as many values as keys.
struct head_shape {
  Index heads = 1;       ///< rows of weights of a query: one softmax each
  Index key_heads = 1;   ///< of keys
  Index key_width = 1;   ///< of one head's queries and keys
  Index head_width = 1;  ///< of one head's values
  Index value_heads = key_heads;
  Index query_heads = heads;
  Index output_heads = heads;

  friend bool operator==(head_shape, head_shape) = default;
};

/// As many heads as the sizes say, each with queries, keys and values of its own; widths of 0 are width / heads.
inline head_shape shape_of_heads(const sizes& z) {
  require(z.heads > 0, "attention: heads is ", z.heads, "; needs > 0");
  require((z.key_width > 0 && z.head_width > 0) || z.width % z.heads == 0, "attention: width ", z.width,
          " is not divisible by heads ", z.heads,
          "; needs width = heads · key_width, or both key_width and head_width given");
  return {z.heads, z.heads, z.key_width > 0 ? z.key_width : z.width / z.heads,
          z.head_width > 0 ? z.head_width : z.width / z.heads};
}

/// What one strip of the kernel holds: the scores of one head, or those of all heads side by side, where heads meet.
enum class head_tile { one, all };

/// Heads that attend alone, as the kernel needs them: key_head(head, shape) is where the head's keys and values are.
template <class H>
concept separate_heads = H::tile == head_tile::one && requires(const H& h, Index head, head_shape shape) {
  { h.key_head(head, shape) } -> std::same_as<Index>;
};

/// Heads that meet, as the kernel needs them: query head a's scores enter head h's times scores(a, h), before the formula and
/// the mask; head h's weights enter output head o's times weights(h, o).
template <number S>
struct head_mixing {
  using plugs_into = slot::heads;
  static constexpr head_tile tile = head_tile::all;

  view<const S> scores;   ///< (query_heads × heads)
  view<const S> weights;  ///< (heads × output_heads)
};

/// Their gradients, written by the kernel's backward.
template <number S>
struct head_mixing_gradient {
  view<S> scores, weights;
};

template <class H>
inline constexpr bool mixes_heads = false;
template <number S>
inline constexpr bool mixes_heads<head_mixing<S>> = true;

/// What the kernel takes in the place of heads.
template <class H>
concept kernel_heads = policy<H> && std::same_as<typename H::plugs_into, slot::heads> && (separate_heads<H> || mixes_heads<H>);

/// How many heads of each kind there are, who reads whose keys, and whether heads mix.
///
///   tile                   head_tile::one where every head is alone, all where heads mix
///   shape(sizes)           throws argument_error for sizes it cannot serve
///   key_head(head, shape)  for head_tile::one: the keys and values a head reads
///   make(builder, wanted), mixing()   for head_tile::all: makes the parameters, which fields() lists, for the counts of
///                          `wanted`; views of them for the kernel
template <class H>
concept heads_policy = policy<H> && std::same_as<typename H::plugs_into, slot::heads> &&
                       requires(const H& h, const sizes& z) {
                         { head_tile{H::tile} };
                         { h.shape(z) } -> std::same_as<head_shape>;
                       } && (separate_heads<H> || requires(const H& h) { { h.mixing() } -> kernel_heads; });

/// What the kernel is given of a heads policy.
template <heads_policy H>
auto in_kernel(const H& heads) {
  if constexpr (separate_heads<H>)
    return heads;
  else
    return heads.mixing();
}

}  // namespace formwork
