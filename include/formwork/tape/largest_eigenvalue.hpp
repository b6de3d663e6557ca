// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/matrix.hpp>
#include <formwork/core/random.hpp>
#include <formwork/core/reduce.hpp>
#include <formwork/kernel/transform.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace formwork::inline FORMWORK_ABI {

struct eigenvalue_options {
  double tolerance = 1e-3;  ///< of |A x - λ x| / |λ|
  Index products = 100;     ///< at most
  std::uint64_t seed = 0;   ///< of the vector it starts from
};

/// An eigenvalue λ and its vector x of length 1.
template <real S>
struct eigenpair {
  double value = 0;
  matrix<S> vector;     ///< (1 × size)
  double residual = 0;  ///< |A x - λ x|: an eigenvalue of A is as near to λ
  Index products = 0;   ///< with A that it took
  bool converged = true;
};

/// A symmetric matrix of three diagonals: α on the main one, β beside it.
struct tridiagonal {
  std::vector<double> alpha, beta;

  std::size_t size() const { return alpha.size(); }

  /// The diagonal of L D Lᵀ = T - λ I: all below 0 where, and only where, λ is above every eigenvalue.
  std::vector<double> pivots(double lambda) const {
    std::vector<double> d(size());
    for (std::size_t i = 0; i < size(); ++i) d[i] = alpha[i] - lambda - (i > 0 ? beta[i - 1] * beta[i - 1] / d[i - 1] : 0);
    return d;
  }

  /// By bisection, from above to the last bit or so.
  double largest_eigenvalue() const {
    double above = 0, below = alpha[0];
    for (std::size_t i = 0; i < size(); ++i) {  // Gershgorin's circles end there
      const double radius = (i > 0 ? std::abs(beta[i - 1]) : 0) + (i + 1 < size() ? std::abs(beta[i]) : 0);
      above = i == 0 ? alpha[i] + radius : std::max(above, alpha[i] + radius);
    }
    above += 1e-15 * std::abs(above) + std::numeric_limits<double>::min();
    for (int halving = 0; halving < 200; ++halving) {
      const double middle = below + (above - below) / 2;
      if (middle <= below || middle >= above) break;
      const auto d = pivots(middle);
      (std::all_of(d.begin(), d.end(), [](double p) { return p < 0; }) ? above : below) = middle;
    }
    return above;
  }

  /// The vector of that eigenvalue, by inverse iteration: T - λ I is definite, so that elimination needs no exchange of rows.
  std::vector<double> eigenvector(double lambda) const {
    const auto d = pivots(lambda);
    std::vector<double> x(size(), 1.0);
    for (int again = 0; again < 3; ++again) {
      for (std::size_t i = 1; i < size(); ++i) x[i] -= beta[i - 1] / d[i - 1] * x[i - 1];
      for (std::size_t i = size(); i-- > 0;) x[i] = x[i] / d[i] - (i + 1 < size() ? beta[i] / d[i] * x[i + 1] : 0);
      double length = 0;
      for (const double e : x) length = std::hypot(length, e);
      for (double& e : x) e /= length;
    }
    return x;
  }
};

/// The largest (most positive) eigenvalue of a symmetric A that is only multiplied with: Lanczos' method, every new vector made
/// orthogonal to all before it, twice. Of a loss's Hessian it is the sharpness (Cohen et al., 2103.00065).
///
///   hessian h(model, loss);
///   const double sharpness = largest_eigenvalue(h, {.tolerance = 1e-3}).value;
///
/// `a` has size(), scalar and a * v, for v (1 × size()): hessian, or anything of one's own.
///
/// Numerics  bits depend on A's products and the seed alone. The start has a part of every eigenvector, but for an accident of
///           probability 0.
/// Cost      the products, and for the i-th of them 4 i passes over a vector; all vectors are held, in the scalar of A.
/// Throws    argument_error for an A of no size, or options that are not positive.
/// Source    Lanczos, J. Res. Natl. Bur. Stand. 45, 1950, doi:10.6028/jres.045.026.
template <class A>
auto largest_eigenvalue(const A& a, eigenvalue_options options = {}) {
  using S = typename A::scalar;
  const Index n = a.size();
  require(n > 0, "largest_eigenvalue: the matrix has size ", n, "; needs > 0");
  require(options.tolerance > 0 && options.products > 0, "largest_eigenvalue: tolerance is ", options.tolerance, " and products ",
          options.products, "; needs both > 0");
  const auto along = [n](const matrix<S>& u, const matrix<S>& v) { return dot(u.data(), v.data(), n); };
  const auto add = [](matrix<S>& to, double factor, const matrix<S>& v) {
    contribute(to.all(), start::continued, [f = pack<S>(factor)](pack<S> x) { return f * x; }, v);
  };
  const auto scale = [](matrix<S>& v, double factor) {
    transform(v.all(), [f = pack<S>(factor)](pack<S> x) { return f * x; }, v);
  };

  std::vector<matrix<S>> basis;
  tridiagonal t;
  matrix<S> next(1, n);
  rng(options.seed).fill_normal(next, 1);
  double length = std::sqrt(along(next, next));
  eigenpair<S> top;
  std::vector<double> ritz;
  do {
    scale(next, 1 / length);
    basis.push_back(std::move(next));
    next = a * basis.back();
    ++top.products;
    const double size = std::sqrt(along(next, next));
    t.alpha.push_back(along(basis.back(), next));
    for (int again = 0; again < 2; ++again)
      for (const auto& q : basis) add(next, -along(q, next), q);
    length = std::sqrt(along(next, next));
    top.value = t.largest_eigenvalue();
    ritz = t.eigenvector(top.value);
    top.residual = length * std::abs(ritz.back());
    const bool all = length <= std::numeric_limits<S>::epsilon() * size || top.products == n;  // of what the start has part of
    top.converged = all || top.residual <= options.tolerance * std::abs(top.value);
    t.beta.push_back(length);
  } while (!top.converged && top.products < options.products);

  top.vector = matrix<S>(1, n, S(0));
  for (std::size_t i = 0; i < basis.size(); ++i) add(top.vector, ritz[i], basis[i]);
  return top;
}

}  // namespace formwork
