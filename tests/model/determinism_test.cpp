// SPDX-License-Identifier: MIT
// The determinism contract D1 - D4 on whole models, bit for bit.
#include <algorithm>

#include "model/small_models.hpp"
#include "support/catch.hpp"

using namespace small;

namespace {

/// Parameters after three steps with clipping.
template <class Model>
auto trained(Model model) {
  auto optimizer = fw::optimizer(fw::otherwise(fw::adamw{.rate = 1e-2}));
  fw::tape<float> tape{{.seed = 5}};
  for (std::uint64_t step = 0; step < 3; ++step) {
    const auto x = batch_of({9, 1, 70}, 31, step);
    tape.backward(fw::cross_entropy(model(tape, x), ids(x.batch.rows(), 31, step + 50)));
    fw::clip_by_global_norm(model, 0.5);
    optimizer.step(model);
  }
  return parameters_of(model);
}

struct thread_count {
  int before = fw::threads();
  explicit thread_count(int n) { fw::threads(n); }
  ~thread_count() { fw::threads(before); }
};

template <class Model>
fw::matrix<float> full_forward(const Model& model, const fw::tokens& x) {
  fw::tape<float> quiet{fw::recording::off};
  return fw::matrix<float>(model(quiet, x).value().value());
}

}  // namespace

TEMPLATE_TEST_CASE_SIG("training gives the same bits on any number of threads and every run", "[D1][D2]", ((int kind), kind), 0, 1) {
  const auto run = [] {
    if constexpr (kind == 0)
      return trained(make_gated<float>());
    else
      return trained(make_plain<float>());
  };
  const auto expected = [&] {
    const thread_count one(1);
    return run();
  }();
  for (const int n : {1, 2, 3, 8}) {
    const thread_count team(n);
    const auto got = run();
    REQUIRE(got.size() == expected.size());
    for (std::size_t i = 0; i < got.size(); ++i) CHECK(same_bits(got[i], expected[i]));
  }
}

TEST_CASE("a sequence has the same logits alone and in a ragged batch", "[D3]") {
  const auto check = [](const auto& model) {
    const auto batch = batch_of({70, 1, 33}, 31, 4);
    const auto together = full_forward(model, batch);
    for (Index s = 0; s < batch.batch.count(); ++s) {
      const auto first = batch.ids.begin() + batch.batch.first(s);
      const fw::tokens alone(std::vector<Index>(first, first + batch.batch.length(s)));
      CHECK(same_bits(full_forward(model, alone), together.rows(batch.batch.first(s), batch.batch.length(s))));
    }
  };
  check(make_gated<float>());
  check(make_plain<float>());
  check(make_placed<float>(fw::sinusoidal{}));
  check(make_placed<float>(fw::learned<float>{}));
}

TEST_CASE("prefill in any split, then steps, equals the full forward on a batch of three unequal lengths", "[D4]") {
  const auto check = [](const auto& model) {
    constexpr Index block = 384;  // of keys; the longest sequence spans two and three tokens more
    const std::vector<Index> lengths{2 * block + 3, 1, block + 5};
    const fw::sequences rows(lengths);
    const fw::tokens whole(ids(rows.rows(), 31, 8), rows);
    const auto expected = full_forward(model, whole);
    for (const std::vector<Index>& cuts :
         {std::vector<Index>{block}, {1, block - 1}, {block + 1, 2 * block}, {7, 300, 2 * block + 1}}) {
      auto state = model.make_state({.sequences = 3, .capacity = 2 * block + 3});
      fw::tape<float> quiet{fw::recording::off};
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
      for (Index step = cuts.back() + 1; step <= std::min(cuts.back() + 3, 2 * block + 3); ++step) feed(step);
      feed(2 * block + 3);
    }
  };
  check(make_gated<float>());
  check(make_plain<float>());
  check(make_placed<float>(fw::sinusoidal{}));
  check(make_placed<float>(fw::learned<float>{}));
}

TEST_CASE("a state that is full throws and names the remedy") {
  const auto model = make_gated<float>();
  auto state = model.make_state({.sequences = 1, .capacity = 4});
  fw::tape<float> quiet{fw::recording::off};
  model(quiet, fw::tokens{1, 2, 3}, state);
  CHECK_THROWS_AS(model(quiet, fw::tokens{1, 2}, state), fw::argument_error);
}
