// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/error.hpp>
#include <formwork/core/pack.hpp>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace formwork::inline FORMWORK_ABI {

/// How the rate falls after the warm-up.
enum class decay { constant, linear, cosine };

/// The factor on the learning rate at a step: a linear warm-up to 1, then a decay to `last` at step `total`.
///
///   warm-up   (step + 1) / warm_up
///   cosine    last + (1 - last) (1 + cos π u) / 2,   linear   1 - (1 - last) u,   u = (step - warm_up) / (total - warm_up)
///
/// Units     steps from 0.
/// Source    Loshchilov and Hutter, 1608.03983 (cosine).
struct schedule {
  Index warm_up = 0;
  Index total = 1000;
  double last = 0;
  decay shape = decay::cosine;

  double operator()(Index step) const {
    if (step < warm_up) return static_cast<double>(step + 1) / static_cast<double>(warm_up);
    if (shape == decay::constant) return 1;
    const double span = static_cast<double>(std::max<Index>(total - warm_up, 1));
    const double u = std::min(1.0, static_cast<double>(step - warm_up) / span);
    if (shape == decay::linear) return 1 - (1 - last) * u;
    return last + (1 - last) * (1 + std::cos(std::numbers::pi * u)) / 2;
  }
};

}  // namespace formwork
