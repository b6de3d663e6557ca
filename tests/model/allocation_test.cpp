// SPDX-License-Identifier: MIT
// A training step and a decoded token make no heap allocation once one of the largest shape has run.
#include <atomic>
#include <cstdlib>

#include "model/small_models.hpp"
#include "support/catch.hpp"

namespace {
std::atomic<long> heap_calls{0};
}

// Every way to the heap goes through these in a program linked with glibc; operator new calls malloc.
extern "C" {
void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);
void* malloc(std::size_t n) { return ++heap_calls, __libc_malloc(n); }
void* calloc(std::size_t n, std::size_t m) { return ++heap_calls, __libc_calloc(n, m); }
void* realloc(void* p, std::size_t n) { return ++heap_calls, __libc_realloc(p, n); }
void* aligned_alloc(std::size_t a, std::size_t n) { return ++heap_calls, __libc_memalign(a, n); }
int posix_memalign(void** p, std::size_t a, std::size_t n) {
  ++heap_calls;
  *p = __libc_memalign(a, n);
  return *p ? 0 : 12;
}
}

using namespace small;

namespace {

/// Scores of a text, which is also the source where there is one.
template <class Model>
auto read(const Model& model, fw::tape<float>& t, const fw::tokens& x) {
  if constexpr (requires { model(t, x, x); })
    return model(t, x, x);
  else
    return model(t, x);
}
template <class Model>
auto state_of(const Model& model) {
  if constexpr (requires { model.make_state({}, fw::tokens{}); })
    return model.make_state({.sequences = 1, .capacity = 128}, fw::tokens{5, 6, 7});
  else
    return model.make_state({.sequences = 1, .capacity = 128});
}

}  // namespace

TEST_CASE("the counter sees the heap") {
  const long before = heap_calls;
  void* volatile block = std::malloc(10);  // volatile: a pair of malloc and free may otherwise be left out
  std::free(block);
  block = std::aligned_alloc(64, 64);
  std::free(block);
  block = ::operator new(4);
  ::operator delete(block);
  CHECK(heap_calls - before >= 3);
}

TEST_CASE("a training step makes no heap allocation after one of the largest shape") {
  const auto check = [](auto model, int threads) {
    const int kept = fw::threads();
    fw::threads(threads);
    auto optimizer = fw::optimizer(fw::when(fw::role::matrix, fw::muon{}), fw::otherwise(fw::adamw{}));
    fw::tape<float> tape{{.seed = 5}};
    const auto large = batch_of({40, 1, 70}, 31, 1), small_batch = batch_of({9, 30}, 31, 2);
    const auto large_targets = ids(111, 31, 3), small_targets = ids(39, 31, 4);
    const auto step = [&](const fw::tokens& x, const std::vector<Index>& targets) {
      tape.backward(fw::cross_entropy(read(model, tape, x), targets));
      fw::clip_by_global_norm(model, 1.0);
      optimizer.step(model, 0.5);
    };
    step(large, large_targets);
    step(large, large_targets);
    const long before = heap_calls;
    for (int i = 0; i < 3; ++i) {
      step(large, large_targets);
      step(small_batch, small_targets);
    }
    CHECK(heap_calls - before == 0);
    fw::threads(kept);
  };
  for (const int threads : {1, 2}) {
    check(make_gated<float>(), threads);
    check(make_hybrid<with_linear<float>>(), threads);
    check(make_hybrid<with_s4d<float>>(), threads);
    check(make_hybrid<with_legs<float>>(), threads);
    check(make_talking<float>(), threads);
    check(make_learned_scores<float>(), threads);
    check(make_translating<float>(), threads);
  }
}

TEST_CASE("a decoded token makes no heap allocation after the first") {
  const auto check = [](const auto& model) {
    auto state = state_of(model);
    fw::tape<float> quiet{fw::recording::off};
    fw::rng random{1};
    const fw::sampler draw{.temperature = 0.9, .top_k = 5, .top_p = 0.9};
    fw::tokens next{1, 2, 3};
    long before = 0;
    for (int i = 0; i < 60; ++i) {
      if (i == 3) before = heap_calls;
      const auto scores = model(quiet, next, state).last();
      const Index id = draw(std::span<const float>(scores.data(), 31), random);
      if (i == 0) next = fw::tokens{id};
      next.ids[0] = id;
    }
    CHECK(heap_calls - before == 0);
  };
  check(make_gated<float>());
  check(make_hybrid<with_linear<float>>());
  check(make_hybrid<with_s4d<float>>());
  check(make_hybrid<with_legs<float>>());
  check(make_talking<float>());
  check(make_learned_scores<float>());
  check(make_translating<float>());
}
