// SPDX-License-Identifier: MIT
// Muon against AdamW on real text: both with the same rates to choose from, the loss by step and by second.
// Jordan et al., kellerjordan.github.io/posts/muon; Liu et al., 2502.16982; kexue.fm/archives/10592, 10739.
#include "support/study.hpp"

#include <algorithm>
#include <chrono>
#include <limits>

namespace fw = formwork;
using fw::Index;
using support::rounded;

namespace {

using attention = fw::attention<float, fw::causal, fw::rope<>>;
using layer = fw::block<float, fw::pre_norm<fw::rms_norm>, attention, fw::gated_mlp<float, fw::silu>>;
using model_type = fw::language_model<float, layer>;

struct settings {
  std::vector<std::string> text;
  std::string out = "muon";
  std::vector<double> rates{1e-3, 2e-3, 4e-3, 8e-3, 16e-3};
  Index width = 96, depth = 3, heads = 3, window = 128, batch = 16, steps = 300, warm_up = 20, evaluate_every = 20, seed = 1;
  double weight_decay = 0.1;
  int threads = 0;
  bool quick = false;
};

/// One training run: its validation losses, and what a step took.
struct outcome {
  std::string rule;
  double rate;
  std::vector<double> step = {}, loss = {};
  double seconds_per_step = 0;

