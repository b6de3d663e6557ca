// SPDX-License-Identifier: MIT
// The low-rank bottleneck: the scores q · k of a head have at most the rank of its key width, so narrow keys cannot attend to
// just anything. What one head of each key width reaches; and on associative recall, what wider keys, fewer heads and talking
// heads do about it. Bhojanapalli et al., 2002.07028; kexue.fm/archives/7325; Shazeer et al., 2003.02436.
#include "support/study.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

namespace fw = formwork;
using fw::Index;
using support::rounded;

namespace {

struct settings {
  std::string out = "bottleneck";
  Index most_keys = 64, fits = 1000;
  Index width = 64, heads = 16, wide_key = 16, few_heads = 4, hidden = 256;
  Index pairs = 64, values = 16, questions = 32, asked = 2, batch = 16, steps = 400, warm_up = 50, seed = 1;
  double rate = 5e-3;
  int threads = 0;
  bool quick = false;

  fw::rng random(std::uint64_t stream) const { return fw::rng(static_cast<std::uint64_t>(seed), stream); }
};

// ---- One head and the attention matrix it should have

/// A random row-stochastic matrix: the softmax of normal scores, which have full rank.
fw::matrix<float> random_attention(Index keys, fw::rng random) {
  constexpr double sharpness = 2;
  fw::matrix<float> p(keys, keys);
  for (Index i = 0; i < keys; ++i) {
    std::vector<double> e(static_cast<std::size_t>(keys));
    for (double& one : e) one = std::exp(sharpness * random.normal());
    const double total = std::accumulate(e.begin(), e.end(), 0.0);
    for (Index j = 0; j < keys; ++j) p(i, j) = static_cast<float>(e[static_cast<std::size_t>(j)] / total);
  }
  return p;
}

double mean_entropy(const fw::matrix<float>& p) {
  double total = 0;
  for (Index i = 0; i < p.rows(); ++i)
    for (Index j = 0; j < p.cols(); ++j) total -= static_cast<double>(p(i, j)) * std::log(static_cast<double>(p(i, j)));
  return total / static_cast<double>(p.rows());
}

fw::matrix<float> identity(Index n) {
  fw::matrix<float> one(n, n, 0.0f);
  for (Index i = 0; i < n; ++i) one(i, i) = 1;
  return one;
}

/// Fits the queries and keys of one head to an attention matrix: the Kullback–Leibler divergence that is left, in nats a row.
/// Inputs are unit vectors, so that queries and keys are free; values and output do nothing, so that the head gives its
/// weights.
double divergence_left(const fw::matrix<float>& wanted, Index key_width, const settings& s) {
  const Index n = wanted.rows();
  const fw::matrix<float> unit = identity(n);
  fw::rng random = s.random(0);
  const fw::sizes sizes{.width = n, .heads = 1, .key_width = key_width};
  auto head = fw::attention<float, fw::full>::make({.sizes = sizes, .random = random});
  for (auto* idle : {&head.value, &head.output}) {
    idle->weight = {fw::matrix<float>(unit), fw::role::matrix};
    fw::freeze(*idle);
  }
  fw::optimizer optimizer(fw::otherwise(fw::adamw{.rate = 0.05, .weight_decay = 0}));
  const fw::schedule rate{.warm_up = 20, .total = s.fits, .last = 0.01};
  fw::tape<float> tape;
  double cross_entropy = 0;
  for (Index step = 0; step < s.fits; ++step) {
    const auto log_weights = map(head(tape.constant(unit)), [](auto p) { return log(p); });
    const auto loss = scale(sum(multiply(tape.constant(wanted), log_weights)), -1.0 / static_cast<double>(n));
    cross_entropy = static_cast<double>(loss.item());
    tape.backward(loss);
    optimizer.step(head, rate(step));
  }
  return std::max(cross_entropy - mean_entropy(wanted), 0.0);  // below 0 by rounding alone
}

// ---- Associative recall

/// Sequences of pairs, a key and a value, then of questions that name `asked` of the keys: which value came with each? A row
/// is the sum of one embedding per part: key, value, first key asked for, second, ...; 0 stands for none.
struct recall_batch {
  std::vector<fw::tokens> part;
  std::vector<std::vector<Index>> target;  ///< of each key asked for
};

recall_batch draw(const settings& s, fw::rng& random) {
  const Index length = s.pairs + s.questions;
  const fw::tokens none(std::vector<Index>(static_cast<std::size_t>(s.batch * length)), fw::sequences::equal(s.batch, length));
  recall_batch r{std::vector(static_cast<std::size_t>(2 + s.asked), none),
                 std::vector(static_cast<std::size_t>(s.asked), std::vector<Index>(none.ids.size(), -1))};
  const auto below = [&](Index n) { return static_cast<Index>(random.below(static_cast<std::uint64_t>(n))); };
  std::vector<Index> value_of(static_cast<std::size_t>(s.pairs));
  for (std::size_t row = 0; row < none.ids.size(); ++row) {
    const Index i = static_cast<Index>(row) % length;
    if (i < s.pairs) {
      r.part[0].ids[row] = 1 + i;
      r.part[1].ids[row] = 1 + (value_of[static_cast<std::size_t>(i)] = below(s.values));
    } else {
      for (std::size_t a = 0; a < r.target.size(); ++a) {
        const Index key = below(s.pairs);
        r.part[2 + a].ids[row] = 1 + key;
        r.target[a][row] = value_of[static_cast<std::size_t>(key)];
      }
    }
  }
  return r;
}

/// One layer, and a head for each key asked for.
template <class Attention>
struct recall_model {
  using scalar = float;
  using layer_type = fw::block<float, Attention, fw::mlp<float>>;

