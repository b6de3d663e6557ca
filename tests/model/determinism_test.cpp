// SPDX-License-Identifier: MIT
// The determinism contract D1 - D4 on whole models, bit for bit.
#include "laws/model_laws.hpp"

using namespace small;

TEMPLATE_TEST_CASE_SIG("training gives the same bits on any number of threads and every run", "[D1][D2]", ((int kind), kind), 0, 1) {
  laws::trains_alike_on_any_number_of_threads([] {
    if constexpr (kind == 0)
      return make_gated<float>();
    else
      return make_plain<float>();
  });
}

TEST_CASE("a sequence has the same logits alone and in a ragged batch", "[D3]") {
  laws::reads_alone_as_in_a_batch(make_gated<float>());
  laws::reads_alone_as_in_a_batch(make_plain<float>());
  laws::reads_alone_as_in_a_batch(make_placed<float>(fw::sinusoidal{}));
  laws::reads_alone_as_in_a_batch(make_placed<float>(fw::learned<float>{}));
}

TEST_CASE("prefill in any split, then steps, equals the full forward on a batch of three unequal lengths", "[D4]") {
  const auto check = [](const auto& model) {
    constexpr Index block = 384;  // of keys; the longest sequence spans two and three tokens more
    laws::decodes_as_it_reads(model, {2 * block + 3, 1, block + 5},
                              {{block}, {1, block - 1}, {block + 1, 2 * block}, {7, 300, 2 * block + 1}});
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
