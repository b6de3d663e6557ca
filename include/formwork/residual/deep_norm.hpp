// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/residual.hpp>
#include <formwork/tape/ops.hpp>

#include <cmath>

namespace formwork::inline FORMWORK_ABI {

/// What deep_norm's constants keep from growing with the number N of layers.
enum class deepening {
  gradient,  ///< the update of a gradient step: α = (2N)^¼, β = (8N)^-¼, as published
  sign       ///< the update of a step whose size does not follow the gradient's, as Adam's: α = (2N)^½, β = (2N)^-½
};

/// y = N(α x + F(x)): post_norm whose skip outweighs the branch, with smaller initial weights in the branch, so that a thousand
/// layers train.
///
/// Units     a layer is a mixer and a feed-forward part: N = depth.
/// Numerics  weights start as Glorot has them, times β for value, output, up and down. Query and key keep 1: they do not scale
///           the branch's output; nor does the gate of a gated part beside its up.
/// Source    Wang et al., 2203.00555 (encoder-only and decoder-only); for Adam: kexue.fm/archives/8978.
/// Differs   the published Xavier gain 1/√2 of the reference code's q, k and v is 1 here, as in the paper.
template <template <class> class Norm>
struct deep_norm {
  using plugs_into = slot::residual;
  template <class S>
  using norm = Norm<S>;
  static constexpr bool final_norm = false;
  static constexpr fan initial_fan = fan::average;

  deepening against = deepening::gradient;
  Index depth = 1;

  double alpha() const { return std::pow(2 * layers(), against == deepening::gradient ? 0.25 : 0.5); }
  double beta() const {
    return against == deepening::gradient ? std::pow(8 * layers(), -0.25) : std::pow(2 * layers(), -0.5);
  }

  deep_norm at(site where) const { return {against, where.depth}; }
  double gain(place where) const {
    const bool carries = where == place::value || where == place::output || where == place::up || where == place::down;
    return carries ? beta() : 1;
  }

  template <real S, class Branch>
  var<S> join(const var<S>& x, const Norm<S>& n, Branch&& branch) const {
    return n(scaled_sum(alpha(), x, branch(x)));
  }

 private:
  double layers() const { return static_cast<double>(depth); }
};

}  // namespace formwork
