// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/kernel/orthogonalize.hpp>

#include <Eigen/SVD>

#include <algorithm>
#include <cmath>
#include <functional>
#include <span>

/// Naive twins of kernel/orthogonalize.hpp.
namespace oracle {

namespace fw = formwork;
using fw::Index;

/// x y, or x yᵀ, sums from k = 0.
template <class S>
fw::matrix<S> multiply(const fw::matrix<S>& x, const fw::matrix<S>& y, bool transposed = false) {
  const Index cols = transposed ? y.rows() : y.cols();
  fw::matrix<S> z(x.rows(), cols, S(0));
  for (Index i = 0; i < x.rows(); ++i)
    for (Index j = 0; j < cols; ++j)
      for (Index k = 0; k < x.cols(); ++k) z(i, j) += x(i, k) * (transposed ? y(j, k) : y(k, j));
  return z;
}

template <class S>
fw::matrix<S> transpose(const fw::matrix<S>& x) {
  fw::matrix<S> t(x.cols(), x.rows());
  for (Index i = 0; i < x.rows(); ++i)
    for (Index j = 0; j < x.cols(); ++j) t(j, i) = x(i, j);
  return t;
}

/// X ← a X + (b A + c A²) X as it is written.
template <class S>
fw::matrix<S> newton_schulz(fw::matrix<S> x, std::span<const fw::odd_quintic> iterations, double epsilon = 1e-7) {
  if (x.rows() > x.cols()) return transpose(newton_schulz(transpose(x), iterations, epsilon));
  double squares = 0;
  for (Index i = 0; i < x.size(); ++i) squares += static_cast<double>(x.data()[i]) * static_cast<double>(x.data()[i]);
  for (Index i = 0; i < x.size(); ++i) x.data()[i] /= static_cast<S>(std::sqrt(squares) + epsilon);
  for (const auto& [a, b, c] : iterations) {
    const auto gram = multiply(x, x, true), square = multiply(gram, gram);
    fw::matrix<S> q(gram.rows(), gram.cols());
    for (Index i = 0; i < q.size(); ++i) q.data()[i] = S(b) * gram.data()[i] + S(c) * square.data()[i];
    const auto moved = multiply(q, x);
    for (Index i = 0; i < x.size(); ++i) x.data()[i] = S(a) * x.data()[i] + moved.data()[i];
  }
  return x;
}

using dense = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic>;

/// U f(σ) Vᵀ of x = U σ Vᵀ.
inline fw::matrix<double> on_singular_values(const fw::matrix<double>& x, const std::function<double(double)>& f) {
  const Eigen::JacobiSVD<dense> svd(fw::eigen(x), Eigen::ComputeThinU | Eigen::ComputeThinV);
  Eigen::VectorXd values = svd.singularValues();
  for (double& s : values) s = f(s);
  fw::matrix<double> y(x.rows(), x.cols());
  fw::eigen(y) = svd.matrixU() * values.asDiagonal() * svd.matrixV().transpose();
  return y;
}
/// Zero singular values stay.
inline fw::matrix<double> msign(const fw::matrix<double>& x) {
  return on_singular_values(x, [](double s) { return s > 1e-13 ? 1.0 : 0.0; });
}
inline Eigen::VectorXd singular_values(const fw::matrix<double>& x) {
  return Eigen::JacobiSVD<dense>(fw::eigen(x)).singularValues();
}

}  // namespace oracle
