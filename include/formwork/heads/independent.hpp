// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/heads.hpp>

namespace formwork::inline FORMWORK_ABI {

/// Multi-head attention: every head has queries, keys and values of its own and attends alone.
///
/// Throws    argument_error where sizes.key_heads asks for another number of key heads.
/// Source    Vaswani et al., 1706.03762.
struct independent {
  using plugs_into = slot::heads;
  static constexpr head_tile tile = head_tile::one;

  head_shape shape(const sizes& z) const {
    require(z.key_heads == 0 || z.key_heads == z.heads, "attention: ", z.heads, " heads on ", z.key_heads,
            " key heads share keys; give attention the heads policy grouped");
    return shape_of_heads(z);
  }
  constexpr Index key_head(Index head, const head_shape&) const { return head; }
};
static_assert(heads_policy<independent>);

}  // namespace formwork
