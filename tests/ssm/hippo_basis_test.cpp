// SPDX-License-Identifier: MIT
#include <formwork/ssm/hippo_memory.hpp>

#include <Eigen/Eigenvalues>

#include <complex>
#include <vector>

#include "kernel/checks.hpp"

namespace fw = formwork;
using fw::Index;

namespace {

void close(const fw::matrix<double>& m, std::vector<double> numbers, double bound = 1e-8) {
  REQUIRE(m.size() == static_cast<Index>(numbers.size()));
  for (Index i = 0; i < m.size(); ++i) {
    CAPTURE(i);
    CHECK(std::abs(m.data()[i] - numbers[static_cast<std::size_t>(i)]) < bound);
  }
}

/// The laws of contract/basis.hpp: a constant 1 is the fixed point (constant, 0, ...) and reads as 1; the memory forgets.
template <class Basis>
void is_a_basis(const Basis& basis, Index order, double constant, const std::vector<double>& ages) {
  CAPTURE(order);
  const fw::linear_ode ode = basis.ode(order);
  fw::matrix<double> g(1, order), fixed(order, 1, 0.0);
  fixed(0, 0) = constant;
  const auto slope = fw::dense_product(ode.a, fixed);
  for (Index n = 0; n < order; ++n) CHECK(std::abs(slope(n, 0) + ode.b(n, 0)) < 1e-12);
  for (const double age : ages) {
    basis.functions(g.data(), order, age, 10.0);
    CHECK(std::abs(fw::dense_product(g, fixed)(0, 0) - 1) < 1e-9);
  }
  Eigen::MatrixXd a = fw::eigen(ode.a);
  CHECK(a.eigenvalues().real().maxCoeff() < 0);
}

}  // namespace

TEST_CASE("LegS: the matrix of order 4 and its eigenvalues") {
  const auto ode = fw::legs{}.ode(4);
  close(ode.a, {-1, 0, 0, 0, -1.73205081, -2, 0, 0, -2.23606798, -3.87298335, -3, 0, -2.64575131, -4.58257569, -5.91607978, -4});
  close(ode.b, {1.41421356, 2.44948974, 3.16227766, 3.74165739});
  const Eigen::MatrixXd a = fw::eigen(fw::legs{}.ode(12).a);
  Eigen::VectorXcd values = a.eigenvalues();
  std::sort(values.begin(), values.end(), [](auto x, auto y) { return x.real() > y.real(); });
  for (Index n = 0; n < 12; ++n) CHECK(std::abs(values(n) + static_cast<double>(n + 1)) < 1e-6);
}

TEST_CASE("LegS: A + P Pᵀ + 1/2 is skew, with the frequencies of order 8") {
  const auto a = fw::legs{}.ode(8).a;
  Eigen::MatrixXd skew = fw::eigen(a);
  for (Index n = 0; n < 8; ++n)
    for (Index k = 0; k < 8; ++k)
      skew(n, k) += std::sqrt(static_cast<double>(n) + 0.5) * std::sqrt(static_cast<double>(k) + 0.5) + (n == k ? 0.5 : 0);
  CHECK((skew + skew.transpose()).cwiseAbs().maxCoeff() < 1e-12);
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> squares(-skew * skew);  // each frequency's square twice
  const double frequency[] = {0.42748871, 1.95779415, 5.35420852, 19.85741037};
  for (int i = 0; i < 8; ++i) CHECK(std::abs(std::sqrt(squares.eigenvalues()(i)) - frequency[i / 2]) < 1e-8);
}

TEST_CASE("LegT: A + its two ranks is skew; LagT without tilt: A + 1/2 1 1ᵀ is skew") {
  const auto legt = fw::legt{.window = 1}.ode(8).a;
  const auto lagt = fw::lagt{.tilt = 0}.ode(8).a;
  for (Index n = 0; n < 8; ++n)
    for (Index k = 0; k < 8; ++k) {
      const auto root = [](Index i) { return std::sqrt(static_cast<double>(2 * i + 1)); };
      const auto rank2 = [&](Index i, Index j) { return (i + j) % 2 ? 0 : root(i) * root(j); };
      CHECK(std::abs(legt(n, k) + rank2(n, k) + legt(k, n) + rank2(k, n)) < 1e-12);
      CHECK(std::abs(lagt(n, k) + 0.5 + lagt(k, n) + 0.5) < 1e-12);
    }
}

TEST_CASE("LegT: S4's and LMU's are the same up to scale and sign") {
  const auto ode = fw::legt{.window = 2}.ode(6);
  for (Index n = 0; n < 6; ++n) {
    CHECK(std::abs(ode.b(n, 0) / std::sqrt(2.0) - std::sqrt(static_cast<double>(2 * n + 1)) / 2) < 1e-14);
    for (Index k = 0; k < 6; ++k) {
      // LMU: its own unnormalised A, seen in orthonormal coefficients and with the sign (-1)^n.
      const double lmu = -static_cast<double>(2 * n + 1) * (k >= n || (n - k) % 2 == 0 ? 1 : -1) / 2;
      const double sign = (n + k) % 2 ? -1 : 1, root = std::sqrt(static_cast<double>(2 * k + 1) / static_cast<double>(2 * n + 1));
      CHECK(std::abs(ode.a(n, k) - sign * lmu * root) < 1e-12);
    }
  }
}

