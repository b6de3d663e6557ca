// SPDX-License-Identifier: MIT
#pragma once

/// Floor 3, recording and differentiating:
///   parameter   value, gradient, role and place of something learned
///   var         a value of a computation: a counted handle
///   observation   what a layer's observer saw, where a tape watches
///   tape        records fused ops, walks them back; record() ends an op of one's own
///   ops         add, multiply, map with a user's formula, product, concat, split, lookup, sums
///   assign      another value for every slot of its type in a made module
///   checkpoint  keep the input, recompute the rest
///   distances   tables by distance: of a formula, of a learned table's rows; what biases that learn are made of
///   fields      the members of a module, listed once; walks over its parameters
///   gradcheck   gradients against central differences
///   hessian     products with the matrix of a loss's second derivatives
///   largest_eigenvalue   of a matrix that is only multiplied with: a Hessian's sharpness
#include <formwork/tape/assign.hpp>
#include <formwork/tape/checkpoint.hpp>
#include <formwork/tape/distances.hpp>
#include <formwork/tape/fields.hpp>
#include <formwork/tape/gradcheck.hpp>
#include <formwork/tape/hessian.hpp>
#include <formwork/tape/largest_eigenvalue.hpp>
#include <formwork/tape/observation.hpp>
#include <formwork/tape/ops.hpp>
#include <formwork/tape/parameter.hpp>
#include <formwork/tape/tape.hpp>
#include <formwork/tape/var.hpp>
