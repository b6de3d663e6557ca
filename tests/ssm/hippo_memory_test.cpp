// SPDX-License-Identifier: MIT
#include <formwork/ssm/hippo_memory.hpp>

#include <vector>

#include "kernel/checks.hpp"

namespace fw = formwork;
using fw::Index;

namespace {

// LegS' bilinear rule as others have it: legs takes any discretisation with weights.
struct as_printed {  // kexue.fm/archives/10137
  using plugs_into = fw::slot::discretisation;
  fw::step_weights weights(double before, double after) const { return {before / 2, after / 2, before}; }
};
struct as_in_code {  // HiPPO's repository
  using plugs_into = fw::slot::discretisation;
  fw::step_weights weights(double, double after) const { return {after / 2, after / 2, after}; }
};

double wave(double t) { return std::sin(6 * t) + 0.5; }

/// The signal's values in the middle of its samples.
template <class F>
fw::matrix<double> sampled(F signal, Index count, double step) {
  fw::matrix<double> u(count, 1);
  for (Index k = 0; k < count; ++k) u(k, 0) = signal((static_cast<double>(k) + 0.5) * step);
  return u;
}

/// ∫ f φ_n over [0, 1], orthonormal: what LegS should hold of a signal on it.
template <class F>
fw::matrix<double> legendre_coefficients(F f, Index order) {
  const fw::gauss_legendre rule(200);
  fw::matrix<double> x(1, order, 0.0), g(1, order);
  for (Index i = 0; i < 200; ++i) {
    fw::legendre_functions(g.data(), order, rule.node(0, i));
    for (Index n = 0; n < order; ++n) x(0, n) += 2 * rule.weight(0, i) * f(rule.node(0, i)) * g(0, n);
  }
  return x;
}

template <class Discretisation, class F>
double legs_error(F signal, Index order = 16, Index count = 1000) {
  fw::hippo_memory<fw::legs, Discretisation> memory({.order = order, .step = 1.0 / static_cast<double>(count)});
  memory.feed(sampled(signal, count, memory.sizes().step));
  return checks::largest_error(memory.coefficients(), legendre_coefficients(signal, order));
}

/// What memory gives back of the signal at ages inside its reach, at worst.
template <class Memory, class F>
double worst_recall(const Memory& memory, F signal, double from, double to) {
  std::vector<double> ages;
  for (int i = 0; i <= 100; ++i) ages.push_back(from + (to - from) * i / 100);
  const auto past = memory.reconstruct(ages);
  double most = 0;
  for (Index i = 0; i < past.rows(); ++i)
    most = std::max(most, std::abs(past(i, 0) - signal(memory.elapsed() - ages[static_cast<std::size_t>(i)])));
  return most;
}

template <class Discretisation>
void holds_a_constant(Index order, double step) {
  fw::hippo_memory<fw::legs, Discretisation> memory({.order = order, .step = step});
  memory.feed(fw::matrix<double>(500, 1, 0.7));
  const auto x = memory.coefficients();
  CHECK(std::abs(x(0, 0) - 0.7 * std::sqrt(2.0)) < 1e-12);
  for (Index n = 1; n < order; ++n) CHECK(std::abs(x(0, n)) < 1e-10);
}

}  // namespace

TEST_CASE("LegS: errors of the coefficients of sin(6t) + 1/2 by discretisation, order 16, 1000 samples") {
  const auto about = [](double got, double expected) { CHECK(std::abs(got / expected - 1) < 0.05); };
  about(legs_error<fw::zero_order_hold>(wave), 7.7e-6);
  about(legs_error<fw::bilinear>(wave), 2.1e-5);
  about(legs_error<as_in_code>(wave), 1.4e-3);
  about(legs_error<fw::backward_euler>(wave), 2.6e-3);
  about(legs_error<as_printed>(wave), 4.8e-3);
}

TEST_CASE("LegS keeps constants, the printed bilinear rule does not") {
  for (const double step : {1.0, 1e-3})
    for (const Index order : {1, 16, 64}) {
      holds_a_constant<fw::zero_order_hold>(order, step);
      holds_a_constant<fw::bilinear>(order, step);
      holds_a_constant<fw::backward_euler>(order, step);
      holds_a_constant<as_in_code>(order, step);
    }
  const auto one = [](double) { return 1.0; };
  CHECK(std::abs(legs_error<as_printed>(one) - 6.3e-3) < 1e-4);
  CHECK(legs_error<fw::bilinear>(one) < 1e-12);
}

TEST_CASE("LegS: the result does not depend on how long a sample lasts") {
  const auto u = sampled(wave, 300, 0.01);
  fw::hippo_memory<fw::legs> seconds({.order = 20, .step = 1}), milliseconds({.order = 20, .step = 1e-3});
  seconds.feed(u);
  milliseconds.feed(u);
  CHECK(checks::same_bits(seconds.coefficients(), milliseconds.coefficients()));
  const std::vector<double> early{250.0}, same{0.25};
  CHECK(std::abs(seconds.reconstruct(early)(0, 0) - milliseconds.reconstruct(same)(0, 0)) < 1e-12);
}