TEST_CASE("Fourier: the complex form of kexue.fm/archives/10114 is pull 1 in real coordinates") {
  constexpr Index half = 3, order = 2 * half + 1;
  const double window = 5;
  const auto ode = fw::fourier{.window = window, .pull = 1}.ode(order);
  // Real coordinates of the complex coefficients z_n, n = -half .. half, of a real signal: x_0 = z_0, √2 Re z_n, √2 Im z_n.
  using complex = std::complex<double>;
  checks::numbers random(3);
  std::vector<complex> z(order);
  z[half] = random.normal();
  for (Index n = 1; n <= half; ++n) {
    z[std::size_t(half + n)] = {random.normal(), random.normal()};
    z[std::size_t(half - n)] = std::conj(z[std::size_t(half + n)]);
  }
  const auto real = [&](const std::vector<complex>& c) {
    fw::matrix<double> x(order, 1);
    x(0, 0) = c[half].real();
    for (Index n = 1; n <= half; ++n) {
      x(2 * n - 1, 0) = std::sqrt(2.0) * c[std::size_t(half + n)].real();
      x(2 * n, 0) = std::sqrt(2.0) * c[std::size_t(half + n)].imag();
    }
    return x;
  };
  complex sum = 0;
  for (const complex c : z) sum += c;
  std::vector<complex> slope(order);
  const double u = 0.7;
  for (Index n = -half; n <= half; ++n)
    slope[std::size_t(n + half)] =
        (complex(0, 2 * std::numbers::pi * static_cast<double>(n)) * z[std::size_t(n + half)] - sum + u) / window;
  auto ours = fw::dense_product(ode.a, real(z));
  for (Index i = 0; i < order; ++i) ours(i, 0) += ode.b(i, 0) * u;
  CHECK(checks::largest_error(ours, real(slope)) < 1e-14);
}

TEST_CASE("every basis holds a constant and forgets") {
  const std::vector<double> ages{0.0, 0.1, 3.0, 9.9};
  for (const Index order : {1, 9, 17}) {
    is_a_basis(fw::legs{}, order, std::sqrt(2.0), ages);
    is_a_basis(fw::legt{.window = 10}, order, std::sqrt(2.0), ages);
    is_a_basis(fw::fourier{.window = 10}, order, 1, ages);
    is_a_basis(fw::fourier{.window = 10, .pull = 1}, order, 1, ages);
    is_a_basis(fw::lagt{.scale = 3}, order, 1, ages);
  }
}

TEST_CASE("LagT without tilt keeps a decaying signal: u = e^(τ/2 ...) is its first function") {
  // u(t - τ) = e^(-τ/2) L_0: coefficients (1, 0, ...), by quadrature of the functions' orthonormality.
  const fw::gauss_legendre rule(400);
  const fw::lagt basis{.scale = 2, .tilt = 0};
  constexpr Index order = 6;
  fw::matrix<double> g(1, order), gram(order, order, 0.0);
  for (Index i = 0; i < 400; ++i) {
    const double age = 200 * rule.node(0, i);
    basis.functions(g.data(), order, age, 0);
    for (Index n = 0; n < order; ++n)
      for (Index k = 0; k < order; ++k) gram(n, k) += 100 * rule.weight(0, i) * g(0, n) * g(0, k);  // in units of the scale
  }
  CHECK(checks::largest_error(gram, fw::identity(order)) < 1e-12);
}

TEST_CASE("discretisations: x' = -x + u at step 1/2, and LegS of order 2 at 1/10") {
  fw::linear_ode scalar{fw::matrix<double>(1, 1, -1.0), fw::matrix<double>(1, 1, 1.0)};
  const auto check = [](const fw::linear_ode& got, std::vector<double> a, std::vector<double> b) {
    close(got.a, std::move(a));
    close(got.b, std::move(b));
  };
  check(fw::discretise(scalar, 0.5, fw::forward_euler{}), {0.5}, {0.5});
  check(fw::discretise(scalar, 0.5, fw::backward_euler{}), {0.66666667}, {0.33333333});
  check(fw::discretise(scalar, 0.5, fw::bilinear{}), {0.6}, {0.4});
  check(fw::discretise(scalar, 0.5, fw::zero_order_hold{}), {0.60653066}, {0.39346934});
  fw::linear_ode legs = fw::legs{}.ode(2);
  for (Index n = 0; n < 2; ++n) legs.b(n, 0) /= std::sqrt(2.0);  // the paper's B
  check(fw::discretise(legs, 0.1, fw::bilinear{}), {0.90476190, 0, -0.14996111, 0.81818182}, {0.09523810, 0.14996111});
  check(fw::discretise(legs, 0.1, fw::zero_order_hold{}), {0.90483742, 0, -0.14914112, 0.81873075}, {0.09516258, 0.14914112});
}

TEST_CASE("bases refuse what has no meaning") {
  CHECK_THROWS_WITH(fw::legt{.window = 0}.ode(4), ContainsSubstring("window is 0; needs > 0"));
  CHECK_THROWS_WITH(fw::lagt{.scale = -1}.ode(4), ContainsSubstring("lagt: scale is -1"));
  CHECK_THROWS_WITH(fw::fourier{}.ode(4), ContainsSubstring("order is 4; needs an odd one"));
}
