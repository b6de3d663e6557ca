// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/matrix.hpp>

#include <cmath>
#include <utility>

namespace formwork::inline FORMWORK_ABI {

// Small dense matrices in double, for what is formed once: plain loops, the same bits on any number of threads.

inline matrix<double> identity(Index order) {
  matrix<double> r(order, order, 0.0);
  for (Index i = 0; i < order; ++i) r(i, i) = 1;
  return r;
}

/// a b.
inline matrix<double> dense_product(view<const double> a, view<const double> b) {
  require(a.cols() == b.rows(), "dense_product: a is ", shape_text(a), " but b is ", shape_text(b), "; needs a.cols = b.rows");
  matrix<double> c(a.rows(), b.cols(), 0.0);
  for (Index i = 0; i < a.rows(); ++i)
    for (Index k = 0; k < a.cols(); ++k)
      for (Index j = 0; j < b.cols(); ++j) c(i, j) += a(i, k) * b(k, j);
  return c;
}

/// x with a x = b: elimination with row exchanges.
///
/// Shapes    a (n × n), b (n × any).
/// Throws    argument_error where a is singular to working precision.
inline matrix<double> solve(matrix<double> a, matrix<double> b) {
  const Index n = a.rows();
  require(a.cols() == n && b.rows() == n, "solve: a is ", shape_text(a), " and b ", shape_text(b), "; needs (n × n) and n rows");
  for (Index k = 0; k < n; ++k) {
    Index pivot = k;
    for (Index i = k + 1; i < n; ++i)
      if (std::abs(a(i, k)) > std::abs(a(pivot, k))) pivot = i;
    require(a(pivot, k) != 0, "solve: a is singular in column ", k);
    std::swap_ranges(a.row(k), a.row(k) + n, a.row(pivot));
    std::swap_ranges(b.row(k), b.row(k) + b.cols(), b.row(pivot));
    for (Index i = k + 1; i < n; ++i) {
      const double factor = a(i, k) / a(k, k);
      if (factor == 0) continue;
      for (Index j = k + 1; j < n; ++j) a(i, j) -= factor * a(k, j);
      for (Index j = 0; j < b.cols(); ++j) b(i, j) -= factor * b(k, j);
    }
  }
  for (Index k = n; k-- > 0;)
    for (Index j = 0; j < b.cols(); ++j) {
      for (Index i = k + 1; i < n; ++i) b(k, j) -= a(k, i) * b(i, j);
      b(k, j) /= a(k, k);
    }
  return b;
}

/// e^a: the Padé quotient q(a)⁻¹ p(a) of degree 8 on a / 2^s with rows of sum ≤ 1/2, squared s times.
///
/// Shapes    a (n × n).
/// Numerics  the quotient itself is exact to 1e-19 there; squaring can lose what the exponential's hump is high.
/// Source    Golub and Van Loan, Matrix Computations, 9.3.
inline matrix<double> matrix_exponential(matrix<double> a) {
  constexpr int degree = 8;
  const Index n = a.rows();
  require(a.cols() == n, "matrix_exponential: a is ", shape_text(a), "; needs (n × n)");
  double norm = 0;
  for (Index i = 0; i < n; ++i) {
    double row = 0;
    for (Index j = 0; j < n; ++j) row += std::abs(a(i, j));
    require(std::isfinite(row), "matrix_exponential: row ", i, " of a is not finite");
    norm = std::max(norm, row);
  }
  int squarings = 0;
  while (std::ldexp(norm, -squarings) > 0.5) ++squarings;
  for (Index i = 0; i < a.size(); ++i) a.data()[i] = std::ldexp(a.data()[i], -squarings);

  matrix<double> power = identity(n), over = power, under = power;
  double c = 1;
  for (int k = 1; k <= degree; ++k) {
    c *= static_cast<double>(degree - k + 1) / static_cast<double>(k * (2 * degree - k + 1));
    power = dense_product(power, a);
    for (Index i = 0; i < a.size(); ++i) {
      const double term = c * power.data()[i];
      over.data()[i] += term;
      under.data()[i] += k % 2 ? -term : term;
    }
  }
  matrix<double> r = solve(std::move(under), std::move(over));
  for (; squarings > 0; --squarings) r = dense_product(r, r);
  return r;
}

}  // namespace formwork
