// SPDX-License-Identifier: MIT
// A decoder that alternates memories and attention: the determinism contract on the whole model, and that it learns.
#include <formwork/ssm.hpp>

#include "laws/model_laws.hpp"

using namespace small;

namespace {

template <class Mixer>
using layer = fw::block<float, fw::pre_norm<fw::rms_norm>, Mixer, fw::gated_mlp<float, fw::silu>>;
using remembering = fw::language_model<float, layer<attention<float>>, layer<fw::hippo<float, fw::legs>>,
                                       layer<fw::hippo<float, fw::legt, fw::zero_order_hold>>>;

remembering make_remembering() {
  fw::rng random{3};
  return remembering::make({.vocab = 31, .width = 24, .depth = 4, .heads = 3, .hidden = 40, .pattern = {1, 0, 2, 0}}, random,
                      fw::legt{.window = 20}, fw::hippo_sizes{.order = 12});
}

/// Losses of some steps on one text, in which every token is the one seven before it.
std::vector<double> losses(remembering& model, int steps) {
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

TEST_CASE("a hybrid trains with the same bits on any number of threads", "[D1][D2]") {
  laws::trains_alike_on_any_number_of_threads(make_remembering);
}

TEST_CASE("a hybrid: a sequence has the same scores alone and in a ragged batch", "[D3]") {
  laws::reads_alone_as_in_a_batch(make_remembering());
}

TEST_CASE("a hybrid: prefill in any split, then steps, equals the full forward on a ragged batch", "[D4]") {
  laws::decodes_as_it_reads(make_remembering(), {400, 1, 133}, {{1, 2, 3}, {31, 32, 33}, {133, 134, 390}}, 5);
}

TEST_CASE("a hybrid learns a text") {
  auto model = make_remembering();
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
