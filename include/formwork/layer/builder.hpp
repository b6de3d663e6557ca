// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/module.hpp>
#include <formwork/core/random.hpp>
#include <formwork/tape/fields.hpp>

#include <algorithm>
#include <array>
#include <cmath>

namespace formwork::inline FORMWORK_ABI {

/// Makes the parameters of a model: sizes, random numbers, and where in the model we are.
///
/// Numerics  a weight (in × out) starts normal with the standard deviation gain / √fan; the residual policy says which fan, and
///           the gain of each place. Embeddings and heads start as N(0, 0.02²) (GPT-2), gains at 1, biases at 0.
struct builder {
  formwork::sizes sizes;
  rng& random;
  formwork::site site = {};
  fan weights_by = fan::in;
  std::array<double, static_cast<std::size_t>(place::none) + 1> gains = {1, 1, 1, 1, 1, 1, 1, 1};  ///< by place

  /// The same at another layer, with the residual policy's fan and gains.
  template <class Residual>
  builder at(formwork::site where, const Residual& residual) const {
    builder r = *this;
    r.site = where;
    r.weights_by = Residual::initial_fan;
    const auto here = residual.at(where);
    for (std::size_t p = 0; p < gains.size(); ++p) r.gains[p] = here.gain(static_cast<place>(p));
    return r;
  }

  template <number S>
  parameter<S> weight(Index in, Index out, place where) const {
    const double fans = static_cast<double>(weights_by == fan::in ? 2 * in : in + out) / 2;
    return normal<S>(in, out, gains[static_cast<std::size_t>(where)] / std::sqrt(std::max(fans, 1.0)), role::matrix, where);
  }
  template <number S>
  parameter<S> normal(Index rows, Index cols, double spread, role kind, place where = place::none) const {
    matrix<S> values(rows, cols);
    random.fill_normal(values.all(), spread);
    return {std::move(values), kind, where};
  }
  template <number S>
  static parameter<S> constant(Index cols, S value, role kind) {
    return {matrix<S>(1, cols, value), kind};
  }
};

/// The policy of the value given, or its default; one that owns parameters makes them by make(b, wanted).
template <class Policy, class... Value>
Policy make_policy(const builder& b, const Value&... value) {
  Policy wanted = {};
  (assign_value(value, wanted), ...);
  if constexpr (has_fields<Policy>)
    return Policy::make(b, wanted);
  else
    return wanted;
}

/// A norm of that width with the constants of the value given, or its defaults.
template <class Norm, class... Value>
Norm make_norm(Index width, const Value&... value) {
  Norm like = {};
  (assign_value(value, like), ...);
  return Norm::make(width, like);
}

}  // namespace formwork
