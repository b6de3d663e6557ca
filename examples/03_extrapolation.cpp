// SPDX-License-Identifier: MIT
// Train short, test long: how far models read that were trained on short windows. Tables of rotary frequencies, re_rope and
// leaky_re_rope go into a trained model, with log n or without; inverse leaky and hybrids of window and full attention are
// trained for the purpose; alibi and windows alone stand beside them. Every ordering that was published, and what came out here.
// kexue.fm/archives/9603, 9675, 9706, 9708, 9728, 9731 and 9948; 2306.15595, 2309.00071, 2108.12409.
#include "support/long_context.hpp"

#include <functional>
#include <limits>

namespace fw = formwork;
using fw::Index;
using support::beyond;
using support::by_length;
using support::rounded;

namespace {

// One model of four kinds of layers. With step 1 leaky_re_rope is rope, and a trained model becomes another by assign().
template <class... Policy>
using layer = fw::block<float, fw::attention<float, Policy...>, fw::gated_mlp<float, fw::silu>>;
using model_type = fw::language_model<float, layer<fw::causal, fw::leaky_re_rope<>, fw::log_n>,  //
                                      layer<fw::sliding_window, fw::rope<>>,                     //
                                      layer<fw::causal, fw::log_n>,                              //
                                      layer<fw::causal, fw::alibi>>;
enum kind { turned, near, unplaced, biased };

/// A position for texts so many times as long as in training.
using position_for = std::function<fw::leaky_re_rope<>(double extension)>;

/// One way to use a trained model.
struct row {
  std::string section, name;
  double published;  ///< % of tokens right at eight training lengths of a text without repeats; 0: no article says
  position_for position;
  fw::log_n scale;
  std::vector<by_length> losses = {};  ///< of each training

