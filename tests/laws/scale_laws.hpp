// SPDX-License-Identifier: MIT
#pragma once
#include "kernel/attend_cases.hpp"

/// What every scale promises (contract/scale.hpp).
namespace laws {

namespace fw = formwork;
using fw::Index;

template <class Scale>
void finite_and_not_negative(const Scale& scale) {
  for (const Index visible : {1, 2, 3, 16, 512, 4096, 1 << 20})
    for (const Index width : {1, 3, 64, 128})
      for (const Index position : {Index(0), visible - 1, Index(1) << 20}) {
        CAPTURE(visible, width, position);
        const double factor = scale(fw::scale_site{visible, width, position});
        REQUIRE(std::isfinite(factor));
        REQUIRE(factor >= 0);
      }
}

/// The gradients of attention with this scale match central differences.
template <class Scale>
void gradients_are_right_with_scale(const Scale& scale) {
  cases::attention_case<double> one({2, 1, 3, 4}, {9, 1});
  const auto chosen = cases::policies(fw::causal{}, scale);
  const auto got = one.run(chosen);
  const auto objective = [&] {
    fw::matrix<double> out(10, 8);
    fw::attend_forward<double>(out, {}, one.q, one.k, one.v, one.batch, one.batch, one.shape, chosen);
    double sum = 0;
    for (Index i = 0; i < out.size(); ++i) sum += out.data()[i] * one.dout.data()[i];
    return sum;
  };
  checks::check_gradient("dq", one.q, got.dq, objective);
  checks::check_gradient("dk", one.k, got.dk, objective);
}

template <class Scale>
void scale_laws(const Scale& scale) {
  finite_and_not_negative(scale);
  gradients_are_right_with_scale(scale);
}

}  // namespace laws
