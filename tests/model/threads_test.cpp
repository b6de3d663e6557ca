// SPDX-License-Identifier: MIT
// What a model promises to threads of the user's own: any number of them may read one model at once.
#include <thread>

#include "laws/model_laws.hpp"

using namespace small;

namespace {

/// Every mixer in one stack.
using mixed = fw::language_model<
    float, fw::block<float, fw::linear_attention<float, fw::causal, fw::rope<>>, fw::mlp<float>>,
    fw::block<float, fw::s4d<float>, fw::mlp<float>>, fw::block<float, fw::hippo<float, fw::legs>, fw::mlp<float>>,
    fw::block<float, fw::attention<float, fw::causal, fw::rope<>, fw::talking_heads<float>>, fw::mlp<float>>>;

mixed make_mixed() {
  fw::rng random{3};
  return mixed::make(
      {.vocab = 31, .width = 24, .depth = 4, .heads = 3, .state_width = 8, .pattern = {0, 1, 2, 3}}, random);
}

/// What one thread does with a model that others use too: reads, decodes, and trains a copy. Each thread has a length of its
/// own, so that all want tables of the layers which no call has made before.
std::vector<fw::matrix<float>> work(const mixed& model, std::size_t thread) {
  const Index length = static_cast<Index>(20 + 37 * thread);
  const fw::tokens text(ids(length, model.sizes.vocab, thread));
  std::vector<fw::matrix<float>> seen;
  seen.push_back(laws::scores_of(model, text));

  auto state = model.make_state({.sequences = 1, .capacity = length});
  fw::tape<float> quiet{fw::recording::off};
  for (const Index id : text.ids) seen.emplace_back(model(quiet, fw::tokens{id}, state).value().value());

  mixed copy = model;
  fw::optimizer optimizer(fw::otherwise(fw::adamw{.rate = 1e-2}));
  fw::tape<float> tape{{.seed = thread}};
  for (int step = 0; step < 2; ++step) {
    tape.backward(fw::cross_entropy(copy(tape, text), text.ids));
    optimizer.step(copy);
  }
  for (auto& values : parameters_of(copy)) seen.push_back(std::move(values));
  return seen;
}

constexpr std::size_t team = 4;

/// at_once(model, results) lets each thread of a team work on one model that nobody has used.
template <class AtOnce>
void each_has_the_bits_of_one_thread(const AtOnce& at_once) {
  std::vector<std::vector<fw::matrix<float>>> results(team);
  at_once(make_mixed(), results);
  for (std::size_t thread = 0; thread < team; ++thread) {
    CAPTURE(thread);
    const auto alone = work(make_mixed(), thread);
    REQUIRE(results[thread].size() == alone.size());
    for (std::size_t i = 0; i < alone.size(); ++i) CHECK(same_bits(results[thread][i], alone[i]));
  }
}

}  // namespace

TEST_CASE("threads that read, decode and copy one model at once have each the bits of a thread alone") {
  each_has_the_bits_of_one_thread([](const mixed& model, auto& results) {
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < team; ++i) threads.emplace_back([&, i] { results[i] = work(model, i); });
    for (auto& one : threads) one.join();
  });
}

#ifdef _OPENMP
TEST_CASE("so have the threads of a parallel region of the user's own") {
  each_has_the_bits_of_one_thread([](const mixed& model, auto& results) {
#pragma omp parallel for num_threads(static_cast<int>(team)) schedule(static, 1)
    for (std::size_t i = 0; i < team; ++i) results[i] = work(model, i);
  });
}
#endif
