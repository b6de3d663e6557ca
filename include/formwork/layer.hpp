// SPDX-License-Identifier: MIT
#pragma once

/// Floor 4a, plain layers:
///   builder     makes a model's parameters: initial values by role, place and residual policy
///   linear      x W + b
///   pooling     one row for each sequence
///   tokens_seen where the next tokens of a state stand
///   embedding   rows of a table; tokens
///   dropout     keyed, redrawn in the backward pass
#include <formwork/layer/builder.hpp>
#include <formwork/layer/dropout.hpp>
#include <formwork/layer/embedding.hpp>
#include <formwork/layer/linear.hpp>
#include <formwork/layer/pooling.hpp>
#include <formwork/layer/tokens_seen.hpp>
