// SPDX-License-Identifier: MIT
// A hundred layers, joined in four ways: how much one step moves the output, which layers the gradient reaches, and what is
// learned. kexue.fm/archives/8978 and 9009; Wang et al., 2203.00555.
#include "support/study.hpp"

namespace fw = formwork;
using fw::Index;
using support::rounded;

namespace {

using attention = fw::attention<float, fw::causal, fw::rope<>>;
template <class Residual>
using model_of = fw::language_model<float, fw::block<float, Residual, attention, fw::mlp<float>>>;

struct settings {
  std::vector<std::string> text;
  std::string out = "depth";
  Index depth = 100, width = 32, heads = 4, window = 64, batch = 8, steps = 150, warm_up = 10, seed = 1;
  double rate = 2e-3;
  int threads = 0;
  bool quick = false;
};

/// What one way of joining did.
struct outcome {
  std::string name;
  std::vector<double> gradient = {};  ///< of each layer's matrices, at the start
  double moved = 0;              ///< root mean square change of the hidden rows by the first step of AdamW, relative to theirs
  std::vector<double> loss = {};
  double validation = 0;
  bool finite = true;
};

/// ‖gradient‖ of each layer's matrices.
template <class Model>
std::vector<double> gradient_by_layer(const Model& model) {
  std::vector<double> r;
  for (const auto& layer : model.layers) {
    double square = 0;
    fw::for_each_parameter(layer, [&](const auto& p) {
      if (p.kind() == fw::role::matrix && p.has_gradient()) square += fw::squared_norm(p.gradient());
    });
    r.push_back(std::sqrt(square));
  }
  return r;
}

template <class Model>
fw::matrix<float> hidden_rows(const Model& model, const fw::tokens& x) {
  fw::tape<float> quiet{fw::recording::off};
  return fw::matrix<float>(model(quiet, x).hidden.value());
}

double relative_change(const fw::matrix<float>& from, const fw::matrix<float>& to) {
  fw::matrix<float> difference(from.rows(), from.cols());
  fw::transform(difference.all(), [](auto a, auto b) { return a - b; }, to, from);
  return std::sqrt(fw::squared_norm(difference) / fw::squared_norm(from));
}

template <class Residual>
outcome run(const std::string& name, const Residual& residual, const settings& s, const fw::byte_text& text) {
  outcome r{.name = name};
  fw::rng weights{static_cast<std::uint64_t>(s.seed)}, data{static_cast<std::uint64_t>(s.seed), 1};
  const fw::sizes sizes{.vocab = fw::byte_text::vocab, .width = s.width, .depth = s.depth, .heads = s.heads};
  auto model = model_of<Residual>::make(sizes, weights, residual);
  fw::optimizer optimizer(fw::otherwise(fw::adamw{.rate = s.rate, .beta2 = 0.98}));
  const fw::schedule rate{.warm_up = s.warm_up, .total = s.steps, .last = 0.1};
  fw::tape<float> tape;
  fw::progress line(0, s.steps);

  const auto first = text.draw(s.batch, s.window, data);
  tape.backward(fw::cross_entropy(model(tape, first.input), first.target));
  r.gradient = gradient_by_layer(model);
  const auto before = hidden_rows(model, first.input);
  {
    auto moved = model;
    fw::tape<float> own;
    own.backward(fw::cross_entropy(moved(own, first.input), first.target));
    fw::optimizer(fw::otherwise(fw::adamw{.rate = 1e-3, .weight_decay = 0})).step(moved);
    r.moved = relative_change(before, hidden_rows(moved, first.input));
  }
  fw::for_each_parameter(model, [](auto& p) { p.mark_stale(); });

  fw::training_batch batch;
  for (Index step = 0; step < s.steps && r.finite; ++step) {
    text.draw(s.batch, s.window, data, batch);
    try {
      r.loss.push_back(support::train_step(model, optimizer, tape, batch, rate(step)));
      line.update(step + 1, name + "  loss " + rounded(r.loss.back(), 3));
    } catch (const fw::numeric_error&) {
      r.finite = false;
    }
  }
  r.validation = r.finite ? support::validate(model, text, s.window, s.batch, s.quick ? 16 : 256) : std::nan("");
  return r;
}

/// The mean of the last tenth.
double last_loss(const outcome& o) {
  const std::size_t n = o.loss.size(), few = std::max<std::size_t>(n / 10, 1);
  double total = 0;
  for (std::size_t i = n - std::min(n, few); i < n; ++i) total += o.loss[i];
  return n > 0 ? total / static_cast<double>(std::min(n, few)) : std::nan("");
}

int study(settings s) {
  if (s.quick) s.depth = std::min<Index>(s.depth, 24), s.steps = std::min<Index>(s.steps, 8);
  if (s.threads > 0) fw::threads(s.threads);
  const auto text = support::text_of(s.text);
  std::printf("formwork %s, %d threads; %lld layers of width %lld, %lld steps of %lld × %lld bytes\n", fw::simd_name, fw::threads(),
              static_cast<long long>(s.depth), static_cast<long long>(s.width), static_cast<long long>(s.steps),
              static_cast<long long>(s.batch), static_cast<long long>(s.window));
  using norm = fw::deep_norm<fw::layer_norm>;
  const std::vector<outcome> all{run("post_norm", fw::post_norm<fw::layer_norm>{}, s, text),
                                 run("pre_norm", fw::pre_norm<fw::layer_norm>{}, s, text),
                                 run("deep_norm", norm{}, s, text),
                                 run("deep_norm for signs", norm{.against = fw::deepening::sign}, s, text)};

  fw::chart gradients{.title = "Gradient of each layer's matrices at the start", .x = "layer", .y = "log10 of the norm"};
  fw::chart losses{.title = "Loss of " + std::to_string(s.depth) + " layers", .x = "step", .y = "nats per byte",
                   .marks = {{"bigram entropy", text.bigram_entropy()}}};
  std::printf("\n%-22s%16s%16s%16s%12s%14s\n", "residual", "first step moves", "gradient first", "gradient last", "last loss", "validation");
  for (const outcome& o : all) {
    for (std::size_t l = 0; l < o.gradient.size(); ++l)
      gradients.add(o.name, static_cast<double>(l + 1), std::log10(std::max(o.gradient[l], 1e-12)));
    double smooth = o.loss.empty() ? 0 : o.loss[0];
    for (std::size_t i = 0; i < o.loss.size(); ++i) losses.add(o.name, static_cast<double>(i + 1), smooth = 0.9 * smooth + 0.1 * o.loss[i]);
    std::printf("%-22s%16.4g%16.4g%16.4g%12.4f%14.4f\n", o.name.c_str(), o.moved, o.gradient.front(), o.gradient.back(), last_loss(o), o.validation);
  }
  std::printf("\n");
  support::save_chart(s.out + "_gradient", gradients);
  support::save_chart(s.out + "_loss", losses);
  std::printf("\n");

  const auto& [post, pre, deep, sign] = std::tie(all[0], all[1], all[2], all[3]);
  const auto ratio = [](const outcome& o) { return o.gradient.back() / o.gradient.front(); };
  support::verdict("post_norm's gradient is largest at the last layers, pre_norm's at the first (2002.04745; 2203.00555)",
                   "last / first: post_norm " + rounded(ratio(post), 2) + ", pre_norm " + rounded(ratio(pre), 2),
                   ratio(post) > 1 && ratio(pre) < 1);
  support::verdict("deep_norm's first step moves the output far less than post_norm's (8978; 2203.00555)",
                   "by " + rounded(100 * deep.moved, 2) + " %, with the constants for signs " + rounded(100 * sign.moved, 2) +
                       " %, post_norm by " + rounded(100 * post.moved, 2) + " %, pre_norm by " + rounded(100 * pre.moved, 2) + " %",
                   sign.moved < deep.moved && deep.moved < post.moved);
  const bool stalls = !(last_loss(post) < last_loss(deep) + 0.1);
  support::verdict("at " + std::to_string(s.depth) + " layers post_norm stalls where pre_norm and deep_norm train (2203.00555)",
                   "last losses: post_norm " + rounded(last_loss(post), 3) + ", pre_norm " + rounded(last_loss(pre), 3) +
                       ", deep_norm " + rounded(last_loss(deep), 3) + " nats per byte",
                   stalls && last_loss(pre) < last_loss(post) - 0.1);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  settings s;
  CLI::App app{"Trains a hundred layers with post_norm, pre_norm and deep_norm and compares how steps move them."};
  const auto positive = CLI::Range(Index(1), Index(1) << 30);
  app.add_option("--text", s.text, "files to learn from; default: this library's own headers and README");
  app.add_option("--out", s.out, "start of the names of the pictures and tables")->capture_default_str();
  app.add_option("--depth", s.depth, "layers")->check(positive)->capture_default_str();
  app.add_option("--width", s.width, "columns of the residual stream")->check(positive)->capture_default_str();
  app.add_option("--heads", s.heads, "heads; must divide the width")->check(positive)->capture_default_str();
  app.add_option("--window", s.window, "bytes of a training sequence")->check(positive)->capture_default_str();
  app.add_option("--batch", s.batch, "sequences a step")->check(positive)->capture_default_str();
  app.add_option("--steps", s.steps, "training steps of each")->check(positive)->capture_default_str();
  app.add_option("--rate", s.rate, "peak learning rate of AdamW")->check(CLI::Range(0.0, 10.0))->capture_default_str();
  app.add_option("--seed", s.seed, "of everything random")->check(CLI::Range(Index(0), Index(1) << 40))->capture_default_str();
  app.add_option("--threads", s.threads, "0: all cores")->check(CLI::Range(0, 1024))->capture_default_str();
  app.add_flag("--quick", s.quick, "24 layers, a few steps: seconds instead of minutes");
  return support::run(app, argc, argv, [&] { return study(s); });
}