  std::vector<fw::embedding<float>> parts;
  layer_type layer;
  fw::rms_norm<float> norm;
  std::vector<fw::parameter<float>> heads;

  static recall_model make(fw::sizes sizes, const settings& s) {
    fw::rng random = s.random(1);
    recall_model m{{}, layer_type::make({.sizes = sizes, .random = random}), fw::rms_norm<float>::make(sizes.width), {}};
    for (Index part = 0; part < 2 + s.asked; ++part) {
      sizes.vocab = 1 + (part == 1 ? s.values : s.pairs);
      m.parts.push_back(fw::embedding<float>::make({.sizes = sizes, .random = random}));
    }
    const fw::builder b{.sizes = sizes, .random = random};
    for (Index a = 0; a < s.asked; ++a) m.heads.push_back(b.normal<float>(sizes.width, s.values, 0.02, fw::role::head));
    return m;
  }

  /// The scores of the values of each key asked for.
  std::vector<fw::logits<float>> operator()(fw::tape<float>& tape, const recall_batch& x) const {
    auto y = parts[0](tape, x.part[0]);
    for (std::size_t p = 1; p < parts.size(); ++p) y = add(y, parts[p](tape, x.part[p]));
    y = norm(layer(y));
    std::vector<fw::logits<float>> scores;
    for (const auto& head : heads) scores.push_back(fw::logits<float>::by_weight(y, head));
    return scores;
  }

  template <class M>
  static auto fields(M& m) {
    return fw::fields("parts", m.parts, "layer", m.layer, "norm", m.norm, "heads", m.heads);
  }
};

fw::var<float> mean_loss(const std::vector<fw::logits<float>>& scores, const recall_batch& x) {
  auto total = cross_entropy(scores[0], x.target[0]);
  for (std::size_t a = 1; a < scores.size(); ++a) total = add(total, cross_entropy(scores[a], x.target[a]));
  return scale(total, 1 / static_cast<double>(scores.size()));
}

/// The share of right values, of all asked for.
double accuracy(const std::vector<fw::logits<float>>& scores, const recall_batch& x) {
  double right = 0, all = 0;
  for (std::size_t a = 0; a < scores.size(); ++a) {
    const auto score = scores[a].value();
    for (Index i = 0; i < score.rows(); ++i) {
      const Index target = x.target[a][static_cast<std::size_t>(i)];
      const float* row = score.value().row(i);
      if (target < 0) continue;
      all += 1;
      right += std::max_element(row, row + score.cols()) - row == target ? 1 : 0;
    }
  }
  return right / all;
}

struct outcome {
  std::string name;
  Index heads, key_width, hidden, parameters;
  std::vector<std::pair<double, double>> accuracy = {};  ///< on sequences not trained on, by step