  by_length mean() const {
    by_length r;
    for (const by_length& l : losses)
      for (const auto& [m, loss] : l) r[m] += loss / static_cast<double>(losses.size());
    return r;
  }
  double mean(double (*of)(const by_length&)) const { return of(mean()); }  // all are linear
};

/// What is trained, and the ways it is used.
struct scheme {
  std::string name;
  std::vector<int> pattern;
  fw::leaky_re_rope<> position;
  fw::log_n scale;
  std::vector<row> rows;
  fw::sliding_window window = {};
  Index heads = 1;  ///< times those of the others
};

double in_training(const by_length& l) { return l.at(1); }

constexpr double infinite = std::numeric_limits<double>::infinity();
const fw::leaky_re_rope<> plain{.step = 1};
const fw::log_n inv_sqrt{.base = infinite, .at_least = 1};

position_for table(double (*formula)(const fw::frequency_site&), Index training_length, bool sharper = false) {
  return [=](double extension) {
    fw::frequencies slower = fw::yarn(extension, training_length, formula);
    if (!sharper) slower.factor = 1;
    return fw::leaky_re_rope<>{.step = 1, .turn = {.inverse_frequencies = slower}};
  };
}
position_for always(const fw::leaky_re_rope<>& position) {
  return [=](double) { return position; };
}

/// What a model trained with rope can be used with. Windows are parts of the training length N; leaky's window and step are the
/// article's, N / 4 and twice the extension. Published under 1/√d, log n beyond the training length, log n in training.
std::vector<row> ways_of_rope(Index n, const std::string& section, std::size_t column, const fw::log_n& scale) {
  struct way {
    const char* name;
    double published[3];
    position_for position;
  };
  const way ways[] = {{"none", {23.16, 0, 24.02}, table(fw::geometric, n)},
                      {"interpolated", {13.54, 0, 0}, table(fw::interpolated, n)},
                      {"ntk_old", {39.27, 0, 43.75}, table(fw::ntk_old, n)},
                      {"ntk_fixed", {39.61, 41.11, 44.14}, table(fw::ntk_fixed, n)},
                      {"ntk_mixed", {40.12, 42.38, 45.41}, table(fw::ntk_mixed, n)},
                      {"ntk_by_parts", {0, 0, 0}, table(fw::ntk_by_parts, n)},
                      {"yarn", {0, 0, 0}, table(fw::ntk_by_parts, n, true)},
                      {"re_rope 1/8", {0, 0, 48.14}, always(fw::re_rope(n / 8))},
                      {"re_rope 1/4", {0, 0, 48.87}, always(fw::re_rope(n / 4))},
                      {"re_rope 1/2", {48.48, 48.85, 49.07}, always(fw::re_rope(n / 2))},
                      {"re_rope 3/4", {0, 0, 48.62}, always(fw::re_rope(3 * n / 4))},
                      {"re_rope 1", {0, 0, 10.83}, always(fw::re_rope(n))},
                      {"leaky 1/4", {0, 0, 49.10}, always({n / 4, 2. * support::longest_multiple})}};
  std::vector<row> r;
  for (const way& w : ways) r.push_back({section, w.name, w.published[column], w.position, scale});
  return r;
}

/// All that is trained. hwfa: windows but for a last layer that sees everything and has no position; hwfa2: windows but for one
/// full layer in the middle, whose rope makes room for re_rope when it is used.
std::vector<scheme> schemes_of(const support::long_context_settings& s) {
  const Index n = s.window;
  const auto length = static_cast<double>(n);
  // What the layers below the last one reach together, (narrow - 1) (L - 1) + 1, is 3/4 N at most: no distance in it is new. Where
  // full layers keep their positions windows are twice N / L.
  const fw::sliding_window narrow{1 + (3 * n / 4 - 1) / std::max<Index>(s.depth - 1, 1)};
  const fw::sliding_window wide{std::max<Index>(2 * n / s.depth, 1)};
  const fw::log_n later{.base = length, .at_least = 1}, log_n{.base = length, .smallest = 16};
  const auto layers = [&](kind all, Index one = -1, kind other = turned) {
    std::vector<int> r(static_cast<std::size_t>(s.depth), all);
    if (one >= 0) r[static_cast<std::size_t>(one)] = other;
    return r;
  };
  const auto one_row = [&](const char* name, double published, const fw::leaky_re_rope<>& used) {
    return std::vector<row>{{"trained", name, published, always(used), log_n}};
  };
  scheme rope{"rope", layers(turned), plain, later, ways_of_rope(n, "inv_sqrt", 0, inv_sqrt)};
  for (row& r : ways_of_rope(n, "log_n_beyond", 1, later)) rope.rows.push_back(std::move(r));
  return {rope,
          {"rope + log_n", layers(turned), plain, log_n, ways_of_rope(n, "log_n", 2, log_n)},
          {"inverse leaky", layers(turned), {n / 4, 1. / (2 * support::longest_multiple)}, log_n,
           one_row("inverse leaky", 48.32, plain)},
          {"re_rope in training", layers(turned), fw::re_rope(n / 2), log_n,
           one_row("re_rope in training", 0, fw::re_rope(n / 2))},
          {"hwfa", layers(near, s.depth - 1, unplaced), plain, log_n, one_row("hwfa", 48.15, plain), narrow},
          {"hwfa2", layers(near, s.depth / 2, turned), plain, log_n, one_row("hwfa2", 49.36, fw::re_rope(n / 2)), wide},
          {"windows", layers(near), plain, log_n, one_row("windows", 0, plain), narrow},
          {"alibi", layers(biased), plain, log_n, one_row("alibi", 0, plain), {}, 4}};
}

void train_and_test(scheme& what, const support::long_context_settings& s, const fw::byte_text& text) {
  fw::sizes sizes = support::sizes_of(s);
  sizes.pattern = what.pattern, sizes.heads *= what.heads;
  support::each_trained(
      what.name, s, text,
      [&](fw::rng& weights) { return model_type::make(sizes, weights, what.position, what.scale, what.window); },
      [&](model_type& model) {
        for (row& r : what.rows) {
          by_length& loss = r.losses.emplace_back();
          fw::assign(model, r.scale);
          for (const Index m : support::multiples) {
            fw::assign(model, r.position(static_cast<double>(m)));
            loss[m] = support::loss_in_context(model, s, text, m);
          }
        }
      });
}

using chains = std::vector<std::vector<std::string>>;

/// All that was measured, by name: a way of rope with the scale it was measured under, as in "re_rope 1/2 + log_n".
class measured {
 public:
  void add(const row& r) { rows_.push_back(r); }

