// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/pack.hpp>
#include <formwork/core/parallel.hpp>

#include <algorithm>
#include <chrono>
#include <vector>

namespace formwork::inline FORMWORK_ABI {

/// Multiply-adds one core does in registers at this moment, in operations per second (a multiply-add counts two): what a
/// share of the machine's peak refers to.
///
/// Cost      about 2 ms.
template <real S>
double fma_peak_of_one_thread() {
  using clock = std::chrono::steady_clock;
  constexpr int chains = vector_registers >= 32 ? 16 : 12;  // hides the latency of two ports, fits the registers
  constexpr long steps = 6400000L / chains / static_cast<long>(sizeof(S) / 4);
  pack<S> sum_of[chains];
#pragma GCC unroll 16
  for (int i = 0; i < chains; ++i) sum_of[i] = pack<S>(1e-3 * i);
  const pack<S> x(0.999), y(1e-3);
  const auto begin = clock::now();
  for (long k = 0; k < steps; ++k)
#pragma GCC unroll 16  // without it -O2 keeps the sums in memory and reads a third of the peak
    for (int i = 0; i < chains; ++i) sum_of[i] = fma(sum_of[i], x, y);
  S all = 0;
#pragma GCC unroll 16
  for (int i = 0; i < chains; ++i) all += sum(sum_of[i]);
  const double seconds = std::chrono::duration<double>(clock::now() - begin).count();
  volatile S used = all;
  static_cast<void>(used);
  return static_cast<double>(steps) * chains * 2 * lanes<S> / seconds;
}

/// The same of all threads() at once.
template <real S>
double fma_peak() {
  std::vector<double> each(static_cast<std::size_t>(threads()), 0.0);
  parallel_for(threads(), [&](Index i) { each[static_cast<std::size_t>(i)] = fma_peak_of_one_thread<S>(); });
  double total = 0;
  for (const double one : each) total += one;
  return total;
}

}  // namespace formwork
