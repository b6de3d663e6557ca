// SPDX-License-Identifier: MIT
// Attention and linear attention in turn: one stack, one state, one set of promises.
#include <algorithm>

#include "model/small_models.hpp"
#include "support/catch.hpp"

using namespace small;

namespace {

template <class S>
fw::matrix<S> full_forward(const hybrid<S>& model, const fw::tokens& x) {
  fw::tape<S> quiet{fw::recording::off};
  return fw::matrix<S>(model(quiet, x).value().value());
}

}  // namespace

TEMPLATE_TEST_CASE("hybrid: prefill in any split, then steps, equals the full forward", "[D4]", float, double) {
  const auto model = make_hybrid<TestType>();
  const std::vector<Index> lengths{2 * 48 + 5, 1, 60};
  const fw::sequences rows(lengths);
  const fw::tokens whole(ids(rows.rows(), 31, 8), rows);
  const auto expected = full_forward(model, whole);
  for (const std::vector<Index>& cuts : {std::vector<Index>{48}, {1, 47, 98}, {49, 96}}) {
    auto state = model.make_state({.sequences = 3, .capacity = 101});
    fw::tape<TestType> quiet{fw::recording::off};
    std::vector<Index> done{0, 0, 0};
    const auto feed = [&](Index upto) {
      std::vector<Index> next, counts;
      for (std::size_t s = 0; s < 3; ++s) {
        const Index end = std::min(upto, lengths[s]);
        counts.push_back(std::max<Index>(end - done[s], 0));
        for (Index i = done[s]; i < end; ++i) next.push_back(whole.ids[std::size_t(rows.first(Index(s)) + i)]);
      }
      const fw::sequences part(counts);
      const auto got = model(quiet, fw::tokens(next, part), state).value();
      for (Index s = 0; s < 3; ++s) {
        CHECK(same_bits(got.value().rows(part.first(s), part.length(s)),
                        expected.rows(rows.first(s) + done[std::size_t(s)], part.length(s))));
        done[std::size_t(s)] += part.length(s);
      }
    };
    for (const Index cut : cuts) feed(cut);
    for (Index upto = cuts.back() + 1; upto <= 101; ++upto) feed(upto);
  }
}

TEST_CASE("hybrid: training gives the same bits on any number of threads") {
  const auto trained = [](int threads) {
    const int before = fw::threads();
    fw::threads(threads);
    auto model = make_hybrid<float>();
    auto optimizer = fw::optimizer(fw::otherwise(fw::adamw{.rate = 1e-2}));
    fw::tape<float> tape{{.seed = 5}};
    for (std::uint64_t step = 0; step < 3; ++step) {
      const auto x = batch_of({9, 1, 70}, 31, step);
      tape.backward(fw::cross_entropy(model(tape, x), ids(x.batch.rows(), 31, step + 50)));
      optimizer.step(model);
    }
    fw::threads(before);
    return parameters_of(model);
  };
  const auto expected = trained(1);
  for (const int n : {2, 3, 8}) {
    const auto got = trained(n);
    for (std::size_t i = 0; i < got.size(); ++i) CHECK(same_bits(got[i], expected[i]));
  }
}

TEST_CASE("hybrid: generate continues as the full forward would") {
  const auto model = make_hybrid<float>();
  std::vector<Index> text = ids(50, 31, 4);
  fw::rng random{1};
  const std::vector<Index> got = fw::generate(model, text, fw::sampler{.temperature = 0}, random, {.count = 12});
  REQUIRE(got.size() == 12);
  for (const Index id : got) {
    const auto logits = full_forward(model, fw::tokens(text));
    const float* last = logits.row(logits.rows() - 1);
    CHECK(id == std::max_element(last, last + 31) - last);
    text.push_back(id);
  }
}
