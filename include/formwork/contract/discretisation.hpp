// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/slot.hpp>

#include <concepts>

namespace formwork::inline FORMWORK_ABI {

/// One step of x' = rate(t) (A x + B u): (I - after A) x⁺ = (I + before A) x + input B u.
struct step_weights {
  double before, after, input;
};

/// How a linear differential equation becomes a recurrence, its input held during a step (forward_euler, bilinear, ...).
///
///   d.weights(before, after)    the step's weights from the rate at its two ends, each times its length; a discretisation
///                               without them solves the step exactly
///
/// Laws      before + after = input, so that a constant which the equation holds is held.
template <class D>
concept discretisation = policy<D> && std::same_as<typename D::plugs_into, slot::discretisation>;

template <class D>
concept one_step = discretisation<D> && requires(const D& d, double rate) {
  { d.weights(rate, rate) } -> std::same_as<step_weights>;
};

}  // namespace formwork
