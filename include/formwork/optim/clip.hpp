// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/kernel/transform.hpp>
#include <formwork/kernel/update.hpp>
#include <formwork/tape/fields.hpp>

#include <cmath>

namespace formwork::inline FORMWORK_ABI {

/// Two forms of clipping a gradient g by its global norm: at most a factor 2 apart.
enum class clipping {
  hard,  ///< g min(1, limit / ‖g‖)
  soft   ///< g limit / (‖g‖ + limit): the optimal step of an (L0, L1)-smooth objective
};

/// ‖g‖ over every parameter of a module that has a gradient, in double, in the order of fields().
template <class Module>
double gradient_norm(const Module& module) {
  double total = 0;
  for_each_parameter(module, [&](const auto& p) {
    if (p.has_gradient()) total += squared_norm(p.gradient());
  });
  return std::sqrt(total);
}

/// Scales all gradients by one factor so that their global norm is bounded by `limit`; returns the norm before.
///
/// Throws    numeric_error where the norm is not finite, before anything is changed.
/// Source    Pascanu et al., 1211.5063 (hard); Zhang et al., 1905.11881 and kexue.fm/archives/7469 (soft).
template <class Module>
double clip_by_global_norm(Module& module, double limit, clipping form = clipping::hard) {
  require(limit > 0, "clip_by_global_norm: limit is ", limit, "; needs > 0");
  const double norm = gradient_norm(module);
  require<numeric_error>(std::isfinite(norm), "clip_by_global_norm: the gradient's norm is ", norm,
                         "; lower the learning rate or look at the data");
  const double factor = form == clipping::soft ? limit / (norm + limit) : norm > limit ? limit / norm : 1;
  if (factor == 1) return norm;
  for_each_parameter(module, [&](auto& p) {
    if (!p.has_gradient()) return;
    using S = typename std::remove_cvref_t<decltype(p)>::scalar;
    transform(p.gradient(), [f = pack<S>(factor)](pack<S> g) { return f * g; }, p.gradient());
  });
  return norm;
}

}  // namespace formwork
