// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/pack.hpp>
#include <formwork/core/slot.hpp>

#include <concepts>

namespace formwork::inline FORMWORK_ABI {

/// Where a pack of weights stands: neighbouring lanes are one query's weights of neighbouring keys.
struct observer_site {
  Index sequence;
  Index head;
  Index position;  ///< of the query
  Index key;       ///< of the first lane
};

/// Looks at finished attention weights (their entropy, a picture of them) without changing anything:
/// o(site, weights, count), where lanes from `count` on are 0. A row's packs come in the order of its keys, from one thread;
/// rows may come from several.
template <class O>
concept observer_policy = policy<O> && std::same_as<typename O::plugs_into, slot::observer> &&
                          requires(const O& o, observer_site at, pack<float> weights, Index count) { o(at, weights, count); };

}  // namespace formwork
