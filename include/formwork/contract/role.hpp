// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/abi.hpp>

namespace formwork::inline FORMWORK_ABI {

/// What a parameter is for. Optimizers route on it, initialisers start from it.
enum class role {
  matrix,     ///< a weight that multiplies activations
  embedding,  ///< a table of token vectors
  head,       ///< the projection to the vocabulary
  gain,       ///< a factor per column of a norm
  bias,       ///< an addend per column
  mixing,     ///< a small matrix between heads
  dynamics,   ///< a state space's A, B and step
  table       ///< a learned table that is not of tokens (positions, relative biases)
};

/// Where a weight sits in its block; residual policies scale initialisers by it.
enum class place { query, key, value, output, up, gate, down, none };

constexpr const char* name_of(role r) {
  constexpr const char* names[] = {"matrix", "embedding", "head", "gain", "bias", "mixing", "dynamics", "table"};
  return names[static_cast<int>(r)];
}

}  // namespace formwork
