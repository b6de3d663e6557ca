// SPDX-License-Identifier: MIT
// Does attention keep its focus when there is more to look at? The entropy of its rows under 1/√d and under log n, for random
// and for trained queries and keys, and what a model loses beyond its training length. kexue.fm/archives/8823, 9034 and 9706.
#include "support/long_context.hpp"

namespace fw = formwork;
using fw::Index;
using support::beyond;
using support::by_length;
using support::rounded;

namespace {

template <class Scale>
using attention_with = fw::attention<float, fw::causal, fw::rope<>, Scale, fw::row_entropy>;
template <class Scale>
using model_with = fw::language_model<float, fw::block<float, attention_with<Scale>, fw::gated_mlp<float, fw::silu>>>;

struct settings : support::long_context_settings {
  Index keys = 32768, rows = 2048;
};

/// log n for a model that was trained without it: a scale of our own. Up to the training length it is 1/√d.
struct log_n_beyond {
  using plugs_into = fw::slot::scale;

  double training_length = std::numeric_limits<double>::infinity();

  double operator()(fw::scale_site at) const {
    const double n = std::log(static_cast<double>(std::max<Index>(at.visible_keys, 1))) / std::log(training_length);
    return std::max(1.0, n) / std::sqrt(static_cast<double>(at.key_width));
  }
};
static_assert(fw::scale_policy<log_n_beyond>);

double mean(fw::view<const float> m) { return fw::eigen(m).template cast<double>().mean(); }

/// Of rows whose scores under 1/√d have that deviation and which see n random keys, d = 64. However many keys a row sees, as
/// many are drawn in all, for as many rows.
template <class Scale>
double random_entropy(Index n, double deviation, const Scale& scale, const settings& s) {
  constexpr Index d = 64;
  const Index draws = std::max<Index>(1, std::min(s.keys / n, s.rows));
  const auto batch = fw::sequences::equal(draws, std::max<Index>(1, s.rows / draws));
  const auto keys = fw::sequences::equal(draws, n);
  fw::rng random{static_cast<std::uint64_t>(s.seed), static_cast<std::uint64_t>(n)};
  fw::matrix<float> q(batch.rows(), d), k(keys.rows(), d), out(batch.rows(), d), kept(batch.rows(), 1), entropy(batch.rows(), 1);
  random.fill_normal(q, deviation);
  random.fill_normal(k, 1);
  const fw::head_shape one{1, 1, d, d};
  const fw::attend_policies by{fw::full{}, scale, fw::plain{}, fw::softmax{}, fw::independent{}};
  fw::attend_forward<float>(out, kept, q, k, k, batch, keys, one, by);
  fw::attend_observe<float>({entropy}, kept, q, k, batch, keys, one, by, std::tuple(fw::row_entropy{}));
  return mean(entropy);
}

/// Of a trained model's rows in all layers and heads, on windows of the held-out text, by the number of keys they see.
template <class Model>
by_length trained_entropy(const Model& model, const settings& s, const fw::byte_text& text) {
  const Index longest = support::longest_multiple * s.window, places = s.quick ? 2 : 16;
  fw::training_batch some;
  text.held_out_windows(0, places, longest, some);
  const fw::sequences& batch = some.input.batch;
  fw::tape<float> quiet{fw::recording::off};
  fw::observations<float> seen;
  quiet.watch(seen);
  model(quiet, some.input);
  by_length r;
  for (const auto& [observer, entropy] : seen)
    for (Index n = longest; n >= 4; n /= 2)
      for (Index w = 0; w < batch.count(); ++w)
        r[n] += mean(entropy.rows(batch.first(w) + n - n / 4, n / 4)) / static_cast<double>(batch.count() * s.depth);
  return r;
}

/// How fast the entropy grows with log n: 1 where a row looks at as large a share of its keys however many there are, 0 where
/// at as many keys.
double growth(const by_length& entropy, Index from) {
  const auto [most, last] = *entropy.rbegin();
  return (last - entropy.at(from)) / std::log(static_cast<double>(most) / static_cast<double>(from));
}

void add(fw::chart& to, const std::string& name, const by_length& entropy) {
  for (const auto& [n, h] : entropy) to.add(name, std::log2(static_cast<double>(n)), h);
}

void random_rows(const settings& s) {
  const std::string title = "Entropy of rows of random scores of standard deviation (sd) 1 and 3";
  const double deviations[] = {1, 3};
  by_length plain[2], log_n[2];
  for (Index n = 64; n <= s.keys; n *= 2)
    for (const std::size_t i : {0u, 1u}) {
      plain[i][n] = random_entropy(n, deviations[i], fw::inv_sqrt{}, s);
      log_n[i][n] = random_entropy(n, deviations[i], fw::log_n{}, s);
    }
  fw::chart drawn{.title = title, .x = "log2 of keys", .y = "nats"};
  support::print_header(title + ", in nats", "keys", plain[0]);
  const auto show = [&](const std::string& name, const by_length& entropy) {
    support::print_row(name, entropy);
    add(drawn, name, entropy);
  };
  for (const std::size_t i : {0u, 1u}) {
    show("inv_sqrt sd " + rounded(deviations[i], 0), plain[i]);
    show("log_n sd " + rounded(deviations[i], 0), log_n[i]);
  }
  support::save_chart(s.out + "_random", drawn);
  std::printf("\n");

  const auto of = [](const by_length& entropy) { return growth(entropy, 64); };
  const auto both = [&](const by_length (&e)[2]) { return rounded(of(e[0]), 2) + " and " + rounded(of(e[1]), 2); };
  support::verdict("under 1/√d the entropy of a row grows like log n (9034)",
                   "by " + both(plain) + " log n for scores of deviation 1 and 3", of(plain[0]) > 0.5 && of(plain[1]) > 0.5);
  support::verdict("under log n it hardly depends on n (8823): by less than 0.1 log n", "by " + both(log_n) + " log n",
                   std::abs(of(log_n[0])) < 0.1 && std::abs(of(log_n[1])) < 0.1);
  support::verdict("under log n it grows more slowly than under 1/√d, the more so the further scores spread",
                   both(log_n) + " against " + both(plain),
                   of(log_n[0]) < of(plain[0]) && of(log_n[1]) / of(plain[1]) < of(log_n[0]) / of(plain[0]));
}

/// What trained models do in contexts longer than those they learned from, on their mean.
struct result {
  std::string name;
  by_length entropy = {}, loss = {};
};

template <class Model>
void test(result& r, const Model& model, const settings& s, const fw::byte_text& text) {
  const double share = 1 / static_cast<double>(s.trainings);
  for (const auto& [n, h] : trained_entropy(model, s, text)) r.entropy[n] += share * h;
  for (const Index m : support::multiples) r.loss[m] += share * support::loss_in_context(model, s, text, m);
}

void trained_rows(const settings& s, const fw::byte_text& text) {
  const auto length = static_cast<double>(s.window);
  result plain{"inv_sqrt"}, late{"log_n_beyond"}, log_n{"log_n"};
  const auto under = [&]<class Scale>(const Scale& scale) {
    return [&s, scale](fw::rng& weights) { return model_with<Scale>::make(support::sizes_of(s), weights, scale); };
  };
  // Up to the training length log_n_beyond is 1/√d whatever its value: one model is tested with both.
  support::each_trained("inv_sqrt", s, text, under(log_n_beyond{}), [&](auto& model) {
    test(plain, model, s, text);
    fw::assign(model, log_n_beyond{.training_length = length});
    test(late, model, s, text);
  });
  support::each_trained("log_n", s, text, under(fw::log_n{.base = length, .smallest = 16}),
                        [&](const auto& model) { test(log_n, model, s, text); });

  fw::chart entropies{.title = "Entropy of trained rows", .x = "log2 of keys", .y = "nats"};
  support::print_header("Entropy of trained rows, in nats", "keys", plain.entropy);
  for (const result* r : {&plain, &late, &log_n}) {
    support::print_row(r->name, r->entropy);
    add(entropies, r->name, r->entropy);
  }
  support::save_chart(s.out + "_trained", entropies);
  auto losses = support::chart_of_losses("", text);
  support::print_header("Loss of the same bytes, in nats per byte", "training lengths", plain.loss);
  for (const result* r : {&plain, &late, &log_n}) {
    support::print_row(r->name, r->loss);
    for (const auto& [m, loss] : r->loss) losses.add(r->name, static_cast<double>(m), loss);
  }
  support::save_chart(s.out + "_loss", losses);

  const auto of = [&](const result& r) { return growth(r.entropy, s.window); };
  const auto said = [](const result& r) {
    return r.name + " " + rounded(r.loss.at(1), 3) + ", then " + rounded(beyond(r.loss), 3);
  };
  std::printf("\nLosses at the training length, then on the mean of those beyond it\n\n");
  support::verdict("beyond the training length the entropy of rows trained under log n grows more slowly (8823)",
                   "by " + rounded(of(log_n), 2) + " log n, under 1/√d by " + rounded(of(plain), 2) + " log n",
                   of(log_n) < of(plain));
  support::verdict("a model trained with log n loses less beyond its training length (8823)", said(log_n) + "; " + said(plain),
                   beyond(log_n.loss) < beyond(plain.loss));
  support::verdict("log n beyond the training length helps a model that was trained without it (9706)",
                   said(late) + "; " + said(plain), beyond(late.loss) < beyond(plain.loss));
}

int study(settings s) {
  if (s.quick) support::make_quick(s), s.keys = std::min<Index>(s.keys, 4096), s.rows = std::min<Index>(s.rows, 512);
  if (s.threads > 0) fw::threads(s.threads);
  const auto text = support::long_text_of(s);
  support::print_setting(s, text);
  random_rows(s);
  trained_rows(s, text);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  settings s;
  s.out = "entropy";
  CLI::App app{"Measures the entropy of attention's rows under 1/√d and log n, and the loss beyond the training length."};
  const auto keys = CLI::Range(Index(128), Index(1) << 24), rows = CLI::Range(Index(1), Index(1) << 24);
  app.add_option("--keys", s.keys, "most random keys a row sees")->check(keys)->capture_default_str();
  app.add_option("--rows", s.rows, "rows of random queries")->check(rows)->capture_default_str();
  support::add_options(app, s);
  return support::run(app, argc, argv, [&] { return study(s); });
}
