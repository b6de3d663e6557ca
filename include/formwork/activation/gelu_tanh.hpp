// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/activation.hpp>

namespace formwork::inline FORMWORK_ABI {

/// x/2 (1 + tanh(u)), u = √(2/π) (x + 0.044715 x³): GPT-2's approximation of gelu, called gelu_new elsewhere.
///
/// Numerics  computed as x sigmoid(2u), which keeps the digits of the negative tail: the relative error is at most
///           (2 + 2 |2u|) ε (activation_test.cpp).
/// Source    Hendrycks and Gimpel, 1606.08415, section 2.
/// Differs   from gelu by up to 5e-4.
struct gelu_tanh {
  using plugs_into = slot::activation;

  template <class T>
  T operator()(T x) const {
    return x * sigmoid(x * fma(T(0.07135481627260025), x * x, T(1.5957691216057308)));
  }
};
static_assert(activation_policy<gelu_tanh>);

}  // namespace formwork
