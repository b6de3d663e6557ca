// SPDX-License-Identifier: MIT
// A product with the Hessian of a whole model, counted as three training steps without an update; beside it one such step.
#include <memory>

#include "model/gpt2.hpp"
#include "support/bench.hpp"

using namespace models;

void bench::rows() {
  constexpr Index batch = 4, length = 256;
  const double flops = step_flops(make_character(), batch, length), tokens = batch * length;
  static const auto loss = [data = random_batch(batch, length, 256)](auto& tape, const auto& model) {
    return fw::cross_entropy(model(tape, data.input), data.target);
  };
  bench::row("gradient/char/w256_d6_h8_t256_b4", {.flops = flops, .tokens = tokens}, [] {
    auto model = std::make_shared<character>(make_character());
    return [model] {
      fw::tape<float> tape;
      tape.backward(loss(tape, std::as_const(*model)));
      fw::for_each_parameter(*model, [](auto& p) { p.mark_stale(); });
    };
  });
  bench::row("hessian/char/w256_d6_h8_t256_b4", {.flops = 3 * flops, .tokens = tokens}, [] {
    auto model = std::make_shared<character>(make_character());
    auto h = std::make_shared<fw::hessian<character, decltype(loss)>>(*model, loss);
    fw::matrix<float> v(1, h->size());
    fw::rng{3}.fill_normal(v, 1);
    return [model, h, v] { bench::keep(*h * v); };
  });
}
