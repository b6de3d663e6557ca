// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/heads.hpp>

namespace formwork::inline FORMWORK_ABI {

/// Every head attends alone. With fewer key heads than heads, neighbouring heads share keys and values: head h reads key head
/// h / (heads / key_heads). key_heads = heads is multi-head, 1 multi-query, between them grouped attention.
///
/// Source    Vaswani et al., 1706.03762; Shazeer, 1911.02150; Ainslie et al., 2305.13245.
struct independent {
  using plugs_into = slot::heads;
  static constexpr head_tile tile = head_tile::one;

  constexpr Index key_head(Index head, head_shape shape) const { return head / (shape.heads / shape.key_heads); }
};
static_assert(heads_policy<independent>);

}  // namespace formwork
