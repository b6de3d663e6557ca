// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <array>
#include <vector>

#include "model/small_models.hpp"
#include "support/catch.hpp"

/// The determinism contract D1 - D4 on whole language models, bit for bit.
namespace laws {

namespace fw = formwork;
using fw::Index;

template <class Model>
auto scores_of(const Model& model, const fw::tokens& x) {
  using S = typename Model::scalar;
  fw::tape<S> quiet{fw::recording::off};
  return fw::matrix<S>(model(quiet, x).value().value());
}

/// Parameters after three clipped steps on ragged batches are the same on 1, 2, 3 and 8 threads, on a number that changes from
/// step to step, and in every run.
template <class Make>
void trains_alike_on_any_number_of_threads(const Make& make) {
  const auto trained = [&](const std::array<int, 3>& threads) {
    const int before = fw::threads();
    auto model = make();
    fw::optimizer optimizer(fw::otherwise(fw::adamw{.rate = 1e-2}));
    fw::tape<typename decltype(model)::scalar> tape{{.seed = 5}};
    for (std::uint64_t step = 0; step < threads.size(); ++step) {
      fw::threads(threads[step]);
      const auto x = small::batch_of({9, 1, 70}, model.sizes.vocab, step);
      tape.backward(fw::cross_entropy(model(tape, x), small::ids(x.batch.rows(), model.sizes.vocab, step + 50)));
      fw::clip_by_global_norm(model, 0.5);
      optimizer.step(model);
    }
    fw::threads(before);
    return small::parameters_of(model);
  };
  const auto expected = trained({1, 1, 1});
  for (const std::array threads : {std::array{1, 1, 1}, {2, 2, 2}, {3, 3, 3}, {8, 8, 8}, {1, 3, 2}}) {
    CAPTURE(threads);
    const auto got = trained(threads);
    REQUIRE(got.size() == expected.size());
    for (std::size_t i = 0; i < got.size(); ++i) CHECK(small::same_bits(got[i], expected[i]));
  }
}

/// A sequence has the same scores alone and in a ragged batch.
template <class Model>
void reads_alone_as_in_a_batch(const Model& model) {
  const auto x = small::batch_of({70, 1, 33}, model.sizes.vocab, 4);
  const auto together = scores_of(model, x);
  for (Index s = 0; s < x.batch.count(); ++s) {
    const auto first = x.ids.begin() + x.batch.first(s);
    const fw::tokens alone(std::vector<Index>(first, first + x.batch.length(s)));
    CHECK(small::same_bits(scores_of(model, alone), together.rows(x.batch.first(s), x.batch.length(s))));
  }
}

/// Prefill up to each of the cuts, then `steps` single tokens, then the rest: all scores are those of the full forward, on a
/// batch of unequal lengths, the first the longest.
template <class Model>
void decodes_as_it_reads(const Model& model, const std::vector<Index>& lengths, const std::vector<std::vector<Index>>& prefills,
                         Index steps = 3) {
  const fw::sequences rows(lengths);
  const fw::tokens whole(small::ids(rows.rows(), model.sizes.vocab, 8), rows);
  const auto expected = scores_of(model, whole);
  const Index longest = lengths.front(), count = rows.count();
  for (const std::vector<Index>& cuts : prefills) {
    auto state = model.make_state({.sequences = count, .capacity = longest});
    fw::tape<typename Model::scalar> quiet{fw::recording::off};
    Index done = 0;
    const auto feed = [&](Index upto) {
      std::vector<Index> next, counts;
      for (Index s = 0; s < count; ++s) {
        const Index from = std::min(done, rows.length(s)), end = std::min(upto, rows.length(s));
        counts.push_back(end - from);
        for (Index i = from; i < end; ++i) next.push_back(whole.ids[static_cast<std::size_t>(rows.first(s) + i)]);
      }
      const fw::sequences part(counts);
      const auto scores = model(quiet, fw::tokens(next, part), state).value();
      for (Index s = 0; s < count; ++s) {
        CAPTURE(s, done, upto);
        CHECK(small::same_bits(scores.value().rows(part.first(s), part.length(s)),
                               expected.rows(rows.first(s) + std::min(done, rows.length(s)), part.length(s))));
      }
      done = upto;
    };
    for (const Index cut : cuts) feed(cut);
    for (Index i = 0; i < steps && done < longest; ++i) feed(done + 1);
    if (done < longest) feed(longest);
  }
}

/// At temperature 0, generate gives what the full forward of all tokens so far finds likeliest.
template <class Model>
void generates_the_likeliest(const Model& model, std::vector<Index> text, Index count) {
  fw::rng random{1};
  for (const Index id : fw::generate(model, text, {.temperature = 0}, random, {.count = count})) {
    const auto scores = scores_of(model, fw::tokens(text));
    const auto* last = scores.row(scores.rows() - 1);
    CHECK(id == std::max_element(last, last + scores.cols()) - last);
    text.push_back(id);
  }
}

}  // namespace laws
