// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/feature.hpp>
#include <formwork/core/reduce.hpp>

#include <cmath>
#include <limits>

namespace formwork::inline FORMWORK_ABI {

/// [x/‖x‖, 1], so that a key's weight is 1 + cos(q, k) >= 0. A rotary position turns the cosine, above and below the line.
///
/// Shapes    key_width + 1 features.
/// Numerics  lengths in double; a row of zeros is a direction of zeros, with the weight 1 for every key and no gradient. A query
///           opposite to every key it sees finds no weight but rounding.
/// Source    Su, kexue.fm/archives/7546.
struct one_plus_cos {
  using plugs_into = slot::feature;
  static constexpr turned turns = turned::inputs;

  Index width(Index key_width) const { return key_width + 1; }

  template <real S>
  void forward(view<S> y, view<const S> x, side) const {
    for (Index i = 0; i < x.rows(); ++i) {
      const pack<S> inverse(inverse_length(x.row(i), x.cols()));
      for (Index j = 0; j < x.cols(); j += lanes<S>)
        (pack<S>::load(x.row(i) + j, x.cols() - j) * inverse).store(y.row(i) + j, x.cols() - j);
      y(i, x.cols()) = 1;
    }
  }
  /// dx = (dy - y (y · dy)) / ‖x‖ over the direction's columns.
  template <real S>
  void backward(view<S> dx, view<S> dy, view<const S> y, view<const S> x, side) const {
    for (Index i = 0; i < x.rows(); ++i) {
      const pack<S> inverse(inverse_length(x.row(i), x.cols())), along(S(dot(y.row(i), dy.row(i), x.cols())));
      for (Index j = 0; j < x.cols(); j += lanes<S>) {
        const Index count = x.cols() - j;
        (fma(-along, pack<S>::load(y.row(i) + j, count), pack<S>::load(dy.row(i) + j, count)) * inverse)
            .store(dx.row(i) + j, count);
      }
    }
  }

 private:
  template <real S>
  static S inverse_length(const S* x, Index n) {
    const double length = std::sqrt(dot(x, x, n));
    return length < double(std::numeric_limits<S>::min()) ? S(0) : S(1 / length);
  }
};
static_assert(feature_policy<one_plus_cos>);

}  // namespace formwork
