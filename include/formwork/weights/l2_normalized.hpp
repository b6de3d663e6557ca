// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/weights/normalized_exponentials.hpp>

namespace formwork::inline FORMWORK_ABI {

/// Exponentials of a row's scores, divided by their Euclidean length: weights whose squares sum to 1. Rows need not sum to 1, so
/// that attention can tell where it stands even among equal tokens (tests/weights/others_test.cpp).
///
/// Numerics  see weights/normalized_exponentials.hpp.
/// Cost      as softmax.
/// Source    kexue.fm/archives/9105.
/// Differs   the article makes the initial values and output weights smaller, which is the model's to do.
struct l2_normalized : normalized_exponentials<2> {};
static_assert(weights_policy<l2_normalized>);

}  // namespace formwork
