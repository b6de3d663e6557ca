// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/scale.hpp>

#include <cmath>

namespace formwork::inline FORMWORK_ABI {

/// Scores are multiplied by 1 / √d.
///
/// Units     d is the key width of one head, not the head width.
/// Source    Vaswani et al., 1706.03762, section 3.2.1.
struct inv_sqrt {
  using plugs_into = slot::scale;

  double operator()(scale_site at) const { return 1 / std::sqrt(static_cast<double>(at.key_width)); }
};
static_assert(scale_policy<inv_sqrt>);

}  // namespace formwork
