// SPDX-License-Identifier: MIT
// State spaces and attention in turn, as one language model: decoding, determinism, allocation, optimizer and checkpoint.
#include <formwork/io/checkpoint.hpp>

#include <atomic>
#include <cstdlib>

#include "io/scratch_folder.hpp"
#include "model/small_models.hpp"
#include "support/catch.hpp"

namespace {
std::atomic<long> heap_calls{0};
}

// operator new calls malloc, the pool aligned_alloc; through these in a program linked with glibc.
extern "C" {
void* __libc_malloc(std::size_t);
void* __libc_memalign(std::size_t, std::size_t);
void* malloc(std::size_t n) { return ++heap_calls, __libc_malloc(n); }
void* aligned_alloc(std::size_t a, std::size_t n) { return ++heap_calls, __libc_memalign(a, n); }
}

using namespace small;

namespace {

using look = fw::block<float, attention<float>, fw::gated_mlp<float>>;
using recall = fw::block<float, fw::s4d<float>, fw::gated_mlp<float>>;
using hybrid = fw::language_model<float, recall, look>;

hybrid make_hybrid(std::vector<int> pattern = {0, 1, 0}) {
  fw::rng random{3};
  return hybrid::make(
      {.vocab = 31, .width = 24, .depth = 3, .heads = 3, .hidden = 40, .state_width = 8, .pattern = pattern}, random);
}

/// The published treatment: the dynamics learn slowly and are not decayed.
auto make_optimizer() {
  return fw::optimizer(fw::when(fw::role::dynamics, fw::adamw{.rate = 1e-3, .weight_decay = 0}),
                       fw::otherwise(fw::adamw{.rate = 1e-2}));
}

template <class Optimizer>
void train_step(hybrid& model, Optimizer& optimizer, fw::tape<float>& tape, const fw::tokens& x,
                const std::vector<Index>& targets) {
  tape.backward(fw::cross_entropy(model(tape, x), targets));
  fw::clip_by_global_norm(model, 1.0);
  optimizer.step(model);
}

std::vector<fw::matrix<float>> trained(int steps) {
  auto model = make_hybrid();
  auto optimizer = make_optimizer();
  fw::tape<float> tape{{.seed = 5}};
  for (int i = 0; i < steps; ++i)
    train_step(model, optimizer, tape, batch_of({9, 1, 70}, 31, std::uint64_t(i)), ids(80, 31, std::uint64_t(i) + 50));
  return parameters_of(model);
}

}  // namespace

TEST_CASE("a hybrid model decodes as it reads: prefill in any split, then steps, equals the full forward") {
  const auto model = make_hybrid();
  const std::vector<Index> lengths{401, 1, 150};
  const fw::sequences rows(lengths);
  const fw::tokens whole(ids(rows.rows(), 31, 8), rows);
  fw::tape<float> quiet{fw::recording::off};
  const fw::matrix<float> expected(model(quiet, whole).value().value());
  for (const std::vector<Index>& cuts : {std::vector<Index>{16, 398}, {1, 15, 399}, {145}}) {
    auto state = model.make_state({.sequences = 3, .capacity = 401});
    std::vector<Index> done{0, 0, 0};
    const auto feed = [&](Index upto) {
      std::vector<Index> next, counts;
      for (Index s = 0; s < 3; ++s) {
        const Index end = std::min(upto, lengths[std::size_t(s)]), from = done[std::size_t(s)];
        counts.push_back(std::max<Index>(end - from, 0));
        for (Index i = from; i < end; ++i) next.push_back(whole.ids[std::size_t(rows.first(s) + i)]);
      }
      const fw::sequences part(counts);
      const auto logits = model(quiet, fw::tokens(next, part), state).value();
      for (Index s = 0; s < 3; ++s) {
        CHECK(same_bits(logits.value().rows(part.first(s), part.length(s)),
                        expected.rows(rows.first(s) + done[std::size_t(s)], part.length(s))));
        done[std::size_t(s)] += part.length(s);
      }
    };
    for (const Index cut : cuts) feed(cut);
    for (Index i = 1; i <= 20; ++i) feed(std::min<Index>(cuts.back() + i, 401));
    feed(401);
  }
}

TEST_CASE("a hybrid model generates the likeliest tokens of its full forward") {
  const auto model = make_hybrid({0, 1, 0});
  std::vector<Index> text{3, 1, 4};
  fw::rng random{1};
  for (const Index id : fw::generate(model, text, {.temperature = 0}, random, {.count = 20})) {
    fw::tape<float> quiet{fw::recording::off};
    const auto scores = model(quiet, fw::tokens(text)).last();
    Index best = 0;
    for (Index j = 1; j < 31; ++j)
      if (scores(0, j) > scores(0, best)) best = j;
    CHECK(id == best);
    text.push_back(id);
  }
}