  void print(const std::string& section, const support::long_context_settings& s, const fw::byte_text& text) const {
    auto drawn = support::chart_of_losses(", " + section, text);
    bool first = true;
    for (const row& r : rows_) {
      if (r.section != section) continue;
      const by_length mean = r.mean();
      if (first) support::print_header(section + ": loss of the same bytes, in nats per byte", "training lengths", mean);
      first = false;
      support::print_row(r.name, mean, r.published > 0 ? "   published " + rounded(r.published, 2) + " %" : "");
      for (const auto& [m, loss] : mean) drawn.add(r.name, static_cast<double>(m), loss);
    }
    support::save_chart(s.out + "_" + section, drawn);
  }

  /// Chains of ways, each published as better than the one before. The claim holds if losses fall along them in every training.
  void order(const std::string& claim, const chains& published, double (*of)(const by_length&) = beyond) const {
    const auto falls = [&](std::size_t training) {
      const auto loss = [&](const std::string& name) { return of(at(name).losses[training]); };
      bool all = true;
      for (const auto& chain : published)
        for (std::size_t i = 1; i < chain.size(); ++i) all = all && loss(chain[i]) < loss(chain[i - 1]);
      return all;
    };
    std::string said, found;
    for (const auto& chain : published)
      for (const std::string& name : chain) {
        const row& here = at(name);
        const bool first = name == chain.front();
        said += (first ? said.empty() ? ": " : "; " : " < ") + name;
        if (here.published > 0 && of == beyond) said += " " + rounded(here.published, 2);
        found += (first ? found.empty() ? "" : "; " : ", ") + rounded(here.mean(of), 3);
      }
    const std::size_t trainings = rows_.front().losses.size();
    std::size_t agree = 0;
    for (std::size_t t = 0; t < trainings; ++t) agree += falls(t);
    support::verdict(claim + said, fw::text(found, " nats per byte; so in ", agree, " of ", trainings, " trainings"),
                     agree == trainings);
  }

  const row& at(const std::string& name) const {
    for (const row& r : rows_)
      if (name == (r.section == "inv_sqrt" || r.section == "trained" ? r.name : r.name + " + " + r.section)) return r;
    throw fw::argument_error("extrapolation: nothing is called " + name);
  }

