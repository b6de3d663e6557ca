// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/matrix.hpp>
#include <formwork/core/slot.hpp>

#include <concepts>

namespace formwork::inline FORMWORK_ABI {

/// x' = rate (A x + B u).
///
/// Shapes    a (order × order), b (order × 1).
struct linear_ode {
  matrix<double> a, b;
};

/// The functions that a memory keeps a signal's coefficients of (legs, legt, lagt, fourier).
///
///   basis.ode(order)            how the coefficients x move with the signal u: rate 1, or 1/t where scales_with_history
///   basis.functions(g, order, age, elapsed)
///                               g_n with Σ g_n x_n = the signal `age` before now, `elapsed` after it began
///
/// Laws      A's eigenvalues have negative real parts; a constant signal is held: there is one x with A x + B = 0 and
///           Σ g_n x_n = 1 at every remembered age (hippo_basis_test.cpp).
template <class B>
concept basis = policy<B> && std::same_as<typename B::plugs_into, slot::basis> &&
                requires(const B& b, double* g, Index order, double time) {
                  { B::scales_with_history } -> std::convertible_to<bool>;
                  { b.ode(order) } -> std::same_as<linear_ode>;
                  b.functions(g, order, time, time);
                };

}  // namespace formwork
