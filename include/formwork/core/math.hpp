// SPDX-License-Identifier: MIT
#pragma once

/// The elementary functions of the kernels and of users' formulas, over pack<S, N>. What they share:
/// - Every lane is computed by the same additions, products and fma, so pack<S, 1>, half packs and padded packs give the
///   bits of whole packs (math_test.cpp, for every function).
/// - The bounds hold where the exact result is a normal number; NaN stays NaN; no lane disturbs its neighbours.
/// - Measured: exp and log on all 2^32 floats, the others on every 43rd, 10^8, against double; 10^8 doubles against long
///   double; with FMA and without. The numbers given as measured are those on floats, in ULP. The tests assert the stated
///   bound on every 2^9-th float, and the measured one in math_test's slow cases.
/// - The polynomials are minimax fits of our own (Remez in 60 digits), their errors far below the bounds.
///
///   exponentials   exp, exp2, expm1, tanh, sigmoid, log, log1p, softplus
///   gaussian       erf, erfc, the normal distribution
///   trigonometry   sin, cos
///   elementary     what they are made of: their numbers, polynomials, powers of two
#include <formwork/core/elementary.hpp>
#include <formwork/core/exponentials.hpp>
#include <formwork/core/gaussian.hpp>
#include <formwork/core/trigonometry.hpp>
