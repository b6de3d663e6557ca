// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/dual.hpp>
#include <formwork/core/pack.hpp>
#include <formwork/core/slot.hpp>

#include <concepts>

namespace formwork::inline FORMWORK_ABI {

template <class A, class T>
concept activation_formula = requires(const A& a, T x) {
  { a(x) } -> std::same_as<T>;
};

/// A formula applied to every number, written once: `template <class T> T operator()(T x) const`. The kernels call it with
/// packs, and with duals of packs for its slope; numbers enter as T(0.5), functions by their plain names: tanh(x), exp(x).
///
/// Laws      body and tail of a row get the same bits; the slope matches central differences; finite inputs give finite
///           outputs and slopes; NaN stays NaN (tests/laws/activation_laws.hpp).
template <class A>
concept activation_policy =
    policy<A> && std::same_as<typename A::plugs_into, slot::activation> && activation_formula<A, pack<float>> &&
    activation_formula<A, pack<double>> && activation_formula<A, pack<float, 1>> && activation_formula<A, pack<double, 1>> &&
    activation_formula<A, dual<pack<float>>> && activation_formula<A, dual<pack<double>>>;

}  // namespace formwork
