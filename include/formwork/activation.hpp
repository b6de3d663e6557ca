// SPDX-License-Identifier: MIT
#pragma once

/// Formulas applied to every number: gelu gelu_tanh relu2 silu
#include <formwork/activation/gelu.hpp>
#include <formwork/activation/gelu_tanh.hpp>
#include <formwork/activation/relu2.hpp>
#include <formwork/activation/silu.hpp>
