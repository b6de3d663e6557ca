// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/module.hpp>

namespace formwork::inline FORMWORK_ABI {

/// How a branch F joins the residual stream: r.join(x, norm, F) computes, for instance, x + F(norm(x)).
///
///   norm<S>         the norm of each branch; `final_norm` says whether the model ends with one more
///   at(site)        the policy with its constants for that depth and layer
///   initial_fan     the fan that initial standard deviations are derived from
///   gain(place)     the factor on the initial standard deviation of a weight at that place
///
/// Laws      gradcheck; each row depends on that row alone; gains are finite and positive at every depth
///           (tests/laws/residual_laws.hpp).
template <class R>
concept residual_policy = policy<R> && std::same_as<typename R::plugs_into, slot::residual> && requires(const R& r) {
  typename R::template norm<float>;
  { R::final_norm } -> std::convertible_to<bool>;
  { R::initial_fan } -> std::convertible_to<fan>;
  { r.at(site{}) } -> std::same_as<R>;
  { r.gain(place{}) } -> std::convertible_to<double>;
};

}  // namespace formwork
