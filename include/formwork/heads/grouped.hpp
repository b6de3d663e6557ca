// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/heads.hpp>

namespace formwork::inline FORMWORK_ABI {

/// Grouped-query attention: neighbouring heads share keys and values, head h reads key head h / (heads / key_heads). One key
/// head is multi-query attention, as many as heads multi-head.
///
/// Cost      the cache of keys and values shrinks by heads / key_heads; the operations stay.
/// Throws    argument_error where heads is not a multiple of key_heads.
/// Source    Shazeer, 1911.02150; Ainslie et al., 2305.13245.
struct grouped {
  using plugs_into = slot::heads;
  static constexpr head_tile tile = head_tile::one;

  Index key_heads = 0;  ///< 0: sizes.key_heads, and where that is 0 too, as many as heads

  head_shape shape(const sizes& z) const {
    head_shape r = shape_of_heads(z);
    r.key_heads = r.value_heads = key_heads > 0 ? key_heads : z.key_heads > 0 ? z.key_heads : z.heads;
    require(r.heads % r.key_heads == 0, "attention: heads ", r.heads, " is not divisible by key_heads ", r.key_heads);
    return r;
  }
  constexpr Index key_head(Index head, const head_shape& shape) const { return head / (shape.heads / shape.key_heads); }
};
static_assert(heads_policy<grouped>);

}  // namespace formwork
