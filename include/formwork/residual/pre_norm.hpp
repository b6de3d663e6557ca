// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/residual.hpp>
#include <formwork/tape/ops.hpp>

#include <cmath>

namespace formwork::inline FORMWORK_ABI {

/// y = x + F(N(x)), and one norm more before the head.
///
/// Numerics  the weights that end a branch (place output and down) start smaller by 1/√branches, two a block and three in a
///           decoder that looks at an encoder, so that the stream's variance does not grow with depth (GPT-2).
/// Source    Xiong et al., 2002.04745; kexue.fm/archives/9009.
template <template <class> class Norm>
struct pre_norm {
  using plugs_into = slot::residual;
  template <class S>
  using norm = Norm<S>;
  static constexpr bool final_norm = true;
  static constexpr fan initial_fan = fan::in;

  Index branches = 2;  ///< of the stack

  pre_norm at(site where) const { return {where.depth * where.branches()}; }
  double gain(place where) const {
    const bool ends_branch = where == place::output || where == place::down;
    return ends_branch ? 1 / std::sqrt(static_cast<double>(branches)) : 1;
  }

  template <number S, class Branch>
  var<S> join(const var<S>& x, const Norm<S>& n, Branch&& branch) const {
    return add(x, branch(n(x)));
  }
};

}  // namespace formwork
