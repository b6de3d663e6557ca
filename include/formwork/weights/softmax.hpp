// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/weights/normalized_exponentials.hpp>

namespace formwork::inline FORMWORK_ABI {

/// Exponentials of a row's scores, divided by their sum; kept is the log-sum-exp.
///
/// Numerics  see weights/normalized_exponentials.hpp.
/// Source    Vaswani et al., 1706.03762.
struct softmax : normalized_exponentials<1> {
  static constexpr bool sums_to_one = true;
};
static_assert(weights_policy<softmax>);

}  // namespace formwork
