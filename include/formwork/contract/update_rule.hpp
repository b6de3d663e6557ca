// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/module.hpp>
#include <formwork/core/matrix.hpp>

namespace formwork::inline FORMWORK_ABI {

/// What an update rule reads beside the state it keeps for each parameter.
template <real S>
struct update_site {
  view<S> value;           ///< changed in place
  view<const S> gradient;
  role kind;
  Index step;              ///< 1 for the first update
  double rate_factor;      ///< of a schedule
};

/// An update rule holds the numbers; its state<S> holds matrices of the parameter's shape, listed by matrices().
///
/// Laws      deterministic; state saved and restored continues with equal bits (tests/laws/update_rule_laws.hpp).
template <class R>
concept update_rule = std::copyable<R> && requires(const R& r, update_site<float> at, typename R::template state<float>& s) {
  { r.template make_state<float>(Index{}, Index{}) } -> std::same_as<typename R::template state<float>>;
  r.update(at, s);
  s.matrices([](const char*, matrix<float>&) {});
};

}  // namespace formwork
