// SPDX-License-Identifier: MIT
// S4D and attention alternating, beside attention alone and S4D alone in models of one size: what they learn from a text, and
// how fast they train and decode at short and long contexts. Gu et al., 2206.11893; Fu et al., 2212.14052; Lieber et al.,
// 2403.19887.
#include "support/study.hpp"

#include <algorithm>
#include <chrono>
#include <limits>
#include <numeric>

namespace fw = formwork;
using fw::Index;
using support::rounded;

namespace {

using attention = fw::attention<float, fw::causal, fw::rope<>>;
using look = fw::block<float, attention, fw::mlp<float>>;
using scan = fw::block<float, fw::s4d<float>, fw::mlp<float>>;
using model_type = fw::language_model<float, look, scan>;

struct settings {
  std::vector<std::string> text;
  std::string out = "hybrid";
  Index width = 96, depth = 4, heads = 3, hidden = 384, window = 256, batch = 8, steps = 400, warm_up = 20, seed = 1;
  Index short_context = 64, long_context = 4096, decoded = 64;
  double rate = 4e-3, dynamics_rate = 1e-3;
  int threads = 0;
  bool quick = false;

  fw::rng random(std::uint64_t stream) const { return fw::rng(static_cast<std::uint64_t>(seed), stream); }
};

/// Which kind of layer, as the pattern of a stack counts them.
constexpr int looks = 0, scans = 1;

/// What one model did; speeds are in tokens a second.
struct outcome {
  std::string name;
  Index parameters = 0;
  std::vector<double> loss = {};
  double validation = 0, training = 0, training_long = 0;
  std::vector<std::pair<Index, double>> decoding = {};  ///< by context

