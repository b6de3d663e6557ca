// SPDX-License-Identifier: MIT
// How sharp the valley is that gradient descent walks in: the largest eigenvalue of the loss's Hessian while a language model
// trains by full batches at several rates. On a quadratic of that sharpness a rate above 2 / sharpness diverges; what training
// does instead is the edge of stability of Cohen et al., 2103.00065.
#include "support/study.hpp"

#include <algorithm>
#include <cmath>

namespace fw = formwork;
using fw::Index;
using support::rounded;

namespace {

using model_type = fw::language_model<float, fw::block<float, fw::attention<float, fw::causal, fw::rope<>>, fw::gated_mlp<float>>>;

struct settings {
  std::vector<std::string> text;
  std::string out = "sharpness";
  std::vector<double> rates = {0.005, 0.01, 0.02};
  Index width = 32, depth = 1, heads = 4, window = 32, batch = 32, steps = 1200, every = 30, seed = 1;
  double tolerance = 1e-2;
  int threads = 0;
  bool quick = false;
};

/// What gradient descent did at one rate.
struct outcome {
  double rate;
  std::vector<double> loss = {};       ///< of each step
  std::vector<Index> measured = {};    ///< after so many steps
  std::vector<double> sharpness = {};  ///< there
  Index products = 0;                  ///< with Hessians
  bool finite = true;

