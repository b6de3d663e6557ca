// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/dual.hpp>
#include <formwork/core/pack.hpp>
#include <formwork/core/slot.hpp>

#include <concepts>

namespace formwork::inline FORMWORK_ABI {

/// Where a pack of scores stands: neighbouring lanes are one query's scores of neighbouring keys.
template <class T>
struct score_site {
  T distance;      ///< the query's position minus each lane's key's
  Index position;  ///< of the query
  Index key;       ///< of the first lane
  Index head;
  Index heads;
};

template <class P, class T>
concept score_formula = requires(const P& p, T score, score_site<T> at) {
  { p(score, at) } -> std::same_as<T>;
};

/// A formula between a score, as q · k · scale gives it, and the weights: written once, `template <class T> T operator()(T
/// score, score_site<T> at) const`. The kernel calls it with packs, and with duals of packs for its slope.
///
/// Where its numbers depend on the head, at_head(head, heads) gives the formula of one head: kernels call it once for many packs.
///
/// Laws      body and tail of a row get the same bits; the slope matches central differences (tests/laws/score_laws.hpp).
template <class P>
concept score_policy = policy<P> && std::same_as<typename P::plugs_into, slot::score> && score_formula<P, pack<float>> &&
                       score_formula<P, pack<double>> && score_formula<P, pack<float, 1>> &&
                       score_formula<P, dual<pack<float>>> && score_formula<P, dual<pack<double>>>;

/// A formula that leaves every score as it is says so with `static constexpr bool unchanged = true;` and costs nothing.
template <score_policy P>
inline constexpr bool leaves_scores = requires { requires P::unchanged; };

/// The formula, or the bias, of one head.
template <class P>
decltype(auto) at_head(const P& policy, Index head, Index heads) {
  if constexpr (requires { policy.at_head(head, heads); })
    return policy.at_head(head, heads);
  else
    return (policy);
}

}  // namespace formwork
