// SPDX-License-Identifier: MIT
//
// HiPPO remembers a signal: a few dozen numbers that move by one linear equation hold a signal that has passed, and give it
// back. The claims to check are those of Gu et al., 2008.07669, and kexue.fm/archives/10114, 10137, 10162: what each basis
// remembers and forgets, that LegS has no time scale, which discretisations are how good, and how fast memories fade.
#include <formwork/core.hpp>
#include <formwork/io/file.hpp>
#include <formwork/ssm.hpp>
#include <formwork/train.hpp>

#include <cmath>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "support/command_line.hpp"

namespace fw = formwork;
using fw::Index;

namespace {

// A discretisation and a basis of one's own are a few lines: LegS' bilinear rule as others have it, LegS at a fixed rate.
struct as_printed {  // kexue.fm/archives/10137
  using plugs_into = fw::slot::discretisation;
  fw::step_weights weights(double before, double after) const { return {before / 2, after / 2, before}; }
};
struct as_in_code {  // HiPPO's repository
  using plugs_into = fw::slot::discretisation;
  fw::step_weights weights(double, double after) const { return {after / 2, after / 2, after}; }
};
struct fixed_rate_legs : fw::legs {
  static constexpr bool scales_with_history = false;
};

struct settings {
  Index order = 64, samples = 20000;
  std::string save = "hippo_memory";
  bool quick = false;
};

/// What the program reports: pictures, and claims with what was measured.
class report {
 public:
  explicit report(std::string save) : save_(std::move(save)), line_(0, 6) {}

  void claim(const std::string& source, const std::string& says, const std::string& measured, bool holds) {
    std::printf("  claim (%s): %s\n  measured: %s -> %s\n", source.c_str(), says.c_str(), measured.c_str(),
                holds ? "holds" : "does not hold");
  }
  void draw(const std::string& name, const fw::chart& c) {
    for (const auto& [extension, text] : {std::pair(".csv", c.csv()), std::pair(".svg", c.svg())})
      fw::save_text(save_ + "_" + name + extension, text);
    std::printf("  saved %s_%s.csv and .svg\n", save_.c_str(), name.c_str());
  }
  void next(const std::string& title) {
    line_.update(done_++, title);
    std::printf("%s\n", title.c_str());
  }

