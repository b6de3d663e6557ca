// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/pack.hpp>
#include <formwork/core/slot.hpp>

#include <concepts>

namespace formwork::inline FORMWORK_ABI {

/// What the scale of a query row may depend on.
struct scale_site {
  Index visible_keys = 0;  ///< that this row sees, not the length of the sequence
  Index key_width = 1;     ///< of one head
  Index position = 0;      ///< of the query
};

/// The factor on a query's scores, folded into the query: p(site), formed in double.
///
/// Cost      called once per query row, for all heads.
/// Laws      finite and >= 0 at every site (tests/laws/scale_laws.hpp).
template <class P>
concept scale_policy = policy<P> && std::same_as<typename P::plugs_into, slot::scale> && requires(const P& p, scale_site at) {
  { p(at) } -> std::convertible_to<double>;
};

}  // namespace formwork
