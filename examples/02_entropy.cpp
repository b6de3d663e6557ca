// SPDX-License-Identifier: MIT
// Does attention keep its focus when there is more to look at? The entropy of its rows under 1/√d and under log n, for random
// and for trained queries and keys, and what a model loses beyond its training length. kexue.fm/archives/8823, 9034 and 9706.
#include "support/long_context.hpp"

#include <map>

namespace fw = formwork;
using fw::Index;
using support::rounded;

namespace {

struct settings : support::long_context_settings {
  Index keys = 32768, rows = 2048;
};

/// log n for a model that was trained without it: a scale of our own. Up to the training length it is 1/√d.
struct log_n_beyond {
  using plugs_into = fw::slot::scale;
  static constexpr double never = std::numeric_limits<double>::infinity();

  double training_length = never;

  double operator()(fw::scale_site at) const {
    const double n = std::log(static_cast<double>(std::max<Index>(at.visible_keys, 1))) / std::log(training_length);
    return std::max(1.0, n) / std::sqrt(static_cast<double>(at.key_width));
  }
};
static_assert(fw::scale_policy<log_n_beyond>);

template <class Mask, class Scale>
auto policies(Mask mask, Scale scale) {
  return fw::attend_policies{mask, scale, fw::plain{}, fw::softmax{}, fw::independent{}};
}

/// The entropy of each row's weights, (rows × heads), in nats. The weights themselves are never held: H = log Σ exp s - Σ p s,
/// the kernel keeps the first term, and Σ p s = factor q · Σ p k, where Σ p k is attention with the keys as values.
template <class Policies>
fw::matrix<float> row_entropies(fw::view<const float> q, fw::view<const float> k, const fw::sequences& batch,
                                const fw::sequences& key_batch, Index heads, const Policies& by) {
  const Index d = q.cols() / heads;
  fw::matrix<float> mean_key(q.rows(), q.cols()), entropy(q.rows(), heads);
  fw::attend_forward<float>(mean_key, entropy, q, k, k, batch, key_batch, {heads, heads, d, d}, by);
  for (Index s = 0; s < batch.count(); ++s)
    for (Index i = 0; i < batch.length(s); ++i) {
      const fw::query_site at{batch.start(s) + i, key_batch.length(s), s};
      const double factor = by.scale(fw::scale_site{by.mask.count(at), d, at.position});
      const Index row = batch.first(s) + i;
      for (Index h = 0; h < heads; ++h) {
        double mean_score = 0;
        for (Index c = h * d; c < (h + 1) * d; ++c)
          mean_score += factor * static_cast<double>(q.row(row)[c]) * static_cast<double>(mean_key(row, c));
        entropy(row, h) -= static_cast<float>(mean_score);
      }
    }
  return entropy;
}

double mean(fw::view<const float> m) { return fw::eigen(m).template cast<double>().mean(); }

/// Of rows whose scores under 1/√d have that deviation and which see n random keys, d = 64. However many keys a row sees, as
/// many are drawn in all, for as many rows.
template <class Scale>
double random_entropy(Index n, double deviation, const Scale& scale, const settings& s) {
  constexpr Index d = 64;
  const Index draws = std::max<Index>(1, std::min(s.keys / n, s.rows));
  const auto batch = fw::sequences::equal(draws, std::max<Index>(1, s.rows / draws)), keys = fw::sequences::equal(draws, n);
  fw::rng random{static_cast<std::uint64_t>(s.seed), static_cast<std::uint64_t>(n)};
  fw::matrix<float> q(batch.rows(), d), k(keys.rows(), d);
  random.fill_normal(q, deviation);
  random.fill_normal(k, 1);
  return mean(row_entropies(q, k, batch, keys, 1, policies(fw::full{}, scale)));
}

/// Of a trained model's rows that see `keys` keys, all layers and heads, on windows of the held-out text: by n.
template <class Model>
std::map<Index, double> trained_entropy(const Model& model, const settings& s, const fw::byte_text& text) {
  const Index longest = support::longest_multiple * s.window, places = s.quick ? 2 : 16;
  fw::training_batch some;
  text.held_out_windows(0, places, longest, some);
  const fw::sequences& batch = some.input.batch;
  fw::tape<float> quiet{fw::recording::off};
  std::map<Index, double> r;
  auto x = model.embed(quiet, some.input);
  for (const auto& kind : model.layers)
    std::visit(
        [&](const auto& layer) {
          const auto& mix = layer.mix;
          const auto u = layer.norm1(x);
          fw::matrix<float> q(mix.query(u).value()), k(mix.key(u).value());
          const auto turns = mix.position.template table<float>(mix.shape.key_width, longest);
          mix.position.rotate(q.all(), mix.shape.heads, turns, batch, fw::direction::forward);
          mix.position.rotate(k.all(), mix.shape.heads, turns, batch, fw::direction::forward);
          const auto h = row_entropies(q, k, batch, batch, mix.shape.heads, policies(mix.mask, mix.scale));
          for (Index n = 4; n <= longest; n *= 2)
            for (Index w = 0; w < batch.count(); ++w)
              r[n] += mean(h.rows(batch.first(w) + n - n / 4, n / 4)) / static_cast<double>(batch.count() * s.depth);
          x = layer(x);
        },
        kind);
  return r;
}

/// How fast the entropy grows with log n: 1 where a row looks at as large a share of its keys however many there are, 0 where
/// at as many keys.
double slope(const std::map<Index, double>& entropy, Index from, Index to) {
  return (entropy.at(to) - entropy.at(from)) / std::log(static_cast<double>(to) / static_cast<double>(from));
}

void print_entropies(const std::string& name, const std::map<Index, double>& entropy) {
  std::printf("%-28s", name.c_str());
  for (const auto& [n, h] : entropy) std::printf("%8.3f", h);
  std::printf("\n");
}

void add(fw::chart& to, const std::string& name, const std::map<Index, double>& entropy) {
  for (const auto& [n, h] : entropy) to.add(name, std::log2(static_cast<double>(n)), h);
}

void random_rows(const settings& s) {
  std::map<std::string, std::map<Index, double>> of;
  const double deviations[] = {1, 3};
  const auto key = [](const char* scale, double deviation) { return std::string(scale) + ", deviation " + rounded(deviation, 0); };
  std::printf("\nEntropy of rows of random scores, in nats\n%-28s", "keys");
  for (Index n = 64; n <= s.keys; n *= 2) {
    std::printf("%8lld", static_cast<long long>(n));
    for (const double deviation : deviations) {
      of[key("inv_sqrt", deviation)][n] = random_entropy(n, deviation, fw::inv_sqrt{}, s);
      of[key("log_n", deviation)][n] = random_entropy(n, deviation, fw::log_n{}, s);
    }
  }
  std::printf("\n");
  fw::chart drawn{.title = "Entropy of rows of random scores", .x = "log2 of keys", .y = "nats"};
  for (const auto& [name, entropy] : of) print_entropies(name, entropy), add(drawn, name, entropy);
  support::save_chart(s.out + "_random", drawn);

  const auto growth = [&](const char* scale, double deviation) { return slope(of.at(key(scale, deviation)), 64, s.keys); };
  const auto both = [&](const char* scale) { return rounded(growth(scale, 1), 2) + " and " + rounded(growth(scale, 3), 2); };
  std::printf("\n");
  support::verdict("under 1/√d the entropy of a row grows like log n (9034)",
                   "by " + both("inv_sqrt") + " log n for scores of deviation 1 and 3",
                   growth("inv_sqrt", 1) > 0.5 && growth("inv_sqrt", 3) > 0.5);
  support::verdict("under log n it hardly depends on n (8823): by less than 0.1 log n", "by " + both("log_n") + " log n",
                   std::abs(growth("log_n", 1)) < 0.1 && std::abs(growth("log_n", 3)) < 0.1);
  support::verdict("under log n it grows more slowly than under 1/√d, the more so the further scores spread",
                   both("log_n") + " against " + both("inv_sqrt"),
                   growth("log_n", 1) < growth("inv_sqrt", 1) &&
                       growth("log_n", 3) / growth("inv_sqrt", 3) < growth("log_n", 1) / growth("inv_sqrt", 1));
}

void trained_rows(const settings& s) {
  const auto text = support::long_text_of(s);
  const auto length = static_cast<double>(s.window);
  std::printf("\nModels trained on windows of %lld bytes, text of %lld bytes\n", static_cast<long long>(s.window),
              static_cast<long long>(text.size()));
  // Up to the training length log_n_beyond is 1/√d whatever its value: one model is tested with both.
  auto plain = support::trained("inv_sqrt", log_n_beyond{}, s, text);
  const auto with_log_n = support::trained("log_n", fw::log_n{.base = length, .smallest = 16}, s, text);

  struct result {
    std::string name;
    std::map<Index, double> entropy, loss;
  };
  std::vector<result> all;
  const auto test = [&](const std::string& name, const auto& model) {
    result r{name, trained_entropy(model, s, text), {}};
    for (const Index m : support::multiples) r.loss[m] = support::loss_in_context(model, s, text, m);
    all.push_back(std::move(r));
  };
  test("inv_sqrt", plain);
  for (auto& kind : plain.layers) std::visit([&](auto& layer) { layer.mix.scale.training_length = length; }, kind);
  test("inv_sqrt, log n beyond", plain);
  test("log_n", with_log_n);

  fw::chart entropies{.title = "Entropy of trained rows", .x = "log2 of keys", .y = "nats"};
  fw::chart losses{.title = "Loss of the same bytes in a longer context", .x = "training lengths", .y = "nats per byte",
                   .marks = {{"bigram entropy", text.bigram_entropy()}}};
  std::printf("\nEntropy of trained rows, in nats\n%-28s", "keys");
  for (const auto& [n, h] : all[0].entropy) std::printf("%8lld", static_cast<long long>(n));
  std::printf("\n");
  for (const result& r : all) print_entropies(r.name, r.entropy), add(entropies, r.name, r.entropy);
  std::printf("\nLoss of the same bytes, in nats per byte\n%-28s", "training lengths");
  for (const Index m : support::multiples) std::printf("%8lld", static_cast<long long>(m));
  std::printf("\n");
  for (const result& r : all) {
    print_entropies(r.name, r.loss);
    for (const auto& [m, loss] : r.loss) losses.add(r.name, static_cast<double>(m), loss);
  }
  support::save_chart(s.out + "_trained", entropies);
  support::save_chart(s.out + "_loss", losses);
  std::printf("\n");
}

int study(settings s) {
  if (s.quick) s.keys = std::min<Index>(s.keys, 4096), s.rows = 512, s.steps = std::min<Index>(s.steps, 20), s.tests = 16;
  if (s.threads > 0) fw::threads(s.threads);
  std::printf("formwork %s, %d threads\n", fw::simd_name, fw::threads());
  random_rows(s);
  trained_rows(s);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  settings s;
  s.out = "entropy";
  CLI::App app{"Measures the entropy of attention's rows under 1/√d and log n, and the loss of models in contexts longer than trained on."};
  app.add_option("--keys", s.keys, "most random keys a row sees")->check(CLI::Range(Index(128), Index(1) << 24))->capture_default_str();
  app.add_option("--rows", s.rows, "rows of random queries")->check(CLI::Range(Index(1), Index(1) << 24))->capture_default_str();
  support::add_options(app, s);
  return support::run(app, argc, argv, [&] { return study(s); });
}
