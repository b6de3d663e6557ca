// SPDX-License-Identifier: MIT
// State spaces and attention in turn, as one language model: decoding, determinism, optimizer and checkpoint.
#include <formwork/io/checkpoint.hpp>

#include "io/scratch_folder.hpp"
#include "laws/model_laws.hpp"

using namespace small;

namespace {

using hybrid_with_s4d = with_s4d<float>;
hybrid_with_s4d make() { return make_hybrid<hybrid_with_s4d>(); }

/// The published treatment: the dynamics learn slowly and are not decayed.
auto make_optimizer() {
  return fw::optimizer(fw::when(fw::role::dynamics, fw::adamw{.rate = 1e-3, .weight_decay = 0}),
                       fw::otherwise(fw::adamw{.rate = 1e-2}));
}

template <class Optimizer>
void train_step(hybrid_with_s4d& model, Optimizer& optimizer, fw::tape<float>& tape, const fw::tokens& x,
                const std::vector<Index>& targets) {
  tape.backward(fw::cross_entropy(model(tape, x), targets));
  fw::clip_by_global_norm(model, 1.0);
  optimizer.step(model);
}

}  // namespace

TEST_CASE("a hybrid model decodes as it reads: prefill in any split, then steps, equals the full forward", "[D4]") {
  laws::decodes_as_it_reads(make(), {401, 1, 150}, {{16, 398}, {1, 15, 399}, {145}}, 20);  // chunks have 16 tokens
}

TEST_CASE("a hybrid model: a sequence has the same scores alone and in a ragged batch", "[D3]") {
  laws::reads_alone_as_in_a_batch(make());
}

TEST_CASE("a hybrid model generates the likeliest tokens of its full forward") {
  laws::generates_the_likeliest(make(), {3, 1, 4}, 20);
}

TEST_CASE("training a hybrid gives the same bits on any number of threads", "[D1][D2]") {
  laws::trains_alike_on_any_number_of_threads(make);
}

TEST_CASE("a hybrid learns to repeat a text") {
  auto model = make();
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
  auto model = make();
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

TEST_CASE("a checkpoint restores a hybrid bit for bit, real modes without imaginary parts included") {
  const scratch_folder folder;
  const auto check = [&](auto model, auto other, const char* name) {
    fw::save_model(folder.path(name), model);
    fw::load_model(folder.path(name), other);
    const auto a = parameters_of(model), b = parameters_of(other);
    REQUIRE(a.size() == b.size());
    for (std::size_t i = 0; i < a.size(); ++i) CHECK(same_bits(a[i], b[i]));
  };
  check(make(), [] {
    auto other = make();
    fw::for_each_parameter(other, [](auto& p) { fw::fill(p.value(), 0.f); });
    return other;
  }(), "hybrid");
  using real = fw::s4d<float, fw::s4d_real>;
  fw::rng one{1}, two{2};
  const fw::sizes sizes{.width = 12, .state_width = 5};
  check(real::make(fw::builder{.sizes = sizes, .random = one}), real::make(fw::builder{.sizes = sizes, .random = two}), "real");
}
