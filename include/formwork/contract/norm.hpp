// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/module.hpp>

namespace formwork::inline FORMWORK_ABI {

/// A norm maps each row to one of a standard size: N<S>::make(width) and y = n(x), of x's shape. It is a template on the
/// scalar, given to residual policies and models by its name: pre_norm<rms_norm>. make(width, like) takes the constants of
/// another: a value such as rms_norm<float>{.epsilon = 1e-5}, given to a model's make, reaches every norm of that type.
///
/// Laws      each row depends on that row alone; gradcheck (tests/laws/norm_laws.hpp).
template <template <class> class N, class S>
concept norm_of = requires(const N<S>& n, const var<S>& x) {
  { N<S>::make(Index{}) } -> std::same_as<N<S>>;
  { N<S>::make(Index{}, n) } -> std::same_as<N<S>>;
  { n(x) } -> std::same_as<var<S>>;
};

}  // namespace formwork
