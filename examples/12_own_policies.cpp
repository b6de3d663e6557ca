// SPDX-License-Identifier: MIT
// A mask and a score formula of one's own: two small values, and the fused kernel runs them, forward, backward and cached.
#include "support/study.hpp"

namespace fw = formwork;
using fw::Index;

/// A query sees its own line of `width` tokens up to itself, and the line before.
struct two_lines {
  using plugs_into = fw::slot::mask;
  static constexpr bool sees_ahead = false, one_range = true;
  Index width = 16;
  Index first(Index query) const { return std::max<Index>(query / width - 1, 0) * width; }
  fw::key_spans spans(fw::query_site q) const { return {{{first(q.position), q.position + 1}, {}}}; }
  Index count(fw::query_site q) const { return q.position + 1 - first(q.position); }
  bool visible(fw::query_site q, Index key) const { return first(q.position) <= key && key <= q.position; }
};

/// Scores fall with the logarithm of the distance, as fast as each head learns.
struct fading {
  static constexpr std::array start{0.5};
  template <class T>
  T operator()(T score, fw::score_site<T> at) const {
    return score - at.learned[0] * log(T(1) + abs(at.distance));
  }
};
template <class S>
using layer = fw::block<S, fw::attention<S, two_lines, fw::learned_formula<S, fading>>, fw::gated_mlp<S>>;

int main(int argc, char** argv) {
  Index steps = 300;
  bool quick = false;
  std::string out = "own_policies";
  CLI::App app{"Trains a model with a mask and a score formula of its own, after checking their gradients."};
  app.add_option("--steps", steps, "of training")->check(CLI::Range(Index(1), Index(1) << 30))->capture_default_str();
  app.add_option("--out", out, "start of the names of the picture and table")->capture_default_str();
  app.add_flag("--quick", quick, "a few steps");
  return support::run(app, argc, argv, [&] {
    fw::rng random{7};
    const auto text = support::text_of({});
    auto tiny = fw::language_model<double, layer<double>>::make({.vocab = 256, .width = 8, .depth = 1, .heads = 2}, random);
    const auto few = text.draw(1, 40, random);
    const auto report = fw::gradcheck(tiny, [&](auto& tape) { return cross_entropy(tiny(tape, few.input), few.target); });
    support::verdict("gradients of any formula and mask are right", fw::text(report), bool(report));
    auto model = fw::language_model<float, layer<float>>::make({.vocab = 256, .width = 64, .depth = 2, .heads = 4}, random);
    fw::optimizer optimizer(fw::otherwise(fw::adamw{.rate = 3e-3}));
    fw::tape<float> tape;
    fw::chart curve{.title = "A model of own policies", .x = "step", .y = "nats per byte"};
    fw::progress line(0, steps = quick ? 5 : steps);
    for (Index step = 1; step <= steps; ++step) {
      const double loss = support::train_step(model, optimizer, tape, text.draw(8, 64, random));
      curve.add("training loss", double(step), loss);
      line.update(step, "loss " + support::rounded(loss, 3));
    }
    support::save_chart(out, curve);
    const double first = curve.lines[0].points.front().second, last = curve.lines[0].points.back().second;
    support::verdict("and the model learns", support::rounded(first, 2) + " -> " + support::rounded(last, 2), last < first);
    return 0;
  });
}
