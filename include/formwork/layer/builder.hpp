// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/module.hpp>
#include <formwork/core/random.hpp>
#include <formwork/tape/parameter.hpp>

#include <array>
#include <cmath>

namespace formwork::inline FORMWORK_ABI {

/// Makes the parameters of a model: sizes, random numbers, and where in the model we are.
///
/// Numerics  a weight (in × out) starts as N(0, gain² / in) (LeCun), its gain given by the residual policy for its place;
///           embeddings and heads as N(0, 0.02²) (GPT-2), gains at 1, biases at 0.
struct builder {
  formwork::sizes sizes;
  rng& random;
  formwork::site site = {};
  std::array<double, static_cast<std::size_t>(place::none) + 1> gains = {1, 1, 1, 1, 1, 1, 1, 1};  ///< by place

  /// The same at another layer, with the residual policy's gains.
  template <class Residual>
  builder at(formwork::site where, const Residual& residual) const {
    builder r = *this;
    r.site = where;
    const auto here = residual.at(where);
    for (std::size_t p = 0; p < gains.size(); ++p) r.gains[p] = here.gain(static_cast<place>(p));
    return r;
  }

  template <real S>
  parameter<S> weight(Index in, Index out, place where) const {
    const double spread = gains[static_cast<std::size_t>(where)] / std::sqrt(static_cast<double>(in > 0 ? in : 1));
    return normal<S>(in, out, spread, role::matrix, where);
  }
  template <real S>
  parameter<S> normal(Index rows, Index cols, double spread, role kind, place where = place::none) const {
    matrix<S> values(rows, cols);
    random.fill_normal(values.all(), spread);
    return {std::move(values), kind, where};
  }
  template <real S>
  static parameter<S> constant(Index cols, S value, role kind) {
    return {matrix<S>(1, cols, value), kind};
  }
};

}  // namespace formwork
