// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/discretisation.hpp>

namespace formwork::inline FORMWORK_ABI {

// How a memory x' = rate(t) (A x + B u) steps while its input is held; rates are times the step's length.
// Source: Gu et al., 2008.07669, appendix B.3; kexue.fm/archives/10137.

/// x⁺ = x + before (A x + B u).
///
/// Numerics  unstable where a step is long for A. On LegS the state first grows like a binomial of the order, at order 64 past a
///           float's range, and comes back after about 3 order positions (hippo_memory_test.cpp): for study.
struct forward_euler {
  using plugs_into = slot::discretisation;
  step_weights weights(double before, double) const { return {before, 0, before}; }
};

/// x⁺ = x + after (A x⁺ + B u). Stable, first order.
struct backward_euler {
  using plugs_into = slot::discretisation;
  step_weights weights(double, double after) const { return {0, after, after}; }
};

/// The trapezoid rule, x⁺ = x + before/2 (A x + B u) + after/2 (A x⁺ + B u). Stable, second order.
///
/// Differs   on LegS, whose rate changes within a step, B too takes the mean of both rates. kexue.fm/archives/10137 prints
///           `before` alone there, which does not hold constants; the code of HiPPO takes `after` throughout, which does, but
///           is of first order: errors on sin(6t) + 1/2 are 2.1e-5, 4.8e-3 and 1.4e-3 (hippo_memory_test.cpp).
struct bilinear {
  using plugs_into = slot::discretisation;
  step_weights weights(double before, double after) const { return {before / 2, after / 2, (before + after) / 2}; }
};

/// The exact solution for an input that is held during the step: x⁺ = e^E x + A⁻¹ (e^E - I) B u, E = A ∫ rate dt.
///
/// Numerics  on LegS E = ln((k+1)/k) A: what kexue.fm/archives/10137 calls the exact solution.
struct zero_order_hold {
  using plugs_into = slot::discretisation;
};

static_assert(one_step<forward_euler> && one_step<backward_euler> && one_step<bilinear>);
static_assert(discretisation<zero_order_hold> && !one_step<zero_order_hold>);

}  // namespace formwork
