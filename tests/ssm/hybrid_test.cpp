// SPDX-License-Identifier: MIT
// A decoder that alternates memories and attention: the determinism contract on the whole model, and that it learns.
#include <formwork/ssm.hpp>

#include "model/small_models.hpp"
#include "support/catch.hpp"

using namespace small;

namespace {

template <class Mixer>
using layer = fw::block<float, fw::pre_norm<fw::rms_norm>, Mixer, fw::gated_mlp<float, fw::silu>>;
using hybrid = fw::language_model<float, layer<attention<float>>, layer<fw::hippo<float, fw::legs>>,
                                  layer<fw::hippo<float, fw::legt, fw::zero_order_hold>>>;

hybrid make_hybrid() {
  fw::rng random{3};
  return hybrid::make({.vocab = 31, .width = 24, .depth = 4, .heads = 3, .hidden = 40, .pattern = {1, 0, 2, 0}}, random,
                      fw::legt{.window = 20}, fw::hippo_sizes{.order = 12});
}

fw::matrix<float> logits_of(const hybrid& model, const fw::tokens& x) {
  fw::tape<float> quiet{fw::recording::off};
  return fw::matrix<float>(model(quiet, x).value().value());
}

/// Losses of some steps on one text, in which every token is the one seven before it.
std::vector<double> losses(hybrid& model, int steps) {
  auto optimizer = fw::optimizer(fw::otherwise(fw::adamw{.rate = 3e-3}));
  fw::tape<float> tape{{.seed = 5}};
  std::vector<double> all;
  auto text = ids(7, 31, 1);
  while (text.size() < 64) text.push_back(text[text.size() - 7]);
  const fw::tokens x(std::vector<Index>(text.begin(), text.end() - 1));
  for (int step = 0; step < steps; ++step) {
    const auto loss = fw::cross_entropy(model(tape, x), std::vector<Index>(text.begin() + 1, text.end()));
    all.push_back(static_cast<double>(loss.item()));
    tape.backward(loss);
    fw::clip_by_global_norm(model, 1.0);
    optimizer.step(model);
  }
  return all;
}

}  // namespace

TEST_CASE("a hybrid trains with the same bits on any number of threads") {
  const int before = fw::threads();
  const auto trained = [](int threads) {
    fw::threads(threads);
    auto model = make_hybrid();
    losses(model, 3);
    return parameters_of(model);
  };
  const auto one = trained(1);
  for (const int n : {2, 3}) {
    const auto more = trained(n);
    for (std::size_t i = 0; i < one.size(); ++i) CHECK(same_bits(one[i], more[i]));
  }
  fw::threads(before);
}

TEST_CASE("a hybrid: prefill in any split, then steps, equals the full forward on a ragged batch") {
  const auto model = make_hybrid();
  const std::vector<Index> lengths{400, 1, 133};
  const fw::sequences rows(lengths);
  const fw::tokens whole(ids(rows.rows(), 31, 8), rows);
  const auto expected = logits_of(model, whole);
  for (const std::vector<Index>& cuts : {std::vector<Index>{1, 2, 3, 400}, {31, 32, 33, 400}, {133, 134, 390, 391, 392, 400}}) {
    auto state = model.make_state({.sequences = 3, .capacity = 400});
    fw::tape<float> quiet{fw::recording::off};
    Index done = 0;
    for (const Index upto : cuts) {
      std::vector<Index> next, counts;
      for (Index s = 0; s < 3; ++s) {
        const Index from = std::min(done, lengths[std::size_t(s)]), end = std::min(upto, lengths[std::size_t(s)]);
        counts.push_back(end - from);
        for (Index i = from; i < end; ++i) next.push_back(whole.ids[std::size_t(rows.first(s) + i)]);
      }
      const fw::sequences part(counts);
      const auto logits = model(quiet, fw::tokens(next, part), state).value();
      for (Index s = 0; s < 3; ++s)
        if (part.length(s) > 0)
          CHECK(same_bits(logits.value().rows(part.first(s), part.length(s)), expected.rows(rows.first(s) + done, part.length(s))));
      done = upto;
    }
  }
}

TEST_CASE("a hybrid: a sequence has the same logits alone and in a ragged batch") {
  const auto model = make_hybrid();
  const auto batch = batch_of({70, 1, 33}, 31, 4);
  const auto together = logits_of(model, batch);
  for (Index s = 0; s < batch.batch.count(); ++s) {
    const auto first = batch.ids.begin() + batch.batch.first(s);
    const fw::tokens alone(std::vector<Index>(first, first + batch.batch.length(s)));
    CHECK(same_bits(logits_of(model, alone), together.rows(batch.batch.first(s), batch.batch.length(s))));
  }
}

TEST_CASE("a hybrid learns a text") {
  auto model = make_hybrid();
  const auto all = losses(model, 60);
  double last = 0;
  for (std::size_t i = all.size() - 10; i < all.size(); ++i) last += all[i] / 10;
  INFO("from " << all.front() << " to " << last);
  CHECK(last < 0.3 * all.front());
}

TEST_CASE("a hybrid's state of a memory does not grow with the capacity") {
  fw::rng random{1};
  const auto m = fw::hippo<float, fw::legs>::make(fw::builder{.sizes = {.width = 24}, .random = random});
  CHECK(m.make_state({.sequences = 2, .capacity = 10}).coefficients.size() ==
        m.make_state({.sequences = 2, .capacity = 1000000}).coefficients.size());
}