  double short_decoding() const { return decoding.front().second; }
  double long_decoding() const { return decoding.back().second; }
  /// What the long context costs each token beside the short one, in seconds.
  double cost_of_context() const { return 1 / long_decoding() - 1 / short_decoding(); }
};

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

/// The model with the layers of the pattern and as many parameters as one of attention alone: the feed-forward part makes up
/// for the mixers.
model_type make_model(const std::vector<int>& pattern, const settings& s) {
  const auto of = [&](const std::vector<int>& layers, Index hidden) {
    fw::rng random = s.random(0);
    return model_type::make({.vocab = fw::byte_text::vocab, .width = s.width, .depth = s.depth, .heads = s.heads,
                             .hidden = hidden, .pattern = layers}, random);
  };
  const Index wanted = fw::parameter_count(of({}, s.hidden)), there = fw::parameter_count(of(pattern, s.hidden));
  const double missing = static_cast<double>(wanted - there) / static_cast<double>(2 * s.width * s.depth);
  return of(pattern, std::max<Index>(s.hidden + std::lround(missing), 1));
}

/// Training tokens a second on windows of some length, as many tokens at a time as otherwise. Learns nothing.
double training_speed(model_type& model, const fw::byte_text& text, Index window, const settings& s) {
  fw::tape<float> tape;
  fw::rng random = s.random(2);
  const auto batch = text.draw(std::max<Index>(s.batch * s.window / window, 1), window, random);
  double least = std::numeric_limits<double>::infinity();
  for (int run = 0; run < 5; ++run) {
    const double begin = now();
    tape.backward(fw::cross_entropy(model(tape, batch.input), batch.target));
    least = std::min(least, now() - begin);
  }
  fw::for_each_parameter(model, [](auto& p) { p.mark_stale(); });
  return static_cast<double>(batch.target.size()) / least;
}

/// Tokens a second that one sequence grows by after a context, by the quickest token.
double decoding_speed(const model_type& model, const fw::byte_text& text, Index context, const settings& s) {
  fw::rng random = s.random(3);
  const auto prompt = text.draw(1, context, random).input.ids;
  std::vector<double> at, between;
  fw::generate(model, prompt, {.temperature = 0}, random, {.count = s.decoded + 1}, [&](Index) { at.push_back(now()); });
  std::adjacent_difference(at.begin(), at.end(), std::back_inserter(between));
  return 1 / *std::min_element(between.begin() + 1, between.end());
}

outcome run(const std::string& name, const std::vector<int>& pattern, const settings& s, const fw::byte_text& text) {
  auto model = make_model(pattern, s);
  outcome r{.name = name, .parameters = fw::parameter_count(model)};
  fw::optimizer optimizer(fw::when(fw::role::dynamics, fw::adamw{.rate = s.dynamics_rate, .weight_decay = 0}),
                          fw::otherwise(fw::adamw{.rate = s.rate, .beta2 = 0.98}));
  const fw::schedule rate{.warm_up = s.warm_up, .total = s.steps, .last = 0.05};
  fw::tape<float> tape;
  fw::rng data = s.random(1);
  fw::training_batch batch;
  fw::progress line(0, s.steps);
  for (Index step = 0; step < s.steps; ++step) {
    text.draw(s.batch, s.window, data, batch);
    r.loss.push_back(support::train_step(model, optimizer, tape, batch, rate(step)));
    line.update(step + 1, name + "  loss " + rounded(r.loss.back(), 3));
  }
  r.validation = support::validate(model, text, s.window, s.batch, s.quick ? 8 : 128);
  r.training = training_speed(model, text, s.window, s);
  r.training_long = training_speed(model, text, s.long_context, s);
  for (Index context = s.short_context; context <= s.long_context; context *= 4)
    r.decoding.emplace_back(context, decoding_speed(model, text, context, s));
  return r;
}

int study(settings s) {
  if (s.quick) {
    s.steps = std::min<Index>(s.steps, 4), s.batch = 2, s.decoded = 8;
    s.long_context = std::min<Index>(s.long_context, 512);
  }
  fw::require(s.short_context <= s.long_context, "hybrid: the short context, ", s.short_context,
              ", is longer than the long one, ", s.long_context);
  if (s.threads > 0) fw::threads(s.threads);
  const auto text = support::text_of(s.text);
  std::printf("formwork %s, %d threads; %lld layers of width %lld, %lld steps of %lld × %lld bytes\n", fw::simd_name,
              fw::threads(), static_cast<long long>(s.depth), static_cast<long long>(s.width), static_cast<long long>(s.steps),
              static_cast<long long>(s.batch), static_cast<long long>(s.window));
  const auto depth = static_cast<std::size_t>(s.depth);
  std::vector<int> alternating(depth, looks);
  for (std::size_t layer = 0; layer < depth; layer += 2) alternating[layer] = scans;
  const std::vector<outcome> all{run("attention", std::vector<int>(depth, looks), s, text),
                                 run("hybrid", alternating, s, text),
                                 run("s4d", std::vector<int>(depth, scans), s, text)};

  fw::chart losses{.title = "Loss of models of " + std::to_string(all[0].parameters) + " parameters", .x = "step",
                   .y = "nats per byte", .marks = {{"bigram entropy", text.bigram_entropy()}}};
  fw::chart speeds{.title = "Decoding one sequence", .x = "log2 of the context", .y = "tokens per second"};
  const auto at = [](const char* what, Index length) { return what + (" at " + std::to_string(length)); };
  std::printf("\n%-12s%12s%12s%12s%18s%18s%18s%18s   tokens/s\n", "layers", "parameters", "last loss", "validation",
              at("training", s.window).c_str(), at("training", s.long_context).c_str(),
              at("decoding", s.short_context).c_str(), at("decoding", all[0].decoding.back().first).c_str());
  for (const outcome& o : all) {
    double smooth = o.loss[0];
    for (std::size_t i = 0; i < o.loss.size(); ++i)
      losses.add(o.name, static_cast<double>(i + 1), smooth = 0.9 * smooth + 0.1 * o.loss[i]);
    for (const auto& [context, speed] : o.decoding) speeds.add(o.name, std::log2(static_cast<double>(context)), speed);
    std::printf("%-12s%12lld%12.4f%12.4f%18.0f%18.0f%18.0f%18.0f\n", o.name.c_str(), static_cast<long long>(o.parameters),
                smooth, o.validation, o.training, o.training_long, o.short_decoding(), o.long_decoding());
  }
  std::printf("\n");
  support::save_chart(s.out + "_loss", losses);
  support::save_chart(s.out + "_decoding", speeds);
  std::printf("\n");

  const auto& [pure, hybrid, s4d] = std::tie(all[0], all[1], all[2]);
  support::verdict("alternating learns more than either alone, at one number of parameters (2212.14052; 2403.19887)",
                   "validation " + rounded(hybrid.validation, 4) + ", attention " + rounded(pure.validation, 4) + ", S4D " +
                       rounded(s4d.validation, 4) + " nats per byte",
                   hybrid.validation < std::min(pure.validation, s4d.validation));
  const auto kept = [](const outcome& o) { return o.long_decoding() / o.short_decoding(); };
  support::verdict("S4D decodes as fast after a long context as after a short one, attention does not (2111.00396)",
                   "kept " + rounded(100 * kept(s4d), 0) + " % of its speed, attention " + rounded(100 * kept(pure), 0) + " %",
                   kept(s4d) > 0.85 && kept(pure) < 0.85);
  const double share = hybrid.cost_of_context() / pure.cost_of_context();
  support::verdict("half the attention layers: a long context costs a token half as much (2403.19887)",
                   rounded(1e6 * hybrid.cost_of_context(), 1) + " instead of " + rounded(1e6 * pure.cost_of_context(), 1) +
                       " us a token, " + rounded(100 * share, 0) + " %",
                   share > 0.35 && share < 0.65);
  const auto slower = [](const outcome& o) { return o.training_long / o.training; };
  support::verdict("on long windows S4D trains at the same speed, attention slower, the hybrid in between (2111.00396)",
                   "of the speed on short ones attention keeps " + rounded(100 * slower(pure), 0) + " %, the hybrid " +
                       rounded(100 * slower(hybrid), 0) + " %, S4D " + rounded(100 * slower(s4d), 0) + " %",
                   slower(s4d) > 0.85 && slower(pure) < slower(hybrid) && slower(hybrid) < slower(s4d));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  settings s;
  CLI::App app{"Trains a model that alternates S4D and attention beside a pure one of each, and compares losses and speeds."};
  const auto size = [&](const char* name, Index& value, const char* help) {
    app.add_option(name, value, help)->check(CLI::Range(Index(1), Index(1) << 30))->capture_default_str();
  };
  app.add_option("--text", s.text, "files to learn from; default: this library's own headers and README");
  app.add_option("--out", s.out, "start of the names of the pictures and tables")->capture_default_str();
  size("--width", s.width, "columns of the residual stream");
  size("--depth", s.depth, "layers");
  size("--heads", s.heads, "of attention; must divide the width");
  size("--hidden", s.hidden, "of attention's feed-forward parts; S4D's are as much wider as it takes");
  size("--window", s.window, "bytes of a training sequence");
  size("--batch", s.batch, "sequences a step");
  size("--steps", s.steps, "training steps of each");
  size("--short-context", s.short_context, "bytes before the first decoding timed");
  size("--long-context", s.long_context, "bytes before the last, and of the long training windows");
  size("--decoded", s.decoded, "tokens timed after each context");
  app.add_option("--rate", s.rate, "peak learning rate of AdamW")->check(CLI::Range(0.0, 10.0))->capture_default_str();
  app.add_option("--dynamics-rate", s.dynamics_rate, "the same of S4D's modes and steps")
      ->check(CLI::Range(0.0, 10.0))
      ->capture_default_str();
  size("--seed", s.seed, "of everything random");
  app.add_option("--threads", s.threads, "0: all cores")->check(CLI::Range(0, 1024))->capture_default_str();
  app.add_flag("--quick", s.quick, "a few steps: seconds instead of minutes");
  return support::run(app, argc, argv, [&] { return study(s); });
}