 private:
  std::string save_;
  fw::progress line_;
  Index done_ = 0;
};

template <class F>
fw::matrix<double> sampled(F signal, Index count, double step) {
  fw::matrix<double> u(count, 1);
  for (Index k = 0; k < count; ++k) u(k, 0) = signal((static_cast<double>(k) + 0.5) * step);
  return u;
}
template <class Memory>
Memory fed(Memory memory, const fw::matrix<double>& u) {
  memory.feed(u);
  return memory;
}
std::string scientific(double x) {
  char out[32];
  std::snprintf(out, sizeof out, "%.1e", x);
  return out;
}

/// Slow and fast waves, and two jumps.
double test_signal(double t) { return std::sin(3 * t) + 0.4 * std::sin(13 * t + 1) + (t > 2.6 && t < 3.4 ? 0.8 : 0.0); }

/// Root mean square of what is recalled less what was, at ages from .. to.
template <class Memory, class F>
double recall_error(const Memory& memory, F signal, double from, double to) {
  std::vector<double> ages;
  for (int i = 0; i < 400; ++i) ages.push_back(from + (to - from) * (i + 0.5) / 400);
  const auto past = memory.reconstruct(ages);
  double sum = 0;
  for (Index i = 0; i < past.rows(); ++i) sum += std::pow(past(i, 0) - signal(memory.elapsed() - ages[std::size_t(i)]), 2);
  return std::sqrt(sum / static_cast<double>(past.rows()));
}

void bases(const settings& s, report& to) {
  to.next("1. Four bases give a signal of length 4 back");
  constexpr double length = 4, window = 1;
  const double step = length / static_cast<double>(s.samples);
  const auto u = sampled(test_signal, s.samples, step);
  fw::chart picture{.title = "What is remembered of a signal", .x = "time", .y = "signal"};
  for (int i = 0; i <= 400; ++i) picture.add("signal", length * i / 400, test_signal(length * i / 400));
  std::printf("  %-28s %-12s %s\n", "rms error", "last window", "before it");
  const auto recall = [&](const std::string& name, const auto& memory) {
    const double recent = recall_error(memory, test_signal, 0, window), old = recall_error(memory, test_signal, window, length);
    std::printf("  %-28s %-12.4f %.4f\n", name.c_str(), recent, old);
    for (int i = 0; i <= 400; ++i) {
      const double age = length * i / 400;
      const auto value = memory.reconstruct(std::vector<double>{age})(0, 0);
      if (std::abs(value) < 3) picture.add(name, length - age, value);
    }
    return std::pair(recent, old);
  };
  const fw::hippo_memory_sizes sizes{.order = s.order, .step = step}, odd{.order = s.order | 1, .step = step};
  const auto legs = recall("LegS", fed(fw::hippo_memory<fw::legs>(sizes), u));
  const auto legt = recall("LegT, window 1", fed(fw::hippo_memory<fw::legt>(sizes, {.window = window}), u));
  recall("LagT, scale 1/50", fed(fw::hippo_memory<fw::lagt>(sizes, {.scale = 0.02, .tilt = 0}), u));
  recall("Fourier, window 1", fed(fw::hippo_memory<fw::fourier>(odd, {.window = window}), u));
  to.draw("bases", picture);
  to.claim("2008.07669", "LegS remembers the whole history",
           fw::text("error ", support::rounded(legs.second, 3), " on the old part, signal about 1"), legs.second < 0.15);
  to.claim("10114", "LegT remembers its window and nothing before",
           fw::text("errors ", support::rounded(legt.first, 3), " inside, ", support::rounded(legt.second, 3), " before"),
           legt.first < 0.1 && legt.second > 0.5);
}

/// The largest error of LegS' coefficients of f, whose true ones are ∫ f φ_n.
template <class Discretisation, class F>
double legs_error(F f, Index order, Index samples) {
  const double step = 1 / static_cast<double>(samples);
  const auto memory = fed(fw::hippo_memory<fw::legs, Discretisation>({.order = order, .step = step}), sampled(f, samples, step));
  const auto x = memory.coefficients();
  const fw::gauss_legendre rule(200);
  fw::matrix<double> truth(1, order, 0.0), g(1, order);
  for (Index i = 0; i < 200; ++i) {
    fw::legendre_functions(g.data(), order, rule.node(0, i));
    for (Index n = 0; n < order; ++n) truth(0, n) += 2 * rule.weight(0, i) * f(rule.node(0, i)) * g(0, n);
  }
  double most = 0;
  for (Index n = 0; n < order; ++n) most = std::max(most, std::abs(x(0, n) - truth(0, n)));
  return most;
}

void discretisations(const settings& s, report& to) {
  to.next("2. Discretisations of LegS: errors of its 16 coefficients");
  const auto wave = [](double t) { return std::sin(6 * t) + 0.5; };
  const auto constant = [](double) { return 1.0; };
  fw::chart picture{.title = "Error of LegS' coefficients of sin(6t) + 1/2", .x = "log10 samples", .y = "log10 error"};
  std::printf("  %-28s %-12s %s\n", "1000 samples of", "sin(6t)+1/2", "a constant");
  const auto rule = [&]<class D>(const std::string& name, D) {
    for (Index n = 32; n <= std::min<Index>(s.samples, 16384); n *= 2)
      picture.add(name, std::log10(static_cast<double>(n)), std::log10(legs_error<D>(wave, 16, n)));
    const std::pair error(legs_error<D>(wave, 16, 1000), legs_error<D>(constant, 16, 1000));
    std::printf("  %-28s %-12.1e %.1e\n", name.c_str(), error.first, error.second);
    return error;
  };
  const auto exact = rule("exact", fw::zero_order_hold{}), trapezoid = rule("bilinear, trapezoid", fw::bilinear{}),
             code = rule("bilinear, HiPPO's code", as_in_code{}), backward = rule("backward Euler", fw::backward_euler{}),
             printed = rule("bilinear, 10137", as_printed{}), forward = rule("forward Euler", fw::forward_euler{});
  to.draw("discretisations", picture);
  to.claim("10137", "the printed bilinear rule holds constants", "it is off by " + scientific(printed.second) + " on u = 1",
           printed.second < 1e-9);
  to.claim("trapezoid", "with the mean of both rates on B it does", "off by " + scientific(trapezoid.second),
           trapezoid.second < 1e-9);
  const double best_rule = std::min({trapezoid.first, code.first, backward.first, printed.first, forward.first});
  to.claim("10137", "the exact solution is better than the rules",
           scientific(exact.first) + " against " + scientific(best_rule) + " of the best rule", exact.first < best_rule);
  const double early = legs_error<fw::forward_euler>(wave, 16, 16), late = forward.first;
  to.claim("often said", "forward Euler diverges on LegS",
           fw::text("error ", scientific(early), " after 16 samples, but ", scientific(late), " after 1000: it comes back"),
           late > 1);
}

void no_time_scale(const settings& s, report& to) {
  to.next("3. LegS has no time scale");
  const auto u = sampled(test_signal, 500, 4.0 / 500);
  fw::matrix<double> slow(1500, 1);
  for (Index k = 0; k < 1500; ++k) slow(k, 0) = u(k / 3, 0);
  const auto a = fed(fw::hippo_memory<fw::legs, fw::zero_order_hold>({.order = s.order}), u).coefficients();
  const auto b = fed(fw::hippo_memory<fw::legs, fw::zero_order_hold>({.order = s.order, .step = 0.01}), slow).coefficients();
  double most = 0;
  for (Index n = 0; n < s.order; ++n) most = std::max(most, std::abs(a(0, n) - b(0, n)));
  to.claim("2008.07669", "a signal three times slower has the same coefficients", "they differ by " + scientific(most),
           most < 1e-10);
}

template <class Memory>
double norm_of(const Memory& memory) {
  const auto x = memory.coefficients();
  double sum = 0;
  for (Index i = 0; i < x.size(); ++i) sum += x.data()[i] * x.data()[i];
  return std::sqrt(sum);
}

void forgetting(const settings& s, report& to) {
  to.next("4. How memories fade: a pulse of length 1, then silence");
  constexpr Index rate = 100;
  const double step = 1.0 / rate;
  const Index longest = s.quick ? 64 : 256;
  fw::hippo_memory<fw::legs> whole({.order = s.order, .step = step});
  fw::hippo_memory<fixed_rate_legs> fixed({.order = s.order, .step = step});
  fw::hippo_memory<fw::legt> window({.order = s.order, .step = step}, {.window = 4});
  fw::chart picture{.title = "Size of what is remembered of a pulse", .x = "log10 time", .y = "log10 size"};
  std::vector<double> sizes, fixed_sizes;
  const auto all = [&](auto f) { f("LegS", whole), f("LegS' matrix at a fixed rate", fixed), f("LegT, window 4", window); };
  all([&](const char*, auto& memory) { memory.feed(fw::matrix<double>(rate, 1, 1.0)); });
  for (Index time = 2; time <= longest; time *= 2) {
    all([&](const char* name, auto& memory) {
      memory.feed(fw::matrix<double>(time * rate - memory.samples(), 1, 0.0));
      picture.add(name, std::log10(static_cast<double>(time)), std::log10(norm_of(memory) + 1e-18));
    });
    sizes.push_back(norm_of(whole));
    fixed_sizes.push_back(norm_of(fixed));
  }
  to.draw("forgetting", picture);
  // A power of time loses the same factor with every doubling; an exponential squares it.
  const std::size_t n = sizes.size();
  const double last = std::log2(sizes[n - 2] / sizes[n - 1]), before = std::log2(sizes[n - 4] / sizes[n - 3]);
  to.claim("10162", "LegS forgets like a power of time",
           fw::text("time^-", support::rounded(before, 2), ", later time^-", support::rounded(last, 2)),
           last < 1.1 && std::abs(last - before) < 0.2);
  const double rate_of_decay = std::log(fixed_sizes[4] / fixed_sizes[5]) / 32;  // from 32 to 64, when all modes but one are gone
  to.claim("10162", "the same matrix at a fixed rate (S4) forgets exponentially, as e^-t",
           "e^(-" + support::rounded(rate_of_decay, 3) + " t)", std::abs(rate_of_decay - 1) < 0.1);
}

void echo(report& to) {
  to.next("5. Fourier windows: what the signal replaces");
  constexpr double step = 1.0 / 200;
  fw::matrix<double> pulse(400, 1, 0.0);
  std::fill_n(pulse.row(50), 50, 1.0);
  const auto recalled = [&](double pull, Index upto) {
    fw::hippo_memory<fw::fourier, fw::zero_order_hold> memory({.order = 81, .step = step}, {.window = 1, .pull = pull});
    memory.feed(pulse.rows(0, upto));
    return memory.reconstruct(std::vector<double>{0.625})(0, 0);  // the middle of the pulse, or of where it was
  };
  const auto says = [&](double pull) {
    return fw::text("a pulse of 1 is ", support::rounded(recalled(pull, 200), 2), ", a window later ",
                    support::rounded(recalled(pull, 400), 2));
  };
  to.claim("10114", "diag(2 pi i n) - 1 1' remembers a sliding window", says(1), std::abs(recalled(1, 200) - 1) < 0.1);
  to.claim("2206.12037", "with twice the pull it does", says(2),
           std::abs(recalled(2, 200) - 1) < 0.1 && std::abs(recalled(2, 400)) < 0.1);
}

void precision(const settings& s, report& to) {
  to.next("6. A long run in float");
  const Index count = s.quick ? 20000 : 1000000;
  const double step = 4 / static_cast<double>(count);
  fw::hippo_memory<fw::legs, fw::bilinear, float> memory({.order = s.order, .step = step});
  fw::matrix<float> u(count, 1);
  for (Index k = 0; k < count; ++k) u(k, 0) = static_cast<float>(test_signal((static_cast<double>(k) + 0.5) * step));
  memory.feed(u);
  const double error = recall_error(memory, test_signal, 0, 4);
  to.claim("this library", fw::text("LegS in O(order) keeps its digits over ", count, " samples"),
           fw::text("rms error ", support::rounded(error, 3), ", mostly the jumps'"), error < 0.15);
}

int start(settings s) {
  fw::require_writable(s.save + "_bases.svg");
  if (s.quick) s.samples = std::min<Index>(s.samples, 4000);
  std::printf("formwork %s; %lld coefficients, %lld samples\n", fw::simd_name, static_cast<long long>(s.order),
              static_cast<long long>(s.samples));
  report to(s.save);
  bases(s, to);
  discretisations(s, to);
  no_time_scale(s, to);
  forgetting(s, to);
  echo(to);
  precision(s, to);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  settings s;
  CLI::App app{"Feeds signals into HiPPO's memories, reads them back, and checks what papers say of them."};
  app.add_option("--order", s.order, "coefficients of a memory")->check(CLI::Range(Index(8), Index(256)))->capture_default_str();
  app.add_option("--samples", s.samples, "of the signal that is given back")
      ->check(CLI::Range(Index(256), Index(1) << 24))
      ->capture_default_str();
  app.add_option("--save", s.save, "pictures and their numbers go to this name + _bases.svg, .csv, ...")->capture_default_str();
  app.add_flag("--quick", s.quick, "smaller sizes, a few seconds");
  return support::run(app, argc, argv, [&] { return start(s); });
}
