// SPDX-License-Identifier: MIT
#pragma once
#include <benchmark/benchmark.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>

// Every number is a share of what this machine can do at this moment, measured in the same process, because processors
// differ and machines are noisy. A bench file fills in bench::rows() and links support/bench.cpp, which has main:
//
//   void bench::rows() {
//     for (fw::Index n : {256, 512})
//       bench::row("product/nn/" + std::to_string(n), {.flops = 2.0 * n * n * n}, [n] {
//         fw::matrix<float> a(n, n, 1), b(n, n, 1), c(n, n);                           // set-up, not timed
//         return [=]() mutable { fw::product_nn<float>(c, a, b); };                    // timed
//       });
//   }
//
// A row is timed in samples of a few milliseconds. A probe of the machine's peak runs before and after every sample, and a
// sample's share is taken of the larger of its two probes; the row reports the medians over its samples as counters:
//
//   GFLOP/s, share_of_peak              where .flops is given
//   bytes/s, share_of_bandwidth         where .bytes is given; the share where that is 64 MB or more
//   tokens/s                            where .tokens is given
//   peak_MB                             growth of the process's resident memory, the row's data included
//
// A share above 1.05 (times .saving, where .flops counts the plain formula and we do with fewer) means that the probe is
// broken: the program says so and exits with 1.
//
// Names: a row of a figure is its path, `product/nn/256`; rows to compare with start with `eigen/` or `naive/`. Rows that
// start with `two_threads/` run on two threads, all others on one, and their peak is that of as many threads at once.
// Google Benchmark adds no suffix: time is the default CPU time of the main thread and the iterations are chosen here, as
// UseRealTime, UseManualTime and Iterations would each add theirs; `--benchmark_repetitions` adds `_median` to its
// aggregates only. The column to read is the counter, not the time.

namespace bench {

/// Filled in by each bench file: calls row() for everything it measures.
void rows();

enum class precision { fp32, fp64 };

/// What one iteration does.
struct work {
  double flops = 0;   ///< operations, a multiply-add counts two
  double bytes = 0;   ///< bytes that have to be read
  double tokens = 0;  ///< tokens trained on or generated
  precision peak = precision::fp32;
  double saving = 1;  ///< flops counted for each that has to be done
};

using body = std::function<void()>;
void add(std::string name, work per_iteration, std::function<body()> set_up);

/// set_up() is called when the row is reached; what it returns is called and timed, and destroyed before the next row.
template <class SetUp>
void row(std::string name, work per_iteration, SetUp set_up) {
  add(std::move(name), per_iteration, [set_up = std::move(set_up)]() mutable -> body {
    auto timed = std::make_shared<decltype(set_up())>(set_up());  // shared: a std::function has to be copyable
    return [timed] { (*timed)(); };
  });
}

/// Keeps the compiler from dropping the computation of a value nobody reads.
template <class T>
void keep(const T& value) {
  asm volatile("" ::"r"(&value) : "memory");
}

/// GFLOP/s of FMAs on `threads` threads at once: independent chains in registers, for about 2 ms.
double peak(precision of, int threads);

/// Bytes per second read by `threads` threads in one pass over a buffer of `bytes`: as much as the row itself reads, so
/// that caches help or hinder both alike.
double read_bandwidth(double bytes, int threads);

}  // namespace bench
