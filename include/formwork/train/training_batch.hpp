// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/layer/embedding.hpp>

#include <vector>

namespace formwork::inline FORMWORK_ABI {

/// What a model over tokens is trained on: rows of tokens and, for each row, the token it is to give: the next one, or the one
/// that was masked. A negative target does not count.
struct training_batch {
  tokens input;
  std::vector<Index> target;
};

}  // namespace formwork
