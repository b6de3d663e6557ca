// SPDX-License-Identifier: MIT
// One text given another: an encoder reads numbers, a decoder writes them backwards, or sorted, and is right only if every one
// is. Vaswani et al., 1706.03762.
#include "support/study.hpp"

#include <algorithm>

namespace fw = formwork;
using fw::Index;
using support::rounded;

namespace {

struct settings {
  std::string out = "encoder_decoder";
  Index width = 48, depth = 1, heads = 4, symbols = 16, longest = 12, batch = 64, steps = 3000, tests = 200, seed = 1;
  double rate = 3e-3;
  int threads = 0;
  bool quick = false;
};

using reads = fw::block<float, fw::attention<float, fw::full>, fw::mlp<float>>;
using writes = fw::decoder_block<float, fw::attention<float, fw::causal>, fw::cross_attention<float>, fw::mlp<float>>;
using model_type = fw::encoder_decoder<float, reads, writes, fw::sinusoidal>;

constexpr Index begin = 0, end = 1, first_symbol = 2;

using task = std::vector<Index> (*)(std::vector<Index>);
std::vector<Index> reversed(std::vector<Index> x) {
  std::reverse(x.begin(), x.end());
  return x;
}
std::vector<Index> sorted(std::vector<Index> x) {
  std::sort(x.begin(), x.end());
  return x;
}

std::vector<Index> drawn_text(const settings& s, fw::rng& random) {
  std::vector<Index> x(static_cast<std::size_t>(1 + random.below(s.longest)));
  for (Index& id : x) id = first_symbol + random.below(s.symbols);
  return x;
}

/// Texts of any length up to the longest, and what is to be written: the decoder is given `begin` and what it wrote so far.
struct batch {
  fw::tokens source, input;
  std::vector<Index> target;

  batch(const settings& s, task answer, fw::rng& random) {
    std::vector<Index> ids, lengths, inputs, input_lengths;
    for (Index i = 0; i < s.batch; ++i) {
      const auto x = drawn_text(s, random), y = answer(x);
      ids.insert(ids.end(), x.begin(), x.end());
      inputs.push_back(begin);
      inputs.insert(inputs.end(), y.begin(), y.end());
      target.insert(target.end(), y.begin(), y.end());
      target.push_back(end);
      lengths.push_back(static_cast<Index>(x.size())), input_lengths.push_back(lengths.back() + 1);
    }
    source = {std::move(ids), fw::sequences(lengths)};
    input = {std::move(inputs), fw::sequences(input_lengths)};
  }
};

/// The share of fresh texts whose every token is right, the end included.
double exact_matches(const model_type& model, const settings& s, task answer) {
  fw::rng random(1000 + static_cast<std::uint64_t>(s.seed));
  const std::vector<Index> prompt{begin};
  Index exact = 0;
  for (Index i = 0; i < s.tests; ++i) {
    const auto x = drawn_text(s, random);
    auto expected = answer(x);
    expected.push_back(end);
    exact += fw::generate(model, x, prompt, {.temperature = 0}, random, {.count = s.longest + 1},
                          [](Index id) { return id != end; }) == expected;
  }
  return static_cast<double>(exact) / static_cast<double>(s.tests);
}

/// Trains a model on one task: its share of exact matches at the end.
double train(const std::string& name, task answer, const settings& s, fw::chart& chart) {
  fw::rng random(static_cast<std::uint64_t>(s.seed));
  auto model = model_type::make(
      {.vocab = first_symbol + s.symbols, .width = s.width, .depth = s.depth, .heads = s.heads}, random);
  fw::optimizer optimizer(fw::otherwise(fw::adamw{.rate = s.rate}));
  const fw::schedule warm_up_and_cosine{.warm_up = s.steps / 20, .total = s.steps};
  fw::tape<float> tape;
  fw::progress line(0, s.steps);
  const Index each = std::max<Index>(s.steps / 10, 1);
  double exact = 0;
  for (Index step = 1; step <= s.steps; ++step) {
    const batch b(s, answer, random);
    const auto loss = fw::cross_entropy(model(tape, b.source, b.input), b.target);
    const double nats = static_cast<double>(loss.item());
    tape.backward(loss);
    fw::clip_by_global_norm(model, 1.0);
    optimizer.step(model, warm_up_and_cosine(step - 1));
    line.update(step, name + ", loss " + rounded(nats, 3));
    if (step % each == 0 || step == s.steps) chart.add(name, static_cast<double>(step), exact = exact_matches(model, s, answer));
  }
  return exact;
}

int study(settings s) {
  if (s.quick) s.steps = std::min<Index>(s.steps, 10), s.tests = std::min<Index>(s.tests, 20);
  if (s.threads > 0) fw::threads(s.threads);
  std::printf("formwork, %s, %d threads: 1 to %lld of %lld symbols\n", fw::simd_name, fw::threads(),
              static_cast<long long>(s.longest), static_cast<long long>(s.symbols));
  fw::chart chart{.title = "Texts written without a mistake", .x = "step", .y = "share of exact matches"};
  const double backwards = train("backwards", reversed, s, chart), in_order = train("sorted", sorted, s, chart);
  support::save_chart(s.out, chart);
  const auto percent = [](double share) { return rounded(100 * share, 1) + " % of fresh texts without a mistake"; };
  support::verdict("a decoder that looks at the encoder's rows writes a text backwards", percent(backwards), backwards >= 0.95);
  support::verdict("and sorted", percent(in_order), in_order >= 0.95);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  settings s;
  CLI::App app{"Trains an encoder-decoder to write texts backwards, and one to sort them, and counts exact matches."};
  const auto positive = CLI::Range(Index(1), Index(1) << 20);
  app.add_option("--out", s.out, "start of the names of the picture and table")->capture_default_str();
  app.add_option("--width", s.width, "columns of the residual stream")->check(positive)->capture_default_str();
  app.add_option("--depth", s.depth, "blocks of either side")->check(positive)->capture_default_str();
  app.add_option("--heads", s.heads, "heads; must divide the width")->check(positive)->capture_default_str();
  app.add_option("--symbols", s.symbols, "different ones")->check(positive)->capture_default_str();
  app.add_option("--longest", s.longest, "symbols of a text")->check(positive)->capture_default_str();
  app.add_option("--batch", s.batch, "texts a step")->check(positive)->capture_default_str();
  app.add_option("--steps", s.steps, "training steps of each task")->check(positive)->capture_default_str();
  app.add_option("--tests", s.tests, "texts that count exact matches")->check(positive)->capture_default_str();
  app.add_option("--rate", s.rate, "learning rate of AdamW")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--seed", s.seed, "of all random numbers")->capture_default_str();
  app.add_option("--threads", s.threads, "0: as many as there are")->check(CLI::Range(0, 1024))->capture_default_str();
  app.add_flag("--quick", s.quick, "a few steps");
  return support::run(app, argc, argv, [&] { return study(s); });
}
