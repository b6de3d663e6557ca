// SPDX-License-Identifier: MIT
#pragma once

// core/: numbers, memory and threads. The one folder that names Eigen's types and packet functions.
//
//   matrix      row-major matrices and views of them; the conventions of the whole library
//   sequences   a ragged batch: where each sequence begins in the rows
//   pack        SIMD lanes with IEEE arithmetic, the same bits in bodies and tails
//   math        exp, log, tanh, sigmoid, erf, ... over packs, with stated errors
//   complex     re + i im of packs
//   dual        a value and its slopes: derivatives of formulas that are written once
//   dual_pack   packs of numbers with a slope: derivatives of kernels that are written once
//   reduce      sums in a fixed shape, whatever the address or the number of threads
//   random      Philox counters: draws that can be repeated; rng, dropout_mask
//   legendre    Legendre polynomials, Gauss quadrature
//   matrix_exponential   of a small matrix, and solving with one: for what is formed once
//   memory      the pool of 64-byte aligned buffers
//   parallel    threads (OpenMP where formwork::openmp is linked)
//   error       exceptions that name the operation, what it got and what it needed
//   slot        the places of a mechanism that a policy plugs into
//   abi         the inline namespace; version

#include <formwork/core/abi.hpp>
#include <formwork/core/complex.hpp>
#include <formwork/core/dual.hpp>
#include <formwork/core/dual_pack.hpp>
#include <formwork/core/error.hpp>
#include <formwork/core/legendre.hpp>
#include <formwork/core/math.hpp>
#include <formwork/core/matrix.hpp>
#include <formwork/core/matrix_exponential.hpp>
#include <formwork/core/memory.hpp>
#include <formwork/core/pack.hpp>
#include <formwork/core/parallel.hpp>
#include <formwork/core/random.hpp>
#include <formwork/core/reduce.hpp>
#include <formwork/core/sequences.hpp>
#include <formwork/core/slot.hpp>
#include <formwork/core/version.hpp>
