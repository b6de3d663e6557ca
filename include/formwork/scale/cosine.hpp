// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/scale.hpp>

#include <cmath>

namespace formwork::inline FORMWORK_ABI {

/// Cosine attention: scores are √d times the cosine of query and key.
///
/// Units     d is the key width of one head; q and k of unit length times √d each, and the usual 1 / √d.
/// Cost      one pass over queries and keys.
/// Source    Henry et al., 2010.04245; kexue.fm/archives/9731 for √d.
/// Differs   the factor of 2010.04245 and of 2111.09883 is learned: temperature<S, cosine>. Lengths have no epsilon.
struct cosine {
  using plugs_into = slot::scale;
  static constexpr lengths query_lengths = lengths::unit, key_lengths = lengths::unit;

  double operator()(scale_site at) const { return std::sqrt(static_cast<double>(at.key_width)); }
};
static_assert(scale_policy<cosine>);

}  // namespace formwork