 private:
  std::vector<row> rows_;
};

void verdicts(const measured& all) {
  const auto both = [](const char* worse, const char* better) {
    const std::string end = " + log_n";
    return chains{{worse, better}, {worse + end, better + end}};
  };
  const auto by_scale = [](const std::vector<std::string>& names, const std::vector<const char*>& scales) {
    chains r;
    for (const auto& name : names) {
      r.push_back({name});
      for (const char* scale : scales) r.back().push_back(name + " + " + scale);
    }
    return r;
  };
  std::printf("\nPublished: %% of tokens right. Measured: losses on the mean of the lengths beyond the training length, N\n\n");
  all.order("interpolation without training is worse than nothing (9675)", both("interpolated", "none"));
  all.order("a larger base is better than nothing (9675)", both("none", "ntk_old"));
  all.order("ntk_fixed is at least as good as ntk_old (9706)", both("ntk_old", "ntk_fixed"));
  all.order("ntk_mixed is better still (9706)", both("ntk_fixed", "ntk_mixed"));
  all.order("ntk_by_parts is better than ntk_aware's kind (2309.00071)", both("ntk_old", "ntk_by_parts"));
  all.order("yarn's temperature adds to it (2309.00071)", both("ntk_by_parts", "yarn"));
  all.order("log n in training is better than none (9706)", by_scale({"none", "ntk_old", "ntk_fixed", "ntk_mixed"}, {"log_n"}));
  all.order("log n beyond the training length only is between (9706, 9708)",
            by_scale({"ntk_fixed", "ntk_mixed", "re_rope 1/2"}, {"log_n_beyond", "log_n"}));
  all.order("re_rope is better than every table (9708)", both("ntk_mixed", "re_rope 1/2"));
  all.order("from N/8 on its window hardly matters, only N is too much (9708)",
            {{"re_rope 1 + log_n", "ntk_mixed + log_n", "re_rope 1/8 + log_n"}, {"ntk_mixed + log_n", "re_rope 3/4 + log_n"}});
  all.order("its best window is N/2 (9708)", {{"re_rope 1/8 + log_n", "re_rope 1/2 + log_n"},
                                              {"re_rope 1/4 + log_n", "re_rope 1/2 + log_n"},
                                              {"re_rope 3/4 + log_n", "re_rope 1/2 + log_n"}});
  all.order("leaky is a little better than re_rope (9708)", {{"re_rope 1/2 + log_n", "leaky 1/4 + log_n"}});
  all.order("inverse leaky is almost leaky, at the price of rope (9728)",
            {{"ntk_mixed + log_n", "inverse leaky", "leaky 1/4 + log_n"}});
  all.order("re_rope in training spoils what it is good for (9948)", {{"re_rope in training", "re_rope 1/2 + log_n"}});
  all.order("hwfa is better than every table, not than re_rope (9603)", {{"ntk_mixed + log_n", "hwfa", "re_rope 1/2 + log_n"}});
  all.order("its full layer adds to the windows (9603)", {{"windows", "hwfa"}});
  all.order("hwfa2 is the best of all (9731)", {{"hwfa", "hwfa2"}, {"leaky 1/4 + log_n", "hwfa2"}});
  all.order("at the training length hwfa pays for it, 48.70 against 49.40, and hwfa2, 49.46, does not (9731)",
            {{"hwfa", "none + log_n", "hwfa2"}}, in_training);

  const auto by_doubling = [&](const by_length& l) {
    std::string said;
    for (const auto& [m, loss] : l) said += (said.empty() ? "" : ", ") + rounded(loss, 3);
    return said + " nats per byte at 1, 2, 4 and 8 N";
  };
  const by_length re_rope = all.at("re_rope 1/2 + log_n").mean(), alibi = all.at("alibi").mean();
  support::verdict("under re_rope every doubling of the context helps (9708: 13 B parameters lose 1.4996, 1.4267, 1.4001)",
                   by_doubling(re_rope),
                   re_rope.at(8) < re_rope.at(4) && re_rope.at(4) < re_rope.at(2) && re_rope.at(2) < re_rope.at(1));
  support::verdict("alibi loses no more in longer contexts (2108.12409)", by_doubling(alibi),
                   beyond(alibi) <= in_training(alibi));
}

int study(support::long_context_settings s) {
  if (s.quick) {
    support::make_quick(s);
    s.steps = std::min<Index>(s.steps, 8), s.tests = std::min<Index>(s.tests, 2);
  }
  fw::require(s.window >= 8, "extrapolation: the window is ", s.window, "; needs at least 8 bytes, an eighth is re_rope's");
  fw::require(s.width % (4 * s.heads) == 0, "extrapolation: width is ", s.width, " and heads ", s.heads,
              "; needs a width divisible by 4 heads, alibi has as many");
  if (s.threads > 0) fw::threads(s.threads);
  const auto text = support::long_text_of(s);
  support::print_setting(s, text);
  measured all;
  for (scheme& what : schemes_of(s)) {
    train_and_test(what, s, text);
    for (const row& r : what.rows) all.add(r);
  }
  for (const char* section : {"inv_sqrt", "log_n_beyond", "log_n", "trained"}) all.print(section, s, text);
  verdicts(all);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  support::long_context_settings s;
  s.out = "extrapolation", s.trainings = 2;
  CLI::App app{"Trains on short windows and tests tables of rotary frequencies, re_rope, leaky_re_rope, hybrids of window and\n"
               "full attention and alibi on windows up to eight times as long: 16 trainings, five minutes on two quiet cores."};
  support::add_options(app, s);
  return support::run(app, argc, argv, [&] { return study(s); });
}
