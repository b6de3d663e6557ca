// SPDX-License-Identifier: MIT
#pragma once

/// The map of queries and keys in linear attention. Formulas: elu_plus_one exponential relu_plus_epsilon. Maps of rows:
/// one_plus_cos efficient; those that come near softmax attention: favor taylor_map limit_map (by monomials)
#include <formwork/feature/efficient.hpp>
#include <formwork/feature/elu_plus_one.hpp>
#include <formwork/feature/exponential.hpp>
#include <formwork/feature/favor.hpp>
#include <formwork/feature/limit_map.hpp>
#include <formwork/feature/monomials.hpp>
#include <formwork/feature/one_plus_cos.hpp>
#include <formwork/feature/relu_plus_epsilon.hpp>
#include <formwork/feature/taylor_map.hpp>