  double last() const { return loss.back(); }
  /// The first step at which the loss was as low, between two validations in proportion; infinite if never.
  double first_below(double wanted) const {
    for (std::size_t i = 0; i < loss.size(); ++i) {
      if (loss[i] > wanted) continue;
      return i == 0 ? step[0] : step[i - 1] + (step[i] - step[i - 1]) * (loss[i - 1] - wanted) / (loss[i - 1] - loss[i]);
    }
    return std::numeric_limits<double>::infinity();
  }
};

double median(std::vector<double> all) {
  const auto middle = all.begin() + static_cast<std::ptrdiff_t>(all.size() / 2);
  std::nth_element(all.begin(), middle, all.end());
  return *middle;
}

template <class Optimizer>
outcome train(const std::string& rule, double rate, Optimizer optimizer, const settings& s, const fw::byte_text& text,
              fw::progress& line, Index done) {
  outcome r{.rule = rule, .rate = rate};
  fw::rng weights{static_cast<std::uint64_t>(s.seed)}, data{static_cast<std::uint64_t>(s.seed), 1};
  auto model = model_type::make({.vocab = fw::byte_text::vocab, .width = s.width, .depth = s.depth, .heads = s.heads}, weights);
  // Constant after the warm-up: a run then is, at each of its steps, what a shorter run would have been.
  const fw::schedule factor{.warm_up = std::min(s.warm_up, s.steps), .total = s.steps, .shape = fw::decay::constant};
  fw::tape<float> tape;
  fw::training_batch batch;
  std::vector<double> seconds;
  for (Index step = 0; step < s.steps; ++step) {
    text.draw(s.batch, s.window, data, batch);
    const auto begin = std::chrono::steady_clock::now();
    const double loss = support::train_step(model, optimizer, tape, batch, factor(step));
    seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
    line.update(done + step + 1, fw::text(rule, " at ", rate, "  loss ", rounded(loss, 3)));
    if ((step + 1) % s.evaluate_every != 0 && step + 1 != s.steps) continue;
    r.step.push_back(static_cast<double>(step + 1));
    r.loss.push_back(support::validate(model, text, s.window, s.batch, s.quick ? 16 : 96));
  }
  r.seconds_per_step = median(seconds);
  return r;
}

/// The run with the lowest loss at the end.
const outcome& best_of(const std::vector<outcome>& runs) {
  return *std::min_element(runs.begin(), runs.end(), [](const auto& a, const auto& b) { return a.last() < b.last(); });
}
double seconds_per_step(const std::vector<outcome>& runs) {
  std::vector<double> all;
  for (const outcome& r : runs) all.push_back(r.seconds_per_step);
  return median(all);
}

void print_runs(const std::vector<outcome>& runs) {
  const outcome& best = best_of(runs);
  const char* where = &best == &runs.front() || &best == &runs.back() ? "  best, at the end of the grid" : "  best";
  for (const outcome& r : runs)
    std::printf("%-8s%10.4g%12.4f%14.1f%s\n", r.rule.c_str(), r.rate, r.last(), 1e3 * r.seconds_per_step, &r == &best ? where : "");
}

/// How many times fewer steps `ours` needs than `theirs`: for the loss that the worse of the two ends with.
double fewer_steps(const outcome& ours, const outcome& theirs) {
  return ours.last() <= theirs.last() ? theirs.step.back() / ours.first_below(theirs.last())
                                      : theirs.first_below(ours.last()) / ours.step.back();
}

void draw(const settings& s, const outcome& muon, const outcome& adamw, double muon_seconds, double adamw_seconds,
          double bigrams) {
  fw::chart by_step{.title = "Validation loss by step", .x = "step", .y = "nats per byte", .marks = {{"bigram entropy", bigrams}}};
  fw::chart by_second{.title = "Validation loss by second", .x = "second", .y = "nats per byte", .marks = by_step.marks};
  const auto add = [&](const outcome& r, double seconds) {
    const std::string name = fw::text(r.rule, " at ", r.rate);
    for (std::size_t i = 0; i < r.loss.size(); ++i)
      by_step.add(name, r.step[i], r.loss[i]), by_second.add(name, r.step[i] * seconds, r.loss[i]);
  };
  add(adamw, adamw_seconds);
  add(muon, muon_seconds);
  support::save_chart(s.out + "_by_step", by_step);
  support::save_chart(s.out + "_by_second", by_second);
}

int study(settings s) {
  if (s.quick) {
    s.steps = std::min<Index>(s.steps, 12), s.warm_up = 2, s.evaluate_every = 4, s.batch = 4, s.window = 64;
    if (s.rates.size() > 2) s.rates = {2e-3, 4e-3};
  }
  if (s.threads > 0) fw::threads(s.threads);
  const auto text = support::text_of(s.text);
  std::sort(s.rates.begin(), s.rates.end());
  std::printf("formwork %s, %d threads; %zu rates for each rule, %lld steps of %lld × %lld bytes, %lld layers of width %lld\n",
              fw::simd_name, fw::threads(), s.rates.size(), static_cast<long long>(s.steps), static_cast<long long>(s.batch),
              static_cast<long long>(s.window), static_cast<long long>(s.depth), static_cast<long long>(s.width));
  std::fflush(stdout);

  const fw::adamw adamw{.beta2 = 0.98, .weight_decay = s.weight_decay};
  const fw::muon muon{.weight_decay = s.weight_decay, .scale = fw::muon::scaling::match_rms_adamw};  // of AdamW's rates
  std::vector<outcome> by_adamw, by_muon;
  fw::progress line(0, s.steps * static_cast<Index>(2 * s.rates.size()));
  for (const double rate : s.rates) {
    auto other = adamw;
    auto matrices = muon;
    other.rate = matrices.rate = rate;
    const auto done = [&] { return s.steps * static_cast<Index>(by_adamw.size() + by_muon.size()); };
    by_adamw.push_back(train("adamw", rate, fw::optimizer(fw::otherwise(other)), s, text, line, done()));
    by_muon.push_back(train("muon", rate, fw::optimizer(fw::when(fw::role::matrix, matrices), fw::otherwise(other)), s, text,
                            line, done()));
  }
  line.finish();

  std::printf("\n%-8s%10s%12s%14s\n", "rule", "rate", "validation", "ms a step");
  print_runs(by_adamw);
  print_runs(by_muon);
  std::printf("\n");
  const outcome &first = best_of(by_adamw), &second = best_of(by_muon);
  const double adamw_seconds = seconds_per_step(by_adamw), muon_seconds = seconds_per_step(by_muon);
  const double steps = fewer_steps(second, first), dearer = muon_seconds / adamw_seconds;
  draw(s, second, first, muon_seconds, adamw_seconds, text.bigram_entropy());
  std::printf("\n");
  support::verdict("Muon needs about 1.35 times fewer steps than AdamW (NanoGPT speed record; Jordan et al.)",
                   rounded(steps, 2) + " times fewer; losses " + rounded(second.last(), 4) + " and " + rounded(first.last(), 4) +
                       " nats per byte",
                   steps >= 1.2);
  support::verdict("a step of Muon costs 2 to 5 % more (half a million tokens a step; Jordan et al., 2502.16982)",
                   rounded(100 * (dearer - 1), 1) + " % more, at " + std::to_string(s.batch * s.window) +
                       " tokens a step: what it adds does not grow with them",
                   dearer <= 1.05);
  support::verdict("so it is faster by the clock as well", "the same loss in " + rounded(dearer / steps, 2) + " times the time",
                   steps / dearer > 1);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  settings s;
  CLI::App app{"Trains a small language model with AdamW and with Muon, each at every rate of a grid, and compares the best."};
  const auto positive = CLI::Range(Index(1), Index(1) << 30);
  app.add_option("--text", s.text, "files to learn from; default: this library's own headers and README");
  app.add_option("--out", s.out, "start of the names of the pictures and tables")->capture_default_str();
  app.add_option("--rates", s.rates, "learning rates both may choose from")->check(CLI::Range(1e-9, 10.0))->capture_default_str();
  app.add_option("--width", s.width, "columns of the residual stream")->check(positive)->capture_default_str();
  app.add_option("--depth", s.depth, "blocks")->check(positive)->capture_default_str();
  app.add_option("--heads", s.heads, "heads; must divide the width")->check(positive)->capture_default_str();
  app.add_option("--window", s.window, "bytes of a training sequence")->check(positive)->capture_default_str();
  app.add_option("--batch", s.batch, "sequences a step")->check(positive)->capture_default_str();
  app.add_option("--steps", s.steps, "training steps of each run")->check(positive)->capture_default_str();
  app.add_option("--warm-up", s.warm_up, "steps until the full rate")->check(positive)->capture_default_str();
  app.add_option("--evaluate-every", s.evaluate_every, "steps between validations")->check(positive)->capture_default_str();
  app.add_option("--weight-decay", s.weight_decay, "of both rules")->check(CLI::Range(0.0, 10.0))->capture_default_str();
  app.add_option("--seed", s.seed, "of everything random")->check(CLI::Range(Index(0), Index(1) << 40))->capture_default_str();
  app.add_option("--threads", s.threads, "0: all cores")->check(CLI::Range(0, 1024))->capture_default_str();
  app.add_flag("--quick", s.quick, "two rates and a few steps: seconds instead of minutes");
  return support::run(app, argc, argv, [&] { return study(s); });
}
