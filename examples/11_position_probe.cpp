// SPDX-License-Identifier: MIT
// The position probe: n equal tokens go in, the places 1 to n are to come out. Where every row of weights sums to 1, each output
// is the one value there is, whatever biases, rotations or masks say: no training can tell the places. kexue.fm/archives/9105.
#include "support/study.hpp"

#include <algorithm>
#include <cmath>

namespace fw = formwork;
using fw::Index;
using support::rounded;

namespace {

struct settings {
  std::string out = "probe";
  Index tokens = 32, width = 64, heads = 4, steps = 600, seed = 1;
  double rate = 3e-3;
  int threads = 0;
  bool quick = false;
};

/// What the first token is.
enum class first_token { like_the_others, of_its_own };

/// One layer over equal tokens, and a score for every place.
template <class Mixer, class Position>
struct probe_model {
  using scalar = float;

  Position position;
  fw::embedding<float> embed;
  Mixer mixer;
  fw::parameter<float> head;

  fw::logits<float> operator()(fw::tape<float>& tape, const fw::tokens& x) const {
    auto y = embed(tape, x);
    if constexpr (fw::absolute_position<Position>) y = position.embed(y);
    return fw::logits<float>::by_weight(add(y, mixer(y)), head);
  }
  template <class M>
  static auto fields(M& m) {
    return fw::fields("embed", m.embed, "mixer", m.mixer, "head", m.head);
  }
};

struct outcome {
  std::string name;
  bool should;         ///< tell the places
  double spread = 0;   ///< of untrained scores over the places
  double right = 0;    ///< share of the places, after training
};

/// The largest difference between any place's scores and those of the last.
double spread_of(fw::view<const float> scores) {
  double most = 0;
  const Index last = scores.rows() - 1;
  for (Index i = 1; i < last; ++i)  // the first token may be another
    for (Index j = 0; j < scores.cols(); ++j) most = std::max(most, std::abs(double(scores(i, j)) - double(scores(last, j))));
  return most;
}

template <class Mixer, class Position = fw::no_position>
outcome probe(const std::string& name, bool should, const settings& s, first_token first = first_token::like_the_others) {
  fw::rng random(static_cast<std::uint64_t>(s.seed));
  const fw::sizes sizes{.vocab = 2, .width = s.width, .heads = s.heads};
  const fw::builder b{.sizes = sizes, .random = random};
  probe_model<Mixer, Position> model{{}, fw::embedding<float>::make(b), Mixer::make(b),
                                     b.normal<float>(s.width, s.tokens, 0.05, fw::role::head)};
  for (Index i = 0; i < model.embed.table.size(); ++i) model.embed.table.value().data()[i] *= 20;  // of size about 1

  fw::tokens x(std::vector<Index>(static_cast<std::size_t>(s.tokens)), fw::sequences{s.tokens});
  if (first == first_token::of_its_own) x.ids[0] = 1;
  std::vector<Index> places(static_cast<std::size_t>(s.tokens));
  for (Index i = 0; i < s.tokens; ++i) places[static_cast<std::size_t>(i)] = i;

  fw::tape<float> tape, quiet{fw::recording::off};
  outcome r{name, should, spread_of(model(quiet, x).value().value())};
  fw::optimizer optimizer(fw::otherwise(fw::adamw{.rate = s.rate, .weight_decay = 0}));
  fw::progress line(0, s.steps);
  for (Index step = 1; step <= s.steps; ++step) {
    const auto loss = cross_entropy(model(tape, x), places);
    tape.backward(loss);
    fw::clip_by_global_norm(model, 1);
    optimizer.step(model, 1);
    line.update(step, name);
  }
  const auto scores = model(quiet, x).value();
  for (Index i = 0; i < s.tokens; ++i) {
    const float* row = scores.value().row(i);
    r.right += double(std::max_element(row, row + s.tokens) - row == i) / double(s.tokens);
  }
  return r;
}

int study(settings s) {
  if (s.quick) s.tokens = 8, s.width = 16, s.heads = 2, s.steps = 60;
  if (s.threads > 0) fw::threads(s.threads);
  fw::require(s.tokens >= 4, "position probe: ", s.tokens, " tokens; needs 4 or more");
  std::printf("formwork %s, %d threads; %lld equal tokens, one layer\n\n", fw::simd_name, fw::threads(),
              static_cast<long long>(s.tokens));
  using S = float;
  using fw::attention, fw::linear_attention, fw::causal, fw::full;
  const std::vector<outcome> all{
      probe<attention<S, full>>("full, no position", false, s),
      probe<attention<S, causal>>("causal, no position", false, s),
      probe<attention<S, causal, fw::rope<>>>("causal, rope", false, s),
      probe<attention<S, causal, fw::xpos<>>>("causal, xpos", false, s),
      probe<attention<S, causal, fw::alibi>>("causal, alibi", false, s),
      probe<attention<S, causal, fw::t5<S>>>("causal, t5", false, s),
      probe<attention<S, causal, fw::talking_heads<S>, fw::rope<>>>("causal, rope, talking heads", false, s),
      probe<attention<S, full>, fw::sinusoidal>("full, sinusoidal", true, s),
      probe<attention<S, causal, fw::rope<>>>("causal, rope, a first token of its own", true, s, first_token::of_its_own),
      probe<attention<S, causal, fw::urpe<S>>>("causal, urpe", true, s),
      probe<attention<S, causal, fw::l2_normalized>>("causal, l2_normalized", true, s),
      probe<attention<S, causal, fw::rope<>, fw::relu_squared>>("causal, rope, relu_squared", true, s),
      probe<linear_attention<S, causal, fw::rope<>>>("causal, rope, linear", true, s)};

  fw::chart drawn{.title = "Which compositions tell the places of equal tokens", .x = "composition", .y = "share of places right",
                  .marks = {{"chance", 1 / static_cast<double>(s.tokens)}}};
  std::printf("%-42s%12s%18s%16s\n", "composition", "can tell", "untrained spread", "places right");
  double most_of_cannot = 0, spread_of_cannot = 0, least_of_can = 1;
  for (std::size_t i = 0; i < all.size(); ++i) {
    const outcome& o = all[i];
    std::printf("%-42s%12s%18.2e%15.0f%%\n", o.name.c_str(), o.should ? "yes" : "no", o.spread, 100 * o.right);
    drawn.add(o.should ? "weights or tokens differ" : "weights sum to 1", static_cast<double>(i + 1), o.right);
    if (o.should) {
      least_of_can = std::min(least_of_can, o.right);
    } else {
      most_of_cannot = std::max(most_of_cannot, o.right), spread_of_cannot = std::max(spread_of_cannot, o.spread);
    }
  }
  std::printf("\n");
  support::save_chart(s.out, drawn);
  std::printf("\n");
  support::verdict("rows of weights that sum to 1 give equal tokens equal outputs, whatever the mask and the position (9105)",
                   "they differ by at most " + rounded(spread_of_cannot * 1e6, 2) + "e-6 before training",
                   spread_of_cannot < 1e-4);
  support::verdict("so training cannot find their places (9105)",
                   "at most " + rounded(100 * most_of_cannot, 0) + " % of " + std::to_string(s.tokens) + " places right",
                   most_of_cannot <= 2 / static_cast<double>(s.tokens));
  support::verdict("absolute positions, a token that differs, and weights whose rows do not sum to 1 let it (9105)",
                   "at least " + rounded(100 * least_of_can, 0) + " % right", least_of_can > 0.5);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  settings s;
  CLI::App app{"Shows which attention can tell the places of equal tokens, and which provably cannot."};
  const auto size = [&](const char* name, Index& value, const char* help) {
    app.add_option(name, value, help)->check(CLI::Range(Index(1), Index(1) << 20))->capture_default_str();
  };
  app.add_option("--out", s.out, "start of the names of the picture and table")->capture_default_str();
  size("--tokens", s.tokens, "equal tokens");
  size("--width", s.width, "of the model");
  size("--heads", s.heads, "must divide the width");
  size("--steps", s.steps, "training steps of each composition");
  app.add_option("--rate", s.rate, "learning rate of AdamW")->check(CLI::Range(0.0, 10.0))->capture_default_str();
  size("--seed", s.seed, "of everything random");
  app.add_option("--threads", s.threads, "0: all cores")->check(CLI::Range(0, 1024))->capture_default_str();
  app.add_flag("--quick", s.quick, "a few steps: seconds");
  return support::run(app, argc, argv, [&] { return study(s); });
}
