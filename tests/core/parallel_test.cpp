// SPDX-License-Identifier: MIT
#include <formwork/core/parallel.hpp>

#include "support/catch.hpp"

#include <atomic>
#include <vector>

namespace fw = formwork;
using fw::Index;

namespace {

/// Restores the number of threads.
struct with_threads {
  int before = fw::threads();
  explicit with_threads(int count) { fw::threads(count); }
  ~with_threads() { fw::threads(before); }
};

}  // namespace

TEST_CASE("parallel_for: every index runs exactly once, for any number of threads") {
  for (const int count : {1, 2, 3, 8}) {
    const with_threads team(count);
    for (const Index n : {0, 1, 2, 7, 1000}) {
      std::vector<int> seen(std::size_t(n), 0);
      fw::parallel_for(n, [&](Index i) { ++seen[std::size_t(i)]; });
      CHECK(seen == std::vector<int>(std::size_t(n), 1));
    }
  }
}

TEST_CASE("parallel_ranges: runs of the grain cover every index once and in order") {
  for (const int count : {1, 3}) {
    const with_threads team(count);
    for (const Index n : {0, 1, 9, 10, 11, 1001}) {
      std::vector<int> seen(std::size_t(n), 0);
      std::atomic<bool> whole = true;
      fw::parallel_ranges(n, 10, [&](Index first, Index last) {
        if (first % 10 != 0 || last <= first || last - first > 10 || (last - first < 10 && last != n)) whole = false;
        for (Index i = first; i < last; ++i) ++seen[std::size_t(i)];
      });
      CHECK(whole);
      CHECK(seen == std::vector<int>(std::size_t(n), 1));
    }
  }
}

TEST_CASE("parallel_for: nested calls run on one thread and still run everything") {
  const with_threads team(3);
  std::vector<int> seen(60, 0);
  fw::parallel_for(6, [&](Index i) {
    const int owner = fw::thread_number();
    fw::parallel_for(10, [&](Index j) { seen[std::size_t(10 * i + j)] += fw::thread_number() == 0; });
    if (fw::thread_number() != owner) seen[std::size_t(10 * i)] = -1;
  });
  CHECK(seen == std::vector<int>(60, 1));
}

#ifdef _OPENMP
TEST_CASE("parallel_for: inside a parallel region of the user's own each call is alone, with scratch of its own") {
  const with_threads team(2);
  std::vector<int> seen(80, 0);
#pragma omp parallel for num_threads(8)
  for (int i = 0; i < 8; ++i)
    fw::parallel_for(10, [&](Index j) { seen[std::size_t(10 * i + j)] += fw::thread_number() == 0; });
  CHECK(seen == std::vector<int>(80, 1));
}
#endif

TEST_CASE("parallel_for: thread numbers stay below threads()") {
  const with_threads team(3);
  std::atomic<int> most = 0;
  fw::parallel_for(1000, [&](Index) {
    const int here = fw::thread_number();
    int seen = most;
    while (here > seen && !most.compare_exchange_weak(seen, here)) {
    }
  });
  CHECK(most < fw::threads());
  CHECK(fw::thread_number() == 0);
}

TEST_CASE("threads: fewer than one is one") {
  const with_threads team(0);
  CHECK(fw::threads() == 1);
#ifdef _OPENMP
  fw::threads(5);
  CHECK(fw::threads() == 5);
#endif
}