  double last() const { return accuracy.back().second; }
  /// The first step at which most answers were right.
  std::string learned_at() const {
    const auto at = std::find_if(accuracy.begin(), accuracy.end(), [](const auto& p) { return p.second >= 0.9; });
    return at == accuracy.end() ? "-" : rounded(at->first, 0);
  }
};

/// Every variant has as many parameters, but for the few that let heads talk: what its queries and keys take, the feed-forward
/// part gives.
template <class Attention>
outcome learn(const std::string& name, Index heads, Index key_width, const settings& s) {
  const fw::sizes sizes{.width = s.width, .heads = heads, .key_width = key_width, .head_width = s.width / heads,
                        .hidden = s.hidden + s.width - heads * key_width};
  auto model = recall_model<Attention>::make(sizes, s);
  outcome r{name, heads, key_width, sizes.hidden, fw::parameter_count(model)};
  fw::optimizer optimizer(fw::otherwise(fw::adamw{.rate = s.rate, .beta2 = 0.98, .weight_decay = 0.01}));
  const fw::schedule rate{.warm_up = s.warm_up, .total = s.steps, .last = 0.05};
  fw::tape<float> tape, quiet{fw::recording::off};
  fw::rng data = s.random(2), others = s.random(3);
  const recall_batch unseen = draw(s, others);
  fw::progress line(0, s.steps);
  for (Index step = 1; step <= s.steps; ++step) {
    const recall_batch batch = draw(s, data);
    const auto loss = mean_loss(model(tape, batch), batch);
    tape.backward(loss);
    fw::clip_by_global_norm(model, 1);
    optimizer.step(model, rate(step - 1));
    if (step % 10 == 0 || step == s.steps)
      r.accuracy.emplace_back(static_cast<double>(step), accuracy(model(quiet, unseen), unseen));
    line.update(step, name + "  loss " + rounded(static_cast<double>(loss.item()), 3));
  }
  return r;
}

// ---- The two studies

void fit_attention_matrices(const settings& s) {
  constexpr double shares[] = {0.125, 0.25, 0.5, 0.75, 1};
  fw::chart left{.title = "Random attention matrices, fitted by one head", .x = "key width / keys",
                 .y = "divergence left, nats per row"};
  std::printf("Divergence that one head leaves to random attention matrices, nats a row\n\n%6s%12s", "keys", "entropy");
  for (const double share : shares) std::printf("   width = %-5g", share);
  std::printf("keys\n");
  double half = 1e9, full = 0;
  std::vector<double> fixed;
  for (Index keys = 16; keys <= s.most_keys; keys *= 2) {
    const auto wanted = random_attention(keys, s.random(static_cast<std::uint64_t>(keys)));
    std::printf("%6lld%12.3f", static_cast<long long>(keys), mean_entropy(wanted));
    for (const double share : shares) {
      const auto key_width = static_cast<Index>(share * static_cast<double>(keys));
      const double divergence = divergence_left(wanted, key_width, s);
      std::printf("%16.5f", divergence);
      std::fflush(stdout);
      left.add(std::to_string(keys) + " keys", share, divergence);
      if (share == 0.5) half = std::min(half, divergence);
      if (share == 1) full = std::max(full, divergence);
      if (key_width == 8) fixed.push_back(divergence);
    }
    std::printf("\n");
  }
  std::printf("\n");
  support::save_chart(s.out + "_fit", left);
  std::printf("\n");
  support::verdict("a key width of n reaches every attention of n keys, a smaller one does not (2002.07028, theorem 1)",
                   "left at n: at most " + rounded(full, 5) + "; at n / 2: at least " + rounded(half, 5) + " nats a row",
                   full < 1e-3 && half > 1e-3);
  std::string rising;
  for (const double divergence : fixed) rising += (rising.empty() ? "" : ", ") + rounded(divergence, 3);
  support::verdict("so one key width falls the shorter the more keys there are (2002.07028; 7325)",
                   "width 8 leaves " + rising + " nats a row of 16, 32, ... keys", std::is_sorted(fixed.begin(), fixed.end()));
}

void learn_to_recall(const settings& s) {
  using plain = fw::attention<float, fw::causal>;
  using talking = fw::attention<float, fw::causal, fw::talking_heads<float>>;
  const auto of = [](Index heads, Index key_width) { return std::to_string(heads) + " of " + std::to_string(key_width); };
  const Index narrow_key = s.width / s.heads, few_key = s.width / s.few_heads;
  const std::vector<outcome> all{learn<plain>(of(s.heads, narrow_key), s.heads, narrow_key, s),
                                 learn<talking>(of(s.heads, narrow_key) + ", talking", s.heads, narrow_key, s),
                                 learn<plain>(of(s.heads, s.wide_key), s.heads, s.wide_key, s),
                                 learn<plain>(of(s.few_heads, few_key), s.few_heads, few_key, s),
                                 learn<plain>(of(1, s.width), 1, s.width, s)};
  fw::chart curves{.title = "Recall of " + std::to_string(s.asked) + " of " + std::to_string(s.pairs) + " pairs at once",
                   .x = "step", .y = "share of right answers", .marks = {{"chance", 1 / static_cast<double>(s.values)}}};
  std::printf("Associative recall: questions for %lld of %lld pairs at once, %lld values\n\n", static_cast<long long>(s.asked),
              static_cast<long long>(s.pairs), static_cast<long long>(s.values));
  std::printf("%-22s%8s%12s%12s%14s%12s%12s\n", "heads of width", "heads", "key width", "mlp hidden", "parameters", "right",
              "90 % at");
  for (const outcome& o : all) {
    std::printf("%-22s%8lld%12lld%12lld%14lld%12.4f%12s\n", o.name.c_str(), static_cast<long long>(o.heads),
                static_cast<long long>(o.key_width), static_cast<long long>(o.hidden), static_cast<long long>(o.parameters),
                o.last(), o.learned_at().c_str());
    for (const auto& [step, right] : o.accuracy) curves.add(o.name, step, right);
  }
  std::printf("\n");
  support::save_chart(s.out + "_recall", curves);
  std::printf("\n");

  const auto& [narrow, talk, wide, few, one] = std::tie(all[0], all[1], all[2], all[3], all[4]);
  const auto percent = [](const outcome& o) { return rounded(100 * o.last(), 1) + " %"; };
  const auto better = [](const outcome& a, const outcome& b) { return a.last() > b.last() + 0.02; };
  support::verdict("raising only the key width helps, at the same number of parameters (7325; 2002.07028)",
                   percent(wide) + " right with keys of " + std::to_string(s.wide_key) + ", " + percent(narrow) +
                       " with keys of " + std::to_string(narrow_key),
                   better(wide, narrow));
  support::verdict("talking heads help: scores mixed over heads have the heads' ranks together (7325; 2003.02436)",
                   percent(talk) + " right where heads talk, " + percent(narrow) + " where they do not", better(talk, narrow));
  support::verdict("where keys are width / heads, more heads end up worse than fewer, though one is not enough (2002.07028)",
                   percent(one) + " right with 1 head, " + percent(few) + " with " + std::to_string(s.few_heads) + ", " +
                       percent(narrow) + " with " + std::to_string(s.heads),
                   better(few, narrow) && better(few, one));
}

int study(settings s) {
  if (s.quick) s.most_keys = 16, s.fits = 200, s.steps = std::min<Index>(s.steps, 5), s.batch = 2;
  fw::require(s.width % s.heads == 0 && s.width % s.few_heads == 0, "bottleneck: width ", s.width,
              " is not divisible by heads ", s.heads, " and ", s.few_heads);
  fw::require(s.heads * s.wide_key < s.hidden + s.width, "bottleneck: ", s.heads, " keys of ", s.wide_key,
              " leave nothing of hidden ", s.hidden, "; needs heads · wide-key < hidden + width");
  if (s.threads > 0) fw::threads(s.threads);
  std::printf("formwork %s, %d threads\n\n", fw::simd_name, fw::threads());
  fit_attention_matrices(s);
  learn_to_recall(s);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  settings s;
  CLI::App app{"Shows what keys too narrow cost attention, and what wider keys, fewer heads and talking heads do about it."};
  const auto size = [&](const char* name, Index& value, const char* help) {
    app.add_option(name, value, help)->check(CLI::Range(Index(1), Index(1) << 30))->capture_default_str();
  };
  app.add_option("--out", s.out, "start of the names of the pictures and tables")->capture_default_str();
  size("--most-keys", s.most_keys, "of the attention matrices fitted: 16, 32, ...");
  size("--fits", s.fits, "steps of each fit");
  size("--width", s.width, "columns of the recalling model");
  size("--heads", s.heads, "many; must divide the width");
  size("--few-heads", s.few_heads, "must divide the width");
  size("--wide-key", s.wide_key, "key width of the many heads, instead of width / heads");
  size("--hidden", s.hidden, "of the feed-forward part, less what wider keys take");
  size("--pairs", s.pairs, "of a key and a value, in a sequence");
  size("--values", s.values, "there are");
  size("--questions", s.questions, "in a sequence");
  size("--asked", s.asked, "keys that a question names");
  size("--batch", s.batch, "sequences a step");
  size("--steps", s.steps, "training steps of each");
  app.add_option("--rate", s.rate, "peak learning rate of AdamW")->check(CLI::Range(0.0, 10.0))->capture_default_str();
  size("--seed", s.seed, "of everything random");
  app.add_option("--threads", s.threads, "0: all cores")->check(CLI::Range(0, 1024))->capture_default_str();
  app.add_flag("--quick", s.quick, "a few steps: seconds instead of minutes");
  return support::run(app, argc, argv, [&] { return study(s); });
}
