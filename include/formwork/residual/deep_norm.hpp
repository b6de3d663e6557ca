// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/residual.hpp>
#include <formwork/tape/ops.hpp>

#include <cmath>

namespace formwork::inline FORMWORK_ABI {

/// What deep_norm's constants keep from growing with the number n of branches of a stack.
enum class deepening {
  gradient,  ///< the update of a gradient step: α = n^¼, β = (4n)^-¼, as published
  sign       ///< the update of a step whose size does not follow the gradient's, as Adam's: α = n^½, β = n^-½
};

/// y = N(α x + F(x)): post_norm whose skip outweighs the branch, with smaller initial weights in the branch, so that a thousand
/// layers train.
///
/// Units     a block has two branches, and three in a decoder that looks at an encoder: n = 2N, or 3M of M decoder blocks. An
///           encoder of N blocks beside it has α = 0.81 (N⁴M)^(1/16), β = 0.87 (N⁴M)^(-1/16) against `gradient`.
/// Numerics  weights start as Glorot has them, times β for value, output, up and down. Query and key keep 1: they do not scale
///           the branch's output; nor does the gate of a gated part beside its up.
/// Source    Wang et al., 2203.00555; for Adam: kexue.fm/archives/8978.
/// Differs   the published Xavier gain 1/√2 of the reference code's q, k and v is 1 here, as in the paper, and so is the
///           factor 1.15 of its encoder's β beside a decoder. Against `sign` that encoder counts its own branches alone.
template <template <class> class Norm>
struct deep_norm {
  using plugs_into = slot::residual;
  template <class S>
  using norm = Norm<S>;
  static constexpr bool final_norm = false;
  static constexpr fan initial_fan = fan::average;

  deepening against = deepening::gradient;
  site where = {};

  double alpha() const {
    if (beside_decoder()) return 0.81 * sixteenth_root();
    return std::pow(branches(), against == deepening::gradient ? 0.25 : 0.5);
  }
  double beta() const {
    if (beside_decoder()) return 0.87 / sixteenth_root();
    return against == deepening::gradient ? std::pow(4 * branches(), -0.25) : std::pow(branches(), -0.5);
  }

  deep_norm at(site here) const { return {against, here}; }
  double gain(place p) const {
    const bool carries = p == place::value || p == place::output || p == place::up || p == place::down;
    return carries ? beta() : 1;
  }

  template <number S, class Branch>
  var<S> join(const var<S>& x, const Norm<S>& n, Branch&& branch) const {
    return n(scaled_sum(alpha(), x, branch(x)));
  }

 private:
  bool beside_decoder() const { return against == deepening::gradient && where.stack == stack_kind::encoder; }
  double branches() const { return static_cast<double>(where.depth * where.branches()); }
  double sixteenth_root() const {
    return std::pow(std::pow(static_cast<double>(where.depth), 4) * static_cast<double>(where.other_depth), 1.0 / 16);
  }
};

}  // namespace formwork
