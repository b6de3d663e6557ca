// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/matrix.hpp>

#include <cmath>
#include <numbers>

namespace formwork::inline FORMWORK_ABI {

/// P_0(z) .. P_{order - 1}(z), the Legendre polynomials: (n + 1) P_{n+1} = (2n + 1) z P_n - n P_{n-1}.
///
/// Numerics  in double; stable for |z| ≤ 1.
inline void legendre(double* out, Index order, double z) {
  double before = 0, now = 1;
  for (Index n = 0; n < order; ++n) {
    out[n] = now;
    const auto d = static_cast<double>(n);
    before = std::exchange(now, ((2 * d + 1) * z * now - d * before) / (d + 1));
  }
}

/// Nodes and weights on [0, 1] that integrate polynomials up to degree 2 count - 1 exactly.
///
/// Shapes    node, weight (1 × count), nodes ascending.
/// Numerics  Newton's method on P_count from Tricomi's estimate; ∫ s^m for m < 2 count within 1e-14 (legendre_test.cpp).
struct gauss_legendre {
  matrix<double> node, weight;

  explicit gauss_legendre(Index count) : node(1, count), weight(1, count) {
    const auto n = static_cast<double>(count);
    matrix<double> p(1, count + 1);
    for (Index i = 0; i < count; ++i) {
      double z = -std::cos(std::numbers::pi * (static_cast<double>(i) + 0.75) / (n + 0.5)), slope = 0;
      for (int step = 0; step < 6; ++step) {
        legendre(p.data(), count + 1, z);
        slope = n * (z * p(0, count) - p(0, count - 1)) / (z * z - 1);
        z -= p(0, count) / slope;
      }
      node(0, i) = (1 + z) / 2;
      weight(0, i) = 1 / ((1 - z * z) * slope * slope);
    }
  }
};

}  // namespace formwork