TEST_CASE("training a hybrid gives the same bits on any number of threads") {
  const int before = fw::threads();
  fw::threads(1);
  const auto expected = trained(3);
  for (const int n : {1, 2, 3, 8}) {
    fw::threads(n);
    const auto got = trained(3);
    for (std::size_t i = 0; i < got.size(); ++i) CHECK(same_bits(got[i], expected[i]));
  }
  fw::threads(before);
}

TEST_CASE("a hybrid learns to repeat a text") {
  auto model = make_hybrid();
  auto optimizer = make_optimizer();
  fw::tape<float> tape{{.seed = 5}};
  const auto x = batch_of({60, 60}, 31, 1);
  std::vector<Index> targets(x.ids.begin() + 1, x.ids.end());
  targets.push_back(0);
  double first = 0, last = 0;
  for (int i = 0; i < 60; ++i) {
    const auto loss = fw::cross_entropy(model(tape, x), targets);
    (i == 0 ? first : last) = double(loss.item());
    tape.backward(loss);
    optimizer.step(model);
  }
  CHECK(last < 0.3 * first);
}

TEST_CASE("the dynamics are routed by their role: at rate 0 they stay, all else moves") {
  auto model = make_hybrid();
  auto optimizer = fw::optimizer(fw::when(fw::role::dynamics, fw::adamw{.rate = 0}), fw::otherwise(fw::adamw{.rate = 1e-2}));
  fw::tape<float> tape{{.seed = 5}};
  const auto before = parameters_of(model);
  train_step(model, optimizer, tape, batch_of({40}, 31, 1), ids(40, 31, 2));
  std::size_t i = 0;
  Index dynamics = 0;
  fw::for_each_parameter(model, [&](const auto& p) {
    CHECK(same_bits(p.value(), before[i++]) == (p.kind() == fw::role::dynamics));
    dynamics += p.kind() == fw::role::dynamics;
  });
  CHECK(dynamics == 6);  // three of each of two layers
}

TEST_CASE("a training step and a decoded token of a hybrid make no heap allocation once they have run") {
  for (const int threads : {1, 2}) {
    const int kept = fw::threads();
    fw::threads(threads);
    auto model = make_hybrid();
    auto optimizer = make_optimizer();
    fw::tape<float> tape{{.seed = 5}};
    const auto large = batch_of({40, 1, 170}, 31, 1), less = batch_of({9, 30}, 31, 2);
    const auto large_targets = ids(211, 31, 3), less_targets = ids(39, 31, 4);
    for (int i = 0; i < 2; ++i) train_step(model, optimizer, tape, large, large_targets);
    long before = heap_calls;
    for (int i = 0; i < 3; ++i) {
      train_step(model, optimizer, tape, large, large_targets);
      train_step(model, optimizer, tape, less, less_targets);
    }
    CHECK(heap_calls - before == 0);

    auto state = model.make_state({.sequences = 1, .capacity = 64});
    fw::tape<float> quiet{fw::recording::off};
    fw::tokens next{1};
    for (int i = 0; i < 40; ++i) {  // over two chunk boundaries
      if (i == 20) before = heap_calls;
      next.ids[0] = i % 31;
      (void)model(quiet, next, state).last();
    }
    CHECK(heap_calls - before == 0);
    fw::threads(kept);
  }
}

TEST_CASE("a checkpoint restores a hybrid bit for bit, real modes without imaginary parts included") {
  const scratch_folder folder;
  const auto check = [&](auto model, auto other, const char* name) {
    fw::save_model(folder.path(name), model);
    fw::load_model(folder.path(name), other);
    const auto a = parameters_of(model), b = parameters_of(other);
    REQUIRE(a.size() == b.size());
    for (std::size_t i = 0; i < a.size(); ++i) CHECK(same_bits(a[i], b[i]));
  };
  check(make_hybrid({0, 1, 0}), [] {
    auto other = make_hybrid({0, 1, 0});
    fw::for_each_parameter(other, [](auto& p) { fw::fill(p.value(), 0.f); });
    return other;
  }(), "hybrid");
  using real = fw::s4d<float, fw::s4d_real>;
  fw::rng one{1}, two{2};
  const fw::sizes sizes{.width = 12, .state_width = 5};
  check(real::make(fw::builder{.sizes = sizes, .random = one}), real::make(fw::builder{.sizes = sizes, .random = two}), "real");
}