TEST_CASE("exact LegS: holding every sample three times as long changes nothing") {
  for (const Index order : {1, 8, 40}) {
    checks::numbers random(7);
    const auto u = random.matrix<double>(60, 2);
    fw::matrix<double> slow(180, 2);
    for (Index k = 0; k < 180; ++k) std::copy_n(u.row(k / 3), 2, slow.row(k));
    fw::hippo_memory<fw::legs, fw::zero_order_hold> a({.order = order, .channels = 2}), b({.order = order, .channels = 2});
    a.feed(u);
    b.feed(slow);
    CHECK(checks::largest_error(a.coefficients(), b.coefficients()) < 1e-12);
  }
}

TEST_CASE("forward_euler on LegS passes through states that grow like binomials of the order, and comes back") {
  // (I + A/k) has the factors 1 - j/k: large while k < j, 0 at k = j, and they shrink what rounding left afterwards.
  fw::hippo_memory<fw::legs, fw::forward_euler> memory({.order = 64});
  memory.feed(sampled(wave, 32, 0.01));
  CHECK(checks::largest_of(memory.coefficients()) > 1e39);  // past a float
  CHECK(legs_error<fw::forward_euler>(wave, 64, 70) > 1e9);
  CHECK(legs_error<fw::forward_euler>(wave, 64, 1000) < 3e-3);
  CHECK(legs_error<fw::backward_euler>(wave, 64, 70) < 0.1);
}

TEST_CASE("LegS gives back the whole history, a window only its own length") {
  const auto signal = [](double t) { return std::sin(6 * t) + 0.5 * std::cos(17 * t); };
  const auto u = sampled(signal, 4000, 1e-3);
  fw::hippo_memory<fw::legs> whole({.order = 64, .step = 1e-3});
  fw::hippo_memory<fw::legt> window({.order = 32, .step = 1e-3}, {.window = 1});
  fw::hippo_memory<fw::lagt> fading({.order = 32, .step = 1e-3}, {.scale = 0.05, .tilt = 0});
  whole.feed(u);
  window.feed(u);
  fading.feed(u);
  CHECK(worst_recall(whole, signal, 0.01, 3.99) < 0.02);
  CHECK(worst_recall(window, signal, 0.01, 0.99) < 0.02);
  CHECK(worst_recall(window, signal, 1.01, 3.99) > 1);  // nothing is there
  CHECK(worst_recall(fading, signal, 0.01, 1) < 0.1);

  // A pulse that has left the window is forgotten there, and still in the whole history.
  fw::matrix<double> pulse(4000, 1, 0.0);
  std::fill_n(pulse.row(500), 500, 1.0);
  fw::hippo_memory<fw::legs> remembers({.order = 64, .step = 1e-3});
  fw::hippo_memory<fw::legt> forgets({.order = 32, .step = 1e-3}, {.window = 1});
  remembers.feed(pulse);
  forgets.feed(pulse);
  const std::vector<double> middle{3.25};
  CHECK(std::abs(remembers.reconstruct(middle)(0, 0) - 1) < 0.15);
  CHECK(checks::largest_of(forgets.coefficients()) < 0.02);
}

TEST_CASE("Fourier: pull 2 replaces what is a window old, pull 1 leaves a third of it as an echo") {
  fw::matrix<double> pulse(600, 1, 0.0);
  std::fill_n(pulse.row(50), 50, 1.0);
  const auto recalled = [&](double pull, Index upto) {
    fw::hippo_memory<fw::fourier, fw::zero_order_hold> memory({.order = 81, .step = 1.0 / 200}, {.window = 1, .pull = pull});
    memory.feed(pulse.rows(0, upto));
    const std::vector<double> middle{0.625};
    return memory.reconstruct(middle)(0, 0);
  };
  CHECK(std::abs(recalled(2, 200) - 1) < 0.03);
  CHECK(std::abs(recalled(2, 400)) < 0.03);
  CHECK(std::abs(recalled(1, 200) - 2.0 / 3) < 0.03);
  CHECK(std::abs(recalled(1, 400) - 2.0 / 9) < 0.03);
  CHECK(std::abs(recalled(1, 600) - 2.0 / 27) < 0.03);
}

TEMPLATE_TEST_CASE("runs of any length give the same bits, each channel alone as among others", "", fw::legs, fw::legt, fw::lagt) {
  checks::numbers random(9);
  const auto u = random.matrix<float>(100, 30);
  const auto fed = [&](std::vector<Index> runs, Index first, Index channels) {
    fw::hippo_memory<TestType, fw::bilinear, float> memory({.order = 12, .channels = channels, .step = 0.5});
    Index at = 0;
    for (const Index run : runs) {
      memory.feed(u.rows(at, run).cols(first, channels));
      at += run;
    }
    return memory.coefficients();
  };
  const auto whole = fed({100}, 0, 30);
  CHECK(checks::same_bits(whole, fed({1, 1, 37, 0, 61}, 0, 30)));
  CHECK(checks::same_bits(fw::matrix<float>(whole.rows(7, 1)), fed({100}, 7, 1)));
}

TEST_CASE("hippo_memory refuses samples that do not fit") {
  fw::hippo_memory<fw::legs> memory({.order = 4, .channels = 2});
  CHECK_THROWS_WITH(memory.feed(fw::matrix<double>(3, 1, 0.0)), ContainsSubstring("samples are (3 × 1) but there are 2 channels"));
  CHECK_THROWS_WITH(fw::hippo_memory<fw::legs>({.order = 0}), ContainsSubstring("order is 0"));
}
