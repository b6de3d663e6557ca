// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/residual.hpp>
#include <formwork/tape/ops.hpp>

namespace formwork::inline FORMWORK_ABI {

/// y = N(x + F(x)): every branch ends in its norm, so the model needs none before the head.
///
/// Numerics  weights start as Glorot has them. At the start layer l reaches the output with weight 2^(-l/2) of the layers behind
///           it, so deep stacks learn slowly from below: see deep_norm.
/// Source    Vaswani et al., 1706.03762; kexue.fm/archives/8620, 9009.
template <template <class> class Norm>
struct post_norm {
  using plugs_into = slot::residual;
  template <class S>
  using norm = Norm<S>;
  static constexpr bool final_norm = false;
  static constexpr fan initial_fan = fan::average;

  post_norm at(site) const { return {}; }
  double gain(place) const { return 1; }

  template <number S, class Branch>
  var<S> join(const var<S>& x, const Norm<S>& n, Branch&& branch) const {
    return n(add(x, branch(x)));
  }
};

}  // namespace formwork
