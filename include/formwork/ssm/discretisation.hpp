// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/slot.hpp>

namespace formwork::inline FORMWORK_ABI {

// How x' = A x + B u steps while its input is held.

/// x⁺ = e^(εA) x + A⁻¹ (e^(εA) - I) B u, exact for an input held during the step ε.
struct zero_order_hold {
  using plugs_into = slot::discretisation;
};

/// x⁺ = (I - εA/2)⁻¹ ((I + εA/2) x + ε B u), the trapezoid rule.
struct bilinear {
  using plugs_into = slot::discretisation;
};

}  // namespace formwork
