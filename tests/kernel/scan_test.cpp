// SPDX-License-Identifier: MIT
#include <formwork/kernel/scan.hpp>

#include <cmath>
#include <limits>
#include <numbers>

#include "kernel/sweep.hpp"
#include "oracle/scan.hpp"

using namespace checks;
using fw::poles;

namespace {

/// Modes as an S4D layer has them: steps of 1e-3 to 1e-1, real parts -1/2, frequencies π n: poles near the unit circle.
fw::scan_modes some_modes(poles kind, Index modes, Index channels, std::uint64_t seed = 7) {
  numbers draw(seed);
  fw::scan_modes m(kind, modes, channels);
  for (Index h = 0; h < channels; ++h) {
    const double step = 1e-3 * std::pow(100.0, draw.uniform());
    m.skip(0, h) = draw.normal();
    for (Index n = 0; n < modes; ++n) {
      const double radius = std::exp(-step * (kind == poles::real ? double(n + 1) : 0.5));
      const double angle = step * std::numbers::pi * double(n);
      m.pole_re(n, h) = kind == poles::real ? radius : radius * std::cos(angle);
      m.weight_re(n, h) = step * draw.normal();
      if (kind == poles::real) continue;
      m.pole_im(n, h) = radius * std::sin(angle);
      m.weight_im(n, h) = step * draw.normal();
    }
  }
  return m;
}

template <class S>
fw::matrix<S> forward(const fw::matrix<S>& u, const fw::sequences& batch, const fw::scan_modes& m, places at = {}) {
  auto in = at(u), y = at.template output<S>(u.rows(), u.cols());
  fw::scan_forward<S>(y, in, batch, fw::scan_tables<S>(m));
  return y.copy();
}

template <class S>
struct gradients {
  fw::matrix<S> du;
  fw::scan_modes modes;
};
template <class S>
gradients<S> backward(const fw::matrix<S>& dy, const fw::matrix<S>& u, const fw::sequences& batch,
                      const fw::scan_modes& m, places at = {}) {
  const fw::scan_tables<S> tables(m);
  fw::scan_tables<S> sums(m.kind(), m.count(), m.channels());
  auto in = at(u), slope = at(dy), y = at.template output<S>(u.rows(), u.cols()),
       du = at.template output<S>(u.rows(), u.cols());
  fw::matrix<S> kept(fw::scan_spans(batch), tables.groups() * tables.components() * fw::lanes<S>);
  fw::scan_forward<S>(y, in, batch, tables, kept.all());
  fw::scan_modes modes(m.kind(), m.count(), m.channels());
  fw::scan_backward<S>(du, fw::start::fresh, slope, in, kept, batch, tables, &sums);
  sums.gradient(modes, m);
  return {du.copy(), std::move(modes)};
}

const fw::sequences ragged{1, 16, 0, 300, 15, 17, 144, 5};

void random_case(trial& t) {
  const poles kind = t.any({poles::conjugate_pairs, poles::real});
  const Index modes = t.size(40), channels = t.size(60);
  const fw::sequences batch = t.ragged(std::clamp<Index>(400'000 / (modes * channels), 40, 6000));
  const auto m = some_modes(kind, modes, channels, t.seed());
  numbers r(t.seed() + 1);
  const auto u = r.matrix<float>(batch.rows(), channels), dy = r.matrix<float>(batch.rows(), channels);
  const auto wide_u = as<double>(u), wide_dy = as<double>(dy), exact = oracle::recurrence(wide_u, batch, m);
  t.accurate("y", forward(u, batch, m, t.anywhere()), oracle::recurrence(u, batch, m), exact, 2);
  t.accurate("y", forward(wide_u, batch, m, t.anywhere()), exact);
  const auto a = backward(dy, u, batch, m, t.anywhere());
  const auto b = oracle::recurrence_backward(dy, u, batch, m);
  const auto c = oracle::recurrence_backward(wide_dy, wide_u, batch, m);
  const auto d = backward(wide_dy, wide_u, batch, m, t.anywhere());
  t.accurate("du", a.du, b.du, c.du, 3), t.accurate("du", d.du, c.du);
  const auto both = [&](const char* what, auto part, const fw::matrix<float>& loop, const fw::matrix<double>& truth) {
    t.accurate(what, as<float>(a.modes.*part), loop, truth, 3);
    t.accurate(what, d.modes.*part, truth);
  };
  both("pole_re", &fw::scan_modes::pole_re, b.pole_re, c.pole_re);
  both("weight_re", &fw::scan_modes::weight_re, b.weight_re, c.weight_re);
  both("skip", &fw::scan_modes::skip, b.skip, c.skip);
  if (kind == poles::real) return;
  both("pole_im", &fw::scan_modes::pole_im, b.pole_im, c.pole_im);
  both("weight_im", &fw::scan_modes::weight_im, b.weight_im, c.weight_im);
}

}  // namespace

TEST_CASE("the chunked scan, the recurrence, the impulse response and the FFT agree") {
  for (const poles kind : {poles::conjugate_pairs, poles::real})
    for (const Index channels : {1, 5, 19}) {
      const auto m = some_modes(kind, 6, channels);
      const auto u = numbers(1).matrix<double>(ragged.rows(), channels);
      const auto y = forward(u, ragged, m), expected = oracle::recurrence(u, ragged, m);
      CHECK(largest_error(y, expected) <= 1e-12 * largest_of(expected));
      for (Index s = 0; s < ragged.count(); ++s) {
        const Index first = ragged.first(s), n = ragged.length(s);
        if (n == 0) continue;
        std::vector<double> signal;
        for (Index i = 0; i < n; ++i) signal.push_back(u(first + i, channels - 1));
        const auto by_fft = oracle::fft_convolution(oracle::impulse_response(m, channels - 1, n), signal);
        for (Index i = 0; i < n; ++i) CHECK(std::abs(y(first + i, channels - 1) - by_fft[std::size_t(i)]) <= 1e-10);
      }
    }
}

TEST_CASE("The response to an impulse is the worked kernel") {
  // A = [-.5, -.5 + πi], C = [1, .5 - .5i], ε = .1, zero order hold; 2 Re(C (e^(εA) - 1)/A e^(lεA)).
  fw::scan_modes m(poles::conjugate_pairs, 2, 1);
  m.skip(0, 0) = 0;
  const std::complex<double> a[] = {{-.5, 0}, {-.5, std::numbers::pi}}, c[] = {{1, 0}, {.5, -.5}};
  for (Index n = 0; n < 2; ++n) {
    const auto p = std::exp(.1 * a[n]), w = 2.0 * c[n] * (p - 1.0) / a[n];
    m.pole_re(n, 0) = p.real(), m.pole_im(n, 0) = p.imag(), m.weight_re(n, 0) = w.real(), m.weight_im(n, 0) = w.imag();
  }
  fw::matrix<double> u(6, 1, 0.0);
  u(0, 0) = 1;
  const auto y = forward(u, fw::sequences{6}, m);
  const double k[] = {.306117083, .309796697, .300821977, .280411456, .250800827, .214930658};
  for (Index i = 0; i < 6; ++i) CHECK(std::abs(y(i, 0) - k[i]) < 1e-9);
}

TEST_CASE("The adjoint of a kernel gives the worked gradients") {
  // K = [.3, .2, .1, .05] by its first gradient: du_j = Σ g_t K_{t-j} needs only K, here of the modes 1/2 and 0.
  const double k[] = {.3, .2, .1, .05}, u[] = {1, 2, -1, .5}, g[] = {1, 0, 2, -1};
  const double du[] = {.45, .3, .4, -.3}, dk[] = {-1.5, 5, 0, -1};
  using P = fw::pack<double>;
  constexpr Index W = P::size;
  fw::matrix<double> kernel(4, W), x(4, W), dy(4, W), dx(4, W, 0.0), dkernel(4, W, 0.0);
  for (Index i = 0; i < 4; ++i) P(k[i]).store(kernel.row(i)), P(u[i]).store(x.row(i)), P(g[i]).store(dy.row(i));
  fw::lane_convolve<double>({dx.row(3), -1, 4}, 0, 4, 1, kernel.data(), {dy.row(3), 4, -1});
  for (Index i = 0; i < 4; ++i) CHECK(dx(i, 0) == Approx(du[i]).margin(1e-15));
  if (fw::tile_rows > 4) return;  // the correlation takes whole tiles of lags
  fw::lane_correlate<double>(dkernel.data(), 4, 1, {dy.data(), 4, 1}, {x.data(), 4, 1});
  for (Index i = 0; i < 4; ++i) CHECK(dkernel(i, W - 1) == Approx(dk[i]).margin(1e-15));
}

TEMPLATE_TEST_CASE("the scan's tables have one group for each pack of channels", "", float, double) {
  constexpr Index l = fw::lanes<TestType>;
  for (const auto& [channels, groups] : {std::pair<Index, Index>{1, 1}, {l - 1, 1}, {l, 1}, {l + 1, 2}, {3 * l, 3}})
    if (channels > 0) CHECK(fw::scan_tables<TestType>(fw::poles::real, 2, channels).groups() == groups);
}

TEST_CASE("every gradient of the scan matches central differences") {
  for (const poles kind : {poles::conjugate_pairs, poles::real}) {
    auto m = some_modes(kind, 3, 3);
    for (fw::matrix<double>* w : {&m.weight_re, &m.weight_im}) eigen(*w) *= 30;
    const fw::sequences batch{170, 3};
    auto u = numbers(1).matrix<double>(batch.rows(), 3);
    const auto dy = numbers(2).matrix<double>(batch.rows(), 3);
    const auto d = backward(dy, u, batch, m);
    const auto objective = [&] {
      const auto y = forward(u, batch, m);
      return eigen(y).cwiseProduct(eigen(dy)).sum();
    };
    check_gradient("u", u, d.du, objective);
    check_gradient("pole_re", m.pole_re, d.modes.pole_re, objective);
    check_gradient("pole_im", m.pole_im, d.modes.pole_im, objective);
    check_gradient("weight_re", m.weight_re, d.modes.weight_re, objective);
    check_gradient("weight_im", m.weight_im, d.modes.weight_im, objective);
    check_gradient("skip", m.skip, d.modes.skip, objective);
  }
}

TEST_CASE("float is as accurate as the naive recurrence, over thousands of tokens with poles near the unit circle") {
  const fw::sequences batch{6000};
  for (const poles kind : {poles::conjugate_pairs, poles::real}) {
    const auto m = some_modes(kind, 16, 9);
    const auto u = numbers(3).matrix<float>(6000, 9);
    const auto exact = oracle::recurrence(as<double>(u), batch, m);
    check_accuracy("forward", forward(u, batch, m), oracle::recurrence(u, batch, m), exact, 2);
    CHECK(largest_error(forward(u, batch, m), exact) <= 2e-6 * largest_of(exact));
    // The gradients of the scan in double are checked above; those in float are near them.
    const auto dy = numbers(4).matrix<float>(6000, 9);
    const auto ours = backward(dy, u, batch, m);
    const auto theirs = backward(as<double>(dy), as<double>(u), batch, m);
    CHECK(largest_error(ours.du, theirs.du) <= 2e-6 * largest_of(theirs.du));
    for (const auto part : {&fw::scan_modes::pole_re, &fw::scan_modes::weight_re, &fw::scan_modes::skip})
      CHECK(largest_error(ours.modes.*part, theirs.modes.*part) <= 1e-5 * largest_of(theirs.modes.*part));
  }
}

TEST_CASE("the scan is as accurate as the rule asks over random shapes") { sweep(few_cases, random_case); }
TEST_CASE("the scan is as accurate as the rule asks over 2000 random shapes", "[.slow]") {
  sweep(many_cases, random_case);
}

TEST_CASE("a constant input settles at the sum of the kernel and stays there for 200000 tokens") {
  const auto m = some_modes(poles::conjugate_pairs, 8, 3);
  const Index n = 200000;
  const auto y = forward(fw::matrix<float>(n, 3, 1.f), fw::sequences{n}, m);
  for (Index h = 0; h < 3; ++h) {
    double total = m.skip(0, h), size = 1;
    for (Index k = 0; k < 8; ++k) {
      const auto term = oracle::weight<double>(m, k, h) / (1.0 - oracle::pole<double>(m, k, h));
      total += term.real(), size += std::abs(term);
    }
    for (const Index i : {n / 2, n - 1}) CHECK(std::abs(y(i, h) - total) <= 1e-4 * size);
  }
}

TEMPLATE_TEST_CASE("the scan gives the same bits for any split, thread count, neighbours and address", "", float, double) {
  const auto m = some_modes(poles::conjugate_pairs, 5, 21);
  const auto u = numbers(1).matrix<TestType>(ragged.rows(), 21);
  const fw::scan_tables<TestType> tables(m);
  const auto y = forward(u, ragged, m);
  check_threads("forward", [&] { return forward(u, ragged, m); });
  check_threads("backward", [&] { return backward(u, u, ragged, m).du; });
  check_threads("gradient", [&] { return backward(u, u, ragged, m).modes.pole_re; });

  for (const Index offset : {1, 3}) {  // and rows apart
    shifted<TestType> in(u, offset, 5), out(fw::matrix<TestType>(u.rows(), 21), offset + 1, 2);
    fw::scan_forward<TestType>(out.view(), in.view(), ragged, tables);
    CHECK(same_bits(out.copy(), y));
  }

  for (const std::vector<Index>& cuts : {std::vector<Index>{1, 2, 3, 15, 16, 17, 33, 299}, {144, 150, 288}, {7}, {300}}) {
    fw::scan_state<TestType> state(ragged.count(), tables);
    fw::matrix<TestType> pieces(u.rows(), 21);
    Index done = 0;
    for (Index step = 0; step <= Index(cuts.size()); ++step) {
      const Index upto = step < Index(cuts.size()) ? cuts[std::size_t(step)] : 300;
      std::vector<Index> counts;
      for (Index s = 0; s < ragged.count(); ++s)
        counts.push_back(std::min(ragged.length(s), upto) - std::min(ragged.length(s), done));
      const fw::sequences part(counts);
      fw::matrix<TestType> in(part.rows(), 21), out(part.rows(), 21);
      const auto each_row = [&](auto f) {
        for (Index s = 0; s < part.count(); ++s)
          for (Index i = 0; i < part.length(s); ++i)
            f(part.first(s) + i, ragged.first(s) + std::min(ragged.length(s), done) + i);
      };
      each_row([&](Index here, Index there) { std::copy_n(u.row(there), 21, in.row(here)); });
      fw::scan_forward<TestType>(out, in, part, tables, state);
      each_row([&](Index here, Index there) { std::copy_n(out.row(here), 21, pieces.row(there)); });
      done = upto;
    }
    CHECK(same_bits(pieces, y));
    for (Index s = 0; s < ragged.count(); ++s) CHECK(state.length(s) == ragged.length(s));
  }
}

TEST_CASE("no output depends on a later input and no input gradient on an earlier output, NaN or not") {
  const auto m = some_modes(poles::conjugate_pairs, 5, 9);
  const fw::sequences batch{400};
  auto u = numbers(1).matrix<float>(400, 9), dy = numbers(2).matrix<float>(400, 9);
  const auto y = forward(u, batch, m), du = backward(dy, u, batch, m).du;
  for (const Index seen : {1, 7, 16, 145, 399}) {
    auto late = u, early = dy;
    for (Index i = 0; i < 400; ++i)
      for (Index h = 0; h < 9; ++h) (i >= seen ? late : early)(i, h) = std::numeric_limits<float>::quiet_NaN();
    const auto after = forward(late, batch, m), before = backward(early, u, batch, m).du;
    CHECK(same_bits(fw::matrix<float>(after.rows(0, seen)), fw::matrix<float>(y.rows(0, seen))));
    CHECK(same_bits(fw::matrix<float>(before.rows(seen, 400 - seen)), fw::matrix<float>(du.rows(seen, 400 - seen))));
  }
}
