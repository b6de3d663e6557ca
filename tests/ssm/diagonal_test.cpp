// SPDX-License-Identifier: MIT
#include <formwork/kernel/scan.hpp>
#include <formwork/ssm/diagonal.hpp>
#include <formwork/ssm/modes.hpp>

#include <complex>
#include <numbers>

#include "kernel/checks.hpp"
#include "oracle/scan.hpp"

using namespace checks;
using fw::poles;
using number = std::complex<double>;
using P = fw::pack<double>;

namespace {

template <class Discretisation>
fw::discrete_mode<P> at(number z) {
  return discretise(Discretisation(), fw::complex<P>{P(z.real()), P(z.imag())});
}
number lane(fw::complex<P> z) { return {z.re[P::size - 1], z.im[0]}; }

/// e^z, φ and φ' in long double, by the series where they would cancel.
struct exact_hold {
  number pole, gain, slope;
  explicit exact_hold(number z) : pole(std::exp(z)) {
    using wide = std::complex<long double>;
    const wide w(z);
    wide phi = 0, dphi = 0, power = 1;
    if (std::abs(z) < 1) {
      long double factorial = 1;
      for (int k = 0; k < 30; ++k, power *= w) {
        phi += power / (factorial *= k + 1);
        dphi += static_cast<long double>(k + 1) * power / (factorial * static_cast<long double>(k + 2));
      }
    } else {
      phi = (std::exp(w) - 1.0L) / w;
      dphi = (std::exp(w) - phi) / w;
    }
    gain = number(phi), slope = number(dphi);
  }
};

}  // namespace

TEST_CASE("A step of -1 by 1/2") {
  CHECK(lane(at<fw::bilinear>(-.5).pole).real() == Approx(.6));
  CHECK(.5 * lane(at<fw::bilinear>(-.5).gain).real() == Approx(.4));
  CHECK(std::abs(lane(at<fw::zero_order_hold>(-.5).pole).real() - .60653066) < 5e-9);
  CHECK(std::abs(.5 * lane(at<fw::zero_order_hold>(-.5).gain).real() - .39346934) < 5e-9);
}

TEST_CASE("zero order hold is accurate from z = 0 to fast oscillations, gain and slopes") {
  for (const double size : {0.0, 1e-300, 1e-12, 1e-6, 1e-3, .1, .49, .51, 1.0, 10.0, 100.0})
    for (const double angle : {std::numbers::pi, 2.5, 1.6, -1.6}) {
      const number z = number(size * std::cos(angle), size * std::sin(angle));
      CAPTURE(z);
      const auto got = at<fw::zero_order_hold>(z);
      const exact_hold expected(z);
      CHECK(std::abs(lane(got.pole) - expected.pole) <= 1e-15);
      CHECK(lane(got.pole_slope) == lane(got.pole));
      CHECK(std::abs(lane(got.gain) - expected.gain) <= 2e-15 * std::abs(expected.gain));
      CHECK(std::abs(lane(got.gain_slope) - expected.slope) <= 1e-14 * std::abs(expected.slope));
    }
}

TEST_CASE("bilinear is (1 + z/2) / (1 - z/2), and its slopes are the derivatives") {
  for (const number z : {number(0, 0), number(-.05, .3), number(-1, 10), number(-.001, 100)}) {
    const auto got = at<fw::bilinear>(z);
    CHECK(std::abs(lane(got.pole) - (1.0 + z / 2.0) / (1.0 - z / 2.0)) < 1e-15);
    CHECK(std::abs(lane(got.gain) - 1.0 / (1.0 - z / 2.0)) < 1e-15);
    CHECK(std::abs(lane(got.pole_slope) - 1.0 / std::pow(1.0 - z / 2.0, 2)) < 1e-15);
    CHECK(std::abs(lane(got.gain_slope) - .5 / std::pow(1.0 - z / 2.0, 2)) < 1e-15);
    CHECK(std::abs(lane(got.pole)) <= 1 + 1e-15);
  }
}

TEST_CASE("The impulse response of A = [-.5, -.5 + πi], C = [1, .5 - .5i], a step of .1") {
  fw::diagonal_numbers s(poles::conjugate_pairs, 2, 5);
  s.log_step.fill(std::log(.1)), s.d.fill(0), s.log_a_real.fill(std::log(.5));
  for (Index h = 0; h < 5; ++h) {
    s.a_imag(0, h) = 0, s.a_imag(1, h) = std::numbers::pi;
    s.c_real(0, h) = 1, s.c_real(1, h) = .5, s.c_imag(0, h) = 0, s.c_imag(1, h) = -.5;
  }
  const fw::scan_tables<double> tables(fw::diagonal_step(s, fw::zero_order_hold{}).modes());
  fw::matrix<double> u(6, 5, 0.0), y(6, 5);
  eigen(u).row(0).setOnes();
  fw::scan_forward<double>(y, u, fw::sequences{6}, tables);
  const double k[] = {.306117083, .309796697, .300821977, .280411456, .250800827, .214930658};
  for (Index i = 0; i < 6; ++i)
    for (Index h = 0; h < 5; ++h) CHECK(std::abs(y(i, h) - k[i]) < 1e-9);
  // Bilinear: C ε / (1 - εA/2) ((1 + εA/2) / (1 - εA/2))^l.
  const fw::scan_tables<double> trapezoid(fw::diagonal_step(s, fw::bilinear{}).modes());
  fw::scan_forward<double>(y, u, fw::sequences{6}, trapezoid);
  for (Index i = 0; i < 6; ++i) {
    number sum = 0;
    for (const auto& [a, c] : {std::pair<number, number>{{-.5, 0}, 1}, {{-.5, std::numbers::pi}, {.5, -.5}}})
      sum += c * .1 / (1.0 - .05 * a) * std::pow((1.0 + .05 * a) / (1.0 - .05 * a), double(i));
    CHECK(std::abs(y(i, 4) - 2 * sum.real()) < 1e-14);
  }
}

