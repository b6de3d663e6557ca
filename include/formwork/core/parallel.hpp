// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/pack.hpp>

#ifdef _OPENMP
#include <omp.h>

#include <utility>
#endif

namespace formwork::inline FORMWORK_ABI {

#ifdef _OPENMP

/// How many threads the kernels use; all cores by default. One without formwork::openmp.
inline int threads() { return omp_get_max_threads(); }
inline void threads(int count) { omp_set_num_threads(count < 1 ? 1 : count); }

/// Which worker of the innermost parallel_for a thread is, while this lives.
class as_worker {
 public:
  explicit as_worker(int number) : before_(std::exchange(current(), number)) {}
  as_worker(const as_worker&) = delete;
  as_worker& operator=(const as_worker&) = delete;
  ~as_worker() { current() = before_; }
  static int& current() {
    static thread_local int number = 0;
    return number;
  }

 private:
  int before_;
};

/// The calling thread's number among those of the innermost parallel_for, in [0, threads()), for scratch that each thread
/// of it owns; 0 outside.
inline int thread_number() { return as_worker::current(); }

/// f(i) for i = 0 .. count - 1, each exactly once, on any thread and in any order. The calls must write disjoint
/// outputs, so that results do not depend on the number of threads, and must not throw. Nested calls, and calls inside a
/// parallel region of the user's own, run on one thread.
template <class F>
void parallel_for(Index count, F&& f) {
  const int team = threads();
  if (count <= 1 || team == 1 || omp_in_parallel()) {
    const as_worker alone(0);
    for (Index i = 0; i < count; ++i) f(i);
    return;
  }
#pragma omp parallel num_threads(team)
  {
    const as_worker one(omp_get_thread_num());
#pragma omp for schedule(dynamic, 1)
    for (Index i = 0; i < count; ++i) f(i);
  }
}

#else

inline int threads() { return 1; }
inline void threads(int) {}
inline int thread_number() { return 0; }

template <class F>
void parallel_for(Index count, F&& f) {
  for (Index i = 0; i < count; ++i) f(i);
}

#endif

/// f(first, last) over `count` items in runs of `grain`: for cheap items such as rows.
template <class F>
void parallel_ranges(Index count, Index grain, F&& f) {
  const Index runs = (count + grain - 1) / grain;
  parallel_for(runs, [&](Index r) { f(r * grain, r * grain + grain < count ? r * grain + grain : count); });
}

}  // namespace formwork
