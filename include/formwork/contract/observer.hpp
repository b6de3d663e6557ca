// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/pack.hpp>
#include <formwork/core/slot.hpp>

#include <concepts>
#include <string_view>
#include <utility>

namespace formwork::inline FORMWORK_ABI {

/// Where a pack of weights stands: neighbouring lanes are one query's weights of neighbouring keys.
template <real S>
struct observer_site {
  pack<S> distance;  ///< the query's position minus each lane's key's
  Index position;    ///< of the query
  Index key;         ///< of the first lane
  Index head;
  Index sequence;
};

/// What an observer carries along a row.
template <class O, class S>
using observed_row = decltype(std::declval<const O&>().template begin<S>());

template <class O, class S>
concept observes = requires(const O& o, observed_row<O, S>& row, observer_site<S> at, pack<S> p) {
  requires std::copyable<observed_row<O, S>>;
  o.take(row, at, p, p);
  { o.finish(row) } -> std::same_as<S>;
};

/// Makes one number of a row of attention weights (its entropy, its largest score) without changing anything:
///
///   name                              what an observation is called
///   begin<S>()                        what a row carries from pack to pack
///   take(row, at, scores, weights)    the next keys, in their order: scores after the formula, weights before any factor by
///                                     distance or mix of heads. Of a key that is not seen the score is -inf, the weight 0
///   finish(row)                       the number
///
/// It runs only where a tape watches (tape.hpp), rows on several threads at once.
///
/// Laws      the number of a row depends only on what it sees: not on the batch, the threads or how the keys came; NaN that
///           is not seen does not reach it; a row that sees nothing has finish(begin()) (tests/laws/observer_laws.hpp).
template <class O>
concept observer_policy = policy<O> && std::same_as<typename O::plugs_into, slot::observer> && observes<O, float> &&
                          observes<O, double> && requires { std::string_view{O::name}; };

}  // namespace formwork
