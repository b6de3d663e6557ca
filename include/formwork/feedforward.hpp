// SPDX-License-Identifier: MIT
#pragma once

/// what each token goes through alone: mlp gated_mlp
#include <formwork/feedforward/mlp.hpp>
#include <formwork/feedforward/gated_mlp.hpp>
