// SPDX-License-Identifier: MIT
#include <formwork/attention.hpp>
#include <formwork/tape.hpp>

#include "support/bench.hpp"

#include <string>

// Cross attention with its projections. A step is one token beside a state of the memory: it reads the state's keys and values
// and two matrices, and multiplies by each number once; without a state the memory would be projected for every token.

namespace fw = formwork;
using fw::Index;

namespace {

constexpr Index width = 512, heads = 8;
using layer = fw::cross_attention<float>;

struct run {
  fw::rng random{1};
  layer look = layer::make(fw::builder{.sizes = {.width = width, .heads = heads}, .random = random});
  fw::tape<float> quiet{fw::recording::off}, tape;
  fw::matrix<float> x, memory;
  layer::state state;

  run(Index rows, Index memory_rows) : x(rows, width), memory(memory_rows, width) {
    random.fill_normal(x.all(), 1), random.fill_normal(memory.all(), 1);
    state = look.make_state(quiet.constant(memory));
  }
};

/// Multiply-adds count two.
double projections(Index rows) { return 4.0 * static_cast<double>(rows * width * width); }
double pairs(Index rows, Index memory) { return 4.0 * static_cast<double>(rows * memory * width); }

}  // namespace

void bench::rows() {
  for (const Index memory : {64, 512, 4096}) {
    const std::string sizes = "/memory:" + std::to_string(memory) + "/w:512/h:8";
    row("cross_attention/step" + sizes, {.flops = projections(1) + pairs(1, memory), .tokens = 1}, [=] {
      auto r = std::make_shared<run>(1, memory);
      return [r] { bench::keep(r->look(r->quiet.constant(r->x), r->state)); };
    });
    row("naive/cross_attention/step_without_a_state" + sizes,
        {.flops = projections(1) + projections(memory) + pairs(1, memory), .tokens = 1}, [=] {
          auto r = std::make_shared<run>(1, memory);
          return [r] { bench::keep(r->look(r->quiet.constant(r->x), r->quiet.constant(r->memory))); };
        });
  }
  for (const Index n : {128, 1024})
    row("cross_attention/forward_backward/n:" + std::to_string(n) + "/memory:1024/w:512/h:8",
        {.flops = 3 * (projections(n) + projections(1024)) + 3.5 * pairs(n, 1024), .tokens = static_cast<double>(n)}, [=] {
          auto r = std::make_shared<run>(n, 1024);
          return [r] {
            const auto y = r->look(r->tape.input(r->x), r->tape.input(r->memory));
            r->tape.backward(fw::sum(y));
            fw::for_each_parameter(r->look, [](auto& p) { p.mark_stale(); });
          };
        });
}
