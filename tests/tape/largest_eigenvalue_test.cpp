// SPDX-License-Identifier: MIT
#include <formwork/tape/largest_eigenvalue.hpp>

#include <Eigen/Eigenvalues>

#include "tape/hessian_cases.hpp"

using namespace hessian_cases;

namespace {

/// A matrix that is all there.
template <class S>
struct dense {
  using scalar = S;
  Eigen::MatrixXd numbers;

  Index size() const { return numbers.rows(); }
  fw::matrix<S> operator*(const fw::matrix<S>& v) const {
    fw::matrix<S> product(1, size());
    fw::eigen(product) = (numbers * fw::eigen(v).template cast<double>().transpose()).transpose().template cast<S>();
    return product;
  }
};

Eigen::MatrixXd symmetric(Index n, std::uint64_t seed) {
  fw::matrix<double> m(n, n);
  fw::rng{seed}.fill_normal(m, 1);
  return fw::eigen(m) + fw::eigen(m).transpose();
}
Eigen::MatrixXd with_eigenvalues(const Eigen::VectorXd& values, std::uint64_t seed) {
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> any(symmetric(values.size(), seed));
  return any.eigenvectors() * values.asDiagonal() * any.eigenvectors().transpose();
}

}  // namespace

TEMPLATE_TEST_CASE("the largest eigenvalue of dense matrices and its vector are Eigen's", "", float, double) {
  const double eps = std::numeric_limits<TestType>::epsilon();
  for (const Index n : {1, 2, 3, 10, 60}) {
    CAPTURE(n);
    const dense<TestType> a{symmetric(n, static_cast<std::uint64_t>(n))};
    const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> oracle(a.numbers);
    const double scale = oracle.eigenvalues().cwiseAbs().maxCoeff();
    const auto top = fw::largest_eigenvalue(a, {.tolerance = 1e-12, .products = n});
    CHECK(std::abs(top.value - oracle.eigenvalues()(n - 1)) <= 50 * eps * scale);
    CHECK(top.converged);
    CHECK(top.products <= n);
    const Eigen::VectorXd x = fw::eigen(top.vector).template cast<double>().transpose();
    CHECK(x.norm() == Approx(1).margin(10 * eps));
    CHECK((a.numbers * x - top.value * x).norm() <= (100 * eps + 2e-12) * scale);
  }
}

TEST_CASE("the most positive eigenvalue is found beside larger negative ones, and among equal ones") {
  Eigen::VectorXd values = Eigen::VectorXd::LinSpaced(40, -9, 1);
  const auto beside = fw::largest_eigenvalue(dense<double>{with_eigenvalues(values, 1)}, {.tolerance = 1e-10});
  CHECK(beside.value == Approx(1).epsilon(1e-12));
  values.tail(5).setConstant(2);
  const auto among = fw::largest_eigenvalue(dense<double>{with_eigenvalues(values, 2)}, {.tolerance = 1e-10});
  CHECK(among.value == Approx(2).epsilon(1e-12));
  const auto all_negative = fw::largest_eigenvalue(dense<double>{with_eigenvalues(-values.cwiseAbs(), 3)}, {.tolerance = 1e-10});
  CHECK(all_negative.value == Approx(-values.cwiseAbs().minCoeff()).epsilon(1e-9));
}

TEST_CASE("a matrix of few eigenvalues ends after as many products, that of zeros at once") {
  Eigen::VectorXd values = Eigen::VectorXd::Constant(30, -1);
  values(4) = 5, values(9) = 2;
  const auto three = fw::largest_eigenvalue(dense<double>{with_eigenvalues(values, 1)}, {.tolerance = 1e-14});
  CHECK(three.value == Approx(5).epsilon(1e-12));
  CHECK(three.products <= 4);
  const auto none = fw::largest_eigenvalue(dense<double>{Eigen::MatrixXd::Zero(8, 8)});
  CHECK(std::abs(none.value) <= 1e-300);
  CHECK(none.converged);
  CHECK(none.products == 1);
}

TEST_CASE("what does not converge says so, and how near it came") {
  const dense<double> a{symmetric(200, 5)};
  const auto early = fw::largest_eigenvalue(a, {.tolerance = 1e-12, .products = 5});
  CHECK(!early.converged);
  CHECK(early.products == 5);
  const Eigen::VectorXd x = fw::eigen(early.vector).transpose();
  CHECK(early.residual == Approx((a.numbers * x - early.value * x).norm()).epsilon(1e-6));
  const auto late = fw::largest_eigenvalue(a, {.tolerance = 1e-4});
  CHECK(late.converged);
  CHECK(late.residual <= 1e-4 * std::abs(late.value));
  CHECK(late.products < 100);
}

TEST_CASE("the same seed gives the same bits, another one the same eigenvalue") {
  const dense<float> a{symmetric(50, 5)};
  const auto one = fw::largest_eigenvalue(a, {.seed = 1}), again = fw::largest_eigenvalue(a, {.seed = 1});
  CHECK(one.value == again.value);
  CHECK(same_bits(one.vector, again.vector));
  const auto other = fw::largest_eigenvalue(a, {.seed = 2});
  CHECK(!same_bits(one.vector, other.vector));
  CHECK(other.value == Approx(one.value).epsilon(1e-4));
}

TEST_CASE("the sharpness of a small model is the largest eigenvalue of its whole Hessian") {
  fw::rng random{3};
  const auto model = gated<double>::make({.vocab = 7, .width = 4, .depth = 1, .heads = 2, .hidden = 6}, random);
  const fw::hessian h(model, [x = batch_of({5, 1, 3}, 7, 6), y = ids(9, 7, 7)](auto& tape, const auto& m) {
    return fw::cross_entropy(m(tape, x), y);
  });
  const Index n = h.size();
  Eigen::MatrixXd whole(n, n);
  for (Index i = 0; i < n; ++i) {
    fw::matrix<double> unit(1, n, 0.0);
    unit.data()[i] = 1;
    whole.col(i) = fw::eigen(h * unit).transpose();
  }
  CHECK((whole - whole.transpose()).cwiseAbs().maxCoeff() <= 1e-12 * whole.cwiseAbs().maxCoeff());
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> oracle(whole);
  const auto top = fw::largest_eigenvalue(h, {.tolerance = 1e-8});
  CHECK(top.converged);
  CHECK(top.value == Approx(oracle.eigenvalues()(n - 1)).epsilon(1e-10));
  CHECK(top.products < n / 2);
  CHECK(std::abs((fw::eigen(top.vector) * oracle.eigenvectors().col(n - 1))(0)) == Approx(1).epsilon(1e-10));
}

TEST_CASE("an empty matrix and options that make no sense are refused") {
  CHECK_THROWS_WITH(fw::largest_eigenvalue(dense<double>{}), "largest_eigenvalue: the matrix has size 0; needs > 0");
  CHECK_THROWS_WITH(fw::largest_eigenvalue(dense<double>{symmetric(3, 1)}, {.products = 0}),
                    "largest_eigenvalue: tolerance is 0.001 and products 0; needs both > 0");
}
