// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/scale.hpp>

namespace formwork::inline FORMWORK_ABI {

/// Keys have unit length: a score is |q| times the cosine. With √d folded into the key, as the article has it, the usual
/// 1 / √d leaves the factor 1.
///
/// Cost      one pass over the keys.
/// Source    Su, kexue.fm/archives/9948 (key-norm): extrapolates where positions turn queries and keys.
/// Differs   lengths have no epsilon: a key of length 0 stays 0.
struct key_normalized {
  using plugs_into = slot::scale;
  static constexpr lengths key_lengths = lengths::unit;

  double operator()(scale_site) const { return 1; }
};
static_assert(scale_policy<key_normalized>);

}  // namespace formwork
