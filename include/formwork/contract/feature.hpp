// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/activation.hpp>

namespace formwork::inline FORMWORK_ABI {

/// The map φ of linear attention, whose weights are φ(q) · φ(k): applied to every number of queries and keys, written once,
/// `template <class T> T operator()(T x) const`, and called with packs, and with duals of packs for its slope.
///
/// A weighted mean needs φ >= 0. Where φ can vanish a query may find no weight at all: its output is then 0, and a sum that is
/// almost 0 makes the mean noisy. A map that can vanish therefore brings an epsilon of its own, as relu_plus_epsilon does;
/// nothing is added to the denominator.
///
/// Laws      finite and >= 0 where the formula does not overflow; body and tail of a row get the same bits; the slope matches
///           central differences; NaN stays NaN (tests/laws/feature_laws.hpp).
template <class F>
concept feature_policy =
    policy<F> && std::same_as<typename F::plugs_into, slot::feature> && activation_formula<F, pack<float>> &&
    activation_formula<F, pack<double>> && activation_formula<F, pack<float, 1>> && activation_formula<F, pack<double, 1>> &&
    activation_formula<F, dual<pack<float>>> && activation_formula<F, dual<pack<double>>>;

}  // namespace formwork
