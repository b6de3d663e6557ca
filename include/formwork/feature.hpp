// SPDX-License-Identifier: MIT
#pragma once

/// The map of queries and keys in linear attention: elu_plus_one exponential relu_plus_epsilon
#include <formwork/feature/elu_plus_one.hpp>
#include <formwork/feature/exponential.hpp>
#include <formwork/feature/relu_plus_epsilon.hpp>
