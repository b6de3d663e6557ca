// SPDX-License-Identifier: MIT
// Train short, test long: what tables of rotary frequencies do for contexts up to eight training lengths, without any further
// training, with and without log n. kexue.fm/archives/9675, 9706 and 9948; 2306.15595, 2309.00071.
#include "support/long_context.hpp"

namespace fw = formwork;
using fw::Index;
using support::beyond;
using support::by_length;
using support::rounded;

namespace {

struct table {
  const char* name;
  double (*formula)(const fw::frequency_site&);
  bool sharper = false;  ///< by yarn's factor
};
const table tables[] = {{"none", fw::geometric},
                        {"interpolated", fw::interpolated},
                        {"ntk_old", fw::ntk_old},
                        {"ntk_fixed", fw::ntk_fixed},
                        {"ntk_mixed", fw::ntk_mixed},
                        {"ntk_by_parts", fw::ntk_by_parts},
                        {"yarn", fw::ntk_by_parts, true}};
constexpr std::size_t none = 0, interpolated = 1, old = 2, fixed = 3, mixed = 4, parts = 5, yarn = 6, count = std::size(tables);

/// Mean losses of every table in models trained under that scale. The extension is the multiple that is tested: at the training
/// length all are the table trained with.
template <class Scale>
std::vector<by_length> losses_under(const std::string& name, const Scale& scale, const support::long_context_settings& s,
                                    const fw::byte_text& text) {
  std::vector<by_length> r(count);
  support::each_trained(name, scale, s, text, [&](auto& model) {
    for (std::size_t t = 0; t < count; ++t)
      for (const Index m : support::multiples) {
        fw::frequencies slower = fw::yarn(static_cast<double>(m), s.window, tables[t].formula);
        if (!tables[t].sharper) slower.factor = 1;
        fw::assign(model, fw::rope<>{.inverse_frequencies = slower});
        r[t][m] += support::loss_in_context(model, s, text, m) / static_cast<double>(s.trainings);
      }
  });
  auto drawn = support::chart_of_losses(", " + name, text);
  support::print_header(name + ": loss of the same bytes, in nats per byte", "training lengths", r[none]);
  for (std::size_t t = 0; t < count; ++t) {
    support::print_row(tables[t].name, r[t]);
    for (const auto& [m, loss] : r[t]) drawn.add(tables[t].name, static_cast<double>(m), loss);
  }
  support::save_chart(s.out + "_" + name, drawn);
  return r;
}

int study(support::long_context_settings s) {
  if (s.quick) support::make_quick(s);
  if (s.threads > 0) fw::threads(s.threads);
  const auto text = support::long_text_of(s);
  support::print_setting(s, text);
  const auto plain = losses_under("inv_sqrt", fw::inv_sqrt{}, s, text);
  const auto log_n = losses_under("log_n", fw::log_n{.base = static_cast<double>(s.window), .smallest = 16}, s, text);

  const auto order = [&](const std::string& claim, std::size_t worse, std::size_t better) {
    const auto gap = [&](const std::vector<by_length>& of) { return beyond(of[worse]) - beyond(of[better]); };
    support::verdict(claim,
                     std::string(tables[better].name) + " loses " + rounded(gap(plain), 3) + " nats per byte less than " +
                         tables[worse].name + ", with log_n " + rounded(gap(log_n), 3),
                     gap(plain) >= 0 && gap(log_n) >= 0);
  };
  std::printf("\nAll on the mean of the lengths beyond the training length\n\n");
  order("interpolation without training is worse than nothing (9675)", interpolated, none);
  order("a larger base is better than nothing (9675)", none, old);
  order("ntk_fixed is at least as good as ntk_old (9706)", old, fixed);
  order("ntk_mixed is better still (9706)", fixed, mixed);
  order("ntk_by_parts is better than ntk_aware's kind, ntk_old (2309.00071)", old, parts);
  order("yarn's temperature adds to ntk_by_parts (2309.00071)", parts, yarn);
  std::string gains = "less by";
  bool all = true;
  for (const std::size_t t : {none, old, fixed, mixed}) {  // the article's; it interpolates without log n only
    const double gain = beyond(plain[t]) - beyond(log_n[t]);
    gains += std::string(t > none ? ", " : " ") + rounded(gain, 3) + " with " + tables[t].name;
    all = all && gain > 0;
  }
  support::verdict("a model trained with log_n loses less, with each of the article's tables (9706)", gains, all);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  support::long_context_settings s;
  s.out = "extrapolation";
  CLI::App app{"Trains on short windows and tests tables of rotary frequencies on windows up to eight times as long."};
  support::add_options(app, s);
  return support::run(app, argc, argv, [&] { return study(s); });
}
