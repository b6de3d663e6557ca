// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/pack.hpp>
#include <formwork/core/slot.hpp>

#include <concepts>

namespace formwork::inline FORMWORK_ABI {

/// How the columns of q, k and v are divided: q (rows × heads · key_width), k (rows × key_heads · key_width), v (rows ×
/// key_heads · head_width), output (rows × heads · head_width).
struct head_shape {
  Index heads = 1;
  Index key_heads = 1;   ///< of keys and values; divides heads
  Index key_width = 1;   ///< of one head's queries and keys
  Index head_width = 1;  ///< of one head's values

  friend bool operator==(head_shape, head_shape) = default;
};

/// What one strip of the kernel holds: the scores of one head, or those of all heads side by side, where heads meet.
enum class head_tile { one, all };

/// How heads share keys and whether they mix.
///
///   tile                   head_tile::one where every head is alone
///   key_head(head, shape)  the keys and values it reads
template <class H>
concept heads_policy =
    policy<H> && std::same_as<typename H::plugs_into, slot::heads> && requires(const H& h, Index head, head_shape shape) {
      { head_tile{H::tile} };
      { h.key_head(head, shape) } -> std::same_as<Index>;
    };

}  // namespace formwork