TEMPLATE_TEST_CASE("the gradients of a diagonal system's numbers match central differences", "", fw::zero_order_hold,
                   fw::bilinear) {
  for (const poles kind : {poles::conjugate_pairs, poles::real}) {
    numbers draw(3);
    fw::diagonal_numbers s(kind, 3, 5);
    for (fw::matrix<double>* m : {&s.log_a_real, &s.a_imag, &s.c_real, &s.c_imag, &s.d}) *m = draw.matrix<double>(m->rows(), 5);
    s.log_step = draw.matrix<double>(1, 5, 1, -1);
    fw::scan_modes slope(kind, 3, 5);  // of an objective linear in the modes
    const auto parts = {&fw::scan_modes::pole_re, &fw::scan_modes::pole_im, &fw::scan_modes::weight_re,
                        &fw::scan_modes::weight_im, &fw::scan_modes::skip};
    for (const auto part : parts) slope.*part = draw.matrix<double>((slope.*part).rows(), 5);
    const auto objective = [&] {
      const auto m = fw::diagonal_step(s, TestType()).modes();
      double sum = 0;
      for (const auto part : parts)
        for (Index i = 0; i < (m.*part).size(); ++i) sum += (m.*part).data()[i] * (slope.*part).data()[i];
      return sum;
    };
    const auto d = fw::diagonal_step(s, TestType()).gradient(slope);
    check_gradient("log_a_real", s.log_a_real, d.log_a_real, objective, 1e-8);
    check_gradient("a_imag", s.a_imag, d.a_imag, objective, 1e-8);
    check_gradient("c_real", s.c_real, d.c_real, objective, 1e-8);
    check_gradient("c_imag", s.c_imag, d.c_imag, objective, 1e-8);
    check_gradient("log_step", s.log_step, d.log_step, objective, 1e-8);
    check_gradient("d", s.d, d.d, objective, 1e-8);
  }
}

TEST_CASE("the published modes of each initialisation, N = 8") {
  const auto imag = [](const auto& modes) {
    std::vector<double> r;
    for (const auto a : modes) {
      CHECK(a.real() == -0.5);
      r.push_back(a.imag());
    }
    return r;
  };
  const auto check = [](const std::vector<double>& got, std::vector<double> expected, double bound) {
    REQUIRE(got.size() >= expected.size());
    for (std::size_t i = 0; i < expected.size(); ++i) CHECK(std::abs(got[i] - expected[i]) < bound);
  };
  const double pi = std::numbers::pi;
  check(imag(fw::s4d_lin()(8)), {0, pi, 2 * pi, 3 * pi}, 1e-15);
  check(imag(fw::s4d_inv()(8)), {17.82535, 4.24413, 1.52789}, 5e-6);
  check(imag(fw::s4d_legs()(8)), {19.85741037, 5.35420852, 1.95779415, .42748871}, 5e-9);
  const auto real = fw::s4d_real()(8);
  REQUIRE(real.size() == 8);
  for (std::size_t n = 0; n < 8; ++n) CHECK(real[n] == number(-double(n + 1)));
}

TEST_CASE("the LegS modes are eigenvalues: the skew matrix less i w is singular, and squares sum to its norm") {
  for (const Index N : {2, 8, 64}) {
    const auto modes = fw::s4d_legs()(N);
    REQUIRE(Index(modes.size()) == N / 2);
    double squares = 0, norm = 0;
    for (Index n = 0; n < N; ++n)
      for (Index k = 0; k < n; ++k) norm += 2 * double((2 * n + 1) * (2 * k + 1)) / 4;
    for (const number a : modes) {
      squares += 2 * a.imag() * a.imag();
      // Forward substitution of (K - i w) v = 0 by the running sum X: at the end it is the opposite of the start.
      number x = -1;
      for (Index n = 0; n < N; ++n) x *= number(-double(n) - 0.5, a.imag()) / number(double(n) + 0.5, a.imag());
      CHECK(std::abs(x - 1.0) < 1e-12);
    }
    CHECK(squares == Approx(norm).epsilon(1e-12));
    for (std::size_t n = 1; n < modes.size(); ++n) CHECK(modes[n].imag() < modes[n - 1].imag());
  }
}
