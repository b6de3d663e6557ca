// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/pack.hpp>

#ifdef _OPENMP
#include <omp.h>
#endif

namespace formwork::inline FORMWORK_ABI {

#ifdef _OPENMP

/// How many threads the kernels use; all cores by default. One without formwork::openmp.
inline int threads() { return omp_get_max_threads(); }
inline void threads(int count) { omp_set_num_threads(count < 1 ? 1 : count); }

/// The calling thread's number in [0, threads()), for scratch that each thread owns.
inline int thread_number() { return omp_get_thread_num(); }

/// f(i) for i = 0 .. count - 1, each exactly once, on any thread and in any order. The calls must write disjoint
/// outputs, so that results do not depend on the number of threads, and must not throw. Nested calls run on one thread.
template <class F>
void parallel_for(Index count, F&& f) {
  const int team = threads();
  if (count <= 1 || team == 1 || omp_in_parallel()) {
    for (Index i = 0; i < count; ++i) f(i);
    return;
  }
#pragma omp parallel for schedule(dynamic, 1) num_threads(team)
  for (Index i = 0; i < count; ++i) f(i);
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