  double edge() const { return 2 / rate; }
  std::string name() const { return "rate " + rounded(rate, 3); }
  /// The first measurement at or above 2 / rate, or their number.
  std::size_t reached() const {
    return static_cast<std::size_t>(std::find_if(sharpness.begin(), sharpness.end(), [&](double s) { return s >= edge(); }) -
                                    sharpness.begin());
  }
};

double median(std::vector<double> x) {
  if (x.empty()) return std::nan("");
  std::nth_element(x.begin(), x.begin() + static_cast<std::ptrdiff_t>(x.size() / 2), x.end());
  return x[x.size() / 2];
}

outcome descend(double rate, const settings& s, const fw::training_batch& all) {
  outcome r{.rate = rate};
  fw::rng weights{static_cast<std::uint64_t>(s.seed)};
  auto model = model_type::make({.vocab = fw::byte_text::vocab, .width = s.width, .depth = s.depth, .heads = s.heads}, weights);
  const auto loss = [&](auto& tape, const auto& m) { return fw::cross_entropy(m(tape, all.input), all.target); };
  const fw::hessian h(model, loss);
  fw::optimizer descent(fw::otherwise(fw::sgd{.rate = rate, .momentum = 0}));
  fw::tape<float> tape;
  fw::progress line(0, s.steps);
  try {
    for (Index step = 0; step <= s.steps; ++step) {
      if (step % s.every == 0) {
        const auto top = fw::largest_eigenvalue(h, {.tolerance = s.tolerance, .seed = static_cast<std::uint64_t>(s.seed)});
        r.measured.push_back(step), r.sharpness.push_back(top.value), r.products += top.products;
      }
      if (step == s.steps) break;
      const auto here = loss(tape, std::as_const(model));
      r.loss.push_back(static_cast<double>(here.item()));
      tape.backward(here);
      descent.step(model);
      line.update(step + 1, r.name() + "  loss " + rounded(r.loss.back(), 3) + "  sharpness " + rounded(r.sharpness.back(), 1) +
                                " of " + rounded(r.edge(), 1));
    }
  } catch (const fw::numeric_error&) {
    r.finite = false;
  }
  return r;
}

/// Share of the steps from first to last after which the loss was higher.
double share_of_rises(const outcome& o, Index first, Index last) {
  Index rises = 0;
  for (Index i = first + 1; i < last; ++i) rises += o.loss[static_cast<std::size_t>(i)] > o.loss[static_cast<std::size_t>(i - 1)];
  return static_cast<double>(rises) / static_cast<double>(std::max<Index>(last - first - 1, 1));
}

int study(settings s) {
  if (s.quick) {
    s.steps = std::min<Index>(s.steps, 40), s.every = std::min<Index>(s.every, 10);
    s.batch = std::min<Index>(s.batch, 4);
  }
  if (s.threads > 0) fw::threads(s.threads);
  std::sort(s.rates.begin(), s.rates.end());
  const auto text = support::text_of(s.text);
  fw::rng data{static_cast<std::uint64_t>(s.seed), 1};
  const auto all = text.draw(s.batch, s.window, data);
  std::printf("formwork %s, %d threads; %lld layers of width %lld, full batches of %lld × %lld bytes, %lld steps\n", fw::simd_name,
              fw::threads(), static_cast<long long>(s.depth), static_cast<long long>(s.width), static_cast<long long>(s.batch),
              static_cast<long long>(s.window), static_cast<long long>(s.steps));
  std::vector<outcome> runs;
  for (const double rate : s.rates) runs.push_back(descend(rate, s, all));

  fw::chart sharp{.title = "Largest eigenvalue of the Hessian", .x = "step", .y = "sharpness"};
  fw::chart losses{.title = "Loss by full batches", .x = "step", .y = "nats per byte"};
  std::printf("\n%10s%10s%12s%12s%12s%14s%12s%12s\n", "rate", "2 / rate", "at start", "largest", "at the end", "reached after",
              "last loss", "products");
  for (const outcome& o : runs) {
    sharp.marks.push_back({"2 / " + rounded(o.rate, 3) + " =", o.edge()});
    for (std::size_t i = 0; i < o.sharpness.size(); ++i) sharp.add(o.name(), static_cast<double>(o.measured[i]), o.sharpness[i]);
    for (std::size_t i = 0; i < o.loss.size(); ++i) losses.add(o.name(), static_cast<double>(i), o.loss[i]);
    const std::size_t at = o.reached();
    std::printf("%10.3f%10.2f%12.2f%12.2f%12.2f%14s%12.4f%12lld%s\n", o.rate, o.edge(), o.sharpness.front(),
                *std::max_element(o.sharpness.begin(), o.sharpness.end()), o.sharpness.back(),
                at < o.sharpness.size() ? std::to_string(o.measured[at]).c_str() : "never", o.loss.back(),
                static_cast<long long>(o.products), o.finite ? "" : "  diverged");
  }
  std::printf("\n");
  support::save_chart(s.out + "_eigenvalue", sharp);
  support::save_chart(s.out + "_loss", losses);
  std::printf("\n");

  const outcome& slowest = runs.front();
  const double least = *std::min_element(slowest.sharpness.begin(), slowest.sharpness.end());
  const double most = *std::max_element(slowest.sharpness.begin(), slowest.sharpness.end());
  support::verdict("progressive sharpening: while gradient descent is stable the largest eigenvalue keeps rising (2103.00065, 3.1)",
                   slowest.name() + ": from " + rounded(slowest.sharpness.front(), 2) + " at the start, " + rounded(least, 2) +
                       " at least, to " + rounded(most, 2) + "; 2 / rate is " + rounded(slowest.edge(), 2),
                   most > 2 * least && most > slowest.sharpness.front());

  std::string hovers, rises;
  bool all_hover = true, all_rise = true;
  Index at_the_edge = 0;
  for (const outcome& o : runs) {
    const std::size_t at = o.reached();
    if (at >= o.sharpness.size()) {
      hovers += (hovers.empty() ? "" : "; ") + o.name() + " does not reach it";
      continue;
    }
    ++at_the_edge;
    const double level = median({o.sharpness.begin() + static_cast<std::ptrdiff_t>(at), o.sharpness.end()}) / o.edge();
    hovers += (hovers.empty() ? "" : "; ") + o.name() + " " + rounded(level, 2) + " × 2 / rate";
    all_hover = all_hover && 0.8 < level && level < 1.5;
    const auto steps = static_cast<Index>(o.loss.size());
    const double before = share_of_rises(o, 0, o.measured[at]), after = share_of_rises(o, o.measured[at], steps);
    const double fell = o.loss[static_cast<std::size_t>(std::min(o.measured[at], steps - 1))] - o.loss.back();
    rises += (rises.empty() ? "" : "; ") + o.name() + " after " + rounded(100 * after, 0) + " % of the steps at the edge, " +
             rounded(100 * before, 0) + " % before, and fell by " + rounded(fell, 2) + " nats there";
    all_rise = all_rise && after > 2 * before && fell > 0;
  }
  support::verdict("the edge of stability: it rises to 2 / rate and hovers just above (2103.00065, 3.2)",
                   "median from the first time on: " + hovers, at_the_edge > 0 && all_hover);
  support::verdict("there the loss rises and falls from step to step, and yet falls in the long run (2103.00065, 3.3)",
                   at_the_edge > 0 ? "rose " + rises : "no rate reaches the edge", at_the_edge > 0 && all_rise);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  settings s;
  CLI::App app{"Trains a small language model by gradient descent at several rates and follows its Hessian's largest eigenvalue."};
  const auto positive = CLI::Range(Index(1), Index(1) << 30);
  app.add_option("--text", s.text, "files to learn from; default: this library's own headers and README");
  app.add_option("--out", s.out, "start of the names of the pictures and tables")->capture_default_str();
  app.add_option("--rates", s.rates, "learning rates")->check(CLI::Range(1e-6, 100.0))->capture_default_str();
  app.add_option("--depth", s.depth, "layers")->check(positive)->capture_default_str();
  app.add_option("--width", s.width, "columns of the residual stream")->check(positive)->capture_default_str();
  app.add_option("--heads", s.heads, "heads; must divide the width")->check(positive)->capture_default_str();
  app.add_option("--window", s.window, "bytes of a training sequence")->check(positive)->capture_default_str();
  app.add_option("--batch", s.batch, "sequences, the same in every step")->check(positive)->capture_default_str();
  app.add_option("--steps", s.steps, "of gradient descent at each rate")->check(positive)->capture_default_str();
  app.add_option("--every", s.every, "steps between measurements")->check(positive)->capture_default_str();
  app.add_option("--tolerance", s.tolerance, "relative, of the eigenvalue")->check(CLI::Range(1e-6, 1.0))->capture_default_str();
  app.add_option("--seed", s.seed, "of everything random")->check(CLI::Range(Index(0), Index(1) << 40))->capture_default_str();
  app.add_option("--threads", s.threads, "0: all cores")->check(CLI::Range(0, 1024))->capture_default_str();
  app.add_flag("--quick", s.quick, "few steps and little text: seconds instead of minutes");
  return support::run(app, argc, argv, [&] { return study(s); });
}
