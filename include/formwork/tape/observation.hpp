// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/matrix.hpp>
#include <formwork/core/memory.hpp>

#include <string_view>

namespace formwork::inline FORMWORK_ABI {

/// What one observer saw in one layer.
///
/// Shapes    numbers (tokens × heads).
template <number S>
struct observation {
  std::string_view name;  ///< the observer's
  matrix<S> numbers;
};

/// In the order in which layers ran, and in each layer in the order of its observers.
template <number S>
using observations = pooled_vector<observation<S>>;

}  // namespace formwork
